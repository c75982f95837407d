"""The command line teaches, starts fast, and says what is wrong without a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from thinkling.cli.main import app
from thinkling.cli.recipes import settings_table
from thinkling.core.stages import STAGES

REPOSITORY = Path(__file__).resolve().parents[2]


def thinkling(*words: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from thinkling.cli.main import main; main()", *words]
    return subprocess.run(command, cwd=cwd, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True)


def test_help_names_every_command_and_shows_the_way() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    for word in [*STAGES, "run", "chat", "ask", "complete", "verify", "tokens", "runs/nano", "pretrain -> sft"]:
        assert word in text


@pytest.mark.parametrize("command", [*STAGES, "run", "chat", "ask", "complete", "verify", "tokens"])
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0 and f"Usage: root {command}" in result.output.replace("thinkling", "root")
    if command in STAGES:
        assert STAGES[command].does.split()[0] in result.output


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['thinkling', '--help']\n"
        "from thinkling.cli.main import app\n"
        "app(standalone_mode=False)\n"
        "heavy = {'torch', 'numpy', 'pyarrow', 'numba', 'scipy', 'tiktoken'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_settings_lists_every_key_with_type_default_and_meaning(tmp_path: Path) -> None:
    text = CliRunner().invoke(app, ["world", "--settings"]).output
    assert "seed: int = 0" in text and "root of every random stream" in text
    (tmp_path / "mine.py").write_text(
        "from thinkling.core.recipe import Settings, StageRecipe\n"
        "class Shape(Settings):\n    width: int = 8\n"
        "class Recipe(StageRecipe):\n    shape: Shape = Shape()\n    rates: dict[str, float] = {'a': 1.0}\n"
        "def run(ctx, recipe): return {}\n"
    )
    lines = settings_table(str(tmp_path / "mine.py")).splitlines()
    assert lines[-2:] == ["shape.width: int = 8", "rates: dict[str, float] = {'a': 1.0}"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "nowhere", "--out", "out"], "nowhere: no recipes"),
        (["sft", "--out", "out"], "expected: thinkling sft RECIPE.toml --out RUN_FOLDER"),
        (["sft", "world.toml", "--out", "out"], "is a recipe of stage 'world', not 'sft'"),
        (["world", "world.toml", "--out", "out", "--parent", "crawl"], "--parent takes ROLE=PATH"),
        (["verify", "."], "no manifest.json in it or in its subfolders"),
        (["chat", "nowhere"], "nowhere: no such folder"),
        (["ask", ".", "Why?"], "no config.json, so it is no model"),
    ],
)
def test_what_a_person_gets_wrong_is_said_in_one_line(tmp_path: Path, words: list[str], expected: str) -> None:
    (tmp_path / "world.toml").write_text('stage = "world"')
    done = thinkling(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and expected in done.stderr and "Traceback" not in done.stderr
