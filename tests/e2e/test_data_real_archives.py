"""The pipeline on real archives (truncated, malformed and odd ones among them), where they are at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from thinkling.core.stage import StageContext
from thinkling.data import stage
from thinkling.data.documents import read_documents, read_rejects

SHARED = os.environ.get("THINKLING_SHARED_DATA")
pytestmark = pytest.mark.skipif(
    SHARED is None,
    reason="set THINKLING_SHARED_DATA to a folder with web/ (WARC archives) and text/ (tinyshakespeare.txt.gz, "
    "us_digitalgov.jsonl.gz) to run this",
)


def run(folder: Path, **settings: object) -> list[dict[str, object]]:
    recipe = stage.Recipe.model_validate_json(json.dumps({"stage": "data", "workers": 2, **settings}))
    stage.run(StageContext(folder), recipe)
    rows: list[dict[str, object]] = json.loads((folder / "funnel.json").read_text())
    return rows


def test_every_web_file(tmp_path: Path) -> None:
    assert SHARED is not None
    rows = run(tmp_path, inputs=[str(Path(SHARED) / "web")])
    kept, rejected = len(list(read_documents(tmp_path))), len(list(read_rejects(tmp_path)))
    assert rows[0]["kept"] == kept + rejected
    assert kept > 100
    unreadable = json.loads((tmp_path / "unreadable.json").read_text())
    named = {one["id"].rsplit("/", 1)[-1].rsplit(":", 1)[0] for one in unreadable["named"]}
    assert {"resiliparse_clipped.warc.gz", "warcio_truncated.warc"} <= named
    assert unreadable["count"] < 10


def test_text_files(tmp_path: Path) -> None:
    assert SHARED is not None
    text = Path(SHARED) / "text"
    run(tmp_path, text=[str(text / "tinyshakespeare.txt.gz"), str(text / "us_digitalgov.jsonl.gz")])
    documents = list(read_documents(tmp_path))
    assert len(documents) > 500
    assert any("MENENIUS" in document.text for document in documents)
