"""reasoning-gym through its adapter: seeds that do not overlap, splits by content, and its own partial credit."""

from __future__ import annotations

import importlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from thinkling.core.errors import UserError
from thinkling.core.types import Problem
from thinkling.tasks import gym
from thinkling.tasks.family import split_of

needs_gym = pytest.mark.skipif(find_spec("reasoning_gym") is None, reason="install reasoning-gym to run this")


@needs_gym
def test_theirs_overlap_and_ours_do_not() -> None:
    factory = importlib.import_module("reasoning_gym")
    theirs = [
        {factory.create_dataset("chain_sum", seed=seed, size=100)[i]["question"] for i in range(100)} for seed in (0, 1)
    ]
    assert len(theirs[0] & theirs[1]) == 99
    ours = [{problem.prompt for problem in gym.load("chain_sum", 100, seed).problems} for seed in (0, 1)]
    assert len(ours[0]) == len(ours[1]) == 100
    assert len(ours[0] & ours[1]) <= 1


@needs_gym
def test_a_problem_depends_on_seed_and_number_alone() -> None:
    few, many = gym.load("leg_counting", 3, 7), gym.load("leg_counting", 8, 7)
    assert few.problems == many.problems[:3]
    assert {gym.item_seed(7, "leg_counting", i) for i in range(1000)}.isdisjoint(
        gym.item_seed(8, "leg_counting", i) for i in range(1000)
    )
    assert all(0 <= gym.item_seed(s, "x", 0) < 2**31 for s in range(100))


@needs_gym
def test_splits_are_decided_by_content() -> None:
    made = gym.load("chain_sum:max_digits=2", 5, 0, "test").problems
    assert [problem.split for problem in made] == ["test"] * 5
    assert all(split_of(problem.key) == problem.split for problem in gym.load("chain_sum", 30, 0).problems)


@needs_gym
def test_scores_keep_partial_credit() -> None:
    made = gym.load("chain_sum:min_terms=2,max_terms=2", 1, 0)
    (problem,) = made.problems
    assert problem.family == made.name == "gym:chain_sum:min_terms=2,max_terms=2"
    for said in (problem.answer, f"The answer is {problem.answer}.", f"Hm. <answer> {problem.answer} </answer>"):
        assert made.grade(problem, said).score == 1.0
    spoken = made.grade(problem, f"I say {problem.answer}")
    size = len(problem.answer)
    assert spoken.score == size / (size + 6)  # the share of the response that the answer makes up
    assert made.grade(problem, "The answer is wrong.").score == 0.0
    assert made.grade(problem, "  ").status == "unparsed"


@needs_gym
def test_a_problem_of_many_answers_is_scored_all_the_same() -> None:
    made = gym.load("countdown", 1, 0)
    (problem,) = made.problems
    assert made.grade(problem, problem.answer).score == 1.0
    assert made.grade(problem, "1 + 1").score in (0.01, 0.05)  # theirs for a legal try
    made = gym.load("rubiks_cube", 1, 0)
    assert made.problems[0].answer == ""
    assert made.grade(made.problems[0], "F").status == "graded"


@needs_gym
def test_an_answer_that_is_evaluated_can_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = gym.load("n_queens", 1, 0)
    (problem,) = made.problems
    monkeypatch.setattr(gym, "_SCORER", gym.Isolated(gym.gym_worker.__name__, seconds=2.0))
    file = tmp_path / "made"
    for trick in (f"open({str(file)!r}, 'w')", f"__import__('os').system('touch {file}')", "10**10**10", "exit()"):
        verdict = made.grade(problem, f"<answer>{trick}</answer>")
        assert verdict.score == 0.0, trick
    assert not os.path.exists(file)
    assert made.grade(problem, problem.answer).score == 1.0
    gym._SCORER.close()


@needs_gym
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("chain_summ", "did you mean chain_sum?"),
        ("chain_sum:terms=3", "expected options out of min_terms, max_terms"),
        ("chain_sum:min_terms=0", "min_terms must be positive"),
        ("chain_sum:seed=3", "seed is not an option"),
        ("chain_sum:", "NAME:option=value"),
        ("chain_sum:3", "NAME:option=value"),
    ],
)
def test_what_is_no_set_is_refused(spec: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        gym.load(spec, 1, 0)
    assert message in str(error.value)


@needs_gym
def test_a_set_that_runs_out_says_so() -> None:
    with pytest.raises(UserError, match="expected 500 different problems of gym:chain_sum.*found"):
        gym.load("chain_sum:min_terms=2,max_terms=2,min_digits=1,max_digits=1", 500, 0)


def test_options_have_types() -> None:
    assert gym._parsed("x:a=3,b=0.5,c=[1, 2],d=true,e=None,f=red") == (
        "x",
        {"a": 3, "b": 0.5, "c": [1, 2], "d": True, "e": None, "f": "red"},
    )


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer>1</answer> or <answer>\n2 3\n4 5\n</answer>", "2 3\n4 5"),
        ("Work. The answer is 12.", "12"),
        ("The answer is:\n1 2\n3 4.", "1 2\n3 4."),
        ("1 2\n3 4", "1 2\n3 4"),
    ],
)
def test_what_is_handed_to_the_scorer(text: str, answer: str) -> None:
    assert gym.answer_in(text) == answer


def test_without_reasoning_gym_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ImportError(f"No module named {name}")

    monkeypatch.setattr(gym.importlib, "import_module", absent)
    with pytest.raises(UserError, match=r"thinkling\[gym\]"):
        gym.load("chain_sum", 1, 0)


def test_a_scorer_that_cannot_be_loaded_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gym, "_SCORER", gym.Isolated("thinkling.tasks.no_such_module"))
    problem = Problem("k", "test", "gym:x", "?", "1")
    made = gym.Gym("gym:x", "x", {}, (problem,), {"k": {"question": "?", "answer": "1"}})
    with pytest.raises(UserError, match=r"thinkling\[gym\]"):
        made.grade(problem, "1")
