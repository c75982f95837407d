"""Hugging Face's files for tokenizers: reading any byte-level BPE's tokenizer.json, writing our own.

Reading serves our own files and those of open checkpoints (Qwen, Llama 3, ...): vocabulary, merges,
added tokens and the split pattern come from the file, nothing is assumed from a model's name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkling.core.errors import UserError
from thinkling.tokenizer.merge_order import merge_order
from thinkling.tokenizer.reference import Pair
from thinkling.tokenizer.split import (
    DIGIT_BY_DIGIT,
    GPT2,
    covering,
    from_printable,
    to_printable,
)

NORMAL_FORMS = ("NFC", "NFD", "NFKC", "NFKD")


@dataclass(frozen=True)
class Vocabulary:
    """What a tokenizer.json says, in the terms of tiktoken.

    ``pattern`` cuts text into pieces, covering every character. ``normal_forms`` are applied to text first.
    ``tokens`` id -> bytes, special tokens excluded. ``ranks`` bytes -> priority of the merge that makes
    them, for tokens that encoding can produce. ``id_of_rank`` translates where a rank is not the id,
    else None. ``special`` holds every added token: text -> id.
    """

    pattern: str
    normal_forms: tuple[str, ...]
    tokens: dict[int, bytes]
    ranks: dict[bytes, int]
    id_of_rank: dict[int, int] | None
    special: dict[str, int]


@dataclass(frozen=True, slots=True)
class Conventions:
    """What a tokenizer_config.json says about the use of a vocabulary; "" where it says nothing.

    ``template`` is the chat template in Jinja, ``bos`` and ``eos`` are the special tokens at a text's beginning
    and end; ``opens`` tells whether ``bos`` stands before a plain text too.
    """

    template: str = ""
    bos: str = ""
    eos: str = ""
    opens: bool = True


def read_json(path: Path) -> dict[str, Any]:
    """A file that holds a JSON object. Raises UserError for another content, FileNotFoundError without the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object, came {type(content).__name__}")
    return content


def read_conventions(folder: Path) -> Conventions:
    """From tokenizer_config.json, and from chat_template.jinja, where newer checkpoints keep the template."""
    path = folder / "tokenizer_config.json"
    config = read_json(path) if path.is_file() else {}
    template = config.get("chat_template") or ""
    if isinstance(template, list):  # several, by name
        template = next((one["template"] for one in template if one["name"] == "default"), "")
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        template = jinja.read_text(encoding="utf-8")
    bos, eos = (_content(config.get(role)) for role in ("bos_token", "eos_token"))
    return Conventions(template, bos, eos, config.get("add_bos_token") is not False)


def _content(token: str | dict[str, Any] | None) -> str:
    """The text of a special token, which older files describe by a table."""
    return str(token["content"]) if isinstance(token, dict) else token or ""


def read(file: dict[str, Any], origin: str) -> Vocabulary:
    """Understand the parsed content of a tokenizer.json; ``origin`` names it in errors.

    Raises UserError where it holds anything else than byte-level BPE, or a part we do not know how
    to follow exactly: a tokenizer that is almost right would spoil a model in silence.
    """
    model = _model(file, origin)
    special = {token["content"]: token["id"] for token in file.get("added_tokens") or []}
    tokens: dict[int, bytes] = {}
    for spelling, number in model["vocab"].items():
        if spelling not in special:
            tokens[number] = _bytes(spelling, origin)
    id_of = {token: number for number, token in tokens.items()}
    missing = [byte for byte in range(256) if bytes([byte]) not in id_of]
    if missing:
        raise UserError(
            f"{origin}: expected all 256 bytes in a byte-level vocabulary, {len(missing)} are missing "
            f"(first: 0x{missing[0]:02x}); this is another kind of tokenizer, use a byte-level BPE one"
        )
    pairs = [_pair(merge, origin) for merge in model["merges"]]
    whole_pieces = bool(model.get("ignore_merges"))
    in_order = merge_order(pairs, id_of, whole_pieces, origin)
    ids = [id_of[token] for token in in_order]
    if all(before < after for before, after in zip(ids, ids[1:], strict=False)):
        ranks = {bytes([byte]): id_of[bytes([byte])] for byte in range(256)}
        ranks |= {token: id_of[token] for token in in_order}
        id_of_rank = None
    else:
        everything = [*(bytes([byte]) for byte in range(256)), *in_order]
        ranks = {token: rank for rank, token in enumerate(everything)}
        id_of_rank = {rank: id_of[token] for token, rank in ranks.items()}
    return Vocabulary(
        covering(_pattern(file.get("pre_tokenizer"), origin)),
        _normal_forms(file.get("normalizer"), origin),
        tokens,
        ranks,
        id_of_rank,
        special,
    )


def write(merges: Sequence[Pair], special: Sequence[str], pattern: str = DIGIT_BY_DIGIT) -> dict[str, Any]:
    """The content of a tokenizer.json: bytes are ids 0-255, then the merges in order, then ``special``."""
    tokens = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    spelled = [to_printable(token) for token in tokens]
    added = [
        {
            "id": len(tokens) + index,
            "content": content,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for index, content in enumerate(special)
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    cut = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [cut, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {spelling: number for number, spelling in enumerate(spelled)},
            "merges": [[spelled[left], spelled[right]] for left, right in merges],
        },
    }


def _model(file: dict[str, Any], origin: str) -> dict[str, Any]:
    model = file.get("model") or {}
    kind = model.get("type", "BPE" if "merges" in model else None)
    if kind != "BPE":
        raise UserError(f"{origin}: expected a byte-level BPE tokenizer, came model type {kind!r}")
    for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"):
        if model.get(option):
            raise UserError(f"{origin}: a BPE model with {option}={model[option]!r} is not byte-level BPE")
    return dict(model)


def _bytes(spelling: str, origin: str) -> bytes:
    try:
        return from_printable(spelling)
    except KeyError:
        raise UserError(
            f"{origin}: token {spelling!r} is not spelled in the byte alphabet (\u0120 for a "
            "space); expected a byte-level BPE tokenizer"
        ) from None


def _pair(merge: str | Sequence[str], origin: str) -> tuple[bytes, bytes]:
    # Older files write "left right" in one string: a space is never part of the byte alphabet.
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return _bytes(left, origin), _bytes(right, origin)


def _pattern(pre: dict[str, Any] | None, origin: str) -> str:
    """The one split pattern of a pre-tokenizer."""
    steps = [] if pre is None else pre["pretokenizers"] if pre["type"] == "Sequence" else [pre]
    patterns = []
    for step in steps:
        if step["type"] == "Split" and step["behavior"] == "Isolated" and not step.get("invert"):
            patterns.append(_regex(step["pattern"]))
        elif step["type"] == "ByteLevel" and not step.get("add_prefix_space"):
            patterns += [GPT2] if step.get("use_regex", True) else []
        else:
            raise UserError(f"{origin}: cannot follow the pre-tokenizer step {step}")
    if len(patterns) != 1 or steps[-1]["type"] != "ByteLevel":
        raise UserError(
            f"{origin}: expected one split pattern and then ByteLevel, came "
            f"{[step['type'] for step in steps]} with {len(patterns)} patterns"
        )
    return patterns[0]


def _regex(pattern: dict[str, str]) -> str:
    if "Regex" in pattern:
        return pattern["Regex"]
    literal = pattern["String"]
    return "".join("\\" + char if not char.isalnum() and char.isascii() else char for char in literal)


def _normal_forms(normalizer: dict[str, Any] | None, origin: str) -> tuple[str, ...]:
    steps = (
        [] if normalizer is None else normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
    )
    unknown = [step["type"] for step in steps if step["type"] not in NORMAL_FORMS]
    if unknown:
        raise UserError(f"{origin}: cannot follow the normalizer {unknown[0]!r}; known: {', '.join(NORMAL_FORMS)}")
    return tuple(step["type"] for step in steps)
