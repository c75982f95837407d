"""Exact grading of short answers: find the claim, read it, compare; never guess.

The claim is what follows the last "answer is" (or "answer:") up to the end of its sentence; a turn that
is nothing but an answer is its own claim. A claim that names two different values, or says what the answer
is not, is wrong, whichever value is right. What cannot be read at all is ``unparsed`` and scores 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from thinkling.core.types import Verdict

# "answer isn't" is a claim too, and leaves its "n't" to be seen before the value.
_CLAIM = re.compile(r"\banswer(?:\s+is(?:\b|(?=n['\u2019]t))\s*:?|\s*[:=])", re.IGNORECASE)
_NEGATION = re.compile(r"\b(?:not|cannot|never)\b|n['\u2019]t\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")
# A number with an optional sign, thousands in threes, a decimal part and a denominator. It neither
# follows nor precedes a letter, so "x2", "27th" and "1e3" are no numbers; "3-5" is 3 and 5, not -5.
_NUMBER = re.compile(
    r"(?<![\w.])(?:(?<![\w)])[-\u2212])?\$?(?:\d{1,3}(?:,\d{3})+(?![\d,]*\d)|\d+)(?:\.\d+|/[1-9]\d*)?(?!\w|\.\d)"
)
_BARE_WORDS = 8  # a turn without a claim counts as a bare answer up to this many words


def claim(text: str) -> tuple[str, bool]:
    """The text of the last claim (rest of its line) and whether "answer is" marked it."""
    found = list(_CLAIM.finditer(text))
    if found:
        return text[found[-1].end() :].lstrip().split("\n")[0].strip(), True
    return text.strip(), False


def first_sentence(text: str) -> str:
    """``text`` up to its first sentence end (a dot inside a number is none)."""
    return _SENTENCE_END.split(text, maxsplit=1)[0].strip()


def number(text: str) -> Fraction | None:
    """The number that ``text`` is, as written by people ("1,000", "$4", "-3/4", "9.90"), else None."""
    match = _NUMBER.fullmatch(text.strip())
    return _value(match.group()) if match else None


def _value(written: str) -> Fraction:
    return Fraction(written.replace(",", "").replace("$", "").replace("\u2212", "-"))


def numbers(text: str) -> list[Fraction]:
    """Every number in ``text``, in order."""
    return [_value(match.group()) for match in _NUMBER.finditer(text)]


def _unparsed(text: str, expected: str) -> Verdict:
    shown = text.strip()[:60]
    return Verdict(0.0, "unparsed", None, f"expected {expected}; got {shown!r}" if shown else "empty answer")


def _negated(sentence: str) -> Verdict:
    return Verdict(0.0, "graded", sentence, "ambiguous: says what the answer is not")


def _written(value: Fraction) -> str:
    """One spelling per value, so that equal answers can be counted: "27", "9.9", "1/3"."""
    places = next((n for n in range(7) if 10**n % value.denominator == 0), None)
    if places is None:
        return f"{value.numerator}/{value.denominator}"
    if places == 0:
        return str(value.numerator)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def grade_number(text: str, gold: str) -> Verdict:
    """Exact comparison with the number ``gold`` (fractions, so 9.90 equals 9.9 and 27.0 equals 27).

    Raises ValueError if ``gold`` itself is no number.
    """
    expected = number(gold)
    if expected is None:
        raise ValueError(f"the gold answer {gold!r} is not a number")
    said, marked = claim(text)
    sentence = first_sentence(said)
    if not marked and number(sentence) is None:
        return _unparsed(text, "a number after 'answer is'")
    values = numbers(sentence)
    if not values:
        return _unparsed(said, "a number after 'answer is'")
    if len(set(values)) > 1:
        return Verdict(0.0, "graded", sentence, f"ambiguous: {len(set(values))} different numbers claimed")
    found = _NUMBER.search(sentence)
    if found and _NEGATION.search(sentence, 0, found.start()):
        return _negated(sentence)
    right = values[0] == expected
    return Verdict(float(right), "graded", _written(values[0]), "" if right else f"expected {gold}")


def grade_numbers(text: str, gold: Sequence[int]) -> Verdict:
    """Exact comparison with a list of whole numbers, in order ("7, 19, 42", commas optional)."""
    said, marked = claim(text)
    sentence = first_sentence(said)
    body = re.sub(r"\band\b|[\[\]()]", " ", sentence)
    if not re.fullmatch(r"[\s,]*-?\d+(?:[\s,]+-?\d+)*[\s,]*", body):
        if marked and re.search(r"\d", sentence):
            return Verdict(0.0, "graded", sentence, "ambiguous: more than one plain list claimed")
        return _unparsed(said, "a list of numbers after 'answer is'")
    values = [int(item) for item in re.findall(r"-?\d+", body)]
    right = values == list(gold)
    extracted = ", ".join(map(str, values))
    return Verdict(float(right), "graded", extracted, "" if right else f"expected {', '.join(map(str, gold))}")


def grade_choice(text: str, gold: str, choices: dict[str, str]) -> Verdict:
    """Comparison with one of a few words; ``choices`` maps each accepted word to what it means.

    Two words of different meaning in one claim are ambiguous, hence wrong. Without "answer is", the sentence
    must be nothing but such words and "it is" ("Yes, it is."): a "no" means other things elsewhere.
    """
    said, marked = claim(text)
    sentence = first_sentence(said)
    words = list(re.finditer(r"[a-z]+", sentence.lower()))
    named = [word for word in words if word.group() in choices]
    rest = re.sub(r"\bit(?: is|['\u2019]s)\b", " ", sentence.lower())
    if not named or not (marked or set(re.findall(r"[^\W_]+", rest)) <= set(choices)):
        return _unparsed(said, f"one of {', '.join(choices)}")
    meanings = list(dict.fromkeys(choices[word.group()] for word in named))
    if len(meanings) > 1:
        return Verdict(0.0, "graded", sentence, "ambiguous: " + " and ".join(meanings))
    if _NEGATION.search(sentence, 0, named[0].start()):
        return _negated(sentence)
    right = meanings[0] == gold
    return Verdict(float(right), "graded", meanings[0], "" if right else f"expected {gold}")


def normalized(text: str) -> str:
    """Lower case, single spaces, without the quotes, stars and full stops around it."""
    return " ".join(text.lower().split()).strip(" .!?,;:\"'`*_")


def grade_text(text: str, gold: str) -> Verdict:
    """Comparison of normalized text, exact and case-insensitive.

    The claim may end at its sentence or at its line, since a name like "St. Orm" holds a full stop.
    """
    said, marked = claim(text)
    if not normalized(said):
        return _unparsed(said, "an answer")
    wanted = normalized(gold)
    if wanted in (normalized(said), normalized(first_sentence(said))):
        return Verdict(1.0, "graded", wanted)
    if not marked and len(said.split()) > max(_BARE_WORDS, len(gold.split())):
        return _unparsed(text, "an answer after 'answer is'")
    return Verdict(0.0, "graded", normalized(first_sentence(said)), f"expected {gold}")
