"""Names of families and styles in recipes: a misspelt one is refused before any stage starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from thinkling.core.chain import read_plan
from thinkling.core.errors import UserError
from thinkling.core.recipe import StageRecipe, load_recipe, parse_recipe
from thinkling.core.stages import load_stage

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


def load(folder: Path, stage: str, text: str) -> StageRecipe:
    file = folder / f"{stage}.toml"
    file.write_text(f'stage = "{stage}"\n{text}')
    return load_recipe(file, load_stage(stage).recipe)


@pytest.mark.parametrize(
    ("stage", "text", "words"),
    [
        ("sft", "[styles]\nstps = 1.0", ["key 'styles'", "unknown name 'stps'", "did you mean 'steps'?"]),
        ("sft", "[styles]\nqq = 1.0", ["key 'styles'", "valid here: direct, steps, equation, check"]),
        ("sft", "[styles]\nstps = 1.0\n[families]\n'mine.jsonl' = 1.0", ["unknown name 'stps'"]),
        ("sft", "[families]\nchian = 1.0", ["key 'families'", "unknown name 'chian'", "did you mean 'chain'?"]),
        ("rl", "[families]\ncoins = 1.0\nsrot = 1.0", ["did you mean 'coin'?", "'srot'; did you mean 'sort'?"]),
        ("rl", "[families]\n'mine.py' = 1.0", ["unknown name 'mine.py'", "FILE.py:NAME"]),
        ("evaluate", 'families = ["leters"]', ["key 'families'", "did you mean 'letters'?"]),
        ("evaluate", 'families = ["chain", "qqqq"]', ["valid here: chain, equation", "FILE.jsonl"]),
        ("evaluate", 'think_families = ["chian"]', ["key 'think_families'", "did you mean 'chain'?"]),
        (
            "evaluate",
            'families = ["coin"]\nthink_families = ["chain"]',
            ["key 'think_families'", "unknown name 'chain'", "did you mean 'coin'?"],
        ),
    ],
)
def test_an_unknown_name_is_refused_with_file_key_and_the_nearest(
    tmp_path: Path, stage: str, text: str, words: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, stage, text)
    for word in [f"{stage}.toml", *words]:
        assert word in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        ("sft", "[styles]\nsonnet = 1.0\n[families]\n'mine.py:Poems' = 1.0"),
        ("sft", "[families]\n'mine.jsonl' = 1.0\nfacts = 0.5"),
        ("rl", "[families]\n'some/mine.json' = 1.0\n'mine.py:Poems' = 1.0"),
        ("evaluate", 'families = ["mine.jsonl", "coin"]\nthink_families = ["mine.jsonl"]'),
        ("evaluate", 'families = ["mine.jsonl"]'),
    ],
)
def test_what_is_known_or_the_users_own_passes_also_when_completed(tmp_path: Path, stage: str, text: str) -> None:
    recipe = load(tmp_path, stage, text)
    again = parse_recipe(recipe.model_dump(mode="json"), type(recipe), "completed")
    assert again == recipe


@pytest.mark.parametrize("folder", ["nano", "smoke"])
def test_our_recipes_pass(folder: str) -> None:
    for planned in read_plan(RECIPES / folder):
        parse_recipe(planned.table, load_stage(planned.table["stage"]).recipe, str(planned.origin))
