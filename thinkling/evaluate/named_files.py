"""The files that a strategy's spec names, and what identifies their content: a changed file is another strategy."""

from __future__ import annotations

import re
from pathlib import Path

from thinkling.core.artifact import MANIFEST, Artifact, list_files, sha256_file
from thinkling.core.seeds import content_key

_OWN = re.compile(r"([^:()=,]+\.py):\w+")
_VERIFIER = re.compile(r"verifier=([^,()]+)")


def fingerprint(spec: str) -> str:
    """The hash of what the files named in ``spec`` hold: a user's strategies, verifiers; "" where it names none."""
    paths = [*map(Path, _OWN.findall(spec)), *verifiers(spec)]
    return content_key(repr([content_of(path) for path in paths])) if paths else ""


def verifiers(spec: str) -> list[Path]:
    """The verifiers' folders that ``spec`` names."""
    return [Path(name) for name in _VERIFIER.findall(spec)]


def content_of(path: Path) -> str:
    """An artifact's id, or the hash of a file, or of all files of a folder.

    "" where there is nothing: who opens it will say so, and what was sampled before can still be reported.
    """
    if (path / MANIFEST).exists():
        return Artifact.open(path).manifest.id
    if path.is_file():
        return sha256_file(path)
    if path.is_dir():
        return content_key(repr([(file, sha256_file(path / file)) for file in list_files(path)]))
    return ""
