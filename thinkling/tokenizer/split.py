"""Cutting text into pieces before BPE looks at it, and the printable alphabet for bytes.

BPE merges never cross the border between two pieces, so the pattern decides what a token can be:
a word with the space before it, a run of punctuation, a run of blanks, one digit.
"""

from __future__ import annotations

import re
from functools import cache

# GPT-4's way of cutting (tiktoken's cl100k_base), but with digits one by one, so that 1234 has one
# spelling and arithmetic can line digits up. Letter for letter the pattern of Qwen2 and Qwen3, hence known
# to every program that runs those models. Left to right: a contraction; letters with at most one leading
# non-letter (mostly the space); ONE digit; punctuation with the line ends after it; line ends with the
# blanks before them; blanks, leaving the last one to the word that follows; other blanks.
DIGIT_BY_DIGIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Llama 3: digits in groups of up to three.
THREE_DIGITS = DIGIT_BY_DIGIT.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
# GPT-2: what Hugging Face's ByteLevel pre-tokenizer cuts with when its file names no pattern.
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

_COVERING = frozenset({DIGIT_BY_DIGIT, THREE_DIGITS, GPT2})


def covering(pattern: str) -> str:
    """``pattern``, extended where needed so that its matches leave no character of any text out.

    Hugging Face keeps the stretches between two matches as pieces of their own, tiktoken drops them.
    """
    if pattern in _COVERING:
        return pattern
    return rf"{pattern}|(?:(?!{pattern})[\s\S])+"


# Rust's fancy-regex, in tiktoken and in rustbpe, gives up with a panic on about a million blanks in a row.
LONGEST_BLANKS = 500_000
_BLANKS = re.compile(rf"\s{{{LONGEST_BLANKS}}}\s+")


def has_too_many_blanks(text: str) -> bool:
    """Whether a run of blanks in ``text`` is too long for the fast regex engine."""
    return len(text) > LONGEST_BLANKS and _BLANKS.search(text) is not None


def shorten_blanks(text: str) -> str:
    """``text`` with every run of blanks cut to what the fast regex engine can bear."""
    if not has_too_many_blanks(text):
        return text
    return _BLANKS.sub(lambda run: run[0][:LONGEST_BLANKS], text)


def valid_unicode(text: str) -> str:
    """``text`` with surrogate pairs joined and every lone surrogate replaced by U+FFFD.

    A Python string may hold surrogates, which no UTF-8 text can. They are read as UTF-16 would be.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


@cache
def printable_bytes() -> tuple[str, ...]:
    """A printable character for each byte, by byte value: the alphabet of byte-level vocabulary files.

    From GPT-2's encoder.py: bytes that print stand for themselves, the other 68 are moved, in order,
    to the code points from U+0100.
    """
    printing = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    moved = iter(range(0x100, 0x200))
    return tuple(chr(byte if byte in printing else next(moved)) for byte in range(256))


@cache
def _byte_of() -> dict[str, int]:
    return {char: byte for byte, char in enumerate(printable_bytes())}


def to_printable(token: bytes) -> str:
    """Spell a token's bytes in the printable alphabet."""
    alphabet = printable_bytes()
    return "".join(alphabet[byte] for byte in token)


def from_printable(spelling: str) -> bytes:
    """The bytes that ``spelling`` stands for. Raises KeyError for a character outside the alphabet."""
    byte_of = _byte_of()
    return bytes(byte_of[char] for char in spelling)
