"""The loop that every training stage shares: steps, schedule, log, live line, and a crash-proof state.

A step's batch, its samples and its updates are functions of (recipe, seed, step) alone, so a run that
was killed and resumed from its last state equals the uninterrupted run, bit for bit.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from safetensors import safe_open
from safetensors.torch import save_file

from thinkling.core.errors import UserError
from thinkling.core.recipe import StageRecipe
from thinkling.core.stage import StageContext
from thinkling.model.precision import choose, keep_freed_memory
from thinkling.model.transformer import Transformer
from thinkling.train import compiled
from thinkling.train.optimizer import Optimizer, OptimizerSettings
from thinkling.train.schedule import ScheduleSettings, factor

STATE = "state.safetensors"


class SavePoint:
    """Weights, optimizer and step in one file, replaced atomically."""

    def __init__(self, folder: Path, model: Transformer, optimizer: Optimizer) -> None:
        self.path = folder / STATE
        self.model, self.optimizer = model, optimizer

    def save(self, step: int) -> None:
        tensors = {f"w.{name}": w.detach() for name, w in self.model.weights.items()}
        tensors |= {f"o.{name}": tensor for name, tensor in self.optimizer.tensors.items()}
        draft = self.path.with_suffix(".draft")
        save_file(
            {name: tensor.cpu().contiguous() for name, tensor in tensors.items()},
            str(draft),
            metadata={"step": str(step), "updates": str(self.optimizer.updates)},
        )
        os.replace(draft, self.path)

    def load(self) -> int:
        """Restore what was saved and return the step to go on with; 0 where nothing was."""
        if not self.path.is_file():
            return 0
        with safe_open(str(self.path), framework="pt") as opened, torch.no_grad():
            for name, weight in self.model.weights.items():
                weight.copy_(opened.get_tensor(f"w.{name}"))
            for name, tensor in self.optimizer.tensors.items():
                tensor.copy_(opened.get_tensor(f"o.{name}"))
            metadata = opened.metadata()
        self.optimizer.updates = int(metadata["updates"])
        self.model.refresh()
        return int(metadata["step"])


def prepare(ctx: StageContext, precision: str, device: str) -> tuple[torch.dtype, torch.device]:
    """The number format and device of a stage, the probe's choice recorded for resuming."""
    keep_freed_memory()
    if device == "auto":
        device = ctx.choose("device", lambda: "cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device: expected a working CUDA device for {device!r}, found none; use device = 'cpu'")
    name = ctx.choose("precision", lambda: str(choose(precision, device)).removeprefix("torch."))
    return getattr(torch, name), torch.device(device)


class TrainRecipe(StageRecipe):
    """What the recipes of all training stages share."""

    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="of the computation; auto: bfloat16 where the hardware has it"
    )
    device: str = Field(default="auto", description="auto, cpu or cuda")
    steps: int = Field(default=100, ge=1, description="optimizer steps")
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    save_every: int = Field(default=50, ge=1, description="steps between save points for resuming")
    store: Literal["float32", "bfloat16"] = Field(default="float32", description="number format on disk")


# (step) -> values to log; it leaves gradients on the masters.
Step = Callable[[int], dict[str, Any]]


def train(
    ctx: StageContext,
    model: Transformer,
    optimizer: Optimizer,
    *,
    steps: int,
    schedule: ScheduleSettings,
    step: Step,
    what: str,
    after: Callable[[int], dict[str, Any]] = lambda done: {},
    save_every: int = 50,
    peak_share: float = 0.0,
) -> None:
    """Run ``step`` for every step from the last save point on; ``after(done)`` adds measurements to the row.

    ``peak_share``: what part of the machine's FLOP/s one token per second takes; 0 where it is not known.
    Raises UserError where the loss is not a number. A row's ``seconds`` is the only value that depends on the clock.
    """
    compiled.make_sure(model.config, model.dtype, model.device)
    point = SavePoint(ctx.scratch, model, optimizer)
    begin = point.load()
    ctx.truncate_log(begin or -1)
    if begin:
        ctx.note(f"{what}: goes on at step {begin} of {steps}")
    else:
        ctx.log(step=-1, **after(0))
    with ctx.progress(steps, what) as progress:
        for now in range(begin, steps):
            started = time.perf_counter()
            row = step(now)
            if not math.isfinite(row["loss"]):
                raise UserError(f"{what}: the loss became {row['loss']} at step {now}; lower the learning rate")
            rate = factor(schedule, now, steps)
            row |= {"gradient_norm": optimizer.step(rate), "rate_factor": rate}
            seconds = time.perf_counter() - started
            if "tokens" in row:
                row["tokens_per_second"] = row["tokens"] / seconds
            ctx.log(step=now, seconds=seconds, **row, **after(now + 1))
            progress.update(now + 1, **_shown(row, peak_share))
            if (now + 1) % save_every == 0 and now + 1 < steps:
                point.save(now + 1)


def _shown(row: dict[str, Any], peak_share: float) -> dict[str, Any]:
    """What the live line shows of a row, named briefly enough that 80 columns also hold the time left."""
    shown: dict[str, Any] = {name: row[name] for name in ("loss", "reward", "length") if name in row}
    if "tokens_per_second" in row:
        shown["tokens/s"] = round(row["tokens_per_second"])
        if peak_share:
            shown["FLOP use"] = f"{row['tokens_per_second'] * peak_share:.0%}"
    return shown
