"""The experiments of docs/glass.md run as they stand there, on a problem or two."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "glass.md"
EXPERIMENTS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("code", EXPERIMENTS, ids=["lens", "heads"])
def test_an_experiment_of_the_page_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code.count("N = 20 ") == 1
    exec(compile(code.replace("N = 20 ", "N = 1 "), str(PAGE), "exec"), {"__name__": "experiment"})
    assert capsys.readouterr().out.count("Estimate(") >= 4
