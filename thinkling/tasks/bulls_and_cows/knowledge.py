"""What the answers so far tell: the secrets that are still possible, and the worth of a guess in bits.

A guess is *consistent* if it could itself be the secret. Its information is log2(before / after) of the number
of possible secrets, its expected information the entropy of its answer (Shannon 1948) when every possible
secret is as likely. A solved game's information adds up to log2 of the number of secrets: 12.3 bits for 4 digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from thinkling.tasks.bulls_and_cows.rules import Feedback, Indices, codes


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one answered guess was worth: ``bits`` as it turned out, ``expected_bits`` before the answer."""

    consistent: bool
    bits: float
    expected_bits: float
    before: int
    after: int


class Knowledge:
    """What a player who forgets nothing knows in the middle of a game."""

    def __init__(self, digits: int) -> None:
        self.codes = codes(digits)
        self.left_S: Indices = self.codes.everything
        self.heard: list[tuple[str, Feedback]] = []

    def hear(self, guess: str, answer: Feedback) -> Evidence:
        """Take in an answer. ``guess`` may repeat digits, but then it can be no secret and is never consistent.

        Raises ValueError if no secret would have given all the answers heard.
        """
        before = self.left_S.size
        answers_S = self.codes.answers_to(guess, self.left_S)
        counts = np.bincount(answers_S, minlength=self.codes.kinds)
        after = int(counts[self.codes.pack(answer)]) if _possible(answer, self.codes.digits) else 0
        if after == 0:
            raise ValueError(f"no secret is left that answers {guess} with {answer} and agrees with {self.heard}")
        self.left_S = self.left_S[answers_S == self.codes.pack(answer)]
        self.heard.append((guess, answer))
        return Evidence(
            consistent=bool(counts[self.codes.win]),
            bits=math.log2(before / after),
            expected_bits=sum(n * math.log2(before / n) for n in counts[counts > 0].tolist()) / before,
            before=before,
            after=after,
        )

    @property
    def possible(self) -> list[str]:
        """The secrets that agree with every answer, in ascending order."""
        return [self.codes.names[i] for i in self.left_S]


def _possible(answer: Feedback, digits: int) -> bool:
    return answer.bulls >= 0 and answer.cows >= 0 and answer.bulls + answer.cows <= digits
