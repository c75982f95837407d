"""Reading a player's turn: one guess, exactly, or why there is none; nothing is ever guessed.

The guess is what follows the last marker ``guess: 1234`` on its line (any case, bold or quoted). If what follows is
no legal code, the turn is illegal, whatever else it says. A turn without a marker makes a guess if its text has exactly
one number of the right length; two different ones are ambiguous. Thinking is not part of the text.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from thinkling.core.types import Verdict
from thinkling.tasks.answers import AnswerKind
from thinkling.tasks.bulls_and_cows.rules import fault
from thinkling.tasks.bulls_and_cows.taxonomy import Says, declared
from thinkling.tasks.grading import Reading

_OPENING = r"[ \t*_`\"'(\[\u201c]*"
_CLOSING = r"[ \t*_`\"')\]\u201d]*"
# The number takes in all that is glued to its digits, so that 12345, 1234.5 and 1234th are no 1234.
_MARKER = re.compile(rf"\bguess[*_`]*[ \t]*[:\uff1a]{_OPENING}([0-9](?:\w|[.,](?=[0-9]))*)", re.IGNORECASE | re.ASCII)
_ALTERNATIVE = re.compile(rf"{_CLOSING}(?:\bor\b|\band\b|[/,;&|-]){_OPENING}([0-9]+)\b", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"(?<!\w)(?<![0-9][.,])[0-9]+(?!\w|[.,][0-9])")


@dataclass(frozen=True, slots=True)
class Move:
    """A turn as read: a legal ``guess``, or the ``fault`` why there is none; ``found`` is what stood there.

    Faults: "no guess", "wrong length", "repeated digits", "ambiguous". ``marked`` tells whether a marker said where
    the guess stands; ``says`` is what the turn declares beside it, if anything. A guess begins at ``start``.
    """

    guess: str | None
    fault: str
    found: str
    marked: bool
    says: Says | None
    start: int = 0

    def ending(self, answered: Collection[str]) -> Says | None:
        """What the turn ends the game with: its statement, if it makes no guess. A marker makes one, legal or not; a
        number without a marker makes none if it was ``answered`` before, as one who has finished still talks of it."""
        guesses = self.marked or (self.guess is not None and self.guess not in answered)
        return None if guesses else self.says


def read_move(text: str, digits: int) -> Move:
    """The move in an assistant's text in a game of ``digits`` digits."""
    markers = list(_MARKER.finditer(text))
    if markers:
        marker = markers[-1]
        spots = [(marker[1], marker.start(1))]
        other = _ALTERNATIVE.match(text, marker.end())
        if other and len(other[1]) == digits and other[1] != marker[1]:
            spots.append((other[1], other.start(1)))
    else:
        numbers = {match[0]: match.start() for match in _NUMBER.finditer(text)}
        spots = [(number, start) for number, start in numbers.items() if len(number) == digits]
        # A number of another length was meant as a guess; single digits are talk of bulls and places.
        spots = spots or [(number, start) for number, start in numbers.items() if len(number) > 1][:1]
    found = " and ".join(number for number, _ in spots)
    if len(spots) == 1:
        wrong = fault(found, digits)
        return Move(None if wrong else found, wrong or "", found, bool(markers), declared(text), spots[0][1])
    return Move(None, "ambiguous" if spots else "no guess", found, bool(markers), declared(text))


def guess_kind(digits: int) -> AnswerKind:
    """A guess as a kind of answer, so that strategies can vote over guesses."""
    return AnswerKind(f"guess:{digits}", partial(_claimed, digits=digits), partial(_graded, digits=digits))


def _claimed(text: str, digits: int) -> Reading:
    move = read_move(text, digits)
    if move.guess is None:
        return Reading(None, said=move.found, reason=move.fault)
    return Reading(move.guess, move.start, move.start + digits)


def _graded(text: str, gold: str, digits: int) -> Verdict:
    reading = _claimed(text, digits)
    return reading.against(reading.answer == gold, gold)
