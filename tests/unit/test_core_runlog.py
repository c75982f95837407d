"""The run log survives a torn line; the progress line speaks to terminals and to files."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.progress import Progress, clock
from thinkling.core.runlog import RunLog


def test_rows_come_back_numpy_included(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl")
    log.append({"step": 1, "loss": np.float32(0.5), "ids": np.arange(2), "at": tmp_path})
    assert log.rows() == [{"step": 1, "loss": 0.5, "ids": [0, 1], "at": str(tmp_path)}]


def test_truncate_drops_from_the_first_row_at_or_after_the_step(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl")
    log.truncate(3)  # nothing there yet: nothing to do
    for step in range(6):
        log.append({"step": step})
        log.append({"note": step})
    log.truncate(3)
    assert [row.get("step", row.get("note")) for row in log.rows()] == [0, 0, 1, 1, 2, 2]
    log.append({"step": 3})
    assert log.rows()[-1] == {"step": 3}


@settings(max_examples=30)
@given(st.integers(min_value=0, max_value=60))
def test_a_torn_write_loses_only_itself(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        for step in range(4):
            RunLog(path).append({"step": step})
        content = path.read_bytes()[:cut]
        path.write_bytes(content)
        whole = content.count(b"\n")
        again = RunLog(path)
        assert again.rows() == [{"step": step} for step in range(whole)]
        again.append({"step": 9})
        assert RunLog(path).rows() == [*({"step": step} for step in range(whole)), {"step": 9}]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_redraws_one_line_and_ends_it() -> None:
    out = Terminal()
    with Progress(10, "training", stream=out) as progress:
        for done in range(1, 11):
            progress.update(done, loss=1.23456, tokens=12345)
    assert out.getvalue().startswith("\r") and out.getvalue().endswith("\n")
    assert "training 10/10  loss 1.235  tokens 12,345" in out.getvalue()
    assert out.getvalue().count("\n") == 1


def test_progress_in_a_file_prints_few_plain_lines() -> None:
    out = io.StringIO()
    with Progress(1000, "training", stream=out) as progress:
        for done in range(1, 1001):
            progress.update(done)
    assert out.getvalue() == "training 1000/1000\n"


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 75, 3725, -1)] == ["0:00", "1:15", "1:02:05", "0:00"]
