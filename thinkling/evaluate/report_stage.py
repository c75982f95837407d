"""Stage "report": report.html and metrics.json over a run.

Parents, all of them optional (a section whose parent is absent says so): the evaluations ``base``, ``sft``, ``rl``,
``control_direct``, ``control_shuffled``; and the stages whose logs and tables are drawn, ``world``, ``data``,
``tokenizer``, ``shards``, ``pretrain``, ``sft_model``, ``rl_model``, ``control_direct_model``,
``control_shuffled_model``. ``wall_seconds`` and ``peak_rss_bytes`` are theirs, so give it the whole run.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from thinkling.core.errors import UserError
from thinkling.core.recipe import StageRecipe
from thinkling.core.stage import StageContext
from thinkling.evaluate.report import results, thinking, training
from thinkling.evaluate.report.metrics import metrics
from thinkling.evaluate.report.page import page, paragraph, section
from thinkling.evaluate.report.sources import gather


class Recipe(StageRecipe):
    title: str = Field(default="A small model learns to think", description="heading of the page")
    subtitle: str = Field(
        default="From web pages to a reasoning model: what every stage did, and whether thinking helps.",
        description="the line beneath it",
    )
    examples: int = Field(default=1, ge=0, description="right and wrong answers shown, of each per family")


def run(ctx: StageContext, recipe: Recipe) -> dict[str, Any]:
    """Draw the report; returns the two numbers of the whole run."""
    if not ctx.parents:
        raise UserError("report: no parents; expected at least one evaluation or stage under [parents]")
    sources = gather(ctx.parents)
    made = metrics(sources)
    sections = [
        results.headline(sources, made, training.r1_figure(sources)),
        results.side_by_side(sources, made),
        thinking.on_and_off(sources, made),
        thinking.longer(sources),
        training.reinforcement(sources),
        results.generalization(sources),
        thinking.examples(sources, recipe.examples),
        results.facts(sources),
        training.pretraining(sources),
        training.funnel(sources),
        training.costs(sources),
        _method(),
    ]
    (ctx.path / "report.html").write_text(page(recipe.title, recipe.subtitle, sections), encoding="utf-8")
    text = json.dumps(made, indent=1, allow_nan=False)
    (ctx.path / "metrics.json").write_text(text + "\n", encoding="utf-8")
    ctx.note(f"report: {ctx.path / 'report.html'}")
    return {"wall_seconds": made["wall_seconds"], "peak_rss_bytes": made["peak_rss_bytes"]}


def _method() -> Any:
    return section(
        "Method",
        "How the numbers are made",
        *(
            paragraph(text)
            for text in (
                "n counts problems. Single yes-or-no answers carry Wilson intervals, combined over families after Zou "
                "and Donner (2008); several samples per problem carry bootstrap intervals that resample problems "
                "within families, never single samples. All are 95% intervals.",
                "pass@k is 1 − C(n−c, k) / C(n, k), averaged over problems (Chen et al. 2021). Differences between "
                "models are paired over the problems that both answered.",
                "An answer that cannot be read counts as wrong. One that could not be sampled or graded has no "
                "score and is left out of n; metrics.json and the evaluations' summaries count them.",
            )
        ),
    )
