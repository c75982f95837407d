"""Kinds of mistakes, and what is found in a piece of work."""

from __future__ import annotations

from dataclasses import dataclass

MISREAD = "misread"  # a number, name or event of the problem taken for another one
MISCOPIED = "miscopied"  # an earlier result taken over wrongly
MISSING = "step missing"
EXTRA = "extra step"  # one that the problem does not hold, or holds once less
SLIP = "slip"  # false in itself: 80-48=33, a letter that the name does not end in, a smaller number after a larger
COPIED = "slip copied on"  # right in itself, with what an earlier mistake made of its numbers
WRONG_ANSWER = "wrong answer after right work"  # the answer is not what the work leads to
NO_WORK = "no work"
OTHER = "other"
RIGHT_ANYWAY = "right after wrong work"
KINDS = (MISREAD, MISCOPIED, MISSING, EXTRA, SLIP, COPIED, WRONG_ANSWER, NO_WORK, OTHER)


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake, or one consequence of an earlier one (COPIED).

    ``step`` is the true step (an index into the problem's ``meta["steps"]``) or None where there is none;
    ``said`` and ``expected`` are texts, "" where nothing was said or nothing was to be said.
    """

    kind: str
    step: int | None
    said: str = ""
    expected: str = ""
