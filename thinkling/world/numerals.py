"""Whole numbers in words."""

from __future__ import annotations

from thinkling.world.grammar import split

_ONES = split(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENS = split("zero ten twenty thirty forty fifty sixty seventy eighty ninety")


def _below_thousand(number: int) -> str:
    if number < 20:
        return _ONES[number]
    if number < 100:
        ten, one = divmod(number, 10)
        return _TENS[ten] + (f"-{_ONES[one]}" if one else "")
    hundred, rest = divmod(number, 100)
    return f"{_ONES[hundred]} hundred" + (f" and {_below_thousand(rest)}" if rest else "")


WORDS = tuple(_below_thousand(number) for number in range(1000))


def spell(number: int) -> str:
    """``number`` (0-999) in words: "forty-seven"."""
    return WORDS[number]
