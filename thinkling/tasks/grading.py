"""Exact grading of short answers: find the claim, read it, compare; never guess.

`read_*` find the answer that a text claims, whether or not a gold answer is known; `grade_*` compare it.

The claim is what follows the last "answer is" (or "answer:") up to the end of its sentence; a turn that
is nothing but an answer is its own claim. A claim that names two different values, or says what the answer
is not, is wrong, whichever value is right. What cannot be read at all is ``unparsed`` and scores 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from thinkling.core.types import Verdict

# "answer isn't" is a claim too, and leaves its "n't" to be seen before the value; and so is the trigger of
# zero-shot chain of thought, "the answer (arabic numerals) is".
_CLAIM = re.compile(r"\banswer(?:\s*\([^()\n]{1,40}\))?(?:\s+is(?:\b|(?=n['\u2019]t))\s*:?|\s*[:=])", re.IGNORECASE)
NEGATION = re.compile(r"\b(?:not|cannot|never|neither)\b|n['\u2019]t\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")
# A number with an optional sign, thousands in threes, a decimal part and a denominator. It neither
# follows nor precedes a letter, so "x2", "27th" and "1e3" are no numbers; "3-5" is 3 and 5, not -5.
_NUMBER = re.compile(
    r"(?<![\w.])(?:(?<![\w)])[-\u2212])?\$?(?:\d{1,3}(?:,\d{3})+(?![\d,]*\d)|\d+)(?:\.\d+|/[1-9]\d*)?(?!\w|\.\d)"
)
_LONGEST = 1000  # characters of a sentence that is still read: the expressions above take quadratic time at worst
_BARE_WORDS = 8  # a turn without a claim counts as a bare answer up to this many words
# A bare "A" or "I" before any other word than these is an article or a pronoun, no choice.
_AFTER_CHOICE = re.compile(r"[ \t]+(?!(?:and|or|nor|is|as|because|but|since|seems|\w)\b)\w", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text claims. ``answer`` is canonical, one spelling per value; text[start:end] spells it.

    Without an answer, ``reason`` says why; ``said`` is then the sentence that claims too much, or "" where
    nothing could be read.
    """

    answer: str | None
    start: int = 0
    end: int = 0
    said: str = ""
    reason: str = ""

    def against(self, right: bool, gold: str) -> Verdict:
        """The verdict, given whether the answer is the right one."""
        if self.answer is not None:
            return Verdict(float(right), "graded", self.answer, "" if right else f"expected {gold}")
        if self.said:
            return Verdict(0.0, "graded", self.said, self.reason)
        return Verdict(0.0, "unparsed", None, self.reason)


def claim(text: str) -> tuple[int, int, bool]:
    """Where the last claim stands (the rest of its line, spaces stripped), and whether "answer is" marked it."""
    found = list(_CLAIM.finditer(text))
    start = found[-1].end() if found else 0
    start += len(text[start:]) - len(text[start:].lstrip())
    end = text.find("\n", start) if found else -1
    end = len(text) if end < 0 else end
    return start, start + len(text[start:end].rstrip()), bool(found)


def first_sentence(text: str) -> str:
    """``text`` up to its first sentence end (a dot inside a number is none)."""
    return _SENTENCE_END.split(text, maxsplit=1)[0].strip()


def number(text: str) -> Fraction | None:
    """The number that ``text`` is, as written by people ("1,000", "$4", "-3/4", "9.90"), else None."""
    match = _NUMBER.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    return _value(match.group()) if match else None


def _value(written: str) -> Fraction:
    return Fraction(written.replace(",", "").replace("$", "").replace("\u2212", "-"))


def numbers(text: str) -> list[Fraction]:
    """Every number in ``text``, in order."""
    return [_value(match.group()) for match in _NUMBER.finditer(text)]


def _written(value: Fraction) -> str:
    """One spelling per value, so that equal answers can be counted: "27", "9.9", "1/3"."""
    places = next((n for n in range(31) if 10**n % value.denominator == 0), None)
    if places is None:
        return f"{value.numerator}/{value.denominator}"
    if places == 0:
        return str(value.numerator)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def read_number(text: str) -> Reading:
    """The one number that is claimed."""
    start, end, marked = claim(text)
    said = text[start:end]
    sentence = first_sentence(said)
    if len(sentence) > _LONGEST:
        return _unparsed(said, f"at most {_LONGEST} characters")
    if not marked and number(sentence) is None:
        return _unparsed(text, "a number after 'answer is'")
    values = numbers(sentence)
    if not values:
        return _unparsed(said, "a number after 'answer is'")
    if len(set(values)) > 1:
        return Reading(None, said=sentence, reason=f"ambiguous: {len(set(values))} different numbers claimed")
    found = _NUMBER.search(sentence)
    assert found is not None
    if NEGATION.search(sentence, 0, found.start()):
        return _negated(sentence)
    return Reading(_written(values[0]), start + found.start(), start + found.end())


def read_numbers(text: str) -> Reading:
    """The one list of whole numbers that is claimed ("7, 19, 42", commas optional)."""
    start, end, marked = claim(text)
    said = text[start:end]
    sentence = first_sentence(said)
    if len(sentence) > _LONGEST:
        return _unparsed(said, f"at most {_LONGEST} characters")
    body = re.sub(r"\band\b|[\[\]()]", " ", sentence)
    if not re.fullmatch(r"[\s,]*-?\d+(?:[\s,]+-?\d+)*[\s,]*", body):
        if marked and re.search(r"\d", sentence):
            return Reading(None, said=sentence, reason="ambiguous: more than one plain list claimed")
        return _unparsed(said, "a list of numbers after 'answer is'")
    written = ", ".join(str(int(item)) for item in re.findall(r"-?\d+", body))
    return Reading(written, start, start + len(sentence))


def read_choice(text: str, choices: Mapping[str, str]) -> Reading:
    """The one of a few words that is claimed; ``choices`` maps each accepted word to what it means.

    Two words of different meaning in one claim are ambiguous. Without "answer is", the sentence must be
    nothing but such words and "it is" ("Yes, it is."): a "no" means other things elsewhere.
    """
    start, end, marked = claim(text)
    said = text[start:end]
    sentence = first_sentence(said)
    words = list(re.finditer(r"[a-z]+", sentence.lower()))
    named = [word for word in words if word.group() in choices]
    rest = re.sub(r"\bit(?: is|['\u2019]s)\b", " ", sentence.lower())
    if not named or not (marked or set(re.findall(r"[^\W_]+", rest)) <= set(choices)):
        return _unparsed(said, f"one of {', '.join(choices)}")
    meanings = list(dict.fromkeys(choices[word.group()] for word in named))
    if len(meanings) > 1:
        return Reading(None, said=sentence, reason="ambiguous: " + " and ".join(meanings))
    if NEGATION.search(sentence, 0, named[0].start()):
        return _negated(sentence)
    return Reading(meanings[0], start + named[0].start(), start + named[0].end())


def read_letter(text: str, letters: str) -> Reading:
    """The one option of a multiple choice that is claimed: "(B)", "B", "B) 12 km", "b)".

    A bare lower-case letter is a word, and no option. Without "answer is", the text must begin with the option.
    """
    start, end, marked = claim(text)
    said = text[start:end]
    sentence = first_sentence(said)
    if len(sentence) > _LONGEST:
        return _unparsed(said, f"at most {_LONGEST} characters")
    marks = letters_named(sentence, letters)
    if not marks or not (marked or not sentence[: marks[0].start()].strip(" \"'*")):
        return _unparsed(said, f"one of the options {letters[0]} to {letters[-1]}")
    named = list(dict.fromkeys(letter_of(mark) for mark in marks))
    if len(named) > 1:
        return Reading(None, said=sentence, reason="ambiguous: " + " and ".join(named))
    if NEGATION.search(sentence, 0, marks[0].start()):
        return _negated(sentence)
    return Reading(named[0], start + marks[0].start(), start + marks[0].end())


def letters_named(sentence: str, letters: str) -> list[re.Match[str]]:
    """Each place that names a choice by its letter: "(b)", "b)", or a capital of its own (not "B-52" or "D.C.")."""
    either = f"[{letters}{letters.lower()}]"
    before = r"(?<![\w'\u2019.])(?<!\w-)"
    pattern = rf"\(({either})\)|{before}({either})\)|{before}([{letters}])(?![\w'\u2019]|[.-]\w)"
    found = re.finditer(pattern, sentence)
    return [mark for mark in found if not (mark[3] in ("A", "I") and _AFTER_CHOICE.match(sentence, mark.end()))]


def letter_of(mark: re.Match[str]) -> str:
    """The letter that a place found by `letters_named` names."""
    return next(filter(None, mark.groups())).upper()


def normalized(text: str) -> str:
    """Lower case, single spaces, without the quotes, stars and full stops around it."""
    return " ".join(text.lower().split()).strip(" .!?,;:\"'`*_")


def read_text(text: str, longest: int = _BARE_WORDS) -> Reading:
    """The claimed text up to its sentence end, normalized; without "answer is" a text of at most ``longest`` words."""
    start, end, marked = claim(text)
    said = text[start:end]
    if not normalized(said):
        return _unparsed(said, "an answer")
    if not marked and len(said.split()) > longest:
        return _unparsed(text, "an answer after 'answer is'")
    sentence = first_sentence(said)
    return Reading(normalized(sentence), start, start + len(sentence))


def grade_number(text: str, gold: str) -> Verdict:
    """Exact comparison with the number ``gold`` (fractions, so 9.90 equals 9.9 and 27.0 equals 27).

    Raises ValueError if ``gold`` itself is no number.
    """
    expected = number(gold)
    if expected is None:
        raise ValueError(f"the gold answer {gold!r} is not a number")
    return (reading := read_number(text)).against(reading.answer == _written(expected), gold)


def grade_numbers(text: str, gold: Sequence[int]) -> Verdict:
    """Exact comparison with a list of whole numbers, in order."""
    wanted = ", ".join(map(str, gold))
    return (reading := read_numbers(text)).against(reading.answer == wanted, wanted)


def grade_choice(text: str, gold: str, choices: Mapping[str, str]) -> Verdict:
    """Comparison with one of a few words; ``gold`` is a meaning."""
    return (reading := read_choice(text, choices)).against(reading.answer == gold, gold)


def grade_letter(text: str, gold: str, letters: str) -> Verdict:
    """Comparison with an option of a multiple choice."""
    return (reading := read_letter(text, letters)).against(reading.answer == gold, gold)


def grade_text(text: str, gold: str) -> Verdict:
    """Comparison of normalized text, exact and case-insensitive.

    The claim may end at its sentence or at its line, since a name like "St. Orm" holds a full stop.
    """
    start, end, _ = claim(text)
    wanted = normalized(gold)
    if wanted and wanted == normalized(text[start:end]):
        return Verdict(1.0, "graded", wanted)
    reading = read_text(text, max(_BARE_WORDS, len(gold.split())))
    return reading.against(reading.answer == wanted, gold)


def _unparsed(text: str, expected: str) -> Reading:
    shown = text.strip()[:60]
    return Reading(None, reason=f"expected {expected}; got {shown!r}" if shown else "empty answer")


def _negated(sentence: str) -> Reading:
    return Reading(None, said=sentence, reason="ambiguous: says what the answer is not")
