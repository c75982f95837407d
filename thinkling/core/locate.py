"""Finding a model's folder, without loading it: nothing is guessed, and damage is found here."""

from __future__ import annotations

from pathlib import Path

from thinkling.core.artifact import MANIFEST, Artifact
from thinkling.core.build import MAKING
from thinkling.core.code import PACKAGE
from thinkling.core.errors import UserError

PACKAGED = PACKAGE / "nano_model"


def find_model(model: str | Path | None = None) -> Path:
    """The folder that ``model`` means: a path, or the packaged model for None and "nano".

    Its files are verified where it has a manifest. Raises UserError for a folder that is missing,
    unfinished, damaged or no model; a run's folder is answered with the models in it.
    """
    folder = PACKAGED if model in (None, "nano") else Path(str(model))
    if folder == PACKAGED and not (folder / "config.json").exists():
        raise UserError(
            f"this installation has no packaged model ({folder} is missing or empty). Make one with "
            "`thinkling run recipes/nano --out runs/nano`, then name its folder, for example runs/nano/rl"
        )
    if not folder.is_dir():
        raise UserError(f'{folder}: no such folder; expected a model\'s folder, or "nano" for the packaged one')
    if (folder / MANIFEST).exists():
        Artifact.open(folder).verify()
    elif (folder / MAKING).exists():
        raise UserError(f"{folder}: unfinished; run the command that makes it again, it goes on from there")
    if not (folder / "config.json").exists():
        inside = sorted(path.parent.name for path in folder.glob("*/config.json"))
        hint = f"; it holds the models {', '.join(str(folder / name) for name in inside)}" if inside else ""
        raise UserError(f"{folder}: no config.json, so it is no model{hint}")
    return folder
