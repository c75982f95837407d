"""Grading of mathematical answers: find the answer, then compare it with the gold one, exactly where both are plain.

The answer is what stands in the last ``\\boxed{}``, else what is claimed after the last "answer is"; a turn that is
nothing but a plain answer, or one formula, is its own claim. Spelling and plain values (`math_notation.py`) decide
most comparisons at once; the others go to math-verify, in a process that may be killed (`isolated.py`), so that no
answer costs more than the time limit. What cannot be compared within the limits scores 0: the answer is
unreadable, whoever made it so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from thinkling.core.errors import UserError
from thinkling.core.types import Verdict
from thinkling.tasks import math_notation, math_worker
from thinkling.tasks.grading import NEGATION, Reading, claim, first_sentence
from thinkling.tasks.isolated import Isolated, NotLoaded

LONGEST = 1000  # characters of an answer; the longest gold of MATH has 159
_SHOWN = 60
_PROSE = 8  # words of a claim without any formula that is still taken for an answer
_VERIFIER = Isolated(math_worker.__name__)

_TOKEN = re.compile(r"\\(?:boxed|fbox)\s*(?:\{|(?P<bare>-?[\w.]*\w))|\\.|[{}]", re.DOTALL)
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]")
_BETWEEN = re.compile(r"\s*(?:,|,?\s*(?:and|or))\s*")
_EQUALS = re.compile(r"(?<![<>!:\\])=")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a text: ``text == whole[start:end]``."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether two answers are equal; None where that could not be decided, with the reason."""

    equal: bool | None
    reason: str = ""


def last_boxed(text: str) -> Span | None:
    """The content of the last ``\\boxed{...}`` (or \\fbox, or ``\\boxed 5``), with balanced braces."""
    open_braces: list[int] = []  # where each content begins; -1 for a brace that is no box's
    found: Span | None = None
    for token in _TOKEN.finditer(text):
        start = token.end() if token.group().endswith("{") else -1
        if token["bare"]:
            found = Span(token["bare"], token.start("bare"), token.end())
        elif start >= 0 and not token.group().startswith("\\{"):
            open_braces.append(start if token.group() != "{" else -1)
        elif token.group() == "}" and open_braces:
            start = open_braces.pop()
            if start >= 0 and (found is None or start > found.start):
                found = Span(text[start : token.start()], start, token.start())
    return found


def read_math(text: str) -> Reading:
    """The mathematical answer that is claimed; ``answer`` has one spelling per plain value, to be counted."""
    span = last_boxed(text) or _claimed(text)
    if isinstance(span, Reading):
        return span
    if not span.text.strip() or len(span.text) > LONGEST:
        what = f"an answer of at most {LONGEST} characters" if span.text.strip() else "an answer"
        return Reading(None, reason=f"expected {what}; got {len(span.text)} characters")
    return Reading(math_notation.canonical(span.text), span.start, span.end)


def grade_math(text: str, gold: str) -> Verdict:
    """The verdict on a response; with the gold answer "" it is unscored.

    ``unparsed`` (score 0) where no answer can be found, and where answer and gold cannot be compared within the
    limits. Raises UserError where math-verify is needed and not installed.
    """
    reading = read_math(text)
    if not gold.strip():
        return Verdict(None, "unscored", reading.answer, "no gold answer")
    if reading.answer is None:
        return reading.against(False, gold)
    found = compare(text[reading.start : reading.end], gold)
    if found.equal is None:
        return Verdict(0.0, "unparsed", reading.answer, f"expected {gold}; {found.reason}")
    return reading.against(found.equal, gold)


def equivalent(said: str, gold: str) -> bool | None:
    """Whether two answers are mathematically the same; None where that could not be decided (`compare` says why)."""
    return compare(said, gold).equal


def compare(said: str, gold: str) -> Comparison:
    """Compare an answer with a gold one, both without "\\boxed" and "answer is" around them.

    An approximation is not the number: 0.333 is not 1/3, nor 3.14 \\pi. Units, dollar, degree and percent signs
    may be left out; two that are written must agree. A list of solutions has no order, a tuple has one. Raises
    UserError where math-verify is needed and not installed.
    """
    for name, text in (("an answer", said), ("a gold answer", gold)):
        if not text.strip() or len(text) > LONGEST:
            return Comparison(None, f"expected {name} of 1 to {LONGEST} characters; got {len(text)}")
    if math_notation.spelling(said) == math_notation.spelling(gold):
        return Comparison(True)
    if (chain := _chain(said, gold)) is not None:
        return chain
    if (exact := _plain(said, gold)) is not None:
        return Comparison(exact)
    if isinstance(math_notation.read(gold), math_notation.Based):
        return Comparison(None, "the answer is no number in the base of the gold answer")
    left, unit = math_notation.split_unit(math_notation.cleaned(said))
    right, gold_unit = math_notation.split_unit(math_notation.cleaned(gold))
    if unit and gold_unit and unit != gold_unit:
        return Comparison(False)
    try:
        equal, reason = _VERIFIER.ask([left, right])
    except NotLoaded as error:
        raise UserError(
            f"comparing {said.strip()[:_SHOWN]!r} with {gold.strip()[:_SHOWN]!r} needs math-verify, which cannot be "
            f"loaded ({error}); install it with: pip install 'thinkling[math]'"
        ) from None
    return Comparison(equal, reason)


def _plain(said: str, gold: str) -> bool | None:
    """What needs no algebra: words and plain values."""
    names = math_notation.words(said), math_notation.words(gold)
    if names[0] is not None and names[1] is not None:
        return names[0] == names[1]
    if _EQUALS.search(said) and _EQUALS.search(gold):  # "x=1" and "y=1" are not the same
        return None
    left, right = math_notation.read(said), math_notation.read(gold)
    return None if left is None or right is None else math_notation.equal(left, right)


def _chain(said: str, gold: str) -> Comparison | None:
    """What a chain of equations such as "4 = 3" or "7 = 2k" gives away: all its constants must equal the gold answer.

    None where they do, and where there is none but at its end.
    """
    links = [] if _EQUALS.search(gold) else _EQUALS.split(said)
    constants = [link for link in links if not re.search(r"[a-zA-Z]", re.sub(r"\\[a-zA-Z]+", "", link))]
    if constants == links[-1:]:
        return None
    return next((found for link in constants if not (found := compare(link, gold)).equal), None)


def _claimed(text: str) -> Span | Reading:
    """What follows the last "answer is": its formula, or the claim itself where that is short."""
    start, end, marked = claim(text)
    sentence = first_sentence(text[start:end])
    said = _stripped(text, start, start + len(sentence))
    if not marked:
        said = _stripped(text, 0, len(text))
    if len(said.text) > 2 * LONGEST:  # the patterns below take quadratic time at worst
        return _unparsed(said.text)
    if not marked:
        return said if _FORMULA.fullmatch(said.text) or math_notation.read(said.text) else _unparsed(text)
    formulas = list(_FORMULA.finditer(said.text))
    if not formulas:
        return said if said.text and len(said.text.split()) <= _PROSE else _unparsed(said.text)
    first, last = formulas[0], formulas[-1]
    if NEGATION.search(said.text, 0, first.start()):
        return Reading(None, said=said.text, reason="ambiguous: says what the answer is not")
    between = [said.text[one.end() : other.start()] for one, other in zip(formulas, formulas[1:], strict=False)]
    if not all(map(_BETWEEN.fullmatch, between)):
        return Reading(None, said=said.text, reason=f"ambiguous: {len(formulas)} formulas claimed")
    return Span(said.text[first.start() : last.end()], said.start + first.start(), said.start + last.end())


def _stripped(text: str, start: int, end: int) -> Span:
    """The span without spaces, emphasis and quotes around it."""
    inner = text[start:end].strip(" \t\n*\"'`")
    at = text.find(inner, start, end) if inner else start
    return Span(inner, at, at + len(inner))


def _unparsed(text: str) -> Reading:
    shown = text.strip()[:_SHOWN]
    return Reading(None, reason=f"expected \\boxed{{...}}, or a formula after 'answer is'; got {shown!r}")
