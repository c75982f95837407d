"""Why answers grew longer: did the model choose other styles, or write more within a style?

"The model learned to think longer" can be mere selection: reinforcement learning picks, among the styles
that supervised training taught, the longer and more accurate one. A mean over styles, sum of share
times mean, changes by

    sum (share' - share) * (mean + mean')/2   +   sum (mean' - mean) * (share + share')/2

the first sum being selection between styles and the second change within them (Kitagawa 1955,
"Components of a Difference Between Two Rates"). It is exact, symmetric in the two models, and serves
accuracy as it serves length.

The sums are taken inside each family, and their mean over families is reported. Over all answers at once, a
family with long answers that takes to a style would raise that style's mean, and its selection would pass
for change within the style.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thinkling.core.seeds import derive
from thinkling.evaluate.statistics import DRAWS, Estimate, paired_difference

STYLES = ("none", "steps", "equation", "check")

_CHECKS = re.compile(r"\b(check|wait|verify)\b", re.IGNORECASE)
_PLAN = re.compile(r"^[^:\n]{1,160}:\s")
# Decimals are laid under each other in either style; the plan is to compare them as whole numbers.
_DECIMALS = re.compile(r"^(\d+)\.\d+ vs \d+\.\d+:\s+(\d+)[<>]\d+\W*$")


def style_of(thinking: str | None) -> str:
    """The style of an answer, read off its thinking.

    "none": it did not think; "check": it verifies ("Check", "Wait"); "equation": a plan and a colon
    come before the work; "steps": anything else.
    """
    text = (thinking or "").strip()
    if not text:
        return "none"
    if _CHECKS.search(text):
        return "check"
    if " vs " in text:
        compared = _DECIMALS.match(text)
        return "equation" if compared and compared.group(1) != compared.group(2) else "steps"
    return "equation" if _PLAN.match(text) else "steps"


def check_words(thinking: str | None) -> int:
    """How often a thought doubts or verifies itself: the "wait" of the R1 paper, per answer."""
    return len(_CHECKS.findall(thinking or ""))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the decomposition needs of an episode. ``score`` None stays out of accuracies."""

    family: str
    key: str
    level: int
    style: str
    tokens: int
    score: float | None


@dataclass(frozen=True, slots=True)
class Style:
    """One model's use of one style: share of answers, mean tokens, accuracy (None without answers)."""

    share: float
    tokens: float | None
    accuracy: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Decomposition:
    """``total`` = ``selection`` + ``within``, each with its interval."""

    total: Estimate
    selection: Estimate
    within: Estimate


def by_style(answers: Sequence[Answer]) -> dict[str, Style]:
    """How a model uses each style."""
    made: dict[str, Style] = {}
    for style in STYLES:
        chosen = [answer for answer in answers if answer.style == style]
        scores = [answer.score for answer in chosen if answer.score is not None]
        made[style] = Style(
            share=len(chosen) / len(answers) if answers else 0.0,
            tokens=float(np.mean([answer.tokens for answer in chosen])) if chosen else None,
            accuracy=float(np.mean(scores)) if scores else None,
            n=len(chosen),
        )
    return made


def decompose(
    before: Sequence[Answer],
    after: Sequence[Answer],
    quantity: str = "tokens",
    *,
    seed: int = 0,
    draws: int = DRAWS // 4,
) -> Decomposition:
    """Split the change of mean ``quantity`` ("tokens" or "score") into selection and within-style.

    Families weigh the same; one that only a single side answered is left out. The intervals resample
    problems within each family, the same problems in both models where both were asked them. Raises
    ValueError where no family has usable answers on both sides.
    """
    sides = [_table(answers, quantity) for answers in (before, after)]
    families = sorted({key[0] for key in sides[0]} & {key[0] for key in sides[1]})
    if not families:
        raise ValueError(f"no family has answers with a {quantity} on both sides: nothing to decompose")
    generator = np.random.default_rng(derive(seed, "decompose", quantity))
    point, spread, n = np.zeros(3), np.zeros((3, draws)), 0
    for family in families:
        keys = sorted({key for side in sides for key in side if key[0] == family})
        rows = [np.array([_row(side, key) for key in keys]) for side in sides]
        draw = generator.multinomial(len(keys), np.full(len(keys), 1 / len(keys)), draws)
        ones = np.ones((1, len(keys)))
        point += _split(ones @ rows[0], ones @ rows[1])[:, 0] / len(families)
        spread += _split(draw @ rows[0], draw @ rows[1]) / len(families)
        n += len(keys)
    low, high = np.quantile(spread, [0.025, 0.975], axis=1)
    parts = [Estimate(float(point[i]), float(low[i]), float(high[i]), n) for i in range(3)]
    return Decomposition(*parts)


def by_level(answers: Sequence[Answer]) -> dict[int, tuple[float, int]]:
    """Mean tokens and number of answers at each difficulty."""
    tokens: dict[int, list[int]] = defaultdict(list)
    for answer in answers:
        tokens[answer.level].append(answer.tokens)
    return {level: (float(np.mean(values)), len(values)) for level, values in sorted(tokens.items())}


def growth(before: Sequence[Answer], after: Sequence[Answer], *, seed: int = 0) -> Estimate:
    """Mean growth in tokens per answer over the problems that both models answered, families alike."""
    return paired_difference(problem_means(after, "tokens"), problem_means(before, "tokens"), seed=seed)


def problem_means(answers: Sequence[Answer], quantity: str) -> dict[str, dict[str, float]]:
    """family -> problem key -> mean of ``quantity`` over its answers."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        value: Any = getattr(answer, quantity)
        if value is not None:
            values[answer.family][answer.key].append(float(value))
    return {f: {key: sum(v) / len(v) for key, v in rows.items()} for f, rows in values.items()}


def _table(answers: Sequence[Answer], quantity: str) -> dict[tuple[str, str], list[tuple[str, float]]]:
    table: dict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
    for answer in answers:
        value: Any = getattr(answer, quantity)
        if value is not None:
            table[answer.family, answer.key].append((answer.style, float(value)))
    return dict(table)


def _row(side: Mapping[tuple[str, str], list[tuple[str, float]]], key: tuple[str, str]) -> list[float]:
    """For one problem: per style its number of answers, then per style their sum."""
    counts, sums = [0.0] * len(STYLES), [0.0] * len(STYLES)
    for style, value in side.get(key, []):
        counts[STYLES.index(style)] += 1
        sums[STYLES.index(style)] += value
    return counts + sums


def _split(before: Any, after: Any) -> Any:
    """Total, selection and within for each row of summed counts and values; shape [3, draws]."""
    width = len(STYLES)
    shares, means = [], []
    for rows in (before, after):
        counts, sums = rows[:, :width], rows[:, width:]
        shares.append(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            means.append(sums / counts)
    # A style that one model never uses has no mean there: the other's stands in, so that its coming or
    # going is all selection. One that neither uses has share 0 on both sides and drops out.
    first = np.nan_to_num(np.where(np.isnan(means[0]), means[1], means[0]))
    second = np.nan_to_num(np.where(np.isnan(means[1]), means[0], means[1]))
    selection = ((shares[1] - shares[0]) * (first + second) / 2).sum(axis=1)
    within = ((second - first) * (shares[0] + shares[1]) / 2).sum(axis=1)
    return np.stack([selection + within, selection, within])
