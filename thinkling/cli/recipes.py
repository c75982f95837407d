"""Looking at recipes and at what they made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from thinkling.core.artifact import MANIFEST, Artifact, write_atomically
from thinkling.core.errors import UserError
from thinkling.core.stages import load_stage


def settings_table(stage: str) -> str:
    """One line per key of the stage's recipe: name, type, default, what it means; tables key by key."""
    lines = list(_settings(load_stage(stage).recipe, ""))
    width = min(48, max(len(left) for left, _ in lines))
    return "\n".join(f"{left:<{width}}  {right}".rstrip() for left, right in lines)


def _settings(cls: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in cls.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _settings(kind, f"{prefix}{name}.")
            continue
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        type_name = kind.__name__ if type(kind) is type else str(kind).replace("typing.", "")
        yield f"{prefix}{name}: {type_name} = {default}", field.description or ""


def publish_report(artifact: Artifact, out: Path) -> None:
    """Copy a report to where people look for it: beside the artifacts of the run ``out``, not inside one.

    The copied metrics.json tells the time and memory of run.json: while a report is drawn, nobody can know
    what drawing it takes, nor what the process that runs the stages does. The artifact's own stays as hashed.
    """
    shutil.copyfile(artifact.path / "report.html", out / "report.html")
    metrics, summary = (json.loads(file.read_text()) for file in (artifact.path / "metrics.json", out / "run.json"))
    metrics |= {name: summary[name] for name in ("wall_seconds", "peak_rss_bytes")}
    write_atomically(out / "metrics.json", json.dumps(metrics, indent=1, allow_nan=False) + "\n")


def artifacts_in(path: Path) -> list[Artifact]:
    """The artifact in ``path``, or all artifacts of the run in it."""
    if (path / MANIFEST).exists():
        return [Artifact.open(path)]
    inside = sorted(file.parent for file in path.glob(f"*/{MANIFEST}"))
    if not inside:
        raise UserError(f"{path}: no manifest.json in it or in its subfolders; expected an artifact or a run")
    return [Artifact.open(folder) for folder in inside]
