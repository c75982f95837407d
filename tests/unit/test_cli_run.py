"""`thinkling run`: what it leaves beside the artifacts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from thinkling.cli.main import app
from thinkling.core import chain
from thinkling.core.artifact import Artifact, Manifest


def test_the_published_metrics_agree_with_run_json_and_the_artifact_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    own = json.dumps({"wall_seconds": 10.0, "peak_rss_bytes": 100, "rl": {"best_temperature": None}}, indent=1) + "\n"
    (folder / "metrics.json").write_text(own)
    (folder / "report.html").write_text("<p>a report</p>")

    def made(recipes: Path, out: Path, **options: Any) -> dict[str, Artifact]:
        (out / "run.json").write_text(json.dumps({"wall_seconds": 12.5, "peak_rss_bytes": 150, "stages": {}}))
        return {"report": Artifact("report", folder, Manifest("id", "report", {}, {}, "", {}))}

    monkeypatch.setattr(chain, "run_recipes", made)
    result = CliRunner().invoke(app, ["run", str(tmp_path), "--out", str(tmp_path)])
    assert result.exit_code == 0 and str(tmp_path / "report.html") in result.output.replace("\n", "")
    assert json.loads((tmp_path / "metrics.json").read_text()) == {
        "wall_seconds": 12.5, "peak_rss_bytes": 150, "rl": {"best_temperature": None},
    }  # fmt: skip
    assert (tmp_path / "report.html").read_text() == "<p>a report</p>"
    assert (folder / "metrics.json").read_text() == own
