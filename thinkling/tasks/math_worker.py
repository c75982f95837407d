"""Comparing two answers by math-verify; runs in a process of its own (`isolated.py`), which may be killed."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any


class Unreadable(Exception):
    """The answer, or the gold answer, is nothing that math-verify can read."""


def load() -> Callable[[Any], bool]:
    """The function from ``[said, gold]``, in LaTeX without dollar signs, to whether they are equal.

    math-verify and what it stands on are an optional extra, hence no ordinary import.
    """
    logging.disable(logging.CRITICAL)
    verifier = importlib.import_module("math_verify")
    parser = importlib.import_module("latex2sympy2_extended.latex2sympy2")
    # Units are dropped by our own rules: to theirs, "3m" is 3 and "5 cm" equals "5 m".
    tidying = parser.NormalizationConfig(units=False, malformed_operators=True, nits=True)
    latex = [verifier.LatexExtractionConfig(normalization_config=tidying)]
    # Twelve places: a decimal near an exact number is another number. "x > 2" is the interval from 2 on. Its own
    # time limits are off: they are signals, and the process is limited as a whole.
    rules = {"float_rounding": 12, "allow_set_relation_comp": True, "timeout_seconds": None, "raise_on_error": True}

    def read(what: str, text: str) -> Any:
        # No fallback: a string that could not be parsed must not be compared with another as a string.
        found = verifier.parse(
            f"${text}$", latex, fallback_mode="no_fallback", parsing_timeout=None, raise_on_error=True
        )
        if not found:
            raise Unreadable(f"math-verify cannot read {what}")
        return found

    def compare(request: Any) -> bool:
        said, gold = request
        return bool(verifier.verify(read("the gold answer", gold), read("the answer", said), **rules))

    # Some of it is loaded at first use, which must not count against the first request.
    compare(["\\frac{1}{2}x", "0.5x"])
    return compare
