"""Supervised fine-tuning on conversations; only what the assistant says is learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.core.stage import StageContext
from thinkling.model.checkpoint import load_model
from thinkling.tasks import registry
from thinkling.tasks.sets import conversations
from thinkling.tokenizer import chat
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.train.export import export
from thinkling.train.loop import TrainRecipe, prepare, train
from thinkling.train.optimizer import Optimizer
from thinkling.train.packing import Packer, Sequence

PATIENCE = 5_000  # conversations in a row that are too long before no other is hoped for


class Recipe(TrainRecipe):
    families: Annotated[dict[str, float], AfterValidator(registry.known_families)] = Field(
        default={name: 1.0 for name in registry.all_families},
        description="problem family -> weight: a built-in name, FILE.py:NAME, or a JSONL file of problems",
    )
    styles: Annotated[dict[str, float], AfterValidator(registry.known_styles)] = Field(
        default={"direct": 1.0, "steps": 1.0, "equation": 1.0, "check": 1.0},
        description="style of the worked solutions -> weight",
    )
    slip_share: float = Field(default=0.05, ge=0, le=1, description="share of solutions with a human slip")
    windows: int = Field(default=32, ge=1, description="windows per step")
    length: int = Field(default=256, ge=16, description="tokens per window")


@dataclass(frozen=True, slots=True)
class Batch:
    """A step's windows, how many of each style went in, and how many conversations were too long for any."""

    packer: Packer
    styles: Counter[str]
    too_long: int


class Conversations:
    """Batches of packed conversations; a step's are a function of the seed and the step alone."""

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, context: dict[str, Any]) -> None:
        self.recipe, self.tokenizer = recipe, tokenizer
        self.mixture = registry.mixture(recipe.families, **context)

    def batch(self, step: int) -> Batch:
        """Windows filled until a conversation no longer fits. Raises UserError where hardly any ever does."""
        packer = Packer(self.recipe.windows, self.recipe.length)
        styles: Counter[str] = Counter()
        too_long = 0
        missed: list[tuple[str, int]] = []  # (family, size) of the latest ones, if they were all too long
        for family, style, sequence in self._stream(step):
            size = len(sequence.ids) - 1
            if size > self.recipe.length:
                too_long += 1
                missed.append((family, size))
                if len(missed) == PATIENCE:
                    raise UserError(self._hopeless(missed))
            elif packer.add(sequence):
                styles[style] += 1
                missed.clear()
            else:
                break
        return Batch(packer, styles, too_long)

    def _stream(self, step: int) -> Iterator[tuple[str, str, Sequence]]:
        drawn = conversations(
            self.mixture,
            10**9,
            derive(self.recipe.seed, "sft", step),
            self.recipe.slip_share,
            self.recipe.styles,
        )
        for problem, style, messages in drawn:
            rendered = chat.render(self.tokenizer, messages)
            yield problem.family, style, Sequence(rendered.ids, rendered.loss)

    def _hopeless(self, missed: list[tuple[str, int]]) -> str:
        longest: dict[str, int] = {}
        for family, size in missed:
            longest[family] = max(size, longest.get(family, 0))
        named = ", ".join(f"{family} (up to {size} tokens)" for family, size in sorted(longest.items()))
        return (
            f"sft: {PATIENCE:,} conversations in a row were longer than length = {self.recipe.length}, of {named}; "
            "raise length, or leave out what is too long"
        )


def run(ctx: StageContext, recipe: Recipe) -> dict[str, Any]:
    """Fine-tune the parent model; returns the final loss, and what was read and left out, by the log."""
    dtype, device = prepare(ctx, recipe.precision, recipe.device)
    parent = ctx.parents["model"].path
    tokenizer = Tokenizer.load(parent)
    model = load_model(parent, dtype=dtype).to(device)
    model.refresh()
    optimizer = Optimizer(model, recipe.optimizer)
    batches = Conversations(recipe, tokenizer, task_context(ctx))

    def step(now: int) -> dict[str, Any]:
        batch = batches.batch(now)
        windows = batch.packer.windows()
        target_N = windows.target_N.to(device)
        scale_N = torch.full((len(target_N),), 1.0 / len(target_N), device=device)
        y = model.ops.take_rows(model.hidden(windows.packed.to(device)), windows.row_N.to(device))
        total, _ = model.ops.cross_entropy(y, model.head, target_N, scale_N)
        total.backward()
        model.collect_gradients()
        read = windows.packed.ids_BT.numel()
        return {
            "loss": float(total.detach()),
            "tokens": read,
            "learned_tokens": len(target_N),
            "too_long": batch.too_long,
            "styles": dict(sorted(batch.styles.items())),
        }

    train(
        ctx, model, optimizer, steps=recipe.steps, schedule=recipe.schedule, step=step, what=ctx.name,
        save_every=recipe.save_every,
    )  # fmt: skip
    export(ctx, model, parent, recipe.store)
    rows = [row for row in ctx.rows() if row.get("step", -1) >= 0]
    styles: Counter[str] = Counter()
    for row in rows:
        styles.update(row["styles"])
    return {
        "loss": rows[-1]["loss"],
        "tokens": sum(row["tokens"] for row in rows),
        "learned_tokens": sum(row["learned_tokens"] for row in rows),
        "too_long": sum(row["too_long"] for row in rows),
        "styles": dict(sorted(styles.items())),
    }


def task_context(ctx: StageContext) -> dict[str, Any]:
    """What problem families need from the stage's parents: the world's fact table, where one is given."""
    return {"facts": ctx.parents["world"].path / "facts.jsonl"} if "world" in ctx.parents else {}
