"""The settings of an evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from thinkling.core.recipe import StageRecipe, refuse_unknown
from thinkling.tasks.registry import all_families, known_families

Ask = Literal["chat", "text"]


class Recipe(StageRecipe):
    """Models that are to be compared need the same ``seed``: it draws the problems."""

    families: Annotated[tuple[str, ...], AfterValidator(known_families)] = Field(
        default=all_families, min_length=1, description="names, FILE.py:NAME or FILE.jsonl"
    )
    ask: tuple[Ask, ...] = Field(
        default=("chat",),
        min_length=1,
        description='"chat": through the chat protocol; "text": worked examples as plain text, for a base '
        "model. The first one is the headline; the other, if given, is greedy only and kept beside it",
    )
    problems: int = Field(default=500, ge=1, description="fresh test problems per family")
    samples: int = Field(default=16, ge=1, description="samples at temperature 1 per sampled problem")
    sampled_problems: int = Field(
        default=100, ge=0, description="problems per family with that many samples; the others get one"
    )
    ood_problems: int = Field(default=100, ge=0, description="problems beyond the training range, per family")
    unseen_problems: int = Field(default=100, ge=0, description="problems in unseen wordings, per family")
    think_families: tuple[str, ...] | None = Field(
        default=None,
        description="those of families asked also with thinking forced on, and forbidden; "
        "without this key the chain, where it is asked",
    )
    temperatures: tuple[float, ...] = Field(
        default=(), description="temperatures tried on val problems; the best one is then tested"
    )
    temperature_problems: int = Field(default=100, ge=1, description="val problems per family for that")
    shots: int = Field(default=2, ge=0, description='worked examples per family when asked as "text"')
    max_tokens: int = Field(default=160, ge=1, description="most tokens per answer, thinking included")
    slots: int = Field(default=256, ge=1, description="answers sampled side by side")
    max_len: int = Field(default=512, ge=2, description="most tokens of prompt and answer together")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="of the computation; auto: bfloat16 where the hardware has it"
    )

    @property
    def thinking(self) -> tuple[str, ...]:
        """``think_families`` with its default."""
        if self.think_families is None:
            return ("chain",) if "chain" in self.families else ()
        return self.think_families

    @field_validator("think_families")
    @classmethod
    def _asked(cls, value: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if value and "families" in info.data:
            refuse_unknown(value, info.data["families"])
        return value

    @model_validator(mode="after")
    def _sensible(self) -> Recipe:
        if len(set(self.ask)) < len(self.ask) or len(set(self.families)) < len(self.families):
            raise ValueError("ask and families must not repeat an entry")
        if any(not 0 <= temperature <= 5 for temperature in self.temperatures):
            raise ValueError("temperatures must lie between 0 and 5")
        return self
