"""The stage ``data``: web archives (or text files) in, clean documents and a ledger of rejects out."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from thinkling.core.errors import UserError
from thinkling.core.recipe import StageRecipe
from thinkling.core.seeds import derive
from thinkling.core.stage import StageContext
from thinkling.core.types import Document
from thinkling.data import minhash
from thinkling.data.documents import Ledger, Reject
from thinkling.data.inputs import Inputs, read_prompts
from thinkling.data.language import FINEWEB_MIN_SCORE
from thinkling.data.pipeline import STEPS, Rules, Survivor
from thinkling.data.scores import TRUTH, score
from thinkling.data.workers import Batch, judge_batches

_BATCH_ITEMS, _BATCH_BYTES = 32, 2 << 20
_MAX_NAMED = 10_000  # unreadable records that are named; beyond it they are only counted


class Recipe(StageRecipe):
    inputs: tuple[str, ...] = Field(
        default=(), description="WARC or ARC files, or folders of them, besides the parent `crawl`"
    )
    text: tuple[str, ...] = Field(default=(), description="plain text or JSONL files (also .gz), or folders of them")
    text_field: str = Field(default="text", description="JSONL: the key that holds a document's text")
    url_field: str = Field(default="url", description="JSONL: the key that holds its address, if any")
    text_piece_characters: int = Field(
        default=8000, ge=100, description="plain text: split at blank lines into pieces of about this size"
    )
    filter_text: bool = Field(default=False, description="apply the language and quality rules to text inputs too")
    workers: int = Field(default=2, ge=0, le=256, description="processes; 0: this one. Changes no result")
    language: str = Field(default="en", description="the language to keep, as fastText's lid.176 names it")
    min_language_score: float = Field(default=FINEWEB_MIN_SCORE, ge=0.0, le=1.0)
    blocked_hosts: tuple[str, ...] = Field(default=(), description="hosts refused, with their subdomains")
    blocklists: tuple[str, ...] = Field(default=(), description="files with one blocked host per line")
    max_page_bytes: int = Field(default=8 << 20, ge=1024, description="larger pages are skipped and counted")
    near_dedup: bool = Field(default=True, description="MinHash near-deduplication")
    decontaminate: tuple[str, ...] = Field(
        default=(), description="files of evaluation prompts (text lines or JSONL): documents holding one go"
    )


def run(ctx: StageContext, recipe: Recipe) -> dict[str, Any]:
    """Read, filter, deduplicate; writes the ledger, funnel.json, unreadable.json and perhaps scores.json."""
    started = time.perf_counter()
    inputs = Inputs.of(ctx, recipe.inputs, recipe.text)
    rules = _rules(recipe, inputs)
    funnel = _Funnel()
    with Ledger(ctx.path) as ledger, ctx.progress(inputs.total_bytes, "data: bytes") as progress:
        later = _Comparisons(recipe.near_dedup)
        batches = _batches(inputs.items(recipe, funnel.skip))
        for judged in judge_batches(batches, rules, recipe.workers):
            for fate in judged:
                verdict = later.judge(fate) if isinstance(fate, Survivor) else fate
                funnel.count(verdict)
                if isinstance(verdict, Reject):
                    ledger.reject(verdict)
                else:
                    ledger.keep(verdict)
            progress.update(inputs.done_bytes, kept=funnel.kept, rejected=sum(funnel.rejected.values()))
    rows = funnel.rows()
    _write(ctx.path / "funnel.json", rows)
    _write(ctx.path / "unreadable.json", funnel.unreadable())
    metrics: dict[str, Any] = {
        "documents": funnel.kept,
        "characters": funnel.characters,
        "rejected": {step: funnel.rejected[step] for step in STEPS if funnel.rejected[step]},
        "unreadable": funnel.unreadable_count,
    }
    truth = inputs.crawl / TRUTH if inputs.crawl else None
    if truth is not None and truth.exists():
        scores = score(truth, ctx.path)
        _write(ctx.path / "scores.json", scores)
        metrics["scores"] = scores["overall"]
    ctx.log(seconds=round(time.perf_counter() - started, 3), pages=funnel.pages)
    for row in rows:
        entered, kept, took = row["in"], row["kept"], row["rejected"]
        ctx.note(f"  {row['step']:<18} in {entered:>7,}  kept {kept:>7,}  took {took:>6,}")
    if not funnel.kept:
        raise UserError(
            "no document survived the pipeline; the table above tells which step took them "
            "(a language other than the recipe's `language`? text inputs with filter_text on?)"
        )
    return metrics


def _rules(recipe: Recipe, inputs: Inputs) -> Rules:
    return Rules(
        language=recipe.language,
        min_language_score=recipe.min_language_score,
        blocked_hosts=(*recipe.blocked_hosts, *inputs.blocked_hosts(recipe.blocklists)),
        max_page_bytes=recipe.max_page_bytes,
        filter_text=recipe.filter_text,
        near_dedup_seed=derive(recipe.seed, "data", "minhash") & 0xFFFFFFFF,
        prompts=tuple(prompt for path in recipe.decontaminate for prompt in read_prompts(Path(path))),
    )


def _batches(items: Iterator[Any]) -> Iterator[Batch]:
    batch: Batch = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.text) if isinstance(item, Document) else len(item.block)
        if len(batch) >= _BATCH_ITEMS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Comparisons:
    """The steps that compare documents, in crawl order: the first of equals stays."""

    def __init__(self, near_dedup: bool) -> None:
        self._digests: dict[bytes, str] = {}
        self._near = minhash.NearDuplicates() if near_dedup else None

    def judge(self, survivor: Survivor) -> Document | Reject:
        document = survivor.document
        original = self._digests.setdefault(survivor.digest, document.id)
        if original != document.id:
            return _reject(document, "exact_dedup", "exact duplicate", original)
        similar = self._near.add(survivor.signature, document.id) if self._near else None
        if similar is not None:
            return _reject(document, "near_dedup", "near duplicate", similar)
        if survivor.contamination is not None:
            return _reject(document, "decontaminate", "evaluation prompt", survivor.contamination)
        return document


def _reject(document: Document, stage: str, reason: str, detail: str) -> Reject:
    return Reject(document.id, document.url, stage, reason, detail, document.text)


class _Funnel:
    """Counts what each step took, and what could not be read."""

    def __init__(self) -> None:
        self.kept = self.characters = self.pages = self.unreadable_count = 0
        self.rejected: Counter[str] = Counter()
        self._reasons: dict[str, Counter[str]] = {step: Counter() for step in STEPS}
        self._skipped: Counter[str] = Counter()
        self._broken: Counter[str] = Counter()
        self._named: list[dict[str, str]] = []

    def skip(self, kind: str, id: str = "", url: str = "", *, broken: bool = False) -> None:
        """Put down a record that never becomes a document; ``broken`` ones are named."""
        self._skipped[kind] += 1
        if broken:
            self.unreadable_count += 1
            if len(self._named) < _MAX_NAMED:
                self._named.append({"id": id, "url": url, "reason": kind})

    def count(self, verdict: Document | Reject) -> None:
        self.pages += 1
        if isinstance(verdict, Reject):
            self.rejected[verdict.stage] += 1
            self._reasons[verdict.stage][verdict.reason] += 1
        else:
            self.kept += 1
            self.characters += len(verdict.text)

    def rows(self) -> list[dict[str, Any]]:
        """One row per step: ``in`` = ``kept`` + ``rejected``, and one row's kept is the next one's in."""
        skipped = sum(self._skipped.values())
        rows = [_row("records", self.pages + skipped, skipped, self._skipped)]
        left = self.pages
        for step in STEPS:
            rows.append(_row(step, left, self.rejected[step], self._reasons[step]))
            left -= self.rejected[step]
        return rows

    def unreadable(self) -> dict[str, Any]:
        return {"count": self.unreadable_count, "named": self._named}


def _row(step: str, entered: int, rejected: int, reasons: Counter[str]) -> dict[str, Any]:
    ordered = dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    return {"step": step, "in": entered, "kept": entered - rejected, "rejected": rejected, "reasons": ordered}


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
