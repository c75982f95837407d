"""Looking at recipes and at what they made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thinkling.core.artifact import MANIFEST, Artifact
from thinkling.core.errors import UserError
from thinkling.core.stages import load_stage


def settings_table(stage: str) -> str:
    """One line per key of the stage's recipe: name, type, default, what it means."""
    lines = []
    for name, field in load_stage(stage).recipe.model_fields.items():
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        lines.append((f"{name}: {_type_name(field.annotation)} = {default}", field.description or ""))
    width = min(48, max(len(left) for left, _ in lines))
    return "\n".join(f"{left:<{width}}  {right}".rstrip() for left, right in lines)


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def artifacts_in(path: Path) -> list[Artifact]:
    """The artifact in ``path``, or all artifacts of the run in it."""
    if (path / MANIFEST).exists():
        return [Artifact.open(path)]
    inside = sorted(file.parent for file in path.glob(f"*/{MANIFEST}"))
    if not inside:
        raise UserError(f"{path}: no manifest.json in it or in its subfolders; expected an artifact or a run")
    return [Artifact.open(folder) for folder in inside]
