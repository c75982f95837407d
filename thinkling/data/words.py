"""A text's lines and words, counted once and read by every quality rule."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\w+(?:['’.-]\w+)*|[^\w\s]+")


class Words:
    """``tokens`` are words and runs of punctuation, as a word tokenizer gives them; ``words`` only words."""

    __slots__ = ("lines", "text", "tokens", "words")

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.split("\n")
        self.tokens: list[str] = _TOKEN.findall(text)
        self.words = [token for token in self.tokens if token[0].isalnum() or token[0] == "_"]
