"""The decision tree of a player who always asks for the most expected information.

Each guess maximizes the entropy of its answer over the secrets still possible (Shannon 1948; for Mastermind and Bulls
and Cows: Neuwirth 1982, "Some strategies for Mastermind"). Ties prefer a guess that could be the secret, then the
smallest. Greed alone runs into an eighth round for one of the 5,040 secrets, although seven suffice; so where the best
guess cannot end within ``DEPTH`` rounds, the next best is taken. The tree is computed once, for all secrets at once.

Of 5 digits not all 30,240 codes are weighed at each node, but ``POOL``: the possible secrets first, then others, each
evenly spaced in ascending order.

Shapes: S possible secrets, G guesses weighed, K kinds of answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from thinkling.tasks.bulls_and_cows.rules import Codes, Indices, codes

DEPTH = {3: 6, 4: 7, 5: 8}  # rounds within which the tree ends
POOL = {3: 720, 4: 5040, 5: 1500}
_CELLS = 4_000_000  # answers counted at once: 32 MB as 64-bit integers


@dataclass(frozen=True, slots=True)
class Node:
    """A state of the game: the index of the guess to make, and what follows each answer (none after a win)."""

    guess: int
    children: dict[int, Node]


@cache
def entropy_tree(digits: int) -> Node:
    """The whole tree, some seconds of work the first time."""
    every = codes(digits)
    root = _grow(every, every.everything, DEPTH[digits])
    if root is None:
        raise RuntimeError(f"no tree of {DEPTH[digits]} rounds was found for {digits} digits")
    return root


def depths(digits: int) -> Indices:
    """Rounds that the tree takes for each secret (S,)."""
    every = codes(digits)
    rounds_S = np.zeros(len(every), np.int64)

    def walk(node: Node, secrets: Indices, depth: int) -> None:
        answers = every.answers(np.array([node.guess]), secrets)[0]
        rounds_S[secrets[answers == every.win]] = depth
        for answer, child in node.children.items():
            walk(child, secrets[answers == answer], depth + 1)

    walk(entropy_tree(digits), every.everything, 1)
    return rounds_S


def _grow(every: Codes, left_S: Indices, rounds: int) -> Node | None:
    """The tree that tells ``left_S`` apart within ``rounds``, or None where none is found."""
    for guess in _ranked(every, left_S):
        answers_S = every.answers(np.array([guess]), left_S)[0]
        counts_K = np.bincount(answers_S, minlength=every.kinds)
        counts_K[every.win] = 0
        if rounds == 2 and counts_K.max() > 1:  # two secrets would be left for one round
            continue
        children: dict[int, Node] = {}
        for answer in np.flatnonzero(counts_K):
            child = _grow(every, left_S[answers_S == answer], rounds - 1)
            if child is None:
                break
            children[int(answer)] = child
        else:
            return Node(int(guess), children)
    return None


def _ranked(every: Codes, left_S: Indices) -> Iterator[int]:
    """Guesses from the best on."""
    if left_S.size <= 2 or left_S.size == len(every):
        # Of one or two, any is best; before the first answer all guesses are alike, up to names of digits and places.
        yield from left_S[:2]
        return
    pool_G = _pool(every, left_S)
    # Bits still missing after the answer, on average. Rounded, so that equal partitions whose sums differ in the
    # last bit remain ties.
    missing_G = np.round(_n_log_n(len(every))[_counts(every, pool_G, left_S)].sum(axis=1) / left_S.size, 9)
    yield from pool_G[np.lexsort((pool_G, ~np.isin(pool_G, left_S), missing_G))]


def _pool(every: Codes, left_S: Indices) -> Indices:
    size = POOL[every.digits]
    if size >= len(every):
        return every.everything
    if left_S.size >= size:
        return _spaced(left_S, size)
    others = np.setdiff1d(every.everything, left_S, assume_unique=True)
    return np.concatenate([left_S, _spaced(others, size - left_S.size)])


def _spaced(indices: Indices, count: int) -> Indices:
    return indices[np.linspace(0, indices.size - 1, count).astype(np.int64)]


@cache
def _n_log_n(largest: int) -> NDArray[np.float64]:
    """n log2(n) for every n up to ``largest``: looked up, since logarithms would take most of the time."""
    n = np.arange(largest + 1, dtype=np.float64)
    return np.asarray(n * np.log2(np.maximum(n, 1)))


def _counts(every: Codes, guesses_G: Indices, left_S: Indices) -> NDArray[np.int64]:
    """How many of ``left_S`` give each answer to each guess: (G, K), by one bincount over a block of guesses."""
    block = max(1, _CELLS // left_S.size)
    parts = []
    for at in range(0, guesses_G.size, block):
        answers_GS = every.answers(guesses_G[at : at + block], left_S).astype(np.int64)
        answers_GS += np.arange(answers_GS.shape[0])[:, None] * every.kinds
        counted = np.bincount(answers_GS.ravel(), minlength=answers_GS.shape[0] * every.kinds)
        parts.append(counted.reshape(-1, every.kinds))
    return np.concatenate(parts)
