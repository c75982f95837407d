"""The tokenizer that everything else uses: byte-level BPE with tiktoken inside.

Text is text: whatever a string says, ``encode`` never returns a special token's id, so nobody can type
``<|im_end|>`` into a conversation and end a turn. Special tokens are placed by id (see ``chat``).
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import regex
import tiktoken

from thinkling.core.errors import UserError
from thinkling.tokenizer import huggingface
from thinkling.tokenizer.chat_template import TEMPLATE
from thinkling.tokenizer.huggingface import Conventions
from thinkling.tokenizer.protocol import CHATML, Protocol, spoken
from thinkling.tokenizer.split import has_too_many_blanks, valid_unicode
from thinkling.tokenizer.train import learn_merges

# In this order at the end of the vocabularies that we train; names shared with Qwen3.
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
)

_NO_TOKEN = "\ufffd".encode()


class _Bytes(dict[int, bytes]):
    """Token bytes by id; an id without a token (padded vocabularies have some) reads as U+FFFD."""

    def __missing__(self, number: int) -> bytes:
        return _NO_TOKEN


class Tokenizer:
    """Byte-level BPE. ``special`` maps the text of each special token to its id.

    ``vocab_size`` is one more than the largest id; ``conventions`` say how the checkpoint uses it.
    """

    def __init__(
        self, file: dict[str, Any], origin: str = "tokenizer.json", conventions: Conventions | None = None
    ) -> None:
        """From the parsed content of a tokenizer.json; ``origin`` names it in errors."""
        self.conventions = conventions or Conventions()
        vocabulary = huggingface.read(file, origin)
        self._file = file
        self._pattern = vocabulary.pattern
        self._normal_forms = vocabulary.normal_forms
        self._id_of_rank = vocabulary.id_of_rank
        self.special: dict[str, int] = dict(vocabulary.special)
        self._bytes = _Bytes(vocabulary.tokens)
        self._bytes.update({number: text.encode() for text, number in self.special.items()})
        self.vocab_size: int = max(self._bytes) + 1
        try:
            self._fast = tiktoken.Encoding(
                origin, pat_str=vocabulary.pattern, mergeable_ranks=vocabulary.ranks, special_tokens={}
            )
        except ValueError as error:
            raise UserError(f"{origin}: cannot follow its split pattern: {error}") from None

    @staticmethod
    def load(folder: str | Path) -> Tokenizer:
        """From a folder with a tokenizer.json (ours or any byte-level BPE's), or from that file."""
        path = Path(folder)
        path = path / "tokenizer.json" if path.is_dir() else path
        try:
            file = huggingface.read_json(path)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; expected a folder with a tokenizer.json") from None
        return Tokenizer(file, str(path), huggingface.read_conventions(path.parent))

    @staticmethod
    def train(texts: Iterable[str], vocab_size: int, special: Sequence[str] = SPECIAL_TOKENS) -> Tokenizer:
        """Learn ``vocab_size`` tokens, special ones included, from ``texts``.

        The vocabulary is smaller where the texts hold too few pairs. Raises UserError below 256 bytes
        plus the special tokens.
        """
        least = 256 + len(special)
        if vocab_size < least:
            raise UserError(
                f"vocab_size: expected at least {least} (256 bytes and {len(special)} special tokens), "
                f"came {vocab_size}"
            )
        return Tokenizer(huggingface.write(learn_merges(texts, vocab_size - least), special))

    def encode(self, text: str) -> list[int]:
        """Ids of ``text``, never a special one. Lone surrogates are read as U+FFFD."""
        for form in self._normal_forms:
            text = unicodedata.normalize(form, valid_unicode(text))  # type: ignore[arg-type]
        return self._ids(text)

    def encode_batch(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        """``encode`` of each text, on ``threads`` threads (all cores if None)."""
        threads = threads or os.cpu_count() or 1
        # Several texts per task: with a task for each, handing out short ones costs more than encoding.
        size = max(1, min(64, len(texts) // (4 * threads)))
        groups = [texts[i : i + size] for i in range(0, len(texts), size)]
        with ThreadPoolExecutor(threads) as pool:
            return list(chain.from_iterable(pool.map(lambda group: [self.encode(t) for t in group], groups)))

    def encode_bytes(self, data: bytes) -> list[int]:
        """Ids of any bytes, valid UTF-8 or not: ``decode_bytes`` gives exactly them back.

        Valid stretches are encoded as text (but never normalized), a run of invalid bytes as one piece.
        """
        ids: list[int] = []
        # surrogateescape reads each invalid byte as one code point of U+DC80..U+DCFF (PEP 383).
        for part in re.split("([\udc80-\udcff]+)", data.decode("utf-8", "surrogateescape")):
            if part and "\udc80" <= part[0] <= "\udcff":
                ids += self._piece_ids(part.encode("utf-8", "surrogateescape"))
            else:
                ids += self._ids(part)
        return ids

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of ``ids``; special tokens as their text, an id without a token as U+FFFD."""
        return b"".join(map(self._bytes.__getitem__, ids))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ``ids``; bytes that are not UTF-8 come out as U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def token_bytes(self, number: int) -> bytes:
        """The bytes of one token; see ``decode_bytes``."""
        return self._bytes[number]

    def special_id(self, text: str) -> int:
        """Id of the special token ``text``. Raises UserError where this vocabulary has none."""
        if text not in self.special:
            known = ", ".join(list(self.special)[:12]) or "none"
            more = f" and {len(self.special) - 12} more" if len(self.special) > 12 else ""
            raise UserError(
                f"this tokenizer has no special token {text!r}, which is needed here (it has: {known}{more}); "
                "do without, or take a model whose vocabulary has it"
            )
        return self.special[text]

    @cached_property
    def protocol(self) -> Protocol:
        """How a conversation is written. Raises UserError where the checkpoint speaks no protocol that we know."""
        return spoken(self.special, self.conventions.template, self.conventions.bos)

    def save(self, folder: str | Path) -> None:
        """Write tokenizer.json, tokenizer_config.json and special_tokens_map.json for transformers."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        said = self.conventions
        roles = {
            "bos_token": said.bos,
            "eos_token": said.eos or "<|im_end|>",
            "pad_token": "<|endoftext|>",
        }
        names = {role: token for role, token in roles.items() if token in self.special}
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "model_max_length": 10**30,
            **names,
        }
        template = said.template or (TEMPLATE if CHATML.start in self.special else "")
        if template:
            config["chat_template"] = template
        _write_json(folder / "tokenizer.json", self._file)
        _write_json(folder / "tokenizer_config.json", config)
        _write_json(folder / "special_tokens_map.json", names)

    def _ids(self, text: str) -> list[int]:
        if has_too_many_blanks(text):
            pieces = regex.findall(self._pattern, valid_unicode(text))
            return [number for piece in pieces for number in self._piece_ids(piece.encode())]
        return self._translate(self._fast.encode_ordinary(text))

    def _piece_ids(self, piece: bytes) -> list[int]:
        return self._translate(self._fast._encode_single_piece(piece))

    def _translate(self, ranks: list[int]) -> list[int]:
        if self._id_of_rank is None:
            return ranks
        return list(map(self._id_of_rank.__getitem__, ranks))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
