"""Recipes: what is misspelt, mistyped or out of range is named, with the file and what to write."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from thinkling.core.errors import UserError
from thinkling.core.recipe import Settings, StageRecipe, load_recipe


class Shape(Settings):
    hidden_size: int = Field(default=192, ge=8)
    layers: int = 4


class Recipe(StageRecipe):
    learning_rate: float = Field(default=1e-3, gt=0.0)
    steps: int = Field(default=10, ge=1)
    styles: tuple[str, ...] = ("direct",)
    precision: Literal["auto", "float32"] = "auto"
    inputs: tuple[Path, ...] = ()
    shape: Shape = Shape()
    mixture: dict[str, float] = {}
    stages: tuple[Shape, ...] = ()


def load(folder: Path, text: str) -> Recipe:
    file = folder / "train.toml"
    file.write_text('stage = "train"\n' + text)
    return load_recipe(file, Recipe)


def test_defaults_arrays_tables_and_whole_numbers_for_floats(tmp_path: Path) -> None:
    recipe = load(
        tmp_path,
        'learning_rate = 1\nstyles = ["a", "b"]\ninputs = ["x/y"]\n[shape]\nlayers = 2\n[mixture]\na = 0.5\n',
    )
    assert recipe.learning_rate == 1.0 and recipe.styles == ("a", "b") and recipe.inputs == (Path("x/y"),)
    assert recipe.shape == Shape(layers=2) and recipe.mixture == {"a": 0.5}
    assert (recipe.steps, recipe.seed, recipe.parents) == (10, 0, {})


def test_a_recipe_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path, "").steps = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learning_rat = 0.1", ["unknown key 'learning_rat'", "did you mean 'learning_rate'?"]),
        ("[shape]\nhiden_size = 8", ["unknown key 'shape.hiden_size'", "did you mean 'hidden_size'?"]),
        ("[[stages]]\nlayer = 8", ["unknown key 'stages.0.layer'", "did you mean 'layers'?"]),
        ("qqqq = 1", ["unknown key 'qqqq'", "valid here: stage, parents, seed, learning_rate"]),
        ('steps = "many"', ["key 'steps'", "expected a valid integer", "came 'many' (str)"]),
        ("steps = 0", ["key 'steps'", "expected greater than or equal to 1", "came 0 (int)"]),
        ("steps = 2.0", ["key 'steps'", "expected a valid integer", "came 2.0 (float)"]),
        ("steps = true", ["key 'steps'", "came True (bool)"]),
        ('precision = "int4"', ["key 'precision'", "'auto' or 'float32'", "came 'int4'"]),
        ("styles = [1]", ["key 'styles.0'", "expected a valid string"]),
        ("[mixture]\na = 'x'", ["key 'mixture.a'", "expected a valid number"]),
        ("seed = -1", ["key 'seed'", "came -1"]),
        ("steps = 2024-01-01", ["dates are not used"]),
        ("steps = = 3", ["not valid TOML", "line 2"]),
    ],
)
def test_a_bad_recipe_names_file_key_and_remedy(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, text)
    for word in ["train.toml", *words]:
        assert word in str(caught.value)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, "step = 3\nlearning_rate = -1.0\n")
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_file_and_one_that_is_not_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such recipe file"):
        load_recipe(tmp_path / "none.toml", Recipe)
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read as a text file"):
        load_recipe(tmp_path / "x.toml", Recipe)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("steps = 3")
    with pytest.raises(UserError, match="x.toml: key 'stage' is missing"):
        load_recipe(tmp_path / "x.toml", Recipe)
