"""Scoring by reasoning-gym; runs in a process of its own (`isolated.py`), which may be killed.

Some of its scorers evaluate the answer as Python (``eval``, sympy's ``parse_expr``), in whatever process calls them.
"""

from __future__ import annotations

import base64
import importlib
import pickle
from collections.abc import Callable
from functools import lru_cache
from typing import Any


def load() -> Callable[[Any], float]:
    """The function from ``[name, options, entry, said]`` to the score; the entry is pickled, in base64."""
    gym = importlib.import_module("reasoning_gym")

    @lru_cache(maxsize=16)
    def dataset(name: str, options: tuple[tuple[str, Any], ...]) -> Any:
        return gym.create_dataset(name, **dict(options), seed=0, size=1)

    def score(request: Any) -> float:
        name, options, entry, said = request
        # What is unpickled here was pickled by the parent, from a set that it made itself.
        scorer = dataset(name, tuple((key, _frozen(value)) for key, value in sorted(options.items())))
        return float(scorer.score_answer(said, pickle.loads(base64.b64decode(entry))))

    return score


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
