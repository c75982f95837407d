"""The code revision: behaviour counts, words about it do not; hooks and data files belong to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from thinkling.core.code import PACKAGE, closure, revision
from thinkling.core.ingredients import outside_files

STAGE = '''
"""What it does."""
from thinkling.core.seeds import stream

class Recipe:
    "settings"
    steps: int = 3

def run(ctx, recipe):
    """Runs."""
    # why
    return {"n": recipe.steps}
'''


def digest(folder: Path, text: str) -> str:
    file = folder / "mine.py"
    file.write_text(text)
    return revision(file)[0]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# why", "# because", True),
        ('"""Runs."""', '"""Runs, slowly."""', True),
        ('"""Runs."""', "", True),
        ('"settings"', '"all settings"', True),
        ('{"n": recipe.steps}', '{"n":\n        recipe.steps}', True),
        ("= 3", "= 4", False),
        ('"n"', '"m"', False),
        ("recipe.steps}", "-recipe.steps}", False),
        ("from thinkling.core.seeds import stream", "from thinkling.core.seeds import derive", False),
        ("def run(ctx, recipe)", "def run(recipe, ctx)", False),
    ],
)
def test_what_changes_the_revision(tmp_path: Path, old: str, new: str, same: bool) -> None:
    assert old in STAGE
    before = digest(tmp_path, STAGE)
    assert (digest(tmp_path, STAGE.replace(old, new)) == before) is same


def test_the_closure_follows_imports_inside_functions_and_submodules(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "def f():\n    from thinkling.core import artifact\n"
        "if TYPE_CHECKING:\n    from thinkling.core.chain import run_recipes\n"
    )
    found = {path.relative_to(PACKAGE).as_posix() for path in closure(file) if path.is_relative_to(PACKAGE)}
    assert {"core/__init__.py", "core/artifact.py", "core/errors.py", "core/runlog.py"} <= found
    assert "core/chain.py" not in found


def test_a_hook_that_is_called_belongs_to_the_code_and_others_do_not(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    hooks = {"lend": "thinkling.core.lock:locked", "other": "thinkling.core.memory:tree_bytes"}
    file.write_text("def run(ctx, recipe):\n    return ctx.hook('lend')()\n")
    _, sources = revision(file, hooks)
    assert "thinkling/core/lock.py" in sources and "thinkling/core/memory.py" not in sources


def test_presentation_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from thinkling.core.stage import StageContext")
    _, sources = revision(file)
    assert "thinkling/core/stage.py" in sources
    assert "thinkling/core/progress.py" not in sources and "thinkling/__init__.py" not in sources


def test_files_that_a_recipe_names_are_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "arithmetic").write_text("a file that only happens to bear a family's name")
    (tmp_path / "mine.py").write_text("def spelling(): ...")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a.warc").write_text("a")
    settings = {
        "families": {"arithmetic": 1.0, "mine.py:spelling": 0.5},
        "inputs": ["./pages", "https://example.org/x.html", "0.5", "gone.jsonl"],
        "styles": "direct",
        "steps": 3,
    }
    before = outside_files(settings)
    assert set(before) == {"mine.py:spelling", "./pages"}
    (tmp_path / "pages" / "b.warc").write_text("b")
    after = outside_files(settings)
    assert after["./pages"] != before["./pages"] and after["mine.py:spelling"] == before["mine.py:spelling"]
