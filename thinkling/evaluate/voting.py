"""What voting over k samples is worth, computed from n stored ones: exactly, without drawing again.

maj@k is the expected accuracy of a majority vote over k of a problem's n samples, averaged over all C(n, k) ways
to choose them. Enumerating the subsets is hopeless for n = 200; but whether an answer wins depends only on how
often each answer was drawn, so the ways are counted answer by answer, as for a multivariate hypergeometric
distribution. The counts are kept as probabilities throughout: all terms are positive, nothing overflows or cancels.

Self-consistency: Wang et al. 2022, arXiv:2203.11171; maj@k by that name: Lewkowycz et al. 2022 ("Minerva"),
arXiv:2206.14858. Ties are broken uniformly, in expectation; a sample whose answer could not be read (None) never
votes; k samples without one readable answer are wrong.

Shapes: P problems, K numbers of samples (1, 2, ...), D distinct multiplicities, S states, T sizes 0..n, R ties.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkling.core.errors import UserError
from thinkling.evaluate.statistics import Floats

Answer = Hashable
MOST_SAMPLES = 1000  # C(1000, 500) is 2.7e299: near the end of what a float64 holds


def maj_at_k(answers: Sequence[Answer | None], correct: Mapping[Any, float], k: int) -> float:
    """Expected accuracy of the majority over k of the stored ``answers``, over all C(n, k) choices.

    sum over answers a of correct[a] * E[(a is among the most frequent) / (number of those)]. ``correct`` gives an
    answer's correctness in [0, 1] (several answers may be right); one that it does not name is wrong. Equivalent
    spellings vote apart unless they were made one before. Raises UserError unless 1 <= k <= n.
    """
    curve_K = maj_curve(answers, correct)
    if not 1 <= k <= len(curve_K):
        raise UserError(f"maj@k: expected k between 1 and the {len(curve_K)} stored samples, came k={k}")
    return float(curve_K[k - 1])


def maj_curve(answers: Sequence[Answer | None], correct: Mapping[Any, float]) -> Floats:
    """``maj_at_k`` for k = 1..n at once; [n]."""
    votes, unparsed = tally(answers)
    check_correct(correct)
    multiplicities = tuple(sorted(votes.values(), reverse=True))
    distinct = sorted(set(multiplicities), reverse=True)
    weight_D = np.zeros(len(distinct))
    for answer, count in votes.items():
        weight_D[distinct.index(count)] += correct.get(answer, 0.0)
    # Sums of shares reach 1 only up to rounding.
    return np.minimum(weight_D @ vote_shares(multiplicities, unparsed), 1.0)


def maj_curves(
    answers: Sequence[Sequence[Answer | None]], correct: Sequence[Mapping[Any, float]], up_to: int | None = None
) -> Floats:
    """``maj_at_k`` of many problems for k = 1..``up_to`` (the fewest samples of any problem, if None); [P, K].

    Problems whose answers repeat alike share one count. ``column_estimates`` puts an interval on every k. Raises
    UserError where a problem has fewer than ``up_to`` samples.
    """
    width = common_width(answers, up_to)
    return np.stack([maj_curve(said, right)[:width] for said, right in zip(answers, correct, strict=True)])


@lru_cache(maxsize=8192)
def vote_shares(multiplicities: tuple[int, ...], unparsed: int) -> Floats:
    """Expected share of the win that one answer takes in a vote over k of n samples; [D, n] for k = 1..n.

    ``multiplicities`` says how often each distinct answer was drawn, in descending order; n is their sum plus
    ``unparsed``. Row d is for an answer of the d-th distinct multiplicity: P(it alone has most votes) +
    P(it ties with one other) / 2 + P(with two) / 3 + ... For each winning count ("level") the answers that can
    reach it are joined one by one into the probability that none of them exceeds it and exactly r reach it.
    """
    n = sum(multiplicities) + unparsed
    classes = sorted(Counter(multiplicities).items(), reverse=True)
    choose = binomials(n)
    size_T, shares = np.arange(n + 1), np.zeros((len(classes), n + 1))
    for level in range(1, multiplicities[0] + 1 if multiplicities else 1):
        rivals = [(m, copies) for m, copies in classes if m >= level]
        # Whoever cannot reach the level is no different from a sample that does not vote.
        free = n - sum(m * copies for m, copies in rivals)
        ties = sum(copies for _, copies in rivals)
        # State 0 holds all rivals joined so far; each further one all but a single rival of one class.
        states = np.zeros((1, n + 1, ties))
        states[0, : free + 1, 0] = 1.0
        sizes = np.array([free])
        for m, copies in rivals:
            without, its_size = states[:1], sizes[:1]
            for copy in range(copies):
                states = _joined(states, sizes, m, level, choose)
                sizes = sizes + m
                if copy == 0:
                    states, sizes = np.concatenate([states, without]), np.concatenate([sizes, its_size])
        split_ST = states[1:] @ (1.0 / np.arange(1, ties + 1))
        for d, (m, _) in enumerate(rivals):
            rest = size_T[level:] - level
            chance = choose[m, level] * choose[n - m, rest] / choose[n, level:]
            shares[d, level:] += chance * split_ST[d, rest]
    shares.flags.writeable = False
    return shares[:, 1:]


def _joined(states_STR: Floats, sizes_S: NDArray[np.int64], m: int, level: int, choose: Floats) -> Floats:
    """The states after one more answer of multiplicity ``m``, which may have up to ``level`` votes.

    states[s, t, r] is P(no answer above the level, r at it | t of the s-th state's samples chosen). Given t of
    the larger pool, i of them are the newcomer's with probability C(size, t-i) C(m, i) / C(size+m, t).
    """
    t_T, i_I = np.arange(states_STR.shape[1]), np.arange(level + 1)
    others_TI = t_T[:, None] - i_I
    inside = others_TI >= 0
    others_TI = np.where(inside, others_TI, 0)
    ways_ST = np.maximum(choose[sizes_S + m], 1.0)  # where there is no way, the numerator is 0 already
    weights_STI = choose[sizes_S][:, others_TI] * (choose[m, i_I] * inside) / ways_ST[:, :, None]
    gathered_STIR = states_STR[:, others_TI]
    # "sti,stir->str" for the counts below the level, as a product of matrices
    made = (weights_STI[:, :, None, :level] @ gathered_STIR[:, :, :level])[:, :, 0]
    made[:, :, 1:] += (weights_STI[:, :, level, None] * gathered_STIR[:, :, level])[:, :, :-1]
    return np.asarray(made, dtype=np.float64)


@lru_cache(maxsize=16)
def binomials(n: int) -> Floats:
    """C(a, b) for 0 <= a, b <= n as float64, 0 where b > a; [n+1, n+1]. Raises UserError for n > 1000.

    Exact while below 2^53 (n up to 56), to 1e-13 of its value up to the last n whose row a float64 can hold.
    """
    if n > MOST_SAMPLES:
        raise UserError(
            f"expected at most {MOST_SAMPLES} stored samples per problem, came {n}; count over a part of them"
        )
    table = np.zeros((n + 1, n + 1))
    table[:, 0] = 1.0
    for a in range(1, n + 1):
        table[a, 1:] = table[a - 1, 1:] + table[a - 1, :-1]
    table.flags.writeable = False
    return table


@dataclass(frozen=True, slots=True)
class Agreement:
    """How united a vote was. ``winners`` are the answers with most ``votes``, in order of appearance.

    ``of_parsed`` and ``of_all`` are one winner's share of the readable answers and of all samples (0 where none
    is readable); the latter is the more careful confidence, for an unreadable answer is a sign of trouble too.
    """

    winners: tuple[Answer, ...]
    votes: int
    of_parsed: float
    of_all: float

    @property
    def tied(self) -> int:
        """How many answers share the lead (1: a clear winner; 0: nothing was readable)."""
        return len(self.winners)


def agreement(answers: Sequence[Answer | None]) -> Agreement:
    """The majority among ``answers`` (None: unreadable) and its share of the votes (Wang et al. 2022)."""
    votes, unparsed = tally(answers)
    if not votes:
        return Agreement((), 0, 0.0, 0.0)
    most = max(votes.values())
    winners = tuple(answer for answer, count in votes.items() if count == most)
    return Agreement(winners, most, most / (len(answers) - unparsed), most / len(answers))


def tally(answers: Sequence[Answer | None]) -> tuple[Counter[Answer], int]:
    """Votes per answer and the number of unreadable ones. Raises UserError where there is no sample at all."""
    if not answers:
        raise UserError("a vote needs at least one stored sample, came none; sample the problem first")
    votes: Counter[Answer] = Counter(answers)
    return votes, votes.pop(None, 0)


def check_correct(correct: Mapping[Any, float]) -> None:
    """Raises UserError where a correctness is no number in [0, 1]."""
    for answer, value in correct.items():
        if not 0.0 <= value <= 1.0:
            raise UserError(f"the correctness of an answer must lie in [0, 1]; came {value} for {answer!r}")


def common_width(answers: Sequence[Sequence[Answer | None]], up_to: int | None) -> int:
    """The largest k that all problems have samples for, or ``up_to`` if they all have that many."""
    if not answers:
        raise UserError("expected at least one problem with samples, came none")
    fewest = min(len(said) for said in answers)
    width = fewest if up_to is None else up_to
    if not 1 <= width <= fewest:
        raise UserError(f"expected k from 1 to {fewest}, the fewest samples of any problem; came up to {up_to}")
    return width
