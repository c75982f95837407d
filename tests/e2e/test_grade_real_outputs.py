"""Published accuracies come out of published outputs: zero-shot chain of thought and BIG-Bench Hard."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thinkling.cli.grade import Tally, graded, read_rows
from thinkling.tasks import bbh
from thinkling.tasks.kojima import DATASETS, STEP_BY_STEP, trigger

SHARED = os.environ.get("THINKLING_SHARED_DATA")
pytestmark = pytest.mark.skipif(
    SHARED is None,
    reason="set THINKLING_SHARED_DATA to a folder with model_outputs/ (zero_shot_cot_text-davinci-002.jsonl.gz, "
    "zero_shot_cot_reported_accuracy.json, bbh_code-davinci-002_{cot,direct}.jsonl.gz) to run this",
)

HALVES = {"gsm8k", "svamp", "coin_flip", "last_letters"}

# What the authors' own evaluation printed per task file (percent), chain of thought and answer only; None where
# their repository (suzgunmirac/BIG-Bench-Hard, code-davinci-002-outputs, *_eval_metrics.jsonl) has no such file.
PUBLISHED: dict[str, tuple[float | None, float | None]] = {
    "boolean_expressions": (92.8, 88.4),
    "causal_judgement": (54.01069518716578, 63.63636363636363),
    "date_understanding": (87.2, 63.6),
    "disambiguation_qa": (76.0, 67.2),
    "dyck_languages": (56.8, 46.8),
    "formal_fallacies": (None, 52.4),
    "geometric_shapes": (54.4, 32.0),
    "hyperbaton": (66.4, 60.4),
    "logical_deduction_five_objects": (54.8, 32.4),
    "logical_deduction_seven_objects": (38.8, 26.0),
    "logical_deduction_three_objects": (87.6, 52.8),
    "movie_recommendation": (90.4, 84.8),
    "multistep_arithmetic_two": (47.6, 1.2),
    "navigate": (96.4, None),
    "object_counting": (93.2, 45.2),
    "penguins_in_a_table": (79.45205479452055, 66.43835616438356),
    "reasoning_about_colored_objects": (91.6, 67.6),
    "ruin_names": (68.4, 75.2),
    "salient_translation_error_detection": (60.8, 62.0),
    "snarks": (59.55056179775281, 61.23595505617978),
    "sports_understanding": (97.6, 72.8),
    "temporal_sequences": (96.8, 77.6),
    "tracking_shuffled_objects_five_objects": (89.6, 20.4),
    "tracking_shuffled_objects_seven_objects": (85.6, 14.4),
    "tracking_shuffled_objects_three_objects": (78.4, 37.6),
    "web_of_lies": (95.2, 51.6),
    "word_sorting": (40.4, 50.4),
}


def outputs(name: str) -> Path:
    assert SHARED is not None
    return Path(SHARED) / "model_outputs" / name


def both_verdicts(file: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    records = graded(file, Tally(("paper", "exact")))
    for (_, row), record in zip(read_rows(file), records, strict=True):
        yield row, record


def test_every_extraction_and_every_accuracy_of_zero_shot_chain_of_thought() -> None:
    correct: dict[str, list[bool]] = defaultdict(list)
    for row, record in both_verdicts(outputs("zero_shot_cot_text-davinci-002.jsonl.gz")):
        assert record["paper"]["pred"] == row["pred"], row
        assert record["paper"]["correct"] == (row["pred"] == row["gold"]), row
        correct[f"{row['dataset']}_{row['method']}"].append(record["paper"]["correct"])
    assert sum(map(len, correct.values())) == 16_094
    reported = json.loads(outputs("zero_shot_cot_reported_accuracy.json").read_text())
    assert set(correct) == set(reported)
    for name, values in correct.items():
        if not name.startswith(tuple(HALVES)):
            assert 100 * sum(values) / len(values) == pytest.approx(reported[name], abs=1e-9), name


def test_the_prediction_comes_from_what_the_model_said_alone(tmp_path: Path) -> None:
    file = outputs("zero_shot_cot_text-davinci-002.jsonl.gz")
    bare = tmp_path / "bare.jsonl"
    with bare.open("w") as sink:
        for _, row in read_rows(file):
            sink.write(json.dumps({key: row[key] for key in ("dataset", "method", "pred_before", "gold")}) + "\n")
    paper: Tally = Tally(("paper",))
    said = [record["pred"] for record in graded(bare, paper)]
    assert said == [row["pred"] for _, row in read_rows(file)]


def test_every_log_of_the_second_stage_holds_its_trigger() -> None:
    asked = 0
    for _, row in read_rows(outputs("zero_shot_cot_text-davinci-002.jsonl.gz")):
        if row["method"] == "zero_shot_cot":
            answers = DATASETS[row["dataset"]]
            assert STEP_BY_STEP in row["response"] and f"\n{trigger(answers.kind, answers.choices)}" in row["response"]
            asked += 1
    assert asked == 8047


def test_what_exact_reading_changes() -> None:
    to_right: Counter[str] = Counter()
    to_wrong: Counter[str] = Counter()
    for row, record in both_verdicts(outputs("zero_shot_cot_text-davinci-002.jsonl.gz")):
        paper, exact = record["paper"], record["exact"]
        assert exact["status"] in ("graded", "unparsed")
        assert exact["correct"] or exact["reason"]
        to_right[row["dataset"]] += exact["correct"] and not paper["correct"]
        to_wrong[row["dataset"]] += paper["correct"] and not exact["correct"]
        if paper["correct"] and not exact["correct"]:
            assert exact["status"] == "unparsed" or exact["reason"].startswith("ambiguous"), row
    assert +to_right == {
        **{"addsub": 28, "commonsensqa": 14, "date_understanding": 1, "gsm8k": 2},
        **{"last_letters": 4, "multiarith": 1, "singleeq": 31},
    }
    assert +to_wrong == {
        **{"addsub": 1, "aqua": 1, "commonsensqa": 75, "gsm8k": 4},
        **{"multiarith": 2, "singleeq": 2, "strategyqa": 33, "svamp": 2},
    }


@pytest.mark.parametrize(("method", "average"), [("cot", 73.9), ("direct", 56.6)])
def test_every_accuracy_of_big_bench_hard(method: str, average: float) -> None:
    file = outputs(f"bbh_code-davinci-002_{method}.jsonl.gz")
    correct: dict[str, list[bool]] = defaultdict(list)
    changed = Counter[str]()
    for row, record in both_verdicts(file):
        assert record["method"] == method
        correct[row["task"]].append(record["paper"]["correct"])
        if record["exact"]["correct"] != record["paper"]["correct"]:
            assert record["exact"]["status"] == "unscored"
            changed[row["task"]] += 1
    assert sum(map(len, correct.values())) == 6511
    shares = {task: sum(values) / len(values) for task, values in correct.items()}
    for task, (with_thought, without) in PUBLISHED.items():
        published = with_thought if method == "cot" else without
        if published is not None:
            assert 100 * shares[task] == pytest.approx(published, abs=1e-9), task
    mean = bbh.paper_average(shares)
    assert mean is not None and round(100 * mean, 1) == average
    assert changed == {"movie_recommendation": 1, "ruin_names": 2}
