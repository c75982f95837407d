"""Reading large JSON value by value.

Parsed as a whole, a file of tens of megabytes becomes gigabytes of objects, and holds up every other thread while it
does. Here its outer lists and objects are walked, and the caller parses one inner value at a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class JsonWalk:
    """A place in a text, at first its beginning. Everything raises ValueError, with the line, on what is not JSON.

    After each key or index that ``members`` or ``elements`` gives, its value must be read before the next.
    """

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def value(self) -> Any:
        """The value here, parsed as a whole."""
        self._skip()
        value, self._at = _DECODER.raw_decode(self._text, self._at)
        return value

    def members(self) -> Iterator[str]:
        """The keys of the object here."""
        self._take("{")
        if self._next("}"):
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise json.JSONDecodeError("Expecting a key in double quotes", self._text, self._at)
            self._take(":")
            yield key
            if self._next("}"):
                return
            self._take(",")

    def elements(self) -> Iterator[int]:
        """The indices of the list here."""
        self._take("[")
        if self._next("]"):
            return
        index = 0
        while True:
            yield index
            index += 1
            if self._next("]"):
                return
            self._take(",")

    def end(self) -> None:
        """Nothing may follow."""
        self._skip()
        if self._at != len(self._text):
            raise json.JSONDecodeError("Extra data", self._text, self._at)

    def _skip(self) -> None:
        space = _SPACE.match(self._text, self._at)
        assert space is not None, "it matches nothing at all as well"
        self._at = space.end()

    def _next(self, mark: str) -> bool:
        self._skip()
        found = self._text.startswith(mark, self._at)
        self._at += found
        return found

    def _take(self, mark: str) -> None:
        if not self._next(mark):
            raise json.JSONDecodeError(f"Expecting {mark!r}", self._text, self._at)
