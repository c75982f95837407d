"""Text from ids that arrive one by one: for a terminal, and for stop strings across token borders."""

from __future__ import annotations

import codecs

from thinkling.tokenizer.bpe import Tokenizer


class TextStream:
    """Turns ids into text as they come, never showing half a character.

    A token may end in the middle of a character's UTF-8 bytes; these wait for the rest. All that
    ``push`` and the final ``flush`` return, joined, is ``tokenizer.decode`` of all ids.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, number: int) -> str:
        """The text that this id completes; empty while a character is unfinished."""
        return self._decoder.decode(self._tokenizer.token_bytes(number))

    def flush(self) -> str:
        """What an unfinished character leaves (U+FFFD, or nothing); the stream starts afresh."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest
