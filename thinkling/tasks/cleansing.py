"""Answer cleansing: from what a model said to its answer, as a paper did it or as it ought to be read.

``paper`` is Kojima et al. 2022 (arXiv:2205.11916, appendix A.6, and the authors' program) to the letter, so that
their accuracies come out again. Its first candidate wins: the "A" of "California" is choice A, ".25" is 25, "3/4"
is 3, "There is no evidence" is a no; and strings are compared, so that 12.30 is not 12.3, nor 5600 "5,600".

``exact`` reads what was said by the rules of `grading.py` (the one claim, exact fractions, "ambiguous" where two
answers are named) and tells apart what could not be read (``unparsed``) from what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Literal

from thinkling.core.errors import UserError
from thinkling.core.types import Verdict
from thinkling.tasks.answers import answer_kind
from thinkling.tasks.grading import (
    NEGATION,
    Reading,
    claim,
    first_sentence,
    grade_text,
    letter_of,
    letters_named,
    normalized,
    number,
    read_number,
)
from thinkling.tasks.kojima import check_kind, choice_letters

Mode = Literal["paper", "exact"]
MODES: tuple[Mode, ...] = ("paper", "exact")
FEW_SHOT_TRIGGER = "The answer is"

_LONGEST = 1000  # characters of a gold number, or of a sentence with a choice, that are still read
# A gold of more decimals is a binary float written out (AddSub has 5/6 as 0.8333333333333334): the value itself
# is rounded, and an answer this near to it is the same number.
_ROUNDED_PLACES = 12
_BARE_POINT = re.compile(r"(?<![\w.)])\.(?=\d)")
# A "no" before a noun denies something else ("there is no evidence"); before one of these words it can be an answer.
_NO_BEFORE_NOUN = re.compile(
    r"\bno(?=[ \t]+(?!(?:and|as|because|but|he|if|it|nor|or|she|since|the|there|they|this|we|yes|you)\b)[a-z])",
    re.IGNORECASE,
)
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_SPELLED = re.compile(r"\w(?:[\s,-]+\w)+")
_TEXT_WORDS = 8  # a claim of more words is not searched for the text of a choice


def cleanse(kind: str, text: str, mode: Mode, *, choices: str = "", whole: bool = False) -> str | None:
    """The answer in ``text``; None where there is none (or, in ``exact`` mode, more than one).

    ``kind`` is one of `kojima.KINDS`. ``text`` is what a model wrote after a trigger such as "Therefore, the
    answer is"; with ``whole`` it is a whole response, in which the answer must be found. ``choices`` are the
    letters of a multiple choice (none: A to E). ``exact`` answers are canonical: one spelling per value.
    Raises UserError for an unknown kind or mode.
    """
    if mode == "paper":
        return paper_answer(kind, text, choices=choices, whole=whole) or None
    _check_mode(mode)
    return _read(kind, text, choice_letters(choices), {}, whole).answer


def read_exactly(kind: str, text: str, *, choices: str = "", question: str = "") -> Reading:
    """The answer in a whole response as `grade` reads it in ``exact`` mode, and where it stands in ``text``."""
    options = options_in(question) if kind == "choice" else {}
    return _read(kind, text, "".join(options) or choice_letters(choices), options, True)


def grade(
    kind: str, text: str, gold: str, mode: Mode, *, choices: str = "", question: str = "", whole: bool = False
) -> Verdict:
    """The verdict on ``text``, which is read as `cleanse` does; ``extracted`` is "" where ``paper`` found nothing.

    From ``question``, in ``exact`` mode, come the texts of a multiple choice "(A) ... (B) ...", so that a choice
    may be named by its text. Without a gold answer, or in ``exact`` mode one that is not of the kind, the verdict
    is ``unscored``.
    """
    _check_mode(mode)
    letters = choice_letters(choices)
    if mode == "paper":
        said = paper_answer(kind, text, choices=letters, whole=whole)
        if not gold.strip():
            return Verdict(None, "unscored", said, "no gold answer")
        right = said == gold.strip()
        reason = "" if right else f"expected {gold.strip()}"
        return Verdict(float(right), "graded" if said else "unparsed", said, reason)
    options = options_in(question) if kind == "choice" else {}
    reading = _read(kind, text, "".join(options) or letters, options, whole)
    if not gold.strip():
        return Verdict(None, "unscored", reading.answer, "no gold answer")
    if kind == "text":
        return grade_text(_claimed(text, whole), gold)
    wanted = _gold(kind, gold, "".join(options) or letters, options)
    if wanted is None:
        expected = f"one of the choices {', '.join(options or letters)}" if kind == "choice" else kind
        return Verdict(None, "unscored", reading.answer, f"the gold answer {gold.strip()[:60]!r} is not {expected}")
    right = _same_number(reading.answer, wanted) if kind == "number" else reading.answer == wanted
    return reading.against(right, gold.strip())


def paper_answer(kind: str, text: str, *, choices: str = "", whole: bool = False) -> str:
    """The answer in ``text`` as the authors' program cuts it out; "" where it finds none.

    What follows a trigger: the first candidate. A whole (few-shot) response: the first one after the last "The
    answer is", or without these words the last one of all. A full stop at its end goes. The paper has no kind
    "text": here that is the text itself.
    """
    check_kind(kind)
    first = True
    if whole:
        _, trigger, after = text.rpartition(FEW_SHOT_TRIGGER)
        text, first = after, bool(trigger)
    found = _paper_candidates(kind, text, choice_letters(choices))
    return found[0 if first else -1].removesuffix(".") if found else ""


def _paper_candidates(kind: str, text: str, letters: str) -> list[str]:
    if kind == "number":
        return re.findall(r"-?\d+\.?\d*", text.replace(",", ""))
    if kind == "choice":
        return re.findall(f"[{letters}]", text)
    if kind == "yes-no":
        return [word for word in re.split(r"[\"'.:,\s]", text.lower()) if word in ("yes", "no")]
    if kind == "letters":
        return [re.sub(r"[\"'.\s]", "", text)]
    return [text.strip()]


def _claimed(text: str, whole: bool) -> str:
    """``text`` as a turn with a claim in it.

    What follows a trigger is a claim up to the end of its first line (the model may go on to a next question);
    a line without a letter or a digit, such as a blank to be filled in ("_____."), is none.
    """
    if whole:
        return text
    lines = text.split("\n")
    return f"{FEW_SHOT_TRIGGER} " + next((line for line in lines if _LETTER_OR_DIGIT.search(line)), text.strip())


def _read(kind: str, text: str, letters: str, options: Mapping[str, str], whole: bool) -> Reading:
    check_kind(kind)
    said = _claimed(text, whole)
    if kind == "choice":
        return _read_choice(said, letters, options)
    if kind == "number":
        return _read_number(said)
    if kind == "yes-no":
        said = _NO_BEFORE_NOUN.sub("  ", said)  # as long as the word, so that what follows stays in its place
    reading = answer_kind(kind).read(said)
    if kind == "letters" and reading.answer is not None and _SPELLED.fullmatch(reading.answer):
        # "f n e l" and "f-n-e-l" spell one word
        return replace(reading, answer=re.sub(r"[\s,-]", "", reading.answer))
    return reading


def _read_number(said: str) -> Reading:
    """The number that is claimed; ".25" is one."""
    points = [match.start() for match in _BARE_POINT.finditer(said)]
    reading = read_number(_BARE_POINT.sub("0.", said))
    if reading.answer is None:
        return reading
    start, end = (place - sum(at + i < place for i, at in enumerate(points)) for place in (reading.start, reading.end))
    return replace(reading, start=start, end=end)


def _gold(kind: str, gold: str, letters: str, options: Mapping[str, str]) -> str | None:
    """The gold answer as `_read` would give it; None if it is not of the kind."""
    if kind == "number":
        return gold if len(gold) <= _LONGEST and number(gold) is not None else None
    if kind == "choice":
        return _choice_of(gold, letters, options)
    plain = normalized(gold)
    return plain if kind != "yes-no" or plain in ("yes", "no") else None


def _same_number(answer: str | None, gold: str) -> bool:
    said, wanted = number(answer or ""), number(gold)
    if said is None or wanted is None:
        return False
    rounded = len(gold.strip().partition(".")[2]) > _ROUNDED_PLACES
    return abs(said - wanted) <= (Fraction(1, 10**_ROUNDED_PLACES) if rounded else 0)


def options_in(question: str) -> dict[str, str]:
    """Letter -> text (normalized) of the choices that end a question: "(A) shelf (B) board"; empty if it has none."""
    marks = list(re.finditer(r"\(([A-Z])\)", question))
    starts = [index for index, mark in enumerate(marks) if mark[1] == "A"]
    options: dict[str, str] = {}
    for mark, after in zip(marks[starts[-1] :], [*marks[starts[-1] + 1 :], None], strict=True) if starts else ():
        if mark[1] != chr(ord("A") + len(options)):
            break
        text = question[mark.end() : after.start() if after else None]
        options[mark[1]] = normalized(text.strip().split("\n", 1)[0])
    return options


def _choice_of(written: str, letters: str, options: Mapping[str, str]) -> str | None:
    """The choice that ``written`` is, by its letter or by its text; None if it is none, or more than one."""
    letter = re.fullmatch(r"\(?([A-Za-z])\)?\.?", written.strip())
    if letter:
        return letter[1].upper() if letter[1].upper() in letters else None
    same = [letter for letter, text in options.items() if text and text == normalized(written)]
    return same[0] if len(same) == 1 else None


def _read_choice(text: str, letters: str, options: Mapping[str, str]) -> Reading:
    """The one choice that is claimed: by letter ("(B)", "B", "b)"), else by its text.

    A letter beside the text of another choice is ambiguous. Without "answer is", the text must begin with the
    letter, or be short.
    """
    start, end, marked = claim(text)
    said = text[start:end]
    sentence = first_sentence(said)
    if len(sentence) > _LONGEST:
        return Reading(None, reason=f"expected at most {_LONGEST} characters; got {said[:60]!r}")
    marks = letters_named(sentence, letters)
    if marks and (marked or not sentence[: marks[0].start()].strip(" \"'*")):
        named = sorted({letter_of(mark) for mark in marks})
        if len(named) > 1:
            return _ambiguous(sentence, " and ".join(named))
        if NEGATION.search(sentence, 0, marks[0].start()):
            return _ambiguous(sentence, "says what the answer is not")
        other = _text_beside(sentence[marks[0].end() :], named[0], options)
        if other:
            return _ambiguous(sentence, f"{named[0]} with the text of {other}")
        return Reading(named[0], start + marks[0].start(), start + marks[0].end())
    short = len((sentence if marked else said).split()) <= _TEXT_WORDS
    words = normalized(sentence)
    by_text = _texts_named(words, options) if short and not marks else []
    if len(by_text) > 1:
        return _ambiguous(sentence, "the texts of " + " and ".join(by_text))
    if by_text:
        denied = NEGATION.search(words.replace(options[by_text[0]], ""))
        if denied:
            return _ambiguous(sentence, "says what the answer is not")
        spelt = r"\s+".join(map(re.escape, options[by_text[0]].split()))
        place = re.search(spelt, sentence, re.IGNORECASE)
        first, last = place.span() if place else (0, len(sentence))
        return Reading(by_text[0], start + first, start + last)
    shown = said[:60]
    return Reading(None, reason=f"expected one of {', '.join(letters)}; got {shown!r}" if shown else "empty answer")


def _text_beside(rest: str, letter: str, options: Mapping[str, str]) -> str:
    """The other choice whose text follows a letter ("D, shelf"), or ""."""
    text = re.sub(r"^(?:the|an?)\s+", "", normalized(rest.lstrip(" ,:;.()-\u2013\u2014\"'")))
    begun = [other for other, words in options.items() if words and re.match(_whole(words), text)]
    longest = max((len(options[other]) for other in begun), default=0)
    begun = [other for other in begun if len(options[other]) == longest]
    return "" if not begun or letter in begun else begun[0]


def _texts_named(sentence: str, options: Mapping[str, str]) -> list[str]:
    """The choices whose text is in ``sentence``, without those that are only part of a longer one."""
    found = {letter: text for letter, text in options.items() if text and re.search(_whole(text), sentence)}
    texts = set(found.values())
    return [letter for letter, text in found.items() if not any(text in other for other in texts - {text})]


def _whole(words: str) -> str:
    """A pattern for ``words`` as whole words and whole numbers: "5" is neither in "15" nor in "2.5"."""
    return rf"(?<!\w)(?<!\w[.,/:]){re.escape(words)}(?![.,/:]?\w)"


def _ambiguous(sentence: str, what: str) -> Reading:
    return Reading(None, said=sentence, reason=f"ambiguous: {what}")


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise UserError(f"expected a mode out of {', '.join(MODES)}; got {mode!r}")
