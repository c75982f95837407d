"""Comparing evaluations: the same problems under different models, strategies or settings, pair by pair."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from thinkling.core.errors import UserError
from thinkling.evaluate.comparison import Comparison, all_pairs
from thinkling.evaluate.evaluation import SCORES, read_settings

Scores = dict[str, dict[str, dict[str, float]]]


def compare_folders(folders: Sequence[Path], seed: int = 0) -> list[Comparison]:
    """Every pair of strategies out of these evaluations, over the problems that a pair shares, Holm-corrected.

    A strategy is called by its spec, and by its folder too where there is more than one. Raises UserError where a
    pair has no problem in common.
    """
    found: Scores = {}
    for folder, called in _names(folders).items():
        for name, made in _scores(folder).items():
            found[f"{called}: {name}" if called else name] = made
    if len(found) < 2:
        raise UserError(f"expected two strategies or more to compare; found {', '.join(found) or 'none'}")
    return all_pairs(found, seed=seed)


def _names(folders: Sequence[Path]) -> dict[Path, str]:
    """What each folder is called: nothing where it is alone, else by as many of its last parts as tell them apart."""
    whole = list(dict.fromkeys(folder.resolve() for folder in folders))
    if len(whole) == 1:
        return {whole[0]: ""}
    for size in range(1, max(len(path.parts) for path in whole) + 1):
        names = ["/".join(path.parts[-size:]) for path in whole]
        if len(set(names)) == len(whole):
            break
    return dict(zip(whole, names, strict=True))


def _scores(folder: Path) -> Scores:
    read_settings(folder)
    try:
        made: Scores = json.loads((folder / SCORES).read_text(encoding="utf-8"))["scores"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder / SCORES}: cannot be read ({error}); run the evaluation again") from None
    return made
