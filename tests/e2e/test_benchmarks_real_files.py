"""Benchmark files as published, where they are at hand: every record read, every gold graded, the papers' prompts."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from thinkling.core.errors import UserError
from thinkling.core.types import Problem
from thinkling.tasks.benchmarks import Benchmark, Fields, load, load_all
from thinkling.tasks.exemplars import read_exemplars
from thinkling.tasks.math_grading import equivalent, grade_math

SHARED = os.environ.get("THINKLING_SHARED_DATA")
pytestmark = pytest.mark.skipif(
    SHARED is None,
    reason="set THINKLING_SHARED_DATA to a folder with reasoning/ (benchmark files as published), cot_exemplars/ and "
    "model_outputs/ to run this",
)
needs_math_verify = pytest.mark.skipif(find_spec("math_verify") is None, reason="install math-verify to run this")
ROOT = Path(SHARED or "")

# file -> name, kind, problems, repeated, unscored
FILES = {
    "gsm8k/train.jsonl.gz": ("gsm8k", "number", 7473, 0, 0),
    "gsm8k/test_0000-0659.jsonl": ("gsm8k", "number", 660, 0, 0),
    "gsm_hard/gsm_hard_from_0000-0659.jsonl.gz": ("gsm-hard", "number", 660, 0, 0),
    "gsm_symbolic/GSM_p2_from_0000-0659.jsonl.gz": ("gsm-symbolic", "number", 1100, 0, 0),
    "svamp/svamp_half_a.json": ("svamp", "number", 500, 0, 0),
    "asdiv/mawps_singleop.jsonl": ("mawps_singleop", "number", 562, 31, 0),
    "competition/mawps_all.jsonl.gz": ("mawps_all", "number", 2065, 87, 0),
    "kojima/addsub.json": ("addsub", "number", 395, 0, 0),
    "kojima/multiarith.json": ("multiarith", "number", 600, 20, 0),
    "kojima/singleeq.json": ("singleeq", "number", 508, 0, 0),
    "kojima/aqua_test.jsonl": ("aqua", "choice:A-E", 254, 0, 0),
    "kojima/commonsenseqa_train.jsonl.gz": ("commonsenseqa", "choice:A-E", 9741, 0, 0),
    "kojima/commonsenseqa_dev.jsonl": ("commonsenseqa", "choice:A-E", 1221, 0, 0),
    "kojima/commonsenseqa_test_no_answers.jsonl.gz": ("commonsenseqa", "choice:A-E", 1140, 0, 1140),
    "kojima/strategyqa_bigbench.json": ("strategyqa", "yes-no", 2290, 1, 0),
    "qa/strategyqa_train_filtered.json.gz": ("strategyqa", "yes-no", 2821, 16, 0),
    "kojima/bigbench_date.json": ("date_understanding", "choice:A-F", 369, 0, 0),
    "kojima/bigbench_object_tracking.json": ("three_objects", "choice:A-C", 750, 0, 0),
    "kojima/coin_flip_000-249.json": ("coin-flip", "yes-no", 250, 0, 0),
    "kojima/last_letters_000-249.json": ("last-letters", "letters", 250, 0, 0),
    "agieval/aqua-rat.jsonl.gz": ("agieval-aqua-rat", "choice:A-E", 254, 0, 0),
    "agieval/lsat-ar.jsonl.gz": ("agieval-lsat-ar", "choice:A-E", 230, 0, 0),
    "agieval/lsat-lr.jsonl.gz": ("agieval-lsat-lr", "choice:A-E", 510, 0, 0),
    "agieval/lsat-rc.jsonl.gz": ("agieval-lsat-rc", "choice:A-E", 269, 0, 0),
    "agieval/sat-en.jsonl.gz": ("agieval-sat-en", "choice:A-D", 206, 1, 0),
    "agieval/sat-math.jsonl.gz": ("agieval-sat-math", "choice:A-D", 220, 0, 0),
    "math/math500_test.json.gz": ("math-500", "math", 500, 0, 0),
    "math/agieval_math_1000.jsonl.gz": ("agieval_math_1000", "math", 1000, 0, 0),
    "competition/aime24.jsonl": ("aime24", "math", 30, 0, 0),
    "competition/amc23.jsonl": ("amc23", "math", 40, 0, 0),
    "competition/minerva_math_ocw.jsonl": ("minerva_math_ocw", "math", 272, 0, 0),
}
MATH = ["math/math500_test.json.gz", "math/agieval_math_1000.jsonl.gz", "competition/aime24.jsonl"]


def rows(path: str) -> list[dict[str, Any]]:
    with gzip.open(ROOT / path, "rt") as lines:
        return [json.loads(line) for line in lines]


def right_and_wrong(problem: Problem, kind: str) -> tuple[str, str]:
    if kind.startswith("choice"):
        return f"({problem.answer})", "A" if problem.answer != "A" else "B"
    if kind == "yes-no":
        return problem.answer, {"yes": "no", "no": "yes"}[problem.answer]
    if kind == "number":
        return problem.answer, re.sub(r"^(-?)", r"\g<1>7", problem.answer)
    return problem.answer, f"{problem.answer} {problem.answer}"


def check_golds(made: Benchmark) -> None:
    for problem in made.problems:
        if problem.answer:
            right, wrong = right_and_wrong(problem, made.kind)
            assert made.grade(problem, f"So the answer is {right}.").score == 1.0, problem
            assert made.grade(problem, f"So the answer is {wrong}.").score == 0.0, problem
        else:
            assert made.grade(problem, "So the answer is (A).").status == "unscored"


@pytest.mark.parametrize("path", FILES)
def test_every_record_is_read(path: str) -> None:
    made = load(ROOT / "reasoning" / path)
    assert (made.name, made.kind, len(made.problems), made.duplicates, made.unscored) == FILES[path]
    for problem in made.problems:
        json.dumps(problem.meta)
    if made.kind != "math":
        check_golds(made)


def test_big_bench_hard_has_its_27_tasks() -> None:
    tasks = load_all(ROOT / "reasoning/bbh/bbh.jsonl.gz")
    assert (len(tasks), sum(len(made.problems) for made in tasks)) == (27, 6511)
    kinds = Counter(made.kind.partition(":")[0] for made in tasks)
    assert kinds == {"choice": 17, "yes-no": 4, "text": 4, "number": 2}
    assert {made.name: made.unscored for made in tasks if made.unscored} == {
        "bbh-movie_recommendation": 1,
        "bbh-ruin_names": 2,
    }
    for made in tasks:
        check_golds(made)


# Data set of the logs of Kojima et al. 2022 -> the file that its questions come from.
LOGS = {
    "addsub": "kojima/addsub.json",
    "coin_flip": "kojima/coin_flip_000-249.json",
    "commonsensqa": "kojima/commonsenseqa_dev.jsonl",
    "gsm8k": "gsm8k/test_0000-0659.jsonl",
    "last_letters": "kojima/last_letters_000-249.json",
    "multiarith": "kojima/multiarith.json",
    "shuffled_objects": "kojima/bigbench_object_tracking.json",
    "singleeq": "kojima/singleeq.json",
    "strategyqa": "kojima/strategyqa_bigbench.json",
    "svamp": "svamp/svamp_half_a.json",
}


def test_prompts_and_golds_are_those_of_the_paper() -> None:
    asked: dict[str, dict[str, str]] = {name: {} for name in (*LOGS, "aqua")}
    for row in rows("model_outputs/zero_shot_cot_text-davinci-002.jsonl.gz"):
        if row["dataset"] in asked:
            asked[row["dataset"]][" ".join(row["question"].split())] = row["gold"].replace(",", "").lower()
    for name, path in LOGS.items():
        made = load(ROOT / "reasoning" / path)
        ours = {" ".join(problem.prompt.split()): problem.answer.lower() for problem in made.problems}
        assert len(asked[name]) > 200 and asked[name] == ours, name
    # They put a space before an opening bracket; their shuffled dates cannot be had again.
    aqua = load(ROOT / "reasoning/kojima/aqua_test.jsonl")
    assert {re.sub(r"\s", "", question) for question in asked["aqua"]} == {
        re.sub(r"\s", "", problem.prompt) for problem in aqua.problems
    }


@pytest.mark.parametrize(
    ("path", "line", "message"),
    [
        ("agieval/gaokao-mathqa.jsonl.gz", 149, "one of the letters A, B, C, D in the field 'label'; got 'AD'"),
        ("agieval/logiqa-en.jsonl.gz", 11, "choices such as"),
        ("gsm_symbolic/templates_p1_from_0000-0659.jsonl", 1, "expected a known format"),
        ("competition/college_math.jsonl.gz", 1, "expected a known format"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_line(path: str, line: int, message: str) -> None:
    with pytest.raises(UserError) as error:
        load(ROOT / "reasoning" / path)
    assert f":{line}: " in str(error.value) and message in str(error.value)


def test_files_of_other_forms_by_their_fields() -> None:
    stem = load(
        ROOT / "reasoning/competition/mmlu_stem.jsonl.gz",
        fields=Fields("question", "answer", choices="choices", first_choice=0),
    )
    assert (stem.kind, len(stem.problems), stem.unscored) == ("choice:A-D", 3018, 0)
    check_golds(stem)
    college = load(ROOT / "reasoning/competition/college_math.jsonl.gz", fields=Fields("question", "answer"))
    assert (college.kind, len(college.problems)) == ("math", 2818)


def mutated(gold: str) -> str:
    """Another answer: the last digit, else the last lone letter, else the last word, is changed."""
    for pattern in (r"\d", r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])", r"(?<!\\)[A-Za-z]{2,}"):
        found = list(re.finditer(pattern, gold))
        if found:
            old = found[-1].group()
            new = str((int(old) + 1) % 10) if old.isdigit() else "q" if len(old) == 1 and old != "q" else f"{old}k"
            return gold[: found[-1].start()] + new + gold[found[-1].end() :]
    return f"{gold}+1"


@needs_math_verify
@pytest.mark.parametrize("path", MATH)
def test_mathematical_golds_equal_themselves_and_nothing_else(path: str) -> None:
    for problem in load(ROOT / "reasoning" / path).problems:
        gold = problem.answer
        assert grade_math(f"So $\\boxed{{{gold}}}$.", gold).score == 1.0
        assert equivalent(mutated(gold), gold) is False, gold


@needs_math_verify
def test_agreement_with_recorded_correctness_of_800_model_solutions() -> None:
    differ = []
    for row in rows("reasoning/math/qwen_math_cot_8samples_100.jsonl.gz"):
        for solution, recorded in zip(row["code"], row["score"], strict=True):
            if (grade_math(solution, row["gt"]).score == 1.0) is not recorded:
                differ.append((row["gt"], recorded))
    # The gold answer 10{,}000 was recorded as another number than 10000.
    assert differ == [("10{,}000", False)]


@needs_math_verify
def test_math_verify_s_own_examples() -> None:
    with open(ROOT / "reasoning/verify/math_verify_model_outputs.csv", newline="") as lines:
        for row in csv.DictReader(lines):
            said = re.findall(r"\$+[^$]+\$+", row["answer"])[-1]
            assert equivalent(said, row["gold"]) is True
    with open(ROOT / "reasoning/verify/math_verify_few_shot_answers.csv", newline="") as lines:
        texts = [row["answer"] for row in csv.DictReader(lines)]
    golds = ["26", "3000", "25", "12.5", "[2,5)", "24", "16"]
    for text, gold in zip(texts, golds, strict=False):
        assert grade_math(text, gold).score == 1.0, text


@pytest.mark.parametrize(
    ("file", "task", "count", "answers"),
    [
        ("wei2022_math_8shot.json", None, 8, ["6", "5", "39", "8", "9", "29", "33", "8"]),
        ("minerva_math_4shot.json", None, 4, ["[2,5)", "24", "16", "-\\frac{2}{3}"]),
        ("gsm8k_cot_pool.json", None, 10, ["72", "10", "5", "42", "624", "35", "48", "16", "41", "990"]),
        ("aqua_cot_pool.json", None, 10, list("DEBBBCAABE")),
        ("bbh_cot_prompts.jsonl", "dyck_languages", 3, ["] } ]", "] ) )", "} ] >"]),
        ("mmlu_flan_cot.json.gz", "college_physics", 5, ["(A)", "(D)", "(A)", "(A)", "(B)"]),
    ],
)
def test_exemplars(file: str, task: str | None, count: int, answers: list[str]) -> None:
    made = read_exemplars(ROOT / "cot_exemplars" / file, task)
    assert len(made) == count and [one.answer for one in made] == answers
    assert all(one.rationale and one.question and "Q:" not in one.question for one in made)


def test_every_prompt_of_big_bench_hard_and_mmlu() -> None:
    with open(ROOT / "cot_exemplars/bbh_cot_prompts.jsonl") as lines:
        tasks = [json.loads(line)["task"] for line in lines]
    assert [len(read_exemplars(ROOT / "cot_exemplars/bbh_cot_prompts.jsonl", task)) for task in tasks] == [3] * 27
    with gzip.open(ROOT / "cot_exemplars/mmlu_flan_cot.json.gz", "rt") as file:
        subjects = list(json.load(file))
    counts = Counter(len(read_exemplars(ROOT / "cot_exemplars/mmlu_flan_cot.json.gz", subject)) for subject in subjects)
    assert counts == {5: 54, 4: 3}
