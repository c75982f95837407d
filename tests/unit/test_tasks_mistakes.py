"""Failures told apart: mistakes made on purpose, of every kind, are found for what they are."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.types import Finish, Problem, Verdict
from thinkling.tasks.family import pose
from thinkling.tasks.mistakes import arithmetic
from thinkling.tasks.mistakes.arithmetic import Said, apply, equations, true_steps
from thinkling.tasks.mistakes.diagnosis import Diagnosis, diagnose, tally
from thinkling.tasks.mistakes.findings import (
    COPIED,
    EXTRA,
    MISCOPIED,
    MISREAD,
    MISSING,
    NO_WORK,
    OTHER,
    RIGHT_ANYWAY,
    SLIP,
    WRONG_ANSWER,
    Finding,
)
from thinkling.tasks.mistakes.sequences import aligned
from thinkling.tasks.registry import core_five, family
from thinkling.tasks.words import FIRST_NAMES

FAMILIES = {name: family(name) for name in (*core_five, "decimals")}
WANTED = 0.95
Made = tuple[str, str]  # (work, answer)


def drawn(name: str, seed: int, ood: bool = False) -> Problem:
    return pose(name, FAMILIES[name].draw(random.Random(seed), ood=ood))


def judged(problem: Problem, work: str | None, answer: str, finish: Finish = "stop") -> Diagnosis:
    return diagnose(problem, work, FAMILIES[problem.family].grade(problem, f"The answer is {answer}."), finish)


def kinds(diagnosis: Diagnosis) -> list[str]:
    return [one.kind for one in diagnosis.findings]


# Mistakes made on purpose in arithmetic: one edit of one true step, and everything after it worked out from there.


def work_of(problem: Problem, at: int, edit: str, rng: random.Random) -> Made | None:
    """The work with one mistake at step ``at``; None where this kind cannot be made there."""
    said: list[Said] = []
    results: list[Fraction] = []
    steps = true_steps(problem)
    for place, step in enumerate(steps):
        left, right = (
            source if isinstance(source, Fraction) else results[source] for source in (step.left, step.right)
        )
        write = True
        if place == at:
            numbers = [isinstance(source, Fraction) for source in (step.left, step.right)]
            side = rng.choice([side for side, own in enumerate(numbers) if own == (edit == MISREAD)] or [2])
            if edit in (MISREAD, MISCOPIED):
                if side == 2:
                    return None
                values = [left, right]
                values[side] = Fraction(rng.choice([n for n in range(2, 60) if n != values[side]]))
                left, right = values
            if edit == MISSING:
                if not isinstance(step.left, int) and place > 0 or step.op == "*" and place + 1 < len(steps):
                    return None  # a product of some boxes may be worked out in the head
                write = False
        value = left if not write else apply(step.op, left, right)
        if value is None or value.denominator != 1 or value < 0:
            return None
        if place == at and edit == SLIP:
            value += rng.choice((-1, 1, 10))
        results.append(value)
        if write:
            said.append(Said(step.op, left, right, value))
        if place == at and edit == EXTRA:
            again = apply(step.op, value, right)
            if again is None or again.denominator != 1 or step.op == "*" or again < 0:
                return None
            said.append(Said(step.op, value, right, again))
            results[-1] = again
    answer = results[-1] + (rng.choice((-3, 2, 7)) if edit == WRONG_ANSWER else 0)
    if answer < 0 or str(answer) == problem.answer or any(one.result < 0 for one in said) or not said:
        return None
    return " ".join(map(str, said)), str(answer)


def injected(name: str, kind: str, count: int = 200) -> Iterator[tuple[Problem, Made, int]]:
    """``count`` works with one mistake of this kind, and the step that it was made at."""
    rng, made = random.Random(kind), 0
    for seed in range(100_000):
        if made == count:
            return
        problem = drawn(name, seed, ood=seed % 4 == 0)
        at = rng.randrange(len(true_steps(problem)))
        work = work_of(problem, at, kind, rng)
        if work is not None:
            made += 1
            yield problem, work, at


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("chain", kind) for kind in (MISREAD, MISCOPIED, MISSING, EXTRA, SLIP, WRONG_ANSWER)),
        *(("equation", kind) for kind in (MISREAD, MISCOPIED, EXTRA, SLIP, WRONG_ANSWER)),
    ],
)
def test_injected_arithmetic_mistakes_are_found_at_their_step(name: str, kind: str) -> None:
    labels: Counter[str] = Counter()
    placed = 0
    for problem, (work, answer), at in injected(name, kind):
        found = judged(problem, work, answer)
        labels[found.kind] += 1
        first = next(one for one in found.findings if one.kind != COPIED)
        placed += first.step == at or kind in (EXTRA, WRONG_ANSWER)
    total = labels.total()
    assert total == 200 and labels[kind] >= WANTED * total and placed >= WANTED * total, (labels, placed)


@pytest.mark.parametrize("name", ["chain", "equation"])
def test_a_slip_copied_on_is_told_from_the_slip(name: str) -> None:
    """Every step that works on with a slip's result is its consequence, and no mistake of its own."""
    exact = total = 0
    for problem, (work, answer), at in injected(name, SLIP):
        steps = true_steps(problem)
        spoiled = {at}
        for place in range(at + 1, len(steps)):
            if any(source in spoiled for source in (steps[place].left, steps[place].right) if isinstance(source, int)):
                spoiled.add(place)
        found = judged(problem, work, answer)
        wanted = [(SLIP, at), *((COPIED, place) for place in sorted(spoiled - {at}))]
        exact += [(one.kind, one.step) for one in found.findings] == wanted
        assert found.copied_on == (len(spoiled) > 1)
        total += 1
    assert exact >= WANTED * total == WANTED * 200, (exact, total)


def rows_of(problem: Problem, kind: str, rng: random.Random) -> Made | None:
    """One mistake on purpose in letters, coin flips or sorting."""
    steps = [list(step) for step in problem.meta["steps"]]
    at = rng.randrange(len(steps))
    name = rng.choice([name for name in FIRST_NAMES if name not in problem.prompt])
    if problem.family == "letters":
        pairs = [(str(word), str(letter)) for word, letter in steps]
        if kind == MISREAD:
            pairs[at] = (name, name[-1])
        elif kind == MISSING:
            del pairs[at]
        elif kind == EXTRA:
            pairs.insert(at + 1, (name, name[-1]))
        elif kind == SLIP:
            pairs[at] = (pairs[at][0], rng.choice([x for x in "bcfgijpquvw" if x != pairs[at][1]]))
        answer = "".join(letter for _, letter in pairs)
        answer = answer if kind != WRONG_ANSWER else answer[::-1]
        plain = rng.random() < 0.5
        work = " ".join(f"{word} ends in {letter}." for word, letter in pairs)
        listed = f"{' '.join(word for word, _ in pairs)}: {'+'.join(letter for _, letter in pairs)}"
        return (work if plain else listed, answer) if pairs and answer != problem.answer else None
    if problem.family == "coin":
        rows = [(str(who), bool(flips)) for who, flips, _ in steps]
        if kind == MISREAD:
            rows[at] = (rows[at][0], not rows[at][1])
        elif kind == MISSING:
            if not rows[at][1]:
                return None
            del rows[at]
        elif kind == EXTRA:
            rows.insert(at + 1, (name, True))
        heads, said = True, []
        for place, (who, flips) in enumerate(rows):
            heads ^= flips ^ (kind == SLIP and place == at)
            said.append(f"{who} {'flips' if flips else 'does not'}, {'heads' if heads else 'tails'}.")
        answer = "yes" if heads ^ (kind == WRONG_ANSWER) else "no"
        return (" ".join(said), answer) if said and answer != problem.answer else None
    order = [int(item) for item in problem.answer.split(", ")]
    at = rng.randrange(len(order) - 1)
    if kind == MISREAD:
        free = [n for n in range(min(order) + 1, max(order)) if n not in order]
        nearest = [
            n for n in free if sorted([*order[:at], n, *order[at + 1 :]], reverse=order[0] > order[1]).index(n) == at
        ]
        if not nearest:
            return None
        order[at] = rng.choice(nearest)
    elif kind == MISSING:
        del order[at]
    elif kind == EXTRA:
        order.insert(at + 1, order[at])
    elif kind == SLIP:
        order[at : at + 2] = order[at + 1], order[at]
    tens = " ".join(dict.fromkeys(str(item // 10) for item in order))
    answer = ", ".join(map(str, order[::-1] if kind == WRONG_ANSWER else order))
    return (f"{tens}: {' '.join(map(str, order))}", answer) if answer != problem.answer else None


@pytest.mark.parametrize("name", ["letters", "coin", "sort"])
@pytest.mark.parametrize("kind", [MISREAD, MISSING, EXTRA, SLIP, WRONG_ANSWER])
def test_injected_mistakes_in_rows_are_found(name: str, kind: str) -> None:
    rng = random.Random(kind)
    labels: Counter[str] = Counter()
    for seed in range(3000):
        problem = drawn(name, seed)
        made = rows_of(problem, kind, rng)
        if made is not None:
            labels[judged(problem, *made).kind] += 1
        if labels.total() == 200:
            break
    assert labels.total() == 200 and labels[kind] >= WANTED * 200, labels


def family_kind(problem: Problem, work: str) -> set[str]:
    """What the family's own slip is, told without the module: by false equations, or by what is missing."""
    body = re.split(r" ?(?:Check:|Wait,)", work)[0]
    if problem.family in ("chain", "equation"):
        false = [one for one in equations(body) if apply(one.op, one.left, one.right) != one.result]
        return {SLIP} if false else {MISSING}
    if problem.family == "letters":
        return {SLIP} if all(name in body for name in problem.meta["words"]) else {MISSING}
    if problem.family == "coin":
        return {MISREAD} if "Flips:" not in body else {MISREAD, MISSING}
    # Two neighbors exchanged are in order again where the work gathers them by tens: then only the answer is wrong.
    return {MISSING} if len(re.findall(r"\d\d", body)) < len(problem.meta["numbers"]) else {SLIP, WRONG_ANSWER}


@pytest.mark.parametrize("name", core_five)
def test_the_families_own_slips_are_told_apart(name: str) -> None:
    rng, right, total = random.Random(7), 0, 0
    for seed in range(70):
        problem = drawn(name, seed, ood=seed % 5 == 0)
        for style in ("steps", "equation", "check"):
            message = FAMILIES[name].solve(problem, style, rng, slip=True)
            found = diagnose(problem, message.thinking, FAMILIES[name].grade(problem, message.text))
            if found.outcome == "right":  # the check has caught it: with the correction, nothing is wrong
                assert "Wait" in (message.thinking or "") and not found.findings, (message.thinking, found)
                continue
            total += 1
            right += found.kind in family_kind(problem, message.thinking or "")
    assert total > 120 and right >= WANTED * total, (right, total)


@pytest.mark.parametrize("name", core_five)
def test_right_work_has_no_findings(name: str) -> None:
    for seed in range(60):
        problem = drawn(name, seed, ood=seed % 2 == 0)
        for style in ("direct", "steps", "equation", "check"):
            message = FAMILIES[name].solve(problem, style, random.Random(seed))
            found = diagnose(problem, message.thinking, FAMILIES[name].grade(problem, message.text))
            assert found == Diagnosis("right"), (message, found)


def chain(start: int, *events: tuple[str, int, int]) -> Problem:
    from thinkling.tasks.chain import equations as rows_of_chain

    rows = rows_of_chain(start, events)
    meta = {"start": start, "events": [list(e) for e in events], "steps": [list(row) for row in rows]}
    return Problem("k", "test", "chain", "", str(rows[-1][3]), len(events), meta=meta)


# What a small model really wrote, read by hand.
GLORIA = chain(45, ("+", 16, 0), ("-*", 5, 5), ("-", 26, 0), ("+*", 2, 2), ("+", 10, 0), ("+*", 2, 8))
APPLES = Problem("k", "test", "equation", "", "2", meta={"a": 6, "b": 7, "p": 11, "total": 89})


@pytest.mark.parametrize(
    ("problem", "work", "answer", "found"),
    [
        (chain(13, ("-", 8, 0), ("-", 3, 0), ("+", 34, 0), ("-", 28, 0)), "13-8=6 6-3=3 3+34=37 37-28=9", "9",
         [SLIP, COPIED, COPIED, COPIED]),
        (GLORIA, "45+16=61 5*5=25 61-25=36 3*2=6 36+6=42 4*8=32 42+32=74 74+10=84 2*8=16 84+16=90", "90",
         [MISSING, MISREAD, COPIED, EXTRA, EXTRA, COPIED, SLIP]),
        (chain(37, ("+*", 3, 7)), "37+3*7: 37+3*7=\n<think>37+3: 37+3*7=64", "64", [SLIP]),
        (chain(17, ("-", 7, 0), ("+", 22, 0)), "17-7=10 20+22=42", "42", [MISCOPIED]),
        (chain(49, ("-", 33, 0), ("-", 3, 0)), "49-33=16 16-33=3 Check: 3+33=16 16+33=49.", "3", [MISREAD, SLIP]),
        (chain(12, ("+*", 3, 8), ("-", 9, 0)), "12+24=36 36-9=27", "28", [WRONG_ANSWER]),  # 3*8 in the head
        (chain(12, ("+*", 3, 8), ("-", 9, 0)), "3*8=24 12+24=36", "36", [MISSING]),
        (chain(12, ("+*", 3, 8), ("-", 9, 0)), "3*8=24 36-9=27", "28", [WRONG_ANSWER]),  # 12+24 in the head
        (chain(12, ("+*", 3, 8), ("-", 9, 0)), "3*8=25 12+25=37 37-9=28 Wait, 3*8=24 12+24=36 36-9=26.", "26", [SLIP]),
        (chain(12, ("-", 9, 0)), "12+9=21", "21", [MISREAD]),
        (APPLES, "6x+7*11=89: 7*11=77 89-77=18 18/6=3", "3", [SLIP, COPIED]),
        (APPLES, "7*11=77 89-77=12 12/6=3", "3", [SLIP]),
        (APPLES, "6*11=66 89-66=23 23/6=4", "4", [MISREAD, COPIED, SLIP]),
        (APPLES, "7*11=77 77/7=11", "11", [MISSING, MISREAD]),
    ],
)  # fmt: skip
def test_works_read_by_hand(problem: Problem, work: str, answer: str, found: list[str]) -> None:
    made = judged(problem, work, answer)
    assert kinds(made) == found and made.kind == next(kind for kind in found if kind != COPIED), made


COIN = Problem(
    "k", "test", "coin", "", "no",
    meta={"steps": [
        ["Mara", True, "tails"], ["Noah", False, "tails"], ["Ida", True, "heads"], ["Otto", True, "tails"],
    ]},
)  # fmt: skip


@pytest.mark.parametrize(
    ("work", "answer", "found"),
    [
        ("Flips: Mara Noah Ida Otto. 4 even, heads.", "yes", [MISREAD, COPIED]),
        ("Flips: Mara Ida. 2 even, heads.", "yes", [MISSING, COPIED]),
        ("Flips: Mara Ida Otto. 3 even, heads.", "yes", [SLIP]),
        ("Flips: Mara Ida Otto. 2 even, heads.", "yes", [SLIP]),
        ("Flips: Mara Ida Otto. 3 odd, tails.", "yes", [WRONG_ANSWER]),
        ("Mara flips, tails. Ida flips, heads. Otto flips, heads.", "yes", [SLIP]),  # Noah changes nothing
        ("Mara flips, tails. Noah flips, heads. Ida flips, tails. Otto flips, heads.", "yes",
         [MISREAD, COPIED, COPIED]),
        ("Mara flips, tails. Noah flips, heads. Wait, Noah does not, tails. Ida flips, heads. Otto flips, heads.",
         "yes", [SLIP]),
    ],
)  # fmt: skip
def test_coin_flips_read_by_hand(work: str, answer: str, found: list[str]) -> None:
    made = judged(COIN, work, answer)
    assert kinds(made) == found, made


@pytest.mark.parametrize(
    ("name", "work", "answer", "found"),
    [
        ("letters", "Rex ends in x. Ida ends in a.", "xa", [MISSING]),
        ("letters", "Rex ends in x. Ida ends in d. Mara ends in a.", "xda", [SLIP]),
        ("letters", "Rex Ida Mara: x+a", "xa", [MISSING]),
        ("letters", "Rex Ida Mara Bo: x+a+a+o", "xaao", [EXTRA]),
        ("letters", "Rex ends in e. Wait, Rex x, Ida a, Mara a.", "xae", [WRONG_ANSWER]),
        ("sort", "1 4: 42 19 47", "42, 19, 47", [SLIP]),
        ("sort", "1:19 2- 3- 4:42 5-", "19, 42", [MISSING]),
        ("sort", "1 4: 19 47 47", "19, 47, 47", [MISREAD]),
        ("sort", "1 4: 19 42 42 47", "19, 42, 42, 47", [EXTRA]),
        ("sort", "1 4: 42 19", "42, 19", [SLIP, MISSING]),
        ("sort", "4: 47 42", "47, 42", [MISSING, SLIP]),  # the first place in the true order comes first
        ("sort", "1 4: 19 42 47", "47, 42, 19", [WRONG_ANSWER]),
    ],
)
def test_letters_and_sorting_read_by_hand(name: str, work: str, answer: str, found: list[str]) -> None:
    metas: dict[str, dict[str, Any]] = {
        "letters": {"words": ["Rex", "Ida", "Mara"]},
        "sort": {"numbers": [42, 19, 47], "down": False, "steps": [[1, [19]], [4, [42, 47]]]},
    }
    gold = {"letters": "xaa", "sort": "19, 42, 47"}[name]
    made = judged(Problem("k", "test", name, "", gold, meta=metas[name]), work, answer)
    assert kinds(made) == found, made


def test_outcomes_come_before_mistakes() -> None:
    problem = chain(12, ("+", 3, 0))
    wrong = Verdict(0.0, "graded", "16", "expected 15")
    assert diagnose(problem, "12+3=16", Verdict(0.0, "unparsed")).label == "not parsed"
    assert diagnose(problem, "12+3=16", Verdict(0.0, "unparsed"), "length").label == "cut off"
    assert diagnose(problem, "12+3=16", wrong, "length").label == "cut off"
    assert diagnose(problem, "12+3=16", Verdict(None, "error")).label == "unscored"
    assert diagnose(problem, None, wrong).label == diagnose(problem, "  ", wrong).label == NO_WORK
    assert diagnose(problem, "I think so.", wrong).label == OTHER
    lucky = diagnose(problem, "12+4=15", Verdict(1.0, "graded", "15"))
    assert (lucky.outcome, lucky.kind, lucky.label) == ("right", "", RIGHT_ANYWAY) and kinds(lucky) == [MISREAD, SLIP]
    assert diagnose(drawn("decimals", 1), "9.9 vs 9.11", wrong).label == OTHER
    assert tally([lucky, diagnose(problem, None, wrong), lucky]) == {RIGHT_ANYWAY: 2, NO_WORK: 1}
    assert Finding(SLIP, 0, "12+3=16", "12+3=15") in diagnose(problem, "12+3=16", wrong).findings


def test_nonsense_is_other_and_takes_no_time() -> None:
    """Thirty equations that have nothing to do with the problem would take an exhaustive search minutes."""
    rng = random.Random(1)
    for seed in range(6):
        problem = drawn("chain", seed, ood=True)
        noise = [f"{rng.randint(2, 60)}{rng.choice('+-*')}{rng.randint(2, 60)}={rng.randint(2, 90)}" for _ in range(30)]
        assert judged(problem, " ".join(noise), "1000").kind == OTHER
        noise.insert(rng.randrange(15), "Wait,")
        assert judged(problem, " ".join(noise), "1000").kind == OTHER


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_the_search_is_guided_without_being_misled(seed: int) -> None:
    """With the lower bound off, the search is Dijkstra's, and finds as few mistakes."""
    rng = random.Random(seed)
    problem = drawn("chain", seed)
    rows = [Said(op, Fraction(a), Fraction(b), Fraction(c)) for op, a, b, c in problem.meta["steps"]]
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(rows)) if rows else 0
        stray = Said(rng.choice("+-"), Fraction(8), Fraction(rng.randint(1, 9)), Fraction(rng.randint(2, 12)))
        rows[at : at + rng.randint(0, 1)] = [] if rng.random() < 0.4 else [stray]
    if rows:
        guided = arithmetic.judge(problem, rows[:2], rows[2:], Fraction(problem.answer))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(arithmetic._Alignment, "_at_least", lambda self, state: 0.0)
            blind = arithmetic.judge(problem, rows[:2], rows[2:], Fraction(problem.answer))
        mistakes = [None if found is None else sum(one.kind != COPIED for one in found) for found in (guided, blind)]
        assert mistakes[0] == mistakes[1]


def test_equations_are_whole_and_exact() -> None:
    assert list(map(str, equations("6x+7*11=89: 7*11=77 x2+3=5 12+3*8=37, 34/4=12"))) == [
        "7*11=77", "3*8=24", "12+24=37", "34/4=12",
    ]  # fmt: skip
    assert str(equations("8/0=4")[0]) == "8/0=4" and equations("no sums here 5 = 5") == []


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_alignment_is_an_edit_path_of_the_least_length(true: list[str], said: list[str]) -> None:
    pairs = aligned(true, said, str.__eq__)
    assert [i for i, _ in pairs if i is not None] == list(range(len(true)))
    assert [j for _, j in pairs if j is not None] == list(range(len(said)))
    edits = sum(i is None or j is None or true[i] != said[j] for i, j in pairs)
    assert edits == distance(tuple(true), tuple(said))


def distance(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """Levenshtein's, by its definition."""
    if not a or not b:
        return len(a) + len(b)
    return min(distance(a[1:], b[1:]) + (a[0] != b[0]), distance(a[1:], b) + 1, distance(a, b[1:]) + 1)
