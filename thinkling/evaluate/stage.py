"""Stage "evaluate": one model answers fresh problems in every way of asking, and is graded.

Parents: ``model`` (a Hugging Face folder), and ``world`` where fact questions are among the families.
Writes ``episodes.parquet`` (every answer) and ``summary.json`` (the numbers, with n and intervals).

The model is reached through hooks alone: this room imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from thinkling.core.errors import UserError
from thinkling.core.progress import Progress
from thinkling.core.seeds import derive
from thinkling.core.stage import StageContext
from thinkling.core.types import Episode
from thinkling.evaluate.plain_text import PlainTextGrader, prefixes
from thinkling.evaluate.pool import Row, read_rows, row_of, write_rows
from thinkling.evaluate.recipe import Recipe
from thinkling.evaluate.statistics import share
from thinkling.evaluate.summary import accuracy, fault_counts, per_problem, summarize_variant
from thinkling.evaluate.variants import Variant, best_variant, temperature_name, variants
from thinkling.rollout.backend import Backend
from thinkling.rollout.episodes import ask_user, episodes
from thinkling.tasks.family import Family
from thinkling.tasks.registry import family


def run(ctx: StageContext, recipe: Recipe) -> dict[str, Any]:
    model = ctx.parents["model"]
    world = {"facts": ctx.parents["world"].path / "facts.jsonl"} if "facts" in recipe.families else {}
    families = [family(spec, **world) for spec in recipe.families]
    precision = ctx.choose("precision", lambda: ctx.hook("choose_precision")(recipe.precision))
    backend: Backend = ctx.hook("open_backend")(
        model.path, max_len=recipe.max_len, slots=recipe.slots, precision=precision
    )
    asker = Asker(ctx, recipe, families, backend)

    plan = list(variants(recipe, families))
    rows: list[Row] = []
    total = sum(len(variant.problems) * variant.n for variant in plan)
    with ctx.progress(total, "answers") as progress:
        for place, variant in enumerate(plan):
            rows += asker.answer(place, variant, progress, len(rows))
        best, sweep = _best_temperature(recipe, rows)
        if best is not None:
            variant = best_variant(recipe, families, best)
            progress.total = len(rows) + len(variant.problems)
            rows += asker.answer(len(plan), variant, progress, len(rows))

    write_rows(ctx.path / "episodes.parquet", rows)
    summary: dict[str, Any] = {
        "model": {"name": model.name, "id": model.manifest.id},
        "families": [item.name for item in families],
        "ask": list(recipe.ask),
        "variants": _summaries(recipe, rows),
        "temperatures": sweep,
        "best_temperature": best,
        "faults": fault_counts(rows),
    }
    text = json.dumps(summary, indent=1, allow_nan=False)
    (ctx.path / "summary.json").write_text(text + "\n", encoding="utf-8")
    greedy = summary["variants"]["greedy"]
    return {
        "accuracy": {name: made["value"] for name, made in greedy["accuracy"].items()},
        "answers": len(rows),
    }


class Asker:
    """Puts variants to a backend; a finished one is kept in the scratch folder, and not asked again."""

    def __init__(self, ctx: StageContext, recipe: Recipe, families: Sequence[Family], backend: Backend) -> None:
        self.ctx, self.recipe, self.backend = ctx, recipe, backend
        self.by_name = {item.name: item for item in families}
        if len(self.by_name) < len(families):
            raise UserError(f"two families have one name: {[item.name for item in families]}; rename one")
        self.prefix = prefixes(families, recipe.shots, recipe.seed) if "text" in recipe.ask else None

    def answer(self, place: int, variant: Variant, progress: Progress, before: int) -> list[Row]:
        kept = self.ctx.scratch / f"{place:02d}-{variant.name}.parquet"
        if kept.exists():
            return read_rows(kept)
        done = before

        def count(_episode: Episode) -> None:
            nonlocal done
            done += 1
            progress.update(done, variant=variant.name)

        groups = self._episodes(variant, count)
        rows = [row_of(episode, variant.name, variant.ood, i) for group in groups for i, episode in enumerate(group)]
        _refuse_total_failure(variant, rows)
        write_rows(kept, rows)
        scored = [row.score for row in rows if row.score is not None]
        mean = sum(scored) / len(scored) if scored else None
        self.ctx.log(variant=variant.name, answers=len(rows), accuracy=mean)
        return rows

    def _episodes(self, variant: Variant, count: Any) -> list[list[Episode]]:
        recipe = self.recipe
        seed = derive(recipe.seed, "evaluate", variant.name)
        if variant.ask == "chat" or self.prefix is None:
            return episodes(
                variant.problems,
                self.backend,
                family_of=lambda problem: self.by_name[problem.family],
                sampling=variant.sampling,
                seed=seed,
                n=variant.n,
                think=variant.think,
                pose=ask_user,
                keep_tokens=False,
                progress=count,
            )
        return episodes(
            variant.problems,
            self.backend,
            family_of=lambda problem: PlainTextGrader(self.by_name[problem.family]),
            sampling=variant.sampling,
            seed=seed,
            n=variant.n,
            pose=lambda problem: (),
            prefix=self.prefix,
            keep_tokens=False,
            progress=count,
        )


def _refuse_total_failure(variant: Variant, rows: Sequence[Row]) -> None:
    """Single failures are data; where nothing could be sampled at all, the cause is not the model."""
    if rows and all(row.error for row in rows):
        raise UserError(
            f"evaluate: none of the {len(rows)} answers of {variant.name!r} could be sampled; the first one "
            f"failed with: {rows[0].error}"
        )


def _best_temperature(recipe: Recipe, rows: Sequence[Row]) -> tuple[float | None, list[dict[str, Any]]]:
    """The temperature with the best mean over families on val problems (the lowest one of equals)."""
    sweep: list[dict[str, Any]] = []
    for temperature in sorted(recipe.temperatures):
        members = [row for row in rows if row.variant == temperature_name(temperature)]
        values = per_problem(members, accuracy)
        if values:
            estimate = share({name: list(v.values()) for name, v in values.items()}, seed=recipe.seed)
            sweep.append({"temperature": temperature, "accuracy": estimate.as_json()})
    if not sweep:
        return None, []
    best: float = max(sweep, key=lambda row: row["accuracy"]["value"])["temperature"]
    return best, sweep


def _summaries(recipe: Recipe, rows: Sequence[Row]) -> dict[str, Any]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.variant, []).append(row)
    return {
        name: summarize_variant(
            members,
            derive(recipe.seed, "summary", name),
            recipe.samples if name == "t1" and recipe.sampled_problems else None,
        )
        for name, members in groups.items()
    }
