"""The numbers of a question: which are there, where, and which may be changed without changing the story.

What may not: numbers up to 2 (too many things come in ones and twos), years, clock times, fractions, ordinals
and ranges, labels ("grade 5"), numbers written as words. They keep their value, and so does every constant that
a cue suggests: 7 where the question says "week", 12 where it says "dozen".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+|\d+|\.\d+")
_FIXED_BEFORE = re.compile(
    r"(?:[\w#/:.\u00b0^*=+x-]|\b(?:grades?|chapters?|rooms?|pages?|no\.|numbers?|levels?|age|route|size|"
    r"week|day|year|month|january|february|march|april|may|june|july|august|september|october|november|december) )$",
    re.IGNORECASE,
)
_FIXED_AFTER = re.compile(
    r"[a-z/:\u00b0^*=+]|\.\d|,\d|\s*[-\u2013]\s*\d|\s*(?:[ap]\.?m\b|o'?clock|to \$?\d|and a half|out of|-?sided|"
    r"(?:hundred|thousand|million|billion|dozen)s?\b|(?:half|thirds?|fourths?|quarters?|fifths?)\b)",
    re.IGNORECASE,
)
_PERCENT_AFTER = re.compile(r"\s*(?:%|percent\b|per cent\b)", re.IGNORECASE)
_TIME_AFTER = re.compile(r"[ -](?:more |whole )?(?:second|minute|hour|day|week|month|year|night)s?\b", re.IGNORECASE)
SMALLEST_CHANGED = 3


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number that may be changed; text[start:end] spells it, with ``places`` digits after the point.

    ``never_more``: a time or a share, which another amount of would leave the calendar or the whole.
    """

    start: int
    end: int
    value: Fraction
    places: int
    commas: bool
    percent: bool
    never_more: bool


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a text says in numbers: those that may be changed, the values that it says and that stay, and the
    constants that its words suggest."""

    free: tuple[Quantity, ...]
    said: frozenset[Fraction]
    suggested: frozenset[Fraction]


def read_numbers(text: str) -> Numbers:
    """The numbers of ``text``."""
    free: list[Quantity] = []
    said = _spelled_out(text)
    for match in _NUMBER.finditer(text):
        value = Fraction(match.group().replace(",", ""))
        percent = bool(_PERCENT_AFTER.match(text, match.end()))
        dollars = text[: match.start()].endswith("$")
        year = 1800 <= value <= 2100 and len(match.group()) == 4 and not dollars
        before = text[: match.start()].removesuffix("$") if dollars else text[: match.start()]
        stays = _FIXED_BEFORE.search(before) or (not percent and _FIXED_AFTER.match(text, match.end()))
        if value < SMALLEST_CHANGED or year or stays:
            said |= {value, value / 100} if percent else {value}
            continue
        places = len(match.group().partition(".")[2])
        never_more = percent or bool(_TIME_AFTER.match(text, match.end()))
        free.append(Quantity(*match.span(), value, places, "," in match.group(), percent, never_more))
    suggested = {Fraction(value) for cue, values in _CUES for value in values.split() if re.search(cue, text.lower())}
    return Numbers(tuple(free), frozenset(said), frozenset(suggested | {Fraction(1)}))


def _spelled_out(text: str) -> set[Fraction]:
    """The values of words and of fractions."""
    fractions = re.findall(r"(\d+)\s*/\s*([1-9]\d*)", text)
    found = {value for a, b in fractions for value in (Fraction(int(a), int(b)), Fraction(a), Fraction(b))}
    words = re.findall(r"[a-z]+", text.lower())
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in _WORDS:
            value = _WORDS[word]
            found.add(Fraction(value))
            if value >= 20 and _WORDS.get(following, 10) < 10:
                found.add(Fraction(value + _WORDS[following]))
            if following in _SCALES:
                found |= {Fraction(value * _SCALES[following]), Fraction(_SCALES[following])}
    return found


_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_WORDS = {word: value for value, word in enumerate(f"{_UNITS} seventeen eighteen nineteen".split())}
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS |= {word: 10 * value for value, word in enumerate(_TENS, 2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6}

# What a solution may take for granted once the question says such a word.
_CUES: tuple[tuple[str, str], ...] = (
    (r"\b(?:half|halv|twice|doubl|both|pair|couple|twin|second|either|neither)", "2 1/2"),
    (r"\b(?:tripl|thrice|third|trio)", "3 1/3"),
    (r"\b(?:quarter|fourth|quadrupl)", "4 1/4 3/4 25"),
    (r"\bfifth|quintupl", "5 1/5"),
    (r"\bsixth", "6 1/6"),
    (r"\bseventh", "7 1/7"),
    (r"\beighth", "8 1/8"),
    (r"\bninth", "9 1/9"),
    (r"\btenth|decade|dime", "10 1/10"),
    (r"\bdozen", "12 6"),
    (r"\bscore", "20"),
    (r"\bcentur", "100"),
    (r"week|daily|every day|each day|per day|a day", "7 2 5 52 4"),
    (r"\bfortnight", "14 2"),
    (r"\bday|night|hour", "24 7"),
    (r"\bday", "30 31 365"),
    (r"hour|minute|second", "60 3600 1/60"),
    (r"month|annual|year", "12 1/12 30 31 4 52 365"),
    (r"\b(?:january|march|may|july|august|october|december)\b", "31"),
    (r"\b(?:april|june|september|november)\b", "30"),
    (r"\bfebruary\b", "28 29"),
    (r"%|percent|per cent", "100 1/100"),
    (r"\$|cent|dollar|penn", "100 1/100"),
    (r"nickel|coin", "5 1/20 10 1/10 25 1/4"),
    (r"feet|foot|\bft\b|inch", "12 1/12"),
    (r"yard", "3 36"),
    (r"\bmiles?\b", "5280 1760"),
    (r"ounce|pound|\blbs?\b|\boz\b", "16 1/16"),
    (r"gallon|quart|pint|cup", "4 2 8 16"),
    (r"teaspoon|tablespoon", "3 16"),
    (r"kilo|\bkm\b|\bkg\b|meter|metre|gram|lit(?:er|re)|\bml\b|\bton", "1000 100 10 1/1000 1/100 2000"),
    (r"triang|tricycle", "3 1/2"),
    (r"rectang|perimeter|border|fence", "2 4"),
    (r"squar|quadrilat", "4 2"),
    (r"\blegs?\b|\bpaws?\b|hoof|hoove|tire|wheel", "4 2 3 6 8"),
    (r"pentag", "5"),
    (r"hexag|cube|\bdic?e\b", "6"),
    (r"octag|octop|spider", "8"),
    (r"\bhands?\b|\bfeet\b|\beyes?\b|\bears?\b|\barms?\b|parent", "2"),
    (r"finger|toes?\b", "10 5 20"),
    (r"\bcards?\b", "52 4 13"),
    (r"degree|angle|circle", "90 180 360"),
    (r"average|mean\b", "2 3"),
)
