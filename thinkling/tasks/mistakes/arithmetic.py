"""The work of the chain and the equation, read as a row of equations and laid beside the true steps.

A step's numbers come from the problem or from an earlier step. The work's equations are aligned with the steps
so that the fewest mistakes explain them (a shortest path, as in an edit distance), and every equation is judged
by what it was given: by the work's own earlier results, not by the true ones. So one slip is one mistake,
however many numbers it spoils.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from heapq import heappop, heappush
from itertools import count

from thinkling.core.types import Problem
from thinkling.tasks.mistakes.findings import (
    COPIED,
    EXTRA,
    MISCOPIED,
    MISREAD,
    MISSING,
    OTHER,
    SLIP,
    WRONG_ANSWER,
    Finding,
)

# A whole equation, not the tail of a longer sum or of a plan ("6x+7*11=89").
_EQUATION = re.compile(r"(?<![\w+*/.-])(\d+(?:[-+*/]\d+)+)=(\d+)(?!\d)")
# Two mistakes in one equation are likelier than an equation aside and a step in the head.
_MISTAKE, _ASIDE, _UNWRITTEN = 1.0, 1.8, 0.25
_MOST = 8.0  # an explanation by so many mistakes explains nothing, and there are far too many of them to search

Source = Fraction | int  # a number of the problem, or the index of the step whose result it is


@dataclass(frozen=True, slots=True)
class Step:
    """``op`` over what two sources give."""

    op: str
    left: Source
    right: Source


@dataclass(frozen=True, slots=True)
class Said:
    """One equation of the work, with two numbers."""

    op: str
    left: Fraction
    right: Fraction
    result: Fraction

    def __str__(self) -> str:
        return f"{self.left}{self.op}{self.right}={self.result}"


def true_steps(problem: Problem) -> list[Step]:
    """The steps of a chain or an equation, with the source of each number."""
    meta = problem.meta
    if problem.family == "equation":
        a, b, p, total = (Fraction(meta[key]) for key in ("a", "b", "p", "total"))
        return [Step("*", b, p), Step("-", total, 0), Step("/", 1, a)]
    steps: list[Step] = []
    running: Source = Fraction(meta["start"])
    for op, a, b in meta["events"]:
        amount: Source = Fraction(a)
        if len(op) == 2:
            steps.append(Step("*", Fraction(a), Fraction(b)))
            amount = len(steps) - 1
        steps.append(Step(op[0], running, amount))
        running = len(steps) - 1
    return steps


def equations(text: str) -> list[Said]:
    """The equations in ``text``, in order; one with several operations becomes as many, the last with its result."""
    found: list[Said] = []
    for match in _EQUATION.finditer(text):
        parts = re.split(r"([-+*/])", match.group(1))
        numbers, ops = [Fraction(part) for part in parts[::2]], parts[1::2]
        made: list[Said] = []
        for strong in ("*/", "+-"):
            at = 0
            while at < len(ops):
                if ops[at] not in strong:
                    at += 1
                    continue
                left, right, op = numbers[at], numbers[at + 1], ops.pop(at)
                value = apply(op, left, right) or Fraction(0)  # a division by 0 is false whatever it gives
                made.append(Said(op, left, right, value))
                numbers[at : at + 2] = [value]
        last = made[-1]
        found += [*made[:-1], Said(last.op, last.left, last.right, Fraction(match.group(2)))]
    return found


def apply(op: str, left: Fraction, right: Fraction) -> Fraction | None:
    """The result of an operation, None for a division by 0."""
    if op in "+-":
        return left + right if op == "+" else left - right
    if op == "*":
        return left * right
    return left / right if right else None


def judge(
    problem: Problem, work: Sequence[Said], again: Sequence[Said], answer: Fraction | None
) -> list[Finding] | None:
    """What is wrong with the equations of a work and the answer after them, in the order of the steps.

    ``again`` are equations that correct the work: they take the place of its last ones, of as many as leaves the
    fewest mistakes. None where eight mistakes are not enough to explain the work.
    """
    return _Alignment(true_steps(problem), work, again, answer).cheapest()


@dataclass(frozen=True, slots=True)
class _Result:
    """What the work has for a step; not ``written`` where it can only be inferred."""

    value: Fraction
    written: bool = True


@dataclass(frozen=True, slots=True)
class _State:
    """How far an explanation has come: equations read, steps passed, and the results of the last two steps, which
    is as far as a step looks back."""

    read: int
    passed: int
    results: tuple[_Result, ...] = ()

    def after(self, result: Fraction, read: int, written: bool = True) -> _State:
        """The next step passed with this result."""
        return _State(read, self.passed + 1, (*self.results, _Result(result, written))[-2:])


class _Alignment:
    """The cheapest explanation of a work, found by A* search (Hart, Nilsson and Raphael 1968)."""

    def __init__(
        self, steps: Sequence[Step], work: Sequence[Said], again: Sequence[Said], answer: Fraction | None
    ) -> None:
        self.steps, self.work, self.answer = steps, (*work, *again), answer
        self.correction = len(work) if again else None
        self.truth: list[Fraction] = []
        for step in steps:
            value = apply(step.op, *(self._true(source) for source in (step.left, step.right)))
            assert value is not None  # no true step divides by 0
            self.truth.append(value)

    def cheapest(self) -> list[Finding] | None:
        """The findings of the explanation with the least cost, None where all cost too much."""
        order = count()  # of equal costs, the first found
        start = _State(0, 0)
        waiting: list[tuple[float, int, float, _State, tuple[Finding, ...]]] = [(0.0, next(order), 0.0, start, ())]
        closed: set[_State] = set()
        while waiting:
            _, _, cost, state, findings = heappop(waiting)
            if state.passed > len(self.steps):
                return list(findings)
            if state in closed:
                continue
            closed.add(state)
            for more, found, following in self._ways(state):
                total = cost + more
                bound = total + self._at_least(following)
                if bound < _MOST:
                    heappush(waiting, (bound, next(order), total, following, (*findings, *found)))
        return None

    def _at_least(self, state: _State) -> float:
        """What the rest costs at the least: equations without a step, or steps without an equation."""
        equations, steps = len(self.work) - state.read, len(self.steps) - state.passed
        surplus = 0 if self.correction is not None and state.read < self.correction else equations - max(steps, 0)
        return max(surplus * _ASIDE, (steps - equations) * _UNWRITTEN, 0.0)

    def _ways(self, state: _State) -> Iterator[tuple[float, list[Finding], _State]]:
        """(cost, findings, next state) of each way to go on; past the last step lies the answer."""
        unread, unpassed = state.read < len(self.work), state.passed < len(self.steps)
        if not unread and not unpassed:
            yield (*self._answered(state.results[-1]), _State(state.read, state.passed + 1))
        if unread and unpassed:
            said = self.work[state.read]
            found = self._compared(said, state)
            yield _MISTAKE * sum(one.kind != COPIED for one in found), found, state.after(said.result, state.read + 1)
        if unpassed:
            step = self.steps[state.passed]
            left, right = (self._given(source, state).value for source in (step.left, step.right))
            inferred = apply(step.op, left, right)
            if inferred is not None:
                yield _UNWRITTEN, [], state.after(inferred, state.read, written=False)
            missing = Finding(MISSING, state.passed, "", _spelled(step.op, left, right))
            for value in dict.fromkeys((left, right)):  # the next step then takes what this one was to work on
                yield _MISTAKE, [missing], state.after(value, state.read)
        if unread:
            said = self.work[state.read]
            extra = [Finding(EXTRA, None, str(said))]
            yield _ASIDE, extra, replace(state, read=state.read + 1)
            if state.results and said.left == state.results[-1].value:  # and the work goes on from there
                results = (*state.results[:-1], _Result(said.result))
                yield _ASIDE, extra, replace(state, read=state.read + 1, results=results)
        if self.correction is not None and state.read < self.correction:
            yield 0.0, [], replace(state, read=self.correction)

    def _compared(self, said: Said, state: _State) -> list[Finding]:
        """What is wrong with an equation as the next step."""
        step = self.steps[state.passed]
        sources = (step.left, step.right)
        given = [self._given(source, state) for source in sources]
        text, expected = str(said), _spelled(step.op, given[0].value, given[1].value)
        kinds: list[str] = [MISREAD] if said.op != step.op else []
        orders = [(said.left, said.right), (said.right, said.left)][: 2 if said.op in "+*" else 1]
        kinds += sorted((self._misplaced(order, sources, given) for order in orders), key=len)[0]
        if apply(said.op, said.left, said.right) != said.result:
            kinds.append(SLIP)
        wrong_inputs = any(one.value != self._true(source) for one, source in zip(given, sources, strict=True))
        if not kinds and wrong_inputs:
            kinds.append(COPIED)
        return [Finding(kind, state.passed, text, expected) for kind in kinds]

    def _misplaced(
        self, numbers: tuple[Fraction, Fraction], sources: Sequence[Source], given: Sequence[_Result]
    ) -> list[str]:
        """For each number that is not the one expected, what kind of mistake that is."""
        kinds = []
        for number, source, one in zip(numbers, sources, given, strict=True):
            if number != one.value:
                kinds.append(MISREAD if isinstance(source, Fraction) else MISCOPIED if one.written else OTHER)
        return kinds

    def _answered(self, last: _Result) -> tuple[float, list[Finding]]:
        if self.answer == last.value:
            return 0.0, []
        said = "" if self.answer is None else str(self.answer)
        return _MISTAKE, [Finding(WRONG_ANSWER, None, said, str(last.value))]

    def _given(self, source: Source, state: _State) -> _Result:
        """What a source gives, as far as the work has come: an earlier result as the work has it."""
        return _Result(source) if isinstance(source, Fraction) else state.results[source - state.passed]

    def _true(self, source: Source) -> Fraction:
        return source if isinstance(source, Fraction) else self.truth[source]


def _spelled(op: str, left: Fraction, right: Fraction) -> str:
    return (
        str(Said(op, left, right, result)) if (result := apply(op, left, right)) is not None else f"{left}{op}{right}"
    )
