"""What a report is drawn from: evaluations of models, and the logs and tables of the stages before.

A role that is missing is no error: its section says that it was not run.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkling.core.artifact import Artifact
from thinkling.core.errors import UserError
from thinkling.evaluate.pool import Row, read_rows
from thinkling.evaluate.statistics import Estimate
from thinkling.evaluate.summary import estimate_of

# Evaluations: role -> (name in the report, CSS color, what it is).
MODELS: dict[str, tuple[str, str, str]] = {
    "base": ("base", "base", "pretrained on pages only"),
    "sft": ("SFT", "sft", "base, fine-tuned on worked solutions"),
    "rl": ("RL", "rl", "SFT, then reinforcement learning"),
    "control_direct": ("direct only", "direct", "control: fine-tuned on answers without any thinking"),
    "control_shuffled": ("shuffled rewards", "shuffled", "control: RL whose rewards were dealt at random"),
}
# Stages: role -> what it did.
STAGES: dict[str, str] = {
    "world": "write the procedural web",
    "data": "pages to clean documents",
    "tokenizer": "train the tokenizer",
    "shards": "documents to token shards",
    "pretrain": "train the base model",
    "sft_model": "supervised fine-tuning",
    "rl_model": "reinforcement learning",
    "control_direct_model": "fine-tune the direct-only control",
    "control_shuffled_model": "RL with shuffled rewards",
}


@dataclass(frozen=True)
class Evaluation:
    """One evaluated model."""

    role: str
    artifact: Artifact
    summary: dict[str, Any]
    rows: list[Row]

    @property
    def name(self) -> str:
        return MODELS[self.role][0]

    @property
    def color(self) -> str:
        return MODELS[self.role][1]

    def estimates(self, variant: str, measure: str) -> dict[str, Estimate]:
        """family (and "core5") -> estimate; empty where this way of asking was not run."""
        made = self.summary["variants"].get(variant, {}).get(measure, {})
        return {family: estimate_of(fields) for family, fields in made.items()}

    def pass_name(self) -> str | None:
        """``"pass16"``, or whatever k the evaluation sampled for; None without."""
        made = self.summary["variants"].get("t1", {})
        return next((key for key in made if key.startswith("pass") and made[key]), None)

    def of(self, variant: str) -> list[Row]:
        return [row for row in self.rows if row.variant == variant]


@dataclass(frozen=True)
class Sources:
    """Everything a report may draw on, by role."""

    evaluations: dict[str, Evaluation]
    stages: dict[str, Artifact]

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """All of them, stages first, evaluations after."""
        return {**self.stages, **{role: made.artifact for role, made in self.evaluations.items()}}

    def families(self) -> list[str]:
        """Families that any evaluation asked, in the order in which they were asked."""
        return list(dict.fromkeys(name for made in self.evaluations.values() for name in made.summary["families"]))

    def table(self, role: str, file: str) -> Any:
        """A JSON file of a stage, or None where the stage or the file is absent."""
        path = self.stages[role].path / file if role in self.stages else None
        return json.loads(path.read_text(encoding="utf-8")) if path is not None and path.exists() else None

    def log(self, role: str) -> list[dict[str, Any]]:
        """The log rows of a stage; none where it is absent."""
        return self.stages[role].log() if role in self.stages else []


def gather(parents: Mapping[str, Artifact]) -> Sources:
    """Open the parents by their roles. Raises UserError for a role that a report does not know."""
    known = [*MODELS, *STAGES]
    for role, artifact in parents.items():
        if role not in known:
            near = difflib.get_close_matches(role, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known roles: {', '.join(known)}"
            raise UserError(f"report: unknown role {role!r} for {artifact.name}; {hint}")
        if role in MODELS and artifact.manifest.kind != "evaluate":
            raise UserError(
                f"report: the role {role!r} takes an evaluation, but {artifact.name} is of kind "
                f"{artifact.manifest.kind!r}; give the model itself as {role}_model"
            )
    evaluations = {role: _open(role, parents[role]) for role in MODELS if role in parents}
    return Sources(evaluations, {role: parents[role] for role in STAGES if role in parents})


def _open(role: str, artifact: Artifact) -> Evaluation:
    summary = _read_json(artifact.path / "summary.json")
    return Evaluation(role, artifact, summary, read_rows(artifact.path / "episodes.parquet"))


def _read_json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
