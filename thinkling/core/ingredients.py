"""What an artifact is made from, and so whether it must be made again."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thinkling.core.artifact import Artifact, Manifest, list_files, sha256_file
from thinkling.core.code import revision
from thinkling.core.stages import stage_file


@dataclass(frozen=True, slots=True)
class Ingredients:
    """Kind, settings, parents (role -> id), code and outside files; see Manifest for the fields."""

    kind: str
    recipe: dict[str, Any]
    parents: dict[str, str]
    code: str
    sources: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)

    def difference(self, other: Ingredients) -> str:
        """What changed since ``other``, in words; "" where both make the same artifact."""
        changed = []
        if self.kind != other.kind:
            changed.append(f"stage {other.kind} -> {self.kind}")
        for key in _differing(_settings(self.recipe), _settings(other.recipe)):
            changed.append(f"recipe: {key} {other.recipe.get(key)!r} -> {self.recipe.get(key)!r}")
        changed += [f"parent {role}" for role in _differing(self.parents, other.parents)]
        changed += [f"input {path}" for path in _differing(self.inputs, other.inputs)]
        if self.code != other.code:
            files = _differing(self.sources, other.sources)
            more = f" and {len(files) - 2} more" if len(files) > 2 else ""
            changed.append(f"code: {', '.join(files[:2])}{more}")
        return "; ".join(changed)

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def gather(recipe: dict[str, Any], parents: dict[str, Artifact], hooks: Mapping[str, str] | None = None) -> Ingredients:
    """Ingredients of the stage that ``recipe`` (complete, with its defaults) makes from ``parents``."""
    code, sources = revision(stage_file(recipe["stage"]), hooks)
    return Ingredients(
        kind=recipe["stage"],
        recipe=recipe,
        parents={role: artifact.manifest.id for role, artifact in parents.items()},
        code=code,
        sources=sources,
        inputs=outside_files(_settings(recipe)),
    )


def of_manifest(manifest: Manifest) -> Ingredients:
    """What an existing artifact was made from."""
    return Ingredients(
        manifest.kind, manifest.recipe, manifest.parents, manifest.code, manifest.sources, manifest.inputs
    )


def outside_files(settings: Any) -> dict[str, str]:
    """Path as written -> SHA-256, for every setting (or key of a table) that names an existing file or folder.

    So that a family in ``mine.py:spelling``, problems as JSONL or a folder of WARC files make an
    artifact stale when they change. A name counts as a path if it has a slash or a suffix.
    """
    if isinstance(settings, dict):
        settings = [*settings.keys(), *settings.values()]
    if isinstance(settings, list):
        return {path: digest for item in settings for path, digest in outside_files(item).items()}
    if not isinstance(settings, str) or len(settings) > 1000 or "\n" in settings:
        return {}
    file, function, _ = settings.partition(".py:")
    path = Path(f"{file}.py" if function else settings)
    if "/" not in settings and not path.suffix:
        return {}
    if path.is_file():
        return {settings: sha256_file(path)}
    if path.is_dir():
        whole = [(file, sha256_file(path / file)) for file in list_files(path)]
        return {settings: hashlib.sha256(repr(whole).encode()).hexdigest()}
    return {}


def _settings(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe without what is compared elsewhere: the stage is the kind, parents count by their ids."""
    return {key: value for key, value in recipe.items() if key not in ("stage", "parents")}


def _differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [key for key in sorted({*one, *other}) if one.get(key) != other.get(key)]
