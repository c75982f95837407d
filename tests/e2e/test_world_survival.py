"""The world against the real filters at their published thresholds: good pages survive, bad ones go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thinkling.core.artifact import Artifact, Manifest
from thinkling.core.stage import StageContext
from thinkling.data import stage as data
from thinkling.world import stage as world


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("run")
    recipe = world.Recipe(characters=400_000, chunk_characters=400_000, workers=1, seed=11)
    world.run(StageContext(folder / "world"), recipe)
    manifest = Manifest(id="world", kind="world", parents={}, recipe={}, code="", files={})
    crawl = Artifact("world", folder / "world", manifest)
    ctx = StageContext(folder / "data", parents={"crawl": crawl})
    data.run(ctx, data.Recipe(stage="data", workers=0))
    return json.loads(Path(folder / "data" / "scores.json").read_text())


def test_good_pages_survive(scores: dict) -> None:
    assert scores["overall"]["recall"] >= 0.97
    assert scores["overall"]["precision"] >= 0.99


@pytest.mark.parametrize("step", ["url", "extract", "language", "quality", "exact_dedup", "near_dedup"])
def test_each_step_takes_what_it_is_charged_with(scores: dict, step: str) -> None:
    row = scores["steps"][step]
    assert row["should"] > 0
    assert row["recall"] >= 0.9, row
    assert row["precision"] >= 0.8, row


def test_main_text_is_extracted_and_personal_data_found(scores: dict) -> None:
    assert scores["extraction"]["f1"] >= 0.97
    assert scores["pii"]["recall"] >= 0.95 and scores["pii"]["precision"] >= 0.95
