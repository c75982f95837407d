"""Sets of problems: disjoint splits, stable keys, distinct problems; conversations for SFT; environments."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.core.seeds import stream
from thinkling.core.types import Message, Problem
from thinkling.tasks import registry
from thinkling.tasks.env import SingleTurn
from thinkling.tasks.family import Draft, pose
from thinkling.tasks.sets import SYSTEM_MESSAGES, conversations, problems, split_of

NAMES = tuple(name for name in registry.all_families if name != "facts")

# What seed 7 draws, for good: a changed key would move problems between the splits of published models.
GOLDEN = {
    "chain": "f000d987f1eb062f",
    "equation": "03156517848e3000",
    "letters": "cac0113c9aca1271",
    "coin": "2e5610f1c1f22558",
    "sort": "d41f8b71da5e861a",
    "decimals": "8a50bb34e2d935ca",
    "count": "58737b5210b856e3",
}


@pytest.mark.parametrize("name", NAMES)
def test_golden_keys(name: str) -> None:
    assert problems(registry.family(name), "test", 1, 7)[0].key == GOLDEN[name]


@given(st.text())
def test_a_split_is_a_function_of_the_key(key: str) -> None:
    assert split_of(key) == split_of(key)
    assert split_of(key) in ("train", "val", "test")


def test_splits_are_ninety_five_five() -> None:
    counts = Counter(split_of(str(i)) for i in range(20_000))
    assert abs(counts["train"] / 20_000 - 0.90) < 0.01
    assert abs(counts["val"] / 20_000 - 0.05) < 0.006
    assert abs(counts["test"] / 20_000 - 0.05) < 0.006


@pytest.mark.parametrize("name", NAMES)
def test_splits_are_disjoint_and_sets_reproducible(name: str) -> None:
    family = registry.family(name)
    sets = {split: problems(family, split, 25, seed=3) for split in ("train", "val", "test")}
    keys = {split: {problem.key for problem in found} for split, found in sets.items()}
    assert all(len(found) == 25 for found in keys.values())
    assert not keys["train"] & keys["val"] and not keys["train"] & keys["test"] and not keys["val"] & keys["test"]
    assert all(problem.split == split for split, found in sets.items() for problem in found)
    assert problems(family, "train", 25, seed=3) == sets["train"]
    assert problems(family, "train", 12, seed=3) == sets["train"][:12]
    assert problems(family, "train", 25, seed=4) != sets["train"]


@pytest.mark.parametrize("name", NAMES)
def test_options_reach_the_family(name: str) -> None:
    family = registry.family(name)
    easy = {problem.level for problem in problems(family, "train", 40, 1)}
    hard = {problem.level for problem in problems(family, "train", 20, 1, ood=True)}
    assert not easy & hard
    assert {problem.level for problem in problems(family, "train", 9, 1, level=2 if name != "sort" else 3)} in (
        {2},
        {3},
    )
    assert all(problem.meta["unseen"] for problem in problems(family, "train", 9, 1, unseen=True))
    assert not any(problem.meta["unseen"] for problem in problems(family, "train", 9, 1))


class Tiny:
    """A family with five problems, of which the train split holds some."""

    name = "tiny"
    styles = ("direct",)

    def draw(self, rng: random.Random, level: int | None = None, ood: bool = False) -> Draft:
        n = rng.randrange(5)
        return Draft(f"What is {n}?", str(n), str(n))

    def solve(self, problem: Problem, style: str, rng: random.Random, slip: bool = False) -> Message:
        return Message.assistant(problem.answer)

    def grade(self, problem: Problem, text: str) -> object:
        raise AssertionError("not graded here")


def test_an_exhausted_family_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinkling.tasks.sets._PATIENCE", 500)
    there = sum(pose("tiny", Draft("", "", str(n))).split == "train" for n in range(5))
    with pytest.raises(UserError, match=f"found only {there}"):
        problems(Tiny(), "train", 6, 0)  # type: ignore[arg-type]
    assert len(problems(Tiny(), "train", 6, 0, at_most=True)) == there  # type: ignore[arg-type]
    with pytest.raises(UserError, match="expected a split"):
        problems(Tiny(), "dev", 1, 0)  # type: ignore[arg-type]


MIXTURE = registry.mixture(NAMES)


def test_conversations_are_reproducible_and_end_with_the_assistant() -> None:
    some = list(conversations(MIXTURE, 300, 5, slip_share=0.1))
    assert some == list(conversations(MIXTURE, 300, 5, slip_share=0.1))
    assert some != list(conversations(MIXTURE, 300, 6, slip_share=0.1))
    for problem, style, messages in some:
        roles = [message.role for message in messages if message.role != "system"]
        assert roles in (["user", "assistant"], ["user", "assistant"] * 2)
        assert messages[-1].role == "assistant" and problem.split == "train"
        first = next(message for message in messages if message.role == "assistant")
        assert (first.thinking is None) == (style == "direct")
    assert {problem.family for problem, _, _ in some} == set(NAMES)


def test_conversations_hold_second_questions_and_system_messages() -> None:
    talks = [messages for _, _, messages in conversations(MIXTURE, 1000, 5)]
    assert 0.04 < sum(sum(m.role == "user" for m in talk) == 2 for talk in talks) / 1000 < 0.13
    openings = [talk[0].text for talk in talks if talk[0].role == "system"]
    assert 0.04 < len(openings) / 1000 < 0.13
    assert set(openings) == set(SYSTEM_MESSAGES)


def test_style_weights_and_slip_share_are_kept() -> None:
    found = list(conversations(MIXTURE, 1000, 1, styles={"steps": 3, "check": 1}))
    styles = Counter(style for _, style, _ in found)
    assert set(styles) == {"steps", "check"} and 0.7 < styles["steps"] / 1000 < 0.8
    slipped = list(conversations([(registry.family("chain"), 1.0)], 400, 1, 0.2, {"steps": 1.0}))
    family = registry.family("chain")
    wrong = sum(family.grade(problem, first_answer(messages)).score == 0 for problem, _, messages in slipped)
    assert 0.12 < wrong / 400 < 0.28
    with pytest.raises(UserError, match="expected a style with a weight"):
        next(conversations(MIXTURE, 1, 1, styles={"haiku": 1.0}))
    with pytest.raises(UserError, match="at least one family"):
        next(conversations([], 1, 1))


def first_answer(messages: list[Message]) -> str:
    return next(message.text for message in messages if message.role == "assistant")


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_conversations_never_ask_a_held_out_problem(seed: int) -> None:
    asked = {
        message.text for _, _, talk in conversations(MIXTURE, 5, seed) for message in talk if message.role == "user"
    }
    test = {problem.prompt for name in NAMES for problem in problems(registry.family(name), "test", 3, seed)}
    assert not asked & test


def test_an_environment_serves_one_attempt() -> None:
    family = registry.family("chain")
    problem = pose("chain", family.draw(stream(1, "env")))
    env = SingleTurn(problem, family)
    assert env.observe() == [Message.user(problem.prompt)]
    step = env.step(Message.assistant(f"The answer is {problem.answer}.", think="the answer is 999"))
    assert step.done and step.observation is None and step.verdict is not None and step.verdict.score == 1.0
    with pytest.raises(RuntimeError, match="make a new one"):
        env.step(Message.assistant("again"))
    with pytest.raises(RuntimeError, match="make a new one"):
        env.observe()


def test_only_the_answer_part_is_graded() -> None:
    family = registry.family("chain")
    problem = pose("chain", family.draw(stream(2, "env")))
    step = SingleTurn(problem, family).step(Message.assistant("", think=f"The answer is {problem.answer}."))
    assert step.verdict is not None and (step.verdict.score, step.verdict.status) == (0.0, "unparsed")
    with pytest.raises(ValueError, match="assistant"):
        SingleTurn(problem, family).step(Message.user("hello"))


def write_facts(path: Path, n: int = 400) -> Path:
    rows = [
        f'{{"id": "fact-{i}", "subject": "Town{i}", "relation": "mayor", "object": "Mayor Number {i % 9}", '
        f'"question": "Who is the mayor of Town{i}?", "mentions": {i}, "kind": "town"}}'
        for i in range(n)
    ]
    path.write_text("\n".join(rows))
    return path


def test_facts_are_asked_once_each_and_keep_their_mentions(tmp_path: Path) -> None:
    family = registry.family("facts", facts=write_facts(tmp_path / "facts.jsonl"))
    found = {split: problems(family, split, 400, 1, at_most=True) for split in ("train", "val", "test")}
    assert sum(map(len, found.values())) == 400 and min(map(len, found.values())) > 5
    problem = found["test"][0]
    assert problem.meta["mentions"] == int(problem.meta["id"].removeprefix("fact-"))
    rng = random.Random(0)
    for style in family.styles:
        assert family.grade(problem, family.solve(problem, style, rng).text).score == 1.0
        assert family.grade(problem, family.solve(problem, style, rng, slip=True).text).score == 0.0
    recalled = family.solve(problem, "steps", rng).thinking or ""
    assert problem.meta["subject"] in recalled and problem.answer in recalled
    assert family.grade(problem, f"the answer is {problem.answer.upper()}").score == 1.0
    asked = {p.key for p, _, _ in conversations([(family, 1.0)], 800, 1)}
    assert asked <= {p.key for p in found["train"]}
    with pytest.raises(UserError, match="ood"):
        problems(family, "test", 1, 1, ood=True)
