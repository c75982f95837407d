"""Every family: its gold answers pass, its worked solutions are true, its slips are graded by outcome."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.core.types import Problem
from thinkling.tasks import registry
from thinkling.tasks.chain import Chain, equations, expression
from thinkling.tasks.coin import Coin
from thinkling.tasks.count import Count
from thinkling.tasks.decimals import Decimals
from thinkling.tasks.equation import Equation
from thinkling.tasks.family import WorkedFamily, pose
from thinkling.tasks.letters import Letters
from thinkling.tasks.sort import Sort
from thinkling.tasks.words import FIRST_NAMES, NOUNS

FAMILIES: dict[str, WorkedFamily] = {
    "chain": Chain(),
    "equation": Equation(),
    "letters": Letters(),
    "coin": Coin(),
    "sort": Sort(),
    "decimals": Decimals(),
    "count": Count(),
}
each_family = pytest.mark.parametrize("name", FAMILIES)
seeds = st.integers(0, 2**32)
quick = settings(max_examples=30, deadline=None)

EQUATION = re.compile(r"(?<![\d+])(\d+)([-+*/])(\d+)=(\d+)")  # a whole one, not the tail of a longer sum
OPERATIONS: dict[str, Callable[[int, int], Fraction]] = {
    "+": lambda a, b: Fraction(a + b),
    "-": lambda a, b: Fraction(a - b),
    "*": lambda a, b: Fraction(a * b),
    "/": lambda a, b: Fraction(a, b),
}


def drawn(name: str, seed: int, ood: bool = False, unseen: bool = False) -> Problem:
    return pose(name, FAMILIES[name].draw(random.Random(seed), ood=ood, unseen=unseen))


def broken(think: str) -> list[str]:
    """The equations in ``think`` that are false."""
    rows = EQUATION.findall(think)
    return [f"{a}{op}{b}={c}" for a, op, b, c in rows if OPERATIONS[op](int(a), int(b)) != int(c)]


def mutations(problem: Problem) -> list[str]:
    """Wrong answers near the gold one."""
    gold = problem.answer
    if problem.family == "coin":
        return ["no" if gold == "yes" else "yes"]
    if problem.family == "letters":
        return [gold + "a", gold[:-1] + ("b" if gold[-1] != "b" else "c"), gold[1:]]
    if problem.family == "sort":
        items = gold.split(", ")
        return [", ".join(reversed(items)), ", ".join(items[1:]), gold + ", 5"]
    value = Fraction(gold)
    return [str(int(value) + 1), str(-int(value) - 3), f"{float(value) + 0.5:.3f}"]


@each_family
@quick
@given(seed=seeds, ood=st.booleans(), unseen=st.booleans())
def test_gold_scores_one_and_a_mutated_gold_zero(name: str, seed: int, ood: bool, unseen: bool) -> None:
    problem = drawn(name, seed, ood, unseen)
    family = FAMILIES[name]
    for text in (
        problem.answer,
        f"The answer is {problem.answer}.",
        f"I think the answer is: {problem.answer}",
    ):
        verdict = family.grade(problem, text)
        assert (verdict.score, verdict.status) == (1.0, "graded"), (text, verdict)
    for wrong in mutations(problem):
        assert family.grade(problem, f"The answer is {wrong}.").score == 0.0, wrong


@each_family
@quick
@given(seed=seeds, ood=st.booleans())
def test_unslipped_solutions_are_right_in_every_style(name: str, seed: int, ood: bool) -> None:
    problem = drawn(name, seed, ood)
    family = FAMILIES[name]
    for style in family.styles:
        message = family.solve(problem, style, random.Random(seed))
        assert family.grade(problem, message.text).score == 1.0
        assert (message.thinking is None) == (style == "direct")
        assert broken(message.thinking or "") == []
        if style == "check":
            assert re.search(r"\b(Check|Wait)\b", message.thinking or "")


@each_family
@quick
@given(seed=seeds)
def test_a_slip_leads_to_a_wrong_answer_unless_the_check_catches_it(name: str, seed: int) -> None:
    problem = drawn(name, seed)
    family = FAMILIES[name]
    for style in family.styles:
        message = family.solve(problem, style, random.Random(seed), slip=True)
        caught = "Wait," in (message.thinking or "")
        assert family.grade(problem, message.text).score == float(caught)
        assert not caught or style == "check"


@each_family
def test_checks_catch_some_slips_and_miss_others(name: str) -> None:
    problem = drawn(name, 5)
    rng = random.Random(5)
    thoughts = [FAMILIES[name].solve(problem, "check", rng, slip=True).thinking or "" for _ in range(60)]
    caught = sum("Wait," in thought for thought in thoughts)
    assert 15 <= caught <= 45
    assert all(thought.count("Wait,") + thought.count("Check:") == 1 for thought in thoughts)


@each_family
@quick
@given(seed=seeds, other=seeds)
def test_the_key_is_the_content_and_not_the_wording(name: str, seed: int, other: int) -> None:
    family = FAMILIES[name]
    problem = drawn(name, seed)
    assert pose(name, family.draw(random.Random(seed))) == problem  # same stream, same problem
    rival = drawn(name, other)
    if rival.key == problem.key:
        assert sorted(rival.answer.split(", ")) == sorted(problem.answer.split(", ")) or name == "decimals"
    wordings = {problem.meta["template"], drawn(name, seed, unseen=True).meta["template"]}
    assert problem.meta["unseen"] is False
    assert len(wordings) == 2


@each_family
@quick
@given(seed=seeds)
def test_held_out_wordings_and_harder_levels_never_meet_training(name: str, seed: int) -> None:
    family = FAMILIES[name]
    assert not set(family.levels) & set(family.ood_levels)
    seen, held_out = drawn(name, seed), drawn(name, seed, unseen=True)
    harder = drawn(name, seed, ood=True)
    assert seen.level in family.levels and held_out.level in family.levels
    assert harder.level in family.ood_levels
    assert held_out.meta["unseen"] and held_out.meta["template"] > seen.meta["template"]


@each_family
@quick
@given(seed=seeds)
def test_meta_survives_json(name: str, seed: int) -> None:
    meta = drawn(name, seed).meta
    assert json.loads(json.dumps(meta)) == meta
    assert meta["steps"] or name == "count"


@each_family
def test_levels_can_be_asked_for_and_others_are_refused(name: str) -> None:
    family = FAMILIES[name]
    for level in family.levels:
        assert family.draw(random.Random(level), level=level).level == level
    for level in family.ood_levels:
        assert family.draw(random.Random(level), level=level, ood=True).level == level
    with pytest.raises(UserError, match=r"levels \["):
        family.draw(random.Random(0), level=99)
    with pytest.raises(UserError, match="expected a style"):
        family.solve(drawn(name, 0), "haiku", random.Random(0))


@each_family
def test_every_level_is_drawn(name: str) -> None:
    rng = random.Random(1)
    levels = [FAMILIES[name].draw(rng).level for _ in range(400)]
    assert set(levels) == set(FAMILIES[name].levels)
    assert min(levels.count(level) for level in set(levels)) >= 20


@quick
@given(seed=seeds, ood=st.booleans())
def test_chain_keeps_its_promises(seed: int, ood: bool) -> None:
    problem = drawn("chain", seed, ood)
    start, events = problem.meta["start"], [tuple(event) for event in problem.meta["events"]]
    assert len(events) == problem.level
    rows = equations(start, events)
    assert [list(row) for row in rows] == problem.meta["steps"]
    assert all(0 <= result <= 99 for *_, result in rows)
    assert eval(expression(start, events)) == int(problem.answer)
    plan, _, work = (Chain().solve(problem, "equation", random.Random(0)).thinking or "").partition(": ")
    assert plan == expression(start, events)
    assert work == Chain().solve(problem, "steps", random.Random(0)).thinking
    assert EQUATION.sub("", work).strip() == ""
    assert EQUATION.findall(work)[-1][3] == problem.answer


@quick
@given(seed=seeds)
def test_chain_check_works_back_to_the_start(seed: int) -> None:
    problem = drawn("chain", seed)
    think = Chain().solve(problem, "check", random.Random(seed)).thinking or ""
    back = EQUATION.findall(think.partition("Check:")[2])
    assert back[0][0] == problem.answer and int(back[-1][3]) == problem.meta["start"]


@quick
@given(seed=seeds, style=st.sampled_from(("steps", "equation", "check")))
def test_chain_slip_breaks_one_equation_or_forgets_an_event(seed: int, style: str) -> None:
    problem = drawn("chain", seed)
    think = Chain().solve(problem, style, random.Random(seed), slip=True).thinking or ""
    work = re.split(" (?:Wait,|Check:)", think.partition(": ")[2] if style == "equation" else think)[0]
    true_rows = [tuple(row) for row in problem.meta["steps"]]
    stated = EQUATION.findall(work)
    assert len(broken(work)) == 1 or (broken(work) == [] and len(stated) < len(true_rows))
    assert broken(think.partition("Wait,")[2]) == []


@quick
@given(seed=seeds, ood=st.booleans())
def test_equation_solves_what_the_prompt_states(seed: int, ood: bool) -> None:
    problem = drawn("equation", seed, ood)
    a, b, p, total = (problem.meta[key] for key in ("a", "b", "p", "total"))
    assert a * int(problem.answer) + b * p == total
    stated = sorted(map(int, re.findall(r"\d+", problem.prompt)))
    assert stated == sorted([a, b, p, total])
    plan = (Equation().solve(problem, "equation", random.Random(0)).thinking or "").partition(":")[0]
    assert plan == f"{a}x+{b}*{p}={total}"
    assert problem.level == 4 or max(a, b) <= 9 and max(p, int(problem.answer)) <= 12


@quick
@given(seed=seeds)
def test_letters_are_the_last_ones(seed: int) -> None:
    problem = drawn("letters", seed)
    think = Letters().solve(problem, "check", random.Random(0)).thinking or ""
    pairs = re.findall(r"(\w+) ends in (\w)\.", think)
    assert [name for name, _ in pairs] == problem.meta["words"]
    assert all(name.endswith(letter) for name, letter in pairs)
    assert "".join(letter for _, letter in pairs) == problem.answer


@quick
@given(seed=seeds)
def test_coin_walk_can_be_replayed(seed: int) -> None:
    problem = drawn("coin", seed)
    think = Coin().solve(problem, "check", random.Random(0)).thinking or ""
    heads = True
    for _, act, side in re.findall(r"(\w+) (flips|does not), (heads|tails)\.", think):
        heads ^= act == "flips"
        assert side == ("heads" if heads else "tails")
    assert problem.answer == ("yes" if heads else "no")
    count, parity, side = re.search(r"Check: flips (\d+) (even|odd), (\w+)\.", think).groups()  # type: ignore[union-attr]
    assert int(count) == sum(problem.meta["flips"]) and (parity == "even") == heads == (side == "heads")


@quick
@given(seed=seeds, ood=st.booleans())
def test_sort_orders_what_it_was_given(seed: int, ood: bool) -> None:
    problem = drawn("sort", seed, ood)
    numbers = [int(item) for item in problem.answer.split(", ")]
    assert numbers == sorted(problem.meta["numbers"], reverse=problem.meta["down"])
    think = Sort().solve(problem, "check", random.Random(0)).thinking or ""
    buckets, _, check = think.partition(" Check: ")
    gathered = [(int(ten), int(n)) for ten, ns in re.findall(r"(\d):([\d,]+)", buckets) for n in ns.split(",")]
    assert [n for _, n in gathered] == numbers and all(n // 10 == ten for ten, n in gathered)
    assert [int(n) for n in re.findall(r"\d+", check)] == numbers


@quick
@given(seed=seeds, ood=st.booleans())
def test_decimals_compare_truly(seed: int, ood: bool) -> None:
    problem = drawn("decimals", seed, ood)
    pair = [Fraction(problem.meta["a"]), Fraction(problem.meta["b"])]
    assert Fraction(problem.answer) == (min(pair) if problem.meta["small"] else max(pair))
    for style in ("steps", "equation", "check"):
        think = Decimals().solve(problem, style, random.Random(0)).thinking or ""
        for left, sign, right in re.findall(r"(\d+)([<>=])(\d+)", think.partition("Check")[0]):
            a, b = int(left), int(right)
            assert {"<": a < b, ">": a > b, "=": a == b}[sign]


def test_decimals_often_set_the_trap() -> None:
    rng = random.Random(2)
    levels = [Decimals().draw(rng).level for _ in range(1000)]
    assert 350 <= levels.count(4) <= 450
    trap = next(d for d in (Decimals().draw(rng, level=4) for _ in range(9)))
    problem = pose("decimals", trap)
    think = Decimals().solve(problem, "steps", rng, slip=True).thinking or ""
    assert f"{problem.meta['a']} vs {problem.meta['b']}" in think  # the slip forgets the padding


@quick
@given(seed=seeds)
def test_count_runs_up_to_the_answer(seed: int) -> None:
    problem = drawn("count", seed)
    word, letter = problem.meta["word"], problem.meta["letter"]
    assert int(problem.answer) == word.count(letter)
    think = Count().solve(problem, "steps", random.Random(0)).thinking or ""
    marks = re.findall(r"([a-z])(\d*)", think)
    assert "".join(item for item, _ in marks) == word
    assert [int(n) for item, n in marks if n] == list(range(1, int(problem.answer) + 1))
    assert all((item == letter) == bool(n) for item, n in marks)


def test_thinking_stays_short() -> None:
    """Characters stand in for tokens: in this writing most digits and signs are one token each."""
    rng = random.Random(3)
    for name, limit in {
        "chain": 75,
        "equation": 30,
        "letters": 75,
        "coin": 130,
        "sort": 48,
        "count": 40,
    }.items():
        family = FAMILIES[name]
        level = max(family.levels)
        lengths = []
        for _ in range(200):
            problem = pose(name, family.draw(rng, level=level))
            lengths.append(len(family.solve(problem, "steps", rng).thinking or ""))
        assert sum(lengths) / len(lengths) <= limit, name


def test_names_are_plain_and_many() -> None:
    assert 230 <= len(FIRST_NAMES) <= 270 and len(set(FIRST_NAMES)) == len(FIRST_NAMES)
    assert 180 <= len(NOUNS) <= 230
    assert all(re.fullmatch("[A-Z]?[a-z]+", word) for word in (*FIRST_NAMES, *NOUNS))


def test_registry_knows_every_family_by_its_name() -> None:
    assert [registry.family(name).name for name in FAMILIES] == list(FAMILIES)
    assert set(registry.all_families) == {*FAMILIES, "facts"}
    assert set(registry.core_five) < set(registry.all_families)
