"""Artifacts: one folder per stage, described by a manifest that is written last.

A folder without ``manifest.json`` does not exist for readers. The manifest names every file with
its SHA-256, so a flipped byte is found, and identifies the artifact by what it was made from and
what it is: kind, recipe, parents, code, files. Clocks and machines do not enter the identity:
``log.jsonl``, ``timing.json`` and hidden files lie outside the hashes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thinkling.core.errors import UserError
from thinkling.core.runlog import RunLog, plain

MANIFEST = "manifest.json"
UNHASHED = frozenset({MANIFEST, "log.jsonl", "timing.json"})


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an artifact is.

    ``parents`` maps role -> id; ``code`` hashes the stage's import closure, ``sources`` each module
    in it; ``inputs`` hashes the files outside the run that the recipe names; ``files`` maps relative
    path -> SHA-256. ``choices`` are facts of the machine that the stage decided on (such as the
    precision), kept so that a resumed run repeats them. ``environment`` is for information only.
    """

    id: str
    kind: str
    parents: dict[str, str]
    recipe: dict[str, Any]
    code: str
    files: dict[str, str]
    sources: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished stage's folder, open for reading."""

    name: str
    path: Path
    manifest: Manifest

    @staticmethod
    def open(path: str | Path, name: str = "") -> Artifact:
        """The artifact in ``path``; raises UserError where there is no (readable) manifest."""
        path = Path(path)
        return Artifact(name or path.resolve().name, path, read_manifest(path))

    def verify(self) -> None:
        """Hash every file. Raises UserError naming each missing, changed or unlisted file."""
        faults = []
        present = list_files(self.path)
        for file, expected in sorted(self.manifest.files.items()):
            if file not in present:
                faults.append(f"{self.path / file}: missing; expected sha256 {expected}")
                continue
            found = sha256_file(self.path / file)
            if found != expected:
                faults.append(f"{self.path / file}: expected sha256 {expected}, found {found}")
        unlisted = sorted(set(present) - set(self.manifest.files))
        faults += [f"{self.path / file}: not in the manifest" for file in unlisted]
        if identity(self.manifest) != self.manifest.id:
            faults.append(f"{self.path / MANIFEST}: its id {self.manifest.id} does not match its own content")
        if faults:
            raise UserError("damaged artifact (restore the files, or make it again):\n" + "\n".join(faults))

    def log(self) -> list[dict[str, Any]]:
        """Rows of the stage's run log."""
        return RunLog(self.path / "log.jsonl").rows()

    def timing(self) -> dict[str, Any]:
        """``{"seconds", "peak_rss_bytes", "attempts"}`` of the stage; empty where it was not measured."""
        file = self.path / "timing.json"
        return json.loads(file.read_text()) if file.exists() else {}


def identity(manifest: Manifest) -> str:
    """The content hash that is the artifact's id (32 hex digits).

    The names that the recipe gives to its parents do not matter, only the parents' ids do.
    """
    recipe = {key: value for key, value in manifest.recipe.items() if key != "parents"}
    content = [manifest.kind, recipe, manifest.parents, manifest.code, manifest.inputs, manifest.files]
    return hashlib.sha256(canonical(content).encode()).hexdigest()[:32]


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: one text per value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=plain)


def read_manifest(folder: Path) -> Manifest:
    file = folder / MANIFEST
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        return Manifest(**fields)
    except (FileNotFoundError, NotADirectoryError):
        state = "has no manifest.json: it is unfinished or no artifact" if folder.is_dir() else "does not exist"
        raise UserError(f"{folder}: {state}; expected the folder of a finished stage") from None
    except (ValueError, TypeError) as error:
        raise UserError(f"{file}: not a manifest ({error}); make the artifact again") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Make the artifact exist: all its files reach the disk first, then the manifest, atomically."""
    for file in manifest.files:
        with (folder / file).open("rb") as handle:
            os.fsync(handle.fileno())
    text = json.dumps(dataclasses.asdict(manifest), indent=1, sort_keys=True, default=plain, allow_nan=False)
    write_atomically(folder / MANIFEST, text + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Replace ``path``; a reader sees the old text or the new, whatever happens in between."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def list_files(folder: Path) -> list[str]:
    """Relative POSIX paths of the files that a manifest lists, sorted; hidden ones are left out."""
    found = []
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            relative = (Path(base) / name).relative_to(folder).as_posix()
            if not name.startswith(".") and relative not in UNHASHED:
                found.append(relative)
    return sorted(found)


def hash_files(folder: Path) -> dict[str, str]:
    """Relative path -> SHA-256 of every file that a manifest lists."""
    return {file: sha256_file(folder / file) for file in list_files(folder)}


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
