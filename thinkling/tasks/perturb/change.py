"""What a perturbation makes of a problem: a change, or a refusal with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class Refused(Exception):
    """Raised where a perturbation would not be certain; the message is the reason, and is counted as it is."""


@dataclass(frozen=True, slots=True)
class Change:
    """A problem after a perturbation. ``new_gold``: the answer was computed anew, and has to differ."""

    prompt: str
    answer: str
    level: int
    meta: Mapping[str, Any]
    new_gold: bool = False


def solutions(meta: Mapping[str, Any]) -> list[str]:
    """A foreign problem's worked solutions: of a file of questions (``solutions``) or of a benchmark (``solution``)."""
    found = meta.get("solutions") or [meta.get("solution")]
    return [text for text in found if isinstance(text, str) and text]


def with_solutions(meta: Mapping[str, Any], texts: Sequence[str]) -> dict[str, Any]:
    """``meta`` with these solutions in the place of its own."""
    new: dict[str, Any] = {"solutions": list(texts)} if "solutions" in meta else {"solution": texts[0]}
    return {**meta, **new}


def canonical(family: str, meta: Mapping[str, Any]) -> str | None:
    """What makes a built-in problem this problem, from its meta, as the family spells it; None for other families.

    Only the families whose content a perturbation can change. By it a child's content has a split of its
    own, which must be its parent's: else a test problem's child might be a problem of training.
    """
    if family == "chain":
        return f"{meta['start']} " + " ".join(f"{op}{a},{b}" for op, a, b in meta["events"])
    if family == "equation":
        return f"{meta['a']} {meta['b']} {meta['p']} {meta['total']}"
    if family == "letters":
        return " ".join(meta["words"])
    if family == "coin":
        return " ".join(f"{name}{flips:d}" for name, flips in zip(meta["names"], meta["flips"], strict=True))
    if family == "sort":
        return " ".join(map(str, sorted(meta["numbers"])))
    if family == "decimals":
        return " ".join(sorted((meta["a"], meta["b"])))
    return None
