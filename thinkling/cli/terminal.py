"""Colours and streamed text on a terminal; plain text elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TextIO

from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import TAGS, stop_ids
from thinkling.tokenizer.stream import TextStream

DIM, BOLD, RESET = "\x1b[2m", "\x1b[1m", "\x1b[0m"
# Two backgrounds that stay readable on light and dark terminals, with black text on them.
STRIPES = ("\x1b[30;48;5;153m", "\x1b[30;48;5;223m")


class Paint:
    """Adds ANSI codes where ``stream`` is a terminal, and nothing elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self.on = stream.isatty()

    def __call__(self, code: str, text: str) -> str:
        return f"{code}{text}{RESET}" if self.on else text


class Speaker:
    """Prints an assistant's turn id by id: the thinking dimmed, the end of the turn left out.

    Where there are no colours, the thinking stands between ``<think>`` and ``</think>`` instead.
    """

    def __init__(self, tokenizer: Tokenizer, stream: TextIO, *, thinking: bool = False) -> None:
        self._stream = stream
        self._paint = Paint(stream)
        self._text = TextStream(tokenizer)
        before, after = TAGS["think"]
        self._opens, self._closes = tokenizer.special.get(before), tokenizer.special.get(after)
        self._ends = set(stop_ids(tokenizer))
        self._thinking = False
        self.count = 0
        self._first = self._last = 0.0
        if thinking:
            self._begin_thinking()

    def push(self, token: int) -> None:
        """Show one more id."""
        self.count += 1
        self._last = time.monotonic()
        self._first = self._first or self._last
        if token in self._ends:
            return
        if token == self._opens and not self._thinking:
            self._begin_thinking()
        elif token == self._closes and self._thinking:
            self._end_thinking()
        else:
            self._write(self._text.push(token))

    def rate(self) -> float:
        """Tokens per second from the first token on: reading the prompt (and compiling, once) left out."""
        return (self.count - 1) / max(self._last - self._first, 1e-9)

    def finish(self) -> None:
        """End the turn and its line, also in the middle of a thought."""
        self._write(self._text.flush())
        if self._thinking:
            self._thinking = False
            self._write(RESET if self._paint.on else "")
        self._write("\n")

    def _begin_thinking(self) -> None:
        self._thinking = True
        self._write(DIM if self._paint.on else "<think>")

    def _end_thinking(self) -> None:
        self._write(self._text.flush())
        self._thinking = False
        self._write(RESET + "\n" if self._paint.on else "</think>\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def striped(tokenizer: Tokenizer, ids: Sequence[int], stream: TextIO) -> str:
    """The text of ``ids`` with its token boundaries: alternating colours, or ``|`` between tokens.

    A token that ends inside a character is shown by its bytes, as ``<e2><82>``; a line break as ``↵``.
    """
    shown = [_visible(tokenizer.token_bytes(token)) for token in ids]
    if not stream.isatty():
        return "|".join(shown)
    tinted = []
    for index, text in enumerate(shown):
        stripe = STRIPES[index % 2]
        # A background must end before a line break, or the terminal paints the rest of the line.
        tinted.append(f"{stripe}{text.removesuffix(chr(10))}{RESET}" + ("\n" if text.endswith("\n") else ""))
    return "".join(tinted)


def _visible(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(f"<{byte:02x}>" for byte in data)
    return text.replace("\n", "↵\n").replace("\t", "→").replace("\x1b", "␛")
