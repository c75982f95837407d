"""`thinkling grade`: formats, table, verdicts on disk, and what a person gets wrong."""

from __future__ import annotations

import errno
import gzip
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from thinkling.cli.grade import Kind, Modes, grade
from thinkling.core.errors import UserError
from thinkling.evaluate.statistics import wilson
from thinkling.tasks.cleansing import MODES
from thinkling.tasks.kojima import KINDS

LOGS = [
    {"dataset": "gsm8k", "method": "zero_shot", "n": 1, "pred_before": " 5600.", "pred": "x", "gold": "5,600"},
    {"dataset": "gsm8k", "method": "zero_shot", "n": 2, "pred_before": "4 or 5", "gold": "4"},
    {"dataset": "gsm8k", "method": "zero_shot", "n": 7, "pred_before": "7.", "gold": "7"},
    {"dataset": "gsm8k", "method": "few_shot", "n": 1, "pred_before": "2 and 3. The answer is 5.", "gold": "5"},
    {
        "dataset": "commonsensqa",
        "method": "zero_shot_cot",
        "n": 1,
        "question": "Where? Answer Choices: (A) roof (B) california",
        "pred_before": "California.",
        "gold": "B",
    },
]
BBH = [
    {"task": "navigate", "input": "Q: ...", "prediction": "We are back. So the answer is Yes.", "target": "Yes"},
    {"task": "navigate", "input": "Q: ...", "prediction": "We are back. We are", "target": "Yes"},
]


def command() -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(grade)
    return app


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(command(), [str(word) for word in words])


def refused(*words: str | Path) -> str:
    error = call(*words).exception
    assert isinstance(error, UserError), error
    return str(error)


def write(file: Path, rows: list[Any]) -> Path:
    data = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()
    file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)
    return file


def verdicts(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_the_choices_of_the_command_are_those_of_the_library() -> None:
    assert [*Modes] == [*MODES, "both"] and [*Kind] == list(KINDS)


@pytest.mark.parametrize("name", ["logs.jsonl", "logs.jsonl.gz"])
def test_logs_as_the_paper_graded_them(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out.jsonl"
    result = call(write(tmp_path / name, LOGS), "--mode", "paper", "--out", out)
    assert result.exit_code == 0, result.exception
    rows = verdicts(out)
    assert [(row["pred"], row["correct"], row["status"]) for row in rows] == [
        ("5600", False, "graded"),
        ("4", True, "graded"),
        ("7", True, "graded"),
        ("5", True, "graded"),
        ("C", False, "graded"),
    ]
    assert rows[2] == {
        "line": 3,
        "dataset": "gsm8k",
        "method": "zero_shot",
        "n": 7,
        "pred": "7",
        "correct": True,
        "status": "graded",
        "reason": "",
    }
    table = [line.split() for line in result.output.splitlines()]
    share = wilson(2, 3)
    expected = ["gsm8k", "zero_shot", "3", "66.7%", f"[{100 * share.low:.1f},", f"{100 * share.high:.1f}]", "0.0%"]
    assert table[1] == expected
    assert [row[:3] for row in table[2:]] == [["gsm8k", "few_shot", "1"], ["commonsensqa", "zero_shot_cot", "1"]]


def test_exact_is_the_default_and_both_shows_what_changes(tmp_path: Path) -> None:
    file, out = write(tmp_path / "logs.jsonl", LOGS), tmp_path / "out.jsonl"
    assert call(file, "--out", out).exit_code == 0
    assert [row["correct"] for row in verdicts(out)] == [True, False, True, True, True]
    assert verdicts(out)[1]["reason"].startswith("ambiguous") and verdicts(out)[1]["pred"] == "4 or 5"
    result = call(file, "--mode", "both", "--out", out)
    assert [(row["paper"]["correct"], row["exact"]["correct"]) for row in verdicts(out)] == [
        (False, True),
        (True, False),
        (True, True),
        (True, True),
        (False, True),
    ]
    head, first, few, choice, *rest = result.output.splitlines()
    assert head.split()[-4:] == ["to", "right", "to", "wrong"]
    assert [line.split()[-2:] for line in (first, few, choice)] == [["1", "1"], ["0", "0"], ["1", "0"]]
    told = "\n".join(rest)
    assert "gsm8k zero_shot, line 1: '5600.' for '5,600': paper wrong '5600', exact right '5600'" in told
    assert "line 2: '4 or 5' for '4': paper right '4', exact wrong '4 or 5' (ambiguous: 2 different" in told
    assert "line 5: 'California.' for 'B': paper wrong 'C', exact right 'B'" in told


def test_big_bench_hard_outputs_are_known_by_their_fields(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    result = call(write(tmp_path / "bbh.jsonl", BBH), "--mode", "paper", "--out", out)
    assert [(row["line"], row["dataset"], row["method"]) for row in verdicts(out)] == [
        (1, "navigate", "cot"),
        (2, "navigate", "cot"),
    ]
    assert [(row["pred"], row["correct"], row["status"]) for row in verdicts(out)] == [
        ("Yes", True, "graded"),
        ("", False, "unparsed"),
    ]
    assert result.output.splitlines()[1].split()[-1] == "50.0%"
    call(write(tmp_path / "bbh.jsonl", [BBH[0] | {"prediction": "no"}]), "--out", out)
    assert (verdicts(out)[0]["method"], verdicts(out)[0]["pred"]) == ("direct", "no")


OWN = ("--text-field", "said", "--gold-field", "right", "--kind")


def test_outputs_of_ones_own(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"said": "It is 2 and 3. The answer is 8.00.", "right": 8},
        "",
        {"said": "The answer is 0.10", "right": 0.10, "dataset": "mine", "method": "cot"},
        {"said": "no idea", "right": "8"},
        {"said": "The answer is 8.", "right": None},
    ]
    file, out = write(tmp_path / "own.jsonl", rows), tmp_path / "out.jsonl"
    result = call(file, *OWN, "number", "--out", out)
    assert result.exit_code == 0, result.exception
    assert [(row["line"], row["dataset"], row["correct"], row["status"]) for row in verdicts(out)] == [
        (1, "own.jsonl", True, "graded"),
        (3, "mine", True, "graded"),
        (4, "own.jsonl", False, "unparsed"),
        (5, "own.jsonl", None, "unscored"),
    ]
    assert "unscored" in result.output.splitlines()[0]
    assert result.output.splitlines()[1].split() == ["own.jsonl", "3", "50.0%", "[9.5,", "90.5]", "33.3%", "1"]


def test_choices_of_ones_own_by_letter_and_by_text(tmp_path: Path) -> None:
    rows = [{"said": "The answer is the board.", "right": "F", "asked": "(A) x (B) y (C) z (D) u (E) v (F) board"}]
    file, out = write(tmp_path / "own.jsonl", rows), tmp_path / "out.jsonl"
    call(file, *OWN, "choice", "--question-field", "asked", "--out", out)
    assert (verdicts(out)[0]["pred"], verdicts(out)[0]["correct"]) == ("F", True)
    call(
        write(file, [{"said": "The answer is (F).", "right": "F"}]), *OWN, "choice", "--choices", "ABCDEF", "--out", out
    )
    assert verdicts(out)[0]["correct"] is True
    call(file, *OWN, "choice", "--out", out)
    assert verdicts(out)[0]["status"] == "unscored"


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("{", "logs.jsonl:2: expected one JSON object in UTF-8"),
        ("[" * 100_000, "logs.jsonl:2: expected one JSON object in UTF-8"),
        ("[1]", "logs.jsonl:2: expected a JSON object; got list"),
        (LOGS[0] | {"dataset": "math"}, "logs.jsonl:2: expected a dataset out of addsub, aqua,"),
        (LOGS[0] | {"method": "oracle"}, "expected a method out of zero_shot, zero_shot_cot, few_shot, few_shot_cot"),
        (
            LOGS[0] | {"pred_before": None},
            "expected text in the field 'pred_before' (an empty one for no answer); came None",
        ),
        (LOGS[0] | {"gold": True}, "expected text in the field 'gold'"),
        ({"dataset": "gsm8k", "method": "zero_shot"}, "came only the fields dataset, method"),
    ],
)
def test_a_broken_line_is_named_and_leaves_nothing_behind(tmp_path: Path, second: Any, expected: str) -> None:
    file, out = write(tmp_path / "logs.jsonl", [LOGS[0], second, LOGS[1]]), tmp_path / "out.jsonl"
    out.write_text("as it was")
    assert expected in refused(file, "--out", out)
    assert out.read_text() == "as it was" and sorted(os.listdir(tmp_path)) == ["logs.jsonl", "out.jsonl"]


def test_other_mistakes_are_told(tmp_path: Path) -> None:
    file = write(tmp_path / "logs.jsonl", LOGS)
    assert "there is none" in refused(tmp_path / "nowhere.jsonl")
    assert "the file has none" in refused(write(tmp_path / "empty.jsonl", ["", ""]))
    assert "the row has question, answer" in refused(write(tmp_path / "x.jsonl", [{"question": "?", "answer": "!"}]))
    assert "all three" in refused(file, "--text-field", "pred_before")
    assert "belong to --kind choice" in refused(file, *OWN, "number", "--choices", "AB")
    assert "letters of the choices in capitals" in refused(file, *OWN, "choice", "--choices", "A-E")
    assert "'sums' is no task" in refused(write(tmp_path / "b.jsonl", [BBH[0] | {"task": "sums"}]))
    assert "is the file that is graded" in refused(file, "--out", file)
    assert "expected a file in a folder that is there" in refused(file, "--out", tmp_path / "no" / "out.jsonl")
    assert "expected a file in a folder that is there" in refused(file, "--out", "/dev/null")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(os.urandom(3000).hex().encode() + b"\n{}")[:-40])
    assert "damaged gzip after line 0" in refused(tmp_path / "cut.gz")


def test_a_full_disk_leaves_the_old_verdicts_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, out = write(tmp_path / "logs.jsonl", LOGS), tmp_path / "out.jsonl"
    out.write_text("as it was")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("thinkling.cli.grade.os.fsync", full)
    error = call(file, "--out", out).exception
    assert isinstance(error, OSError) and error.errno == errno.ENOSPC
    assert out.read_text() == "as it was" and sorted(os.listdir(tmp_path)) == ["logs.jsonl", "out.jsonl"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    file, out = write(tmp_path / "logs.jsonl", LOGS), tmp_path / "out.jsonl"
    (tmp_path / "link.jsonl").symlink_to(out)
    assert call(file, "--out", tmp_path / "link.jsonl").exit_code == 0
    assert (tmp_path / "link.jsonl").is_symlink() and len(verdicts(out)) == len(LOGS)


@pytest.mark.parametrize("mode", ["paper", "exact"])
def test_a_million_digits_neither_crash_nor_take_long(tmp_path: Path, mode: str) -> None:
    long = "1" * 10**6
    rows = [
        LOGS[2],
        LOGS[2] | {"pred_before": long},
        LOGS[2] | {"gold": long},
        json.dumps(LOGS[2])[:-1] + f', "x": {long}}}',
    ]
    begun = time.process_time()
    out = tmp_path / "out.jsonl"
    result = call(write(tmp_path / "logs.jsonl", rows), "--mode", mode, "--out", out)
    assert result.exit_code == 0, result.exception
    assert [row["correct"] for row in verdicts(out)] == [True, False, False if mode == "paper" else None, True]
    assert time.process_time() - begun < 10


def test_odd_text_is_printed_and_written(tmp_path: Path) -> None:
    rows = [{"said": "The answer is \ud800\x1b[2J.", "right": "x", "dataset": "a\x1b[2Jb"}]
    out = tmp_path / "out.jsonl"
    result = call(write(tmp_path / "own.jsonl", rows), *OWN, "text", "--mode", "both", "--out", out)
    assert result.exit_code == 0, result.exception
    assert "\x1b" not in result.output and "'a\\x1b[2Jb'" in result.output
    assert verdicts(out)[0]["dataset"] == "a\x1b[2Jb"
