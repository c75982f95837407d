"""From the sample pool to numbers: per way of asking and family, each with its n and interval."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from thinkling.core.seeds import derive
from thinkling.evaluate.decompose import by_style
from thinkling.evaluate.pool import Row
from thinkling.evaluate.statistics import Estimate, bootstrap, pass_at_k, share
from thinkling.tasks.registry import core_five

CORE = "core5"
PerProblem = dict[str, dict[str, float]]


def per_problem(rows: Iterable[Row], value: Callable[[Row], float | None]) -> PerProblem:
    """family -> problem key -> mean of ``value`` over its samples; samples without a value stay out."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        number = value(row)
        if number is not None:
            found[row.family][row.key].append(number)
    return {f: {key: sum(v) / len(v) for key, v in problems.items()} for f, problems in found.items()}


def accuracy(row: Row) -> float | None:
    return row.score


def tokens(row: Row) -> float | None:
    return None if row.error else float(row.tokens)


def thinks(row: Row) -> float | None:
    return None if row.error else float(row.thinks)


def checks(row: Row) -> float | None:
    return None if row.error else float(row.checks)


def passes(rows: Iterable[Row], k: int) -> PerProblem:
    """family -> problem key -> pass@k, over the problems with at least ``k`` scored samples."""
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        if row.score is not None:
            scores[row.family, row.key].append(row.score)
    made: PerProblem = defaultdict(dict)
    for (family, key), values in scores.items():
        if len(values) >= k:
            made[family][key] = pass_at_k(len(values), sum(value >= 1.0 for value in values), k)
    return dict(made)


def estimates(problems: PerProblem, estimate: Callable[..., Estimate], seed: int) -> dict[str, Estimate]:
    """An estimate per family, and "core5" (families weigh the same) where all five are there."""
    made = {
        family: estimate({family: list(values.values())}, seed=derive(seed, family))
        for family, values in problems.items()
    }
    if set(core_five) <= set(problems):
        core = {family: list(problems[family].values()) for family in core_five}
        made[CORE] = estimate(core, seed=derive(seed, CORE))
    return made


def summarize_variant(rows: Sequence[Row], seed: int, k: int | None = None) -> dict[str, Any]:
    """One way of asking. ``k`` adds pass@k. Counts tell what the shares leave out or hide."""
    measures: dict[str, tuple[Callable[[Row], float | None], Callable[..., Estimate]]] = {
        "accuracy": (accuracy, share),
        "tokens_per_answer": (tokens, bootstrap),
        "think_share": (thinks, share),
        "checks_per_answer": (checks, bootstrap),
    }
    made: dict[str, Any] = {
        name: _as_json(estimates(per_problem(rows, value), estimate, derive(seed, name)))
        for name, (value, estimate) in measures.items()
    }
    if k is not None:
        made[f"pass{k}"] = _as_json(estimates(passes(rows, k), share, derive(seed, "pass")))
    made["levels"] = _levels(rows)
    made["styles"] = {name: asdict(style) for name, style in by_style([r.answer for r in rows]).items()}
    made["counts"] = {
        "answers": len(rows),
        "unparsed": sum(row.status == "unparsed" for row in rows),
        "unscored": sum(row.score is None for row in rows),
        "cut_off": sum(row.finish == "length" for row in rows),
        "tokens": sum(row.tokens for row in rows),
    }
    return made


def by_mentions(rows: Sequence[Row], seed: int = 0) -> list[dict[str, Any]]:
    """Accuracy of fact questions by how often the pages state the fact, in bins of powers of four."""
    facts = [row for row in rows if row.mentions is not None and row.score is not None]
    bins: dict[int, list[Row]] = defaultdict(list)
    for row in facts:
        bins[(int(row.mentions or 0).bit_length() + 1) // 2].append(row)
    made = []
    for power, members in sorted(bins.items()):
        low, high = (0, 0) if power == 0 else (4 ** (power - 1), 4**power - 1)
        problems = per_problem(members, accuracy)
        estimate = share({"facts": [v for f in problems.values() for v in f.values()]}, seed=seed)
        mean = float(np.mean([row.mentions or 0 for row in members]))
        made.append({"low": low, "high": high, "mean": mean, "accuracy": estimate.as_json()})
    return made


def estimate_of(fields: Mapping[str, Any]) -> Estimate:
    """The Estimate that ``as_json`` wrote."""
    return Estimate(**fields)


def _levels(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """family -> level -> accuracy and mean tokens."""
    groups: dict[str, dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.score is not None:
            groups[row.family][row.level].append(row)
    return {
        family: {
            str(level): {
                "accuracy": share({family: list(per_problem(some, accuracy)[family].values())}).as_json(),
                "tokens": float(np.mean([row.tokens for row in some])),
            }
            for level, some in sorted(levels.items())
        }
        for family, levels in groups.items()
    }


def _as_json(made: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.as_json() for name, estimate in made.items()}


def fault_counts(rows: Iterable[Row]) -> dict[str, int]:
    """How often each error or ungraded reason occurred."""
    return dict(Counter(row.error or row.reason for row in rows if row.score is None).most_common())
