"""From token ids, as they come, to what an answer thinks and says.

A token may end inside a character, a stop string may begin in one token and end three later, a special token may
open the thinking: so text is told only when it is certain. However the ids are cut into pushes, what comes out
is what `tokenizer.chat.parse` finds in all of them, cut at the stop string as the engine's backend cuts it.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from thinkling.core.types import PartKind
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import TAGS, stop_ids

Kind = Literal["text", "think", "call", "result", "mark"]


@dataclass(frozen=True, slots=True)
class Piece:
    """What one id adds to the answer: the text that it completes, in a part of this kind.

    ``index`` counts the ids that were pushed. A "mark" opens or closes a part, or ends the turn, and has no text.
    A ``stopped`` id belongs to the stop string alone, and none of its bytes are in the answer. ``id`` is None for
    what no id adds: the sign of a character that was never completed.
    """

    kind: Kind
    text: str
    id: int | None = None
    index: int = -1
    stopped: bool = False


class Assembler:
    """The pieces of one sample.

    ``given`` are ids that the turn has already, which are no part of the answer: they say where it begins (inside
    a think part, inside a character). ``thinking`` says that a prompt, unknown here, has opened one. With ``chat``
    False the ids are a document: there are no parts, and all special tokens but its end are text.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        stop: Iterable[str] = (),
        *,
        given: Sequence[int] = (),
        thinking: bool = False,
        chat: bool = True,
    ) -> None:
        special = tokenizer.special
        self._bytes_of = tokenizer.token_bytes
        self._ends = frozenset(stop_ids(tokenizer))
        self._special = frozenset(special.values())
        tags = TAGS.items() if chat else ()
        self._opens: dict[int, PartKind] = {special[tag]: kind for kind, (tag, _) in tags if tag in special}
        self._closes = {kind: special.get(tag) for kind, (_, tag) in tags}
        self._stops = tuple(text.encode() for text in stop if text)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._kind: PartKind = "think" if thinking and not given else "text"
        self._held: list[tuple[int, int, bytes]] = []  # (index, id, bytes) of ids that may belong to a stop string
        self._buffer = b""  # their bytes
        self._count = 0
        self.ended = False
        self.thought = self._kind == "think"
        for token in given:
            self._take(token, [])
        self._count = 0

    def push(self, ids: Iterable[int]) -> list[Piece]:
        """The pieces that are certain now; ids after the end are ignored."""
        out: list[Piece] = []
        for token in ids:
            if self.ended:
                break
            self._take(token, out, self._stops)
        return out

    def finish(self) -> list[Piece]:
        """What is left when no more ids come."""
        out: list[Piece] = []
        if not self.ended:
            self._release(len(self._held), out)
            self._flush(out)
            self.ended = True
        return out

    def _take(self, token: int, out: list[Piece], stops: tuple[bytes, ...] = ()) -> None:
        index, self._count = self._count, self._count + 1
        if token in self._ends:
            self._mark(token, index, out)
            self.ended = True
        elif self._kind == "text" and token in self._opens:
            self._mark(token, index, out)
            self._kind = self._opens[token]
            self.thought |= self._kind == "think"
        elif self._kind != "text" and token == self._closes[self._kind]:
            self._mark(token, index, out)
            self._kind = "text"
        elif token in self._special:  # out of place: the text that it spells, which no stop string can cross
            self._release(len(self._held), out)
            self._tell(token, index, self._bytes_of(token), out)
        elif not stops:
            self._tell(token, index, self._bytes_of(token), out)
        else:
            self._hold(token, index, stops, out)

    def _hold(self, token: int, index: int, stops: tuple[bytes, ...], out: list[Piece]) -> None:
        """Take on an id of the text, and let go of those that cannot belong to a stop string any more."""
        piece = self._bytes_of(token)
        self._held.append((index, token, piece))
        self._buffer += piece
        found = [at for at in map(self._buffer.find, stops) if at >= 0]
        if found:
            self._cut(min(found), out)
            return
        size = len(self._buffer)
        first = max(0, size - max(map(len, stops)) + 1)
        begun = (at for at in range(first, size) if any(stop.startswith(self._buffer[at:]) for stop in stops))
        certain, count, length = next(begun, size), 0, 0
        while count < len(self._held) and length + len(self._held[count][2]) <= certain:
            length += len(self._held[count][2])
            count += 1
        self._release(count, out)

    def _cut(self, at: int, out: list[Piece]) -> None:
        """The stop string begins at byte ``at`` of the buffer: that is the answer's end."""
        start = 0
        for index, token, piece in self._held:
            kept = piece[: max(0, at - start)]
            self._tell(token, index, kept, out, stopped=not kept)
            start += len(piece)
        self._held, self._buffer = [], b""
        self._flush(out)
        self.ended = True

    def _release(self, count: int, out: list[Piece]) -> None:
        for index, token, piece in self._held[:count]:
            self._tell(token, index, piece, out)
            self._buffer = self._buffer[len(piece) :]
        del self._held[:count]

    def _mark(self, token: int, index: int, out: list[Piece]) -> None:
        self._release(len(self._held), out)
        self._flush(out)
        out.append(Piece("mark", "", token, index))

    def _tell(self, token: int, index: int, data: bytes, out: list[Piece], stopped: bool = False) -> None:
        out.append(Piece(self._kind, self._decoder.decode(data), token, index, stopped))

    def _flush(self, out: list[Piece]) -> None:
        torn = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        if torn:
            out.append(Piece(self._kind, torn))


def runs(pieces: Sequence[Piece]) -> list[tuple[Kind, list[Piece]]]:
    """Neighbouring pieces of what is thought and of what is said; all else goes with what is before it."""
    said: list[Kind] = [piece.kind for piece in pieces if piece.kind in ("think", "text")]
    kind: Kind = said[0] if said else "text"
    keyed: list[tuple[Kind, Piece]] = []
    for piece in pieces:
        kind = piece.kind if piece.kind in ("think", "text") else kind
        keyed.append((kind, piece))
    return [(key, [piece for _, piece in group]) for key, group in groupby(keyed, lambda pair: pair[0])]


def spoken(pieces: Iterable[Piece], kind: Kind) -> str:
    """The text of the pieces of one kind."""
    return "".join(piece.text for piece in pieces if piece.kind == kind)
