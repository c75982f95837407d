"""Step 7: the rules that FineWeb adds (Penedo et al. 2024, section 3.6), at its thresholds."""

from __future__ import annotations

from thinkling.data.quality_gopher import duplicates
from thinkling.data.words import Words

MIN_PUNCTUATED_LINES = 0.12
MAX_SHORT_LINES, SHORT_LINE = 0.67, 30
MAX_DUPLICATE_LINE_CHARACTERS = 0.01
MAX_LINE_BREAKS_PER_WORD = 0.3
_STOPS = (".", "'", '"', "!", "?", "”", "’")


def check(text: str) -> str | None:
    """Which rule the text breaks, or None."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return "no lines"
    if sum(line.endswith(_STOPS) for line in lines) / len(lines) <= MIN_PUNCTUATED_LINES:
        return "too few lines end in punctuation"
    if sum(len(line) <= SHORT_LINE for line in lines) / len(lines) >= MAX_SHORT_LINES:
        return "too many short lines"
    if duplicates(lines)[1] / sum(map(len, lines)) >= MAX_DUPLICATE_LINE_CHARACTERS:
        return "characters in duplicate lines"
    # Tokens are at least as many as white space separates: count them only where that does not decide.
    breaks = text.count("\n")
    if breaks > MAX_LINE_BREAKS_PER_WORD * len(text.split()) and (
        breaks > MAX_LINE_BREAKS_PER_WORD * Words(text).tokens
    ):
        return "a list rather than text"
    return None
