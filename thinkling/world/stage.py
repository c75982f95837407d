"""The stage ``world``: writes the crawl, its ground truth, the table of facts and the pools of names."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from thinkling.core.stage import StageContext
from thinkling.world.chunk import Chunk, World, build
from thinkling.world.entities import cast
from thinkling.world.junk import BLOCKED_HOSTS
from thinkling.world.settings import Recipe

__all__ = ["Recipe", "run"]

TRUTH = pa.schema(
    [
        ("url", pa.string()),
        ("kind", pa.string()),
        ("text", pa.string()),
        ("lang", pa.string()),
        ("drop", pa.string()),
        ("pii", pa.bool_()),
        ("characters", pa.int64()),
        ("bytes", pa.int64()),
    ]
)


@cache
def _world(recipe_json: str) -> World:
    """The world of a recipe, once per process."""
    return World.of(Recipe.model_validate_json(recipe_json))


def _make(task: tuple[str, int, int]) -> Chunk:
    recipe_json, index, budget = task
    return build(_world(recipe_json), index, budget)


def _chunks(recipe: Recipe) -> Iterator[Chunk]:
    """Every chunk in order, made by the recipe's number of processes."""
    count = math.ceil(recipe.characters / recipe.chunk_characters)
    edges = [recipe.characters * index // count for index in range(count + 1)]
    text = recipe.model_dump_json()
    tasks = [(text, index, edges[index + 1] - edges[index]) for index in range(count)]
    if recipe.workers == 1 or count == 1:
        yield from map(_make, tasks)
        return
    with ProcessPoolExecutor(min(recipe.workers, count), mp_context=get_context("spawn")) as pool:
        yield from pool.map(_make, tasks)


def run(ctx: StageContext, recipe: Recipe) -> dict[str, Any]:
    """Write ``crawl/part-*.warc.gz``, ``truth.parquet`` (one row per response record, in crawl order),
    ``facts.jsonl``, ``names.json`` and ``blocklist.txt``; returns counts of pages and characters."""
    crawl = ctx.path / "crawl"
    crawl.mkdir(exist_ok=True)
    kinds: Counter[str] = Counter()
    drops: Counter[str] = Counter()
    mentions: Counter[int] = Counter()
    kept = size = 0
    with (
        ctx.progress(recipe.characters, "writing the web") as progress,
        pq.ParquetWriter(ctx.path / "truth.parquet", TRUTH, compression="zstd") as truth,
    ):
        for index, chunk in enumerate(_chunks(recipe)):
            (crawl / f"part-{index:05d}.warc.gz").write_bytes(chunk.warc)
            truth.write_table(pa.Table.from_pylist(chunk.rows, TRUTH))
            mentions.update(chunk.mentions)
            size += len(chunk.warc)
            for row in chunk.rows:
                kinds[row["kind"]] += 1
                drops[row["drop"] or "kept"] += 1
                kept += 0 if row["drop"] else row["characters"]
            progress.update(min(kept, recipe.characters), pages=sum(kinds.values()))
    facts = _write_facts(ctx, recipe, mentions)
    (ctx.path / "blocklist.txt").write_text("\n".join(BLOCKED_HOSTS) + "\n")
    return {
        "pages": sum(kinds.values()),
        "good_characters": kept,
        "warc_bytes": size,
        "facts": facts,
        "fact_mentions": sum(mentions.values()),
        "pages_by_kind": dict(sorted(kinds.items())),
        "pages_by_drop": dict(sorted(drops.items())),
    }


def _write_facts(ctx: StageContext, recipe: Recipe, mentions: Counter[int]) -> int:
    """facts.jsonl and names.json; returns how many facts there are."""
    world = _world(recipe.model_dump_json())
    with open(ctx.path / "facts.jsonl", "w", encoding="utf-8") as file:
        for fact in world.told.facts:
            row = {
                "id": fact.id,
                "subject": fact.subject.name,
                "relation": fact.relation,
                "object": fact.object,
                "question": fact.question,
                "mentions": mentions[fact.index],
                "kind": fact.subject.kind,
            }
            file.write(json.dumps(row) + "\n")
    pools = {"first_names": list(world.names)}
    for entity in cast(recipe.people, recipe.seed).everyone():
        pools.setdefault(entity.kind, []).append(entity.name)
    (ctx.path / "names.json").write_text(json.dumps(pools, indent=1) + "\n")
    return len(world.told.facts)
