"""The chat protocol: messages to token ids, ids back to messages.

ChatML with a place to think. Exactly these bytes, one line break after the role and one after the turn:

    <|im_start|>user
    2+2?<|im_end|>
    <|im_start|>assistant
    <think>two and two</think>4<|im_end|>

Everything between angle brackets here is one special token, put in by its id. What people and models say
goes through ``encode``, which never makes a special id: text cannot forge a turn. The texts between
special tokens are encoded one by one, the header apart from what follows it, so that a prompt's ids are
always a prefix of the ids of the finished conversation.

A checkpoint from elsewhere that speaks another protocol is addressed in that (see ``protocol``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from thinkling.core.types import Message, Part, PartKind
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.protocol import CHATML, LLAMA3
from thinkling.tokenizer.stream import TextStream

END_OF_TEXT = "<|endoftext|>"
START, END = CHATML.start, CHATML.end
# All that ends an assistant's turn, in whatever vocabulary it is.
ENDS = (END, END_OF_TEXT, LLAMA3.end, "<|eom_id|>", "<|end_of_text|>")

# The special tokens around each kind of part; plain text has none.
TAGS: dict[PartKind, tuple[str, str]] = {
    "think": ("<think>", "</think>"),
    "call": ("<tool_call>", "</tool_call>"),
    "result": ("<tool_response>", "</tool_response>"),
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as ids; ``loss`` marks, id by id, what the assistant says."""

    ids: list[int]
    loss: list[bool]


def render(tokenizer: Tokenizer, messages: Iterable[Message]) -> Rendered:
    """Ids of whole turns, each with its end.

    ``loss`` is True on what an assistant's turn says: its texts, thinking and calls with their tags,
    and its ``<|im_end|>``; not on the header, the line break after the turn, or results of tools.
    Raises UserError where the vocabulary lacks a token of the protocol.
    """
    begin = tokenizer.protocol.begin
    ids: list[int] = [tokenizer.special_id(begin)] if begin else []
    loss: list[bool] = [False] * len(ids)
    for message in messages:
        speaks = message.role == "assistant"
        _extend(ids, loss, _header(tokenizer, message.role), False)
        for part in message.parts:
            _extend(ids, loss, _part(tokenizer, part), speaks and part.kind != "result")
        _extend(ids, loss, [tokenizer.special_id(tokenizer.protocol.end)], speaks)
        _extend(ids, loss, tokenizer.encode(tokenizer.protocol.after), False)
    return Rendered(ids, loss)


def prompt_ids(
    tokenizer: Tokenizer,
    messages: Iterable[Message],
    prefix: str = "",
    think: bool | None = None,
    thought: str | None = None,
) -> list[int]:
    """Ids of ``messages`` and of the header of the assistant's next turn, ready to be continued.

    ``think`` True opens the turn with ``<think>`` (False and None add nothing: to forbid thinking, ban
    the token while sampling). ``thought`` is a think part that the turn has already, and has closed.
    ``prefix`` is text that the turn already says; as all text, it holds no special tokens whatever it spells.
    """
    ids = render(tokenizer, messages).ids + _header(tokenizer, "assistant")
    if thought is not None:
        ids += _part(tokenizer, Part("think", thought))
    if think:
        ids.append(tokenizer.special_id(TAGS["think"][0]))
    return ids + tokenizer.encode(prefix)


def opening_ids(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The ids that a plain text begins with: ``<|endoftext|>`` or, in vocabularies without, what those have for it."""
    said = tokenizer.conventions
    known = (END_OF_TEXT, said.bos if said.opens else "", LLAMA3.begin)
    return next(((tokenizer.special[token],) for token in known if token in tokenizer.special), ())


def stop_ids(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The ids that end an assistant's turn."""
    ends = dict.fromkeys((*ENDS, tokenizer.conventions.eos))
    return tuple(tokenizer.special[token] for token in ends if token in tokenizer.special)


def parse(tokenizer: Tokenizer, ids: Sequence[int], thinking: bool = False) -> Message:
    """The assistant's message in ``ids``, a continuation of ``prompt_ids``; never raises.

    The turn ends at the first of ``stop_ids``, or with the ids. ``thinking`` says
    that the prompt already opened ``<think>``. A part that is not closed reaches to the end: an unclosed
    think is all think. Special tokens out of place (a second ``<think>``, a lone ``</tool_call>``) are
    kept as the text they spell. A message without parts, or whose last is a closed think, gets an empty text.

    ``parse(render(m)) == m`` for messages of that form: no two texts in a row, no other empty text.
    """
    ends = set(stop_ids(tokenizer))
    opens = {tokenizer.special[tags[0]]: kind for kind, tags in TAGS.items() if tags[0] in tokenizer.special}
    closes = {kind: tokenizer.special.get(tags[1]) for kind, tags in TAGS.items()}
    parts: list[Part] = []
    kind: PartKind = "think" if thinking else "text"
    start = position = 0

    def finish(until: int) -> None:
        text = tokenizer.decode(ids[start:until])
        if text or kind != "text":
            parts.append(Part(kind, text))

    for position, token in enumerate(ids):
        if token in ends:
            break
        if kind == "text" and token in opens:
            finish(position)
            kind, start = opens[token], position + 1
        elif kind != "text" and token == closes[kind]:
            finish(position)
            kind, start = "text", position + 1
    else:
        position = len(ids)
    finish(position)
    if kind == "text" and (not parts or parts[-1].kind == "think"):
        parts.append(Part("text", ""))
    return Message("assistant", tuple(parts))


def spelled(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """What each id of an assistant's turn adds to the text of `parse`'s parts, written one after the other.

    Tags that open and close a part, and all from the turn's end on, add nothing but the mark of a character
    that was torn before them; a character of several ids comes with its last.
    """
    ends = set(stop_ids(tokenizer))
    opens = {tokenizer.special[tags[0]]: kind for kind, tags in TAGS.items() if tags[0] in tokenizer.special}
    closes = {kind: tokenizer.special.get(tags[1]) for kind, tags in TAGS.items()}
    stream = TextStream(tokenizer)
    kind: PartKind = "text"
    pieces: list[str] = []
    for place, token in enumerate(ids):
        if token in ends:
            return [*pieces, stream.flush(), *[""] * (len(ids) - place - 1)]
        if kind == "text" and token in opens:
            kind = opens[token]
            pieces.append(stream.flush())
        elif kind != "text" and token == closes[kind]:
            kind = "text"
            pieces.append(stream.flush())
        else:
            pieces.append(stream.push(token))
    return [*pieces[:-1], pieces[-1] + stream.flush()] if pieces else []


def as_dicts(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Messages in the form that transformers' ``apply_chat_template`` takes (no tool calls in it)."""
    rows: list[dict[str, Any]] = []
    for message in messages:
        said = "".join(part.text for part in message.parts if part.kind in ("text", "result"))
        row: dict[str, Any] = {"role": message.role, "content": said}
        if message.thinking is not None:
            row["reasoning_content"] = message.thinking
        rows.append(row)
    return rows


def _header(tokenizer: Tokenizer, role: str) -> list[int]:
    protocol = tokenizer.protocol
    start = tokenizer.special_id(protocol.start)
    if not protocol.middle:
        return [start, *tokenizer.encode(role + protocol.gap)]
    return [start, *tokenizer.encode(role), tokenizer.special_id(protocol.middle), *tokenizer.encode(protocol.gap)]


def _part(tokenizer: Tokenizer, part: Part) -> list[int]:
    ids = tokenizer.encode(part.text)
    if part.kind == "text":
        return ids
    before, after = TAGS[part.kind]
    return [tokenizer.special_id(before), *ids, tokenizer.special_id(after)]


def _extend(ids: list[int], loss: list[bool], new: list[int], speaks: bool) -> None:
    ids += new
    loss += [speaks] * len(new)
