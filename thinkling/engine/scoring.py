"""A turn that is to be judged: the ids that a model reads, and the places after which it is judged.

A mark is a count of characters, since whoever sets it knows texts and not tokens; the same mark may lie
at different tokens under the policy's tokenizer and under a verifier's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thinkling.core.errors import UserError
from thinkling.core.types import Message, Score
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import TAGS, opening_ids, prompt_ids, render


@dataclass(frozen=True, slots=True)
class Judged:
    """``turn`` after ``prompt``, as ids; ``places`` are indexes into both together, one for each mark."""

    prompt: tuple[int, ...]
    turn: tuple[int, ...]
    places: tuple[int, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        return self.prompt + self.turn


def judged(tokenizer: Tokenizer, effect: Score) -> Judged:
    """The ids of an effect's turn, as ``chat.render`` has them, up to its end of turn.

    A mark's place is the token that completes its characters; mark 0 lies before the first character, after
    the tag that opens the turn if there is one. Raises UserError for a turn that is empty or not the
    assistant's, marks outside the turn, and a plain text (no messages) that thinks.
    """
    turn = effect.turn
    if turn.role != "assistant":
        raise UserError(f"score: expected a turn of the assistant, came one of the {turn.role}")
    if effect.messages and effect.prefix:
        raise UserError("score: prefix is a plain text to continue; expected it without messages, came both")
    if effect.messages:
        prompt = prompt_ids(tokenizer, effect.messages)
        header, ending = len(prompt_ids(tokenizer, ())), 1 + len(tokenizer.encode(tokenizer.protocol.after))
        ids = render(tokenizer, (turn,)).ids[header:-ending]
    else:
        if any(part.kind != "text" for part in turn.parts):
            raise UserError("score: without messages the turn is plain text; expected text parts alone")
        prompt = [*opening_ids(tokenizer), *tokenizer.encode(effect.prefix)]
        ids = [number for part in turn.parts for number in tokenizer.encode(part.text)]
    if not ids:
        raise UserError("score: the turn is empty; expected at least one token to score")
    places = tuple(len(prompt) + place for place in _places(tokenizer, turn, effect.marks))
    return Judged(tuple(prompt), tuple(ids), places)


def _places(tokenizer: Tokenizer, turn: Message, marks: Sequence[int]) -> Iterator[int]:
    """For each mark, the index in the turn's ids of the token that completes it; -1 is the header's last."""
    written = len(turn.thinking or "") + len(turn.text)
    if marks and not 0 <= min(marks) <= max(marks) <= written:
        raise UserError(f"score: marks must be within 0..{written}, the turn's characters; came {list(marks)}")
    parts = list(_parts(tokenizer, turn))
    for mark in marks:
        if not mark:
            yield int(turn.parts[0].kind in TAGS) - 1
            continue
        part = next(part for part in reversed(parts) if part.before < mark)
        # Measured as the tokenizer reads it, for it may normalize.
        size = len(tokenizer.decode_bytes(tokenizer.encode(part.text[: mark - part.before])))
        yield part.first + int(np.searchsorted(part.ends, size))


@dataclass(frozen=True, slots=True)
class _Part:
    """A part that marks count: the characters before it, its first token's index, how many bytes each ends at."""

    text: str
    before: int
    first: int
    ends: NDArray[np.int64]


def _parts(tokenizer: Tokenizer, turn: Message) -> Iterator[_Part]:
    characters = tokens = 0
    for part in turn.parts:
        ids, tags = tokenizer.encode(part.text), part.kind in TAGS
        if part.kind in ("think", "text"):
            ends = np.cumsum([len(tokenizer.token_bytes(number)) for number in ids], dtype=np.int64)
            yield _Part(part.text, characters, tokens + tags, ends)
            characters += len(part.text)
        tokens += len(ids) + 2 * tags
