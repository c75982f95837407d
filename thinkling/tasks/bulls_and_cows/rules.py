"""The rules: secrets of distinct digits, and the answer to a guess.

A secret has 3, 4 or 5 distinct digits out of ten and may begin with 0, which makes 720, 5,040 or 30,240
secrets. A guess is answered with its bulls (right digit, right place) and cows (right digit, wrong place).

Shapes: N all codes of one length, P places of a code, G guesses, S secrets.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from thinkling.core.errors import UserError

Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64]

LENGTHS = (3, 4, 5)
ROUNDS = 50
_TABLE_LENGTHS = (3, 4)  # the table of 5 digits would take 914 MB; its rows are computed when they are asked for
_BLOCK = 256  # guesses whose answers are computed at once: the working set stays in the cache

# One list for everyone, so that models are compared on the same secrets. 4723 is the one that assistants
# were first tried on by hand; the others were drawn once.
FIXED_SECRETS: dict[int, tuple[str, ...]] = {
    3: ("472", "036", "915", "580", "241", "697", "763", "108", "859", "324"),
    4: ("4723", "0861", "9150", "2394", "7086", "5412", "3679", "8205", "1947", "6538"),
    5: ("47230", "08615", "91504", "23948", "70863", "54127", "36792", "82051", "19476", "65389"),
}


@dataclass(frozen=True, slots=True)
class Feedback:
    """The answer to a guess; its text is exactly what a player is told."""

    bulls: int
    cows: int

    def __str__(self) -> str:
        return f"bulls:{self.bulls} cows:{self.cows}"


def feedback(secret: str, guess: str) -> Feedback:
    """The answer to ``guess``, of the secret's length. A digit that the guess repeats counts as often as
    the secret has it, and bulls before cows, as in Mastermind."""
    if len(secret) != len(guess):
        raise ValueError(f"expected a guess of {len(secret)} digits, got {guess!r}")
    bulls = sum(mine == yours for mine, yours in zip(secret, guess, strict=True))
    common = (Counter(secret) & Counter(guess)).total()
    return Feedback(bulls, common - bulls)


def fault(code: str, digits: int) -> str | None:
    """What makes ``code`` no legal secret or guess: "wrong length", "repeated digits", or None."""
    if len(code) != digits or not (code.isascii() and code.isdigit()):
        return "wrong length"
    return "repeated digits" if len(set(code)) < digits else None


def check_secret(secret: str, digits: int) -> str:
    """``secret`` if it is legal. Raises UserError if not."""
    if fault(secret, digits) is not None:
        raise UserError(
            f"expected a secret of {digits} different digits, for example {'4723098'[:digits]}; got {secret!r}"
        )
    return secret


class Codes:
    """All codes of one length in ascending order, and the answers between them.

    An answer is one byte, ``bulls * (digits + 1) + cows``, so that arrays of answers can be counted; ``win`` is
    the byte of a solved game and ``kinds`` bounds the bytes. Codes are numbered in ascending order; ``everything``
    are all their numbers. Made by ``codes(digits)``.
    """

    def __init__(self, digits: int) -> None:
        if digits not in LENGTHS:
            raise UserError(f"expected {', '.join(map(str, LENGTHS))} as the number of digits; got {digits}")
        self.digits = digits
        self.names = tuple("".join(code) for code in permutations("0123456789", digits))
        self.index = {name: i for i, name in enumerate(self.names)}
        self.kinds = (digits + 1) ** 2
        self.win = digits * (digits + 1)
        self.everything: Indices = np.arange(len(self.names))
        self.everything.flags.writeable = False
        self._symbols_NP = np.array([list(map(int, name)) for name in self.names], dtype=np.uint8)
        self._sets_N = _digit_sets(self._symbols_NP)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def table_NN(self) -> Bytes:
        """The answer to every guess (row) against every secret (column): 25 MB for 4 digits. It is symmetric."""
        blocks = [self._symbols_NP[at : at + _BLOCK] for at in range(0, len(self), _BLOCK)]
        return np.concatenate([self._answers(block, self.everything) for block in blocks])

    def answers(self, guesses_G: Indices, secrets_S: Indices) -> Bytes:
        """Answers (G, S) to guesses against secrets, both given by their index."""
        if self.digits in _TABLE_LENGTHS:
            return self.table_NN[guesses_G[:, None], secrets_S[None, :]]
        return self._answers(self._symbols_NP[guesses_G], secrets_S)

    def answers_to(self, guess: str, secrets_S: Indices) -> Bytes:
        """Answers (S,) to one guess, which may repeat digits (recorded games of others do)."""
        at = self.index.get(guess)
        if at is not None and self.digits in _TABLE_LENGTHS:
            return self.table_NN[at, secrets_S]
        return self._answers(np.array([list(map(int, guess))], dtype=np.uint8), secrets_S)[0]

    def pack(self, answer: Feedback) -> int:
        """The byte of an answer."""
        return answer.bulls * (self.digits + 1) + answer.cows

    def unpack(self, byte: int) -> Feedback:
        """The answer of a byte."""
        return Feedback(*divmod(byte, self.digits + 1))

    def _answers(self, symbols_GP: Bytes, secrets_S: Indices) -> Bytes:
        # A secret has no digit twice, so the digits in common are those of the two sets, whatever the guess repeats.
        common_GS = np.bitwise_count(_digit_sets(symbols_GP)[:, None] & self._sets_N[None, secrets_S])
        bulls_GS = np.zeros(common_GS.shape, np.uint8)
        for place in range(self.digits):
            bulls_GS += symbols_GP[:, None, place] == self._symbols_NP[None, secrets_S, place]
        return np.asarray(bulls_GS * np.uint8(self.digits) + common_GS, np.uint8)  # b * (d + 1) + (common - b)


@cache
def codes(digits: int) -> Codes:
    """The codes of ``digits`` digits; made once. Raises UserError for a length that is not played."""
    return Codes(digits)


def choose_secrets(spec: str, digits: int, seed: int) -> tuple[str, ...]:
    """Secrets by what a person wrote: "fixed", "all", "random:N" (different ones), or codes with commas between."""
    every = codes(digits).names
    if spec == "fixed":
        return FIXED_SECRETS[digits]
    if spec == "all":
        return every
    kind, colon, count = spec.partition(":")
    if kind == "random" and colon:
        if not count.isdigit() or not 1 <= int(count) <= len(every):
            raise UserError(f"expected random:N with N from 1 to {len(every)}; got {spec!r}")
        return tuple(random.Random(seed).sample(every, int(count)))
    chosen = [part.strip() for part in spec.split(",")]
    try:
        return tuple(check_secret(secret, digits) for secret in chosen)
    except UserError as error:
        raise UserError(f"--secrets takes fixed, all, random:N, or secrets such as 4723,0861: {error}") from None


def _digit_sets(symbols_GP: Sequence[Sequence[int]] | Bytes) -> NDArray[np.uint16]:
    """Each code's digits as the bits of one number."""
    return np.bitwise_or.reduce(np.uint16(1) << np.asarray(symbols_GP, np.uint16), axis=1)
