"""How well each step did, where the crawl comes with its truth: precision and recall per step.

A page's truth is the step that should take it (or none); its fate is the step that did.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from thinkling.data.documents import read_documents, read_rejects

TRUTH = "truth.parquet"
KEPT = "kept"
SCORED = ("url", "extract", "language", "quality", "exact_dedup", "near_dedup")
# Several of the pipeline's steps are one of the truth's: what is no page has no main text to extract.
_SCORED_AS = {
    "read": "extract",
    "gopher_repetition": "quality",
    "gopher_quality": "quality",
    "c4": "quality",
    "fineweb": "quality",
}
_SHINGLE = 4


def score(truth_path: Path, folder: Path) -> dict[str, Any]:
    """Precision, recall and counts per step, extraction similarity, and personal data found.

    ``steps[s]``: of the pages that step ``s`` took, ``precision`` is the share that it should have;
    of the pages that it should have, ``recall`` is the share that it took, ``removed`` the share that
    it or any other step took. ``overall``: the same for keeping.
    """
    truth = {row["url"]: row for row in pq.read_table(truth_path).to_pylist()}
    fates: Counter[tuple[str, str]] = Counter()
    text = _TextScores()
    pii: Counter[tuple[bool, bool]] = Counter()
    for document in read_documents(folder):
        row = truth.get(document.url)
        if row is None:
            continue
        fates[row["drop"] or KEPT, KEPT] += 1
        pii[bool(row["pii"]), bool(document.meta.get("pii"))] += 1
        if row["text"]:
            text.add(document.text, row["text"])
    for reject in read_rejects(folder):
        row = truth.get(reject.url)
        if row is not None:
            fates[row["drop"] or KEPT, _SCORED_AS.get(reject.stage, reject.stage)] += 1
    steps = {step: _step_scores(fates, step) for step in SCORED}
    confusion: dict[str, dict[str, int]] = defaultdict(dict)
    for (should, did), count in sorted(fates.items()):
        confusion[should][did] = count
    return {
        "overall": _step_scores(fates, KEPT),
        "steps": steps,
        "confusion": confusion,
        "extraction": text.result(),
        "pii": {
            "precision": _ratio(pii[True, True], pii[True, True] + pii[False, True]),
            "recall": _ratio(pii[True, True], pii[True, True] + pii[True, False]),
            "pages": pii[True, True] + pii[True, False],
        },
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _step_scores(fates: Counter[tuple[str, str]], step: str) -> dict[str, Any]:
    hits = fates[step, step]
    should = sum(count for (want, _), count in fates.items() if want == step)
    did = sum(count for (_, got), count in fates.items() if got == step)
    removed = sum(count for (want, got), count in fates.items() if want == step and got != KEPT)
    return {
        "should": should,
        "did": did,
        "both": hits,
        "precision": _ratio(hits, did),
        "recall": _ratio(hits, should),
        "removed": _ratio(removed, should),
    }


class _TextScores:
    """Word 4-gram overlap of kept text with the true main text (the measure of Scrapinghub's benchmark)."""

    def __init__(self) -> None:
        self._precision = self._recall = 0.0
        self._pages = 0

    def add(self, found: str, true: str) -> None:
        self._pages += 1
        found_words, true_words = found.split(), true.split()
        if found_words == true_words:  # most are, and then nothing need be counted
            self._precision += 1
            self._recall += 1
            return
        ours, theirs = _shingles(found_words), _shingles(true_words)
        common = sum((ours & theirs).values())
        self._precision += common / max(1, sum(ours.values()))
        self._recall += common / max(1, sum(theirs.values()))

    def result(self) -> dict[str, Any]:
        if not self._pages:
            return {"pages": 0, "precision": None, "recall": None, "f1": None}
        precision, recall = self._precision / self._pages, self._recall / self._pages
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return {"pages": self._pages, "precision": precision, "recall": recall, "f1": f1}


def _shingles(words: list[str]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + _SHINGLE]) for i in range(max(1, len(words) - _SHINGLE + 1)))
