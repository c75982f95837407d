"""Worked examples from files of every known form, and from our own families."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from thinkling.core.errors import UserError
from thinkling.tasks.exemplars import Exemplar, exemplars_of, read_exemplars
from thinkling.tasks.registry import core_five, family
from thinkling.tasks.sets import problems

SUM = Exemplar("What is 3 + 4?", "3 + 4 = 7.", "7")
PICK = Exemplar("Which is red?\n(A) grass\n(B) blood", "Blood is red.", "(B)")
PROMPT = (
    "canary\n-----\nAnswer questions.\n\n"
    "Q: What is 3 + 4?\nA: Let's think step by step.\n3 + 4 = 7. So the answer is 7.\n\n"
    "Q: Which is red?\n(A) grass\n(B) blood\nA: Blood is red. The answer is (B)."
)


def rows_of(*made: Exemplar) -> list[dict[str, str]]:
    return [{"question": one.question, "rationale": one.rationale, "answer": one.answer} for one in made]


FORMS: dict[str, Any] = {
    "ours": rows_of(SUM, PICK),
    "target": [
        {"question": SUM.question, "target": "3 + 4 = 7. The answer is 7."},
        {"question": PICK.question, "target": "Blood is red. So the answer is (B)."},
    ],
    "prompt": [{"task": "mixed", "prompt": PROMPT}],
    "prompts by task": {"mixed": PROMPT},
    "pool": {
        "cot_pool": [
            "Q: What is 3 + 4?\nA: 3 + 4 = 7. The answer is 7.\n\n",
            "Q: Which is red?\n(A) grass\n(B) blood\n\nA: Blood is red. The answer is (B).",
        ],
        "prefix": "Q: {QUESTION}\nA:",
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form(tmp_path: Path, form: str) -> None:
    file = tmp_path / "shots.json"
    file.write_text(json.dumps(FORMS[form]))
    assert read_exemplars(file) == (SUM, PICK)
    zipped = tmp_path / "shots.json.gz"
    zipped.write_bytes(gzip.compress(file.read_bytes()))
    assert read_exemplars(zipped) == (SUM, PICK)


def test_lines_and_plain_text(tmp_path: Path) -> None:
    lines = tmp_path / "shots.jsonl"
    lines.write_text("\n".join(map(json.dumps, rows_of(SUM, PICK))))
    assert read_exemplars(lines) == (SUM, PICK)
    lines.write_text(json.dumps(rows_of(SUM)[0]))
    assert read_exemplars(lines) == (SUM,)
    prompt = tmp_path / "prompt.txt"
    prompt.write_text(PROMPT)
    assert read_exemplars(prompt) == (SUM, PICK)


def test_answers_alone(tmp_path: Path) -> None:
    file = tmp_path / "shots.json"
    file.write_text(json.dumps([{"question": "3+4?", "answer": 7}]))
    assert read_exemplars(file) == (Exemplar("3+4?", "", "7"),)


def test_a_boxed_solution(tmp_path: Path) -> None:
    solution = (
        "So $x>1$.\nTherefore it is $\\boxed{[2,5)}$.\nFinal Answer: The final answer is $[2,5)$. I hope it is correct."
    )
    file = tmp_path / "shots.json"
    file.write_text(json.dumps([{"problem": "Find it.", "solution": solution, "few_shot": "1"}]))
    shown = "So $x>1$.\nTherefore it is $\\boxed{[2,5)}$."
    assert read_exemplars(file) == (Exemplar("Find it.", shown, "[2,5)"),)


def test_one_task_of_several(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    tasks = {"mixed": PROMPT, "sums": "Q: What is 3 + 4?\nA: 3 + 4 = 7. The answer is 7."}
    file.write_text("\n".join(json.dumps({"task": task, "prompt": prompt}) for task, prompt in tasks.items()))
    assert read_exemplars(file, "sums") == (SUM,)
    for task in (None, "dates"):
        with pytest.raises(UserError, match="one of its tasks: mixed, sums"):
            read_exemplars(file, task)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected questions 'Q: ...'"),
        ("[]", "at least one exemplar"),
        ("[1]", "exemplar 1: expected a JSON object"),
        ('{"question": "a", "answer": "b"}\n{"question"', ":2: expected one JSON object"),
        ('[{"question": "a"}]', "exemplar 1: expected text in the field 'answer'"),
        ('[{"question": "a", "target": "7"}]', "exemplar 1: expected 'The answer is ...' in the field 'target'"),
        ('[{"problem": "a", "solution": "7"}]', "an answer in \\boxed{...}"),
        ('{"decomposition_pool": ["Q: a"]}', "got an object with decomposition_pool"),
        ("Q: a\nA: b. The answer is c.\n\nQ: d", "question 2: expected one answer 'A: ...'"),
        ("Q: a\nA: it is b", "question 1: expected 'The answer is ...'"),
    ],
)
def test_what_is_no_exemplar_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "shots.json"
    file.write_text(content)
    with pytest.raises(UserError) as error:
        read_exemplars(file)
    assert message in str(error.value)


def test_a_missing_file_and_a_task_too_many(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is none"):
        read_exemplars(tmp_path / "none.json")
    file = tmp_path / "shots.json"
    file.write_text(json.dumps(rows_of(SUM)))
    with pytest.raises(UserError, match="holds one set"):
        read_exemplars(file, "sums")


@pytest.mark.parametrize("name", core_five)
def test_our_own_families_show_solved_train_problems(name: str) -> None:
    ours = family(name)
    made = exemplars_of(ours, 4, 3)
    assert len(made) == len(set(made)) == 4
    assert made == exemplars_of(ours, 4, 3) != exemplars_of(ours, 4, 4)
    train = {problem.prompt: problem for problem in problems(ours, "train", 32, 0, at_most=True)}
    tested = {problem.prompt for problem in problems(ours, "test", 200, 0, at_most=True)}
    for one in made:
        assert one.rationale and one.question not in tested
        if one.question in train:
            assert one.answer == train[one.question].answer


def test_a_small_file_of_problems_shows_what_it_has(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"question": "3+4?", "answer": "7", "solution": "3 + 4 = 7.", "split": "train"}\n')
    assert exemplars_of(family(str(file)), 8, 0) == (Exemplar("3+4?", "3 + 4 = 7.", "7"),)
