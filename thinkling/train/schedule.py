"""The learning rate over a run: a linear warm-up, a plateau, a linear decay to almost nothing."""

from __future__ import annotations

from pydantic import Field

from thinkling.core.recipe import Settings


class ScheduleSettings(Settings):
    warmup: float = Field(default=0.02, ge=0, le=1, description="share of the steps spent warming up")
    decay: float = Field(default=0.4, ge=0, le=1, description="share of the steps spent decaying")
    final: float = Field(default=0.02, ge=0, le=1, description="factor on the peak rate at the end")


def factor(settings: ScheduleSettings, step: int, steps: int) -> float:
    """Multiple of the peak rate at ``step`` of ``steps``, in (0, 1]."""
    warm, fall = settings.warmup * steps, settings.decay * steps
    if step < warm:
        return (step + 1) / (warm + 1)
    left = steps - step
    if left < fall:
        return settings.final + (1 - settings.final) * left / fall
    return 1.0
