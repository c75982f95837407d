"""A disk that is full outside of any stage: one line that says so, whoever was writing."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from thinkling.cli.main import main
from thinkling.core.disk import disk_full_message, is_disk_full

TOY = """
from thinkling.core.recipe import StageRecipe
class Recipe(StageRecipe):
    pass
def run(ctx, recipe):
    return {}
"""


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "writer",
    [
        "thinkling.core.lock.os.ftruncate",
        "thinkling.core.chain.run_worker",
        "thinkling.core.chain.write_atomically",
        "thinkling.cli.recipes.shutil.copyfile",
    ],
)
def test_a_full_disk_outside_a_stage_is_told(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "a.toml").write_text('stage = "toy.py"')
    (tmp_path / "toy.py").write_text(TOY)
    if "copyfile" in writer:
        report = SimpleNamespace(path=tmp_path, manifest=SimpleNamespace(kind="report"))
        monkeypatch.setattr("thinkling.core.chain.run_recipes", lambda *_, **__: {"report": report})
    monkeypatch.setattr(writer, full)
    monkeypatch.setattr(sys, "argv", ["thinkling", "run", "recipes", "--out", "out"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: the disk is full. Finished artifacts are intact")


def test_other_errors_of_files_are_not_taken_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("thinkling.core.chain.run_recipes", lambda *_, **__: Path("/nowhere").read_text())
    monkeypatch.setattr(sys, "argv", ["thinkling", "run", "recipes", "--out", str(tmp_path)])
    with pytest.raises(FileNotFoundError):
        main()


def test_a_folder_that_could_not_be_made_has_the_room_of_its_parent(tmp_path: Path) -> None:
    folder = tmp_path / "never" / "made"
    assert disk_full_message(folder).startswith("the disk is full (")
    assert str(folder) in disk_full_message(folder) and "MB free" in disk_full_message(Path("never/made"))
    assert not is_disk_full(ValueError("a bug"), folder)
    assert is_disk_full(OSError(errno.EDQUOT, "quota"), folder)
