"""Drawing a token from logits: temperature, then top-k, top-p and min-p, one uniform per (seed, position).

The filters apply in that order, each to what the one before has left. Ties are kept in order
of id. Nothing is sorted: a threshold is found by bisection over the bits of a float32, which
order positive numbers as integers do, so every pass over the vocabulary is a plain sum.

Legend: N rows to draw, S slots, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from thinkling.core.types import Sampling
from thinkling.engine.kernels import FAST, bits_to_float, exp32, widen

CHUNK = 64


@njit(**FAST)
def uniform(seed: Any, position: Any) -> float:
    """A number in [0, 1) that depends on (seed, position) alone.

    Two rounds of the SplitMix64 finalizer (Steele, Lea and Flood 2014) over a counter.
    """
    z = np.uint64(seed) + (np.uint64(position) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for _ in range(2):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(**FAST)
def log_total(logits: Any) -> Any:
    """(largest logit, log of the sum of e**(logit - largest)) of one row."""
    top = widen(logits[0])
    for i in range(logits.shape[0]):
        top = max(top, widen(logits[i]))
    total = np.float32(0.0)
    for i in range(logits.shape[0]):
        total += exp32(widen(logits[i]) - top)
    return top, np.log(total)


@njit(**FAST)
def keep_count(p: Any, k: int) -> None:
    """Zero all but the ``k`` largest of ``p`` (none negative)."""
    low, high = np.uint32(0), np.uint32(0x7F800000)  # count(p >= low) >= k > count(p >= high)
    while high - low > 1:
        middle = np.uint32(low + (high - low) // np.uint32(2))
        threshold = bits_to_float(middle)
        count = np.int32(0)
        for i in range(p.shape[0]):
            count += np.int32(1) if p[i] >= threshold else np.int32(0)
        if count >= k:
            low = middle
        else:
            high = middle
    threshold, above = bits_to_float(low), 0
    for i in range(p.shape[0]):
        if p[i] > threshold:
            above += 1
    for i in range(p.shape[0]):
        if p[i] < threshold:
            p[i] = np.float32(0.0)
        elif p[i] == threshold:
            above += 1
            if above > k:
                p[i] = np.float32(0.0)


@njit(**FAST)
def keep_mass(p: Any, mass: Any) -> None:
    """Zero all but the fewest largest of ``p`` that sum to at least ``mass`` (Holtzman et al. 2020)."""
    low, high = np.uint32(0), np.uint32(0x7F800000)  # sum(p >= low) >= mass > sum(p >= high)
    while high - low > 1:
        middle = np.uint32(low + (high - low) // np.uint32(2))
        threshold = bits_to_float(middle)
        total = np.float32(0.0)
        for i in range(p.shape[0]):
            total += p[i] if p[i] >= threshold else np.float32(0.0)
        if total >= mass:
            low = middle
        else:
            high = middle
    threshold, kept = bits_to_float(low), np.float32(0.0)
    for i in range(p.shape[0]):
        if p[i] > threshold:
            kept += p[i]
    for i in range(p.shape[0]):
        if p[i] < threshold:
            p[i] = np.float32(0.0)
        elif p[i] == threshold:
            if kept >= mass:
                p[i] = np.float32(0.0)
            kept += threshold


@njit(**FAST)
def weigh(logits: Any, denied: Any, temperature: Any, top_k: Any, top_p: Any, min_p: Any, p: Any) -> Any:
    """Fill ``p`` with the unnormalized sampling distribution; returns its sum (0: all is denied).

    ``denied`` is empty, or holds a 1 for each id that may not come next. ``temperature`` > 0.
    """
    size = p.shape[0]
    inverse = np.float32(1.0) / temperature
    for i in range(size):
        p[i] = widen(logits[i])
    if denied.shape[0]:
        for i in range(size):
            p[i] = np.float32(-3.0e38) if denied[i] else p[i]
    top = p[0]
    for i in range(size):
        top = max(top, p[i])
    if top <= np.float32(-3.0e38):
        return np.float32(0.0)
    total = np.float32(0.0)
    for i in range(size):
        p[i] = exp32((p[i] - top) * inverse)
        total += p[i]
    if denied.shape[0]:
        for i in range(size):
            p[i] = np.float32(0.0) if denied[i] else p[i]
    if top_k == 0 and top_p >= 1.0 and min_p == 0.0 and denied.shape[0] == 0:
        return total
    if 0 < top_k < size:
        keep_count(p, top_k)
    if top_p < np.float32(1.0):
        total = np.float32(0.0)
        for i in range(size):
            total += p[i]
        keep_mass(p, total * top_p)
    if min_p > np.float32(0.0):  # the likeliest has weight 1 (Nguyen et al. 2024)
        for i in range(size):
            p[i] = p[i] if p[i] >= min_p else np.float32(0.0)
    total = np.float32(0.0)
    for i in range(size):
        total += p[i]
    return total


@njit(**FAST)
def pick(p: Any, target: Any) -> Any:
    """The first id whose cumulative weight exceeds ``target``: whole chunks first, then inside one."""
    size, start, passed = p.shape[0], 0, 0.0
    while start + CHUNK < size:
        part = np.float32(0.0)
        for i in range(CHUNK):
            part += p[start + i]
        if passed + part > target:
            break
        passed += part
        start += CHUNK
    last = -1
    for i in range(start, size):
        if p[i] > np.float32(0.0):
            last = i
            passed += p[i]
            if passed > target:
                return last
    if last < 0:  # rounding left the target just beyond the total: the last possible id
        for i in range(size):
            if p[i] > np.float32(0.0):
                last = i
    return last


@njit(**FAST)
def draw(
    logits: Any, denied: Any, temperature: Any, top_k: Any, top_p: Any, min_p: Any, u: Any, p: Any
) -> Any:
    """(token, logprob) from one row; (-1, 0) where everything is denied.

    Temperature 0 takes the largest allowed logit, and reports its plain softmax logprob.
    """
    if temperature > np.float32(0.0):
        total = weigh(logits, denied, temperature, top_k, top_p, min_p, p)
        if total <= np.float32(0.0):
            return -1, np.float32(0.0)
        token = pick(p, u * np.float64(total))
        return token, np.log(p[token] / total)
    token, best = -1, np.float32(0.0)
    for i in range(logits.shape[0]):
        value = widen(logits[i])
        if (token < 0 or value > best) and not (denied.shape[0] and denied[i]):
            token, best = i, value
    if token < 0:
        return -1, np.float32(0.0)
    top, log_sum = log_total(logits)
    return token, best - top - log_sum


@njit(parallel=True, **FAST)
def draw_rows(
    logits_NV: Any, slots: Any, denies: Any, denied_SV: Any, temperature: Any, top_k: Any, top_p: Any, min_p: Any,
    seeds: Any, counts: Any, scratch_NV: Any, tokens_N: Any, logprobs_N: Any
) -> None:  # fmt: skip
    """Draw one token for each row; row n belongs to slot ``slots[n]``, whose settings it uses."""
    for n in prange(slots.shape[0]):
        s = slots[n]
        denied = denied_SV[s, : denied_SV.shape[1] if denies[s] else 0]
        token, logprob = draw(
            logits_NV[n], denied, temperature[s], top_k[s], top_p[s], min_p[s],
            uniform(seeds[s], counts[s]), scratch_NV[n],
        )  # fmt: skip
        tokens_N[n] = token
        logprobs_N[n] = logprob


@njit(parallel=True, **FAST)
def plain_logprobs(logits_NV: Any, targets_N: Any, out_N: Any) -> None:
    """Log-probability of one target per row under the plain softmax."""
    for n in prange(targets_N.shape[0]):
        top, log_sum = log_total(logits_NV[n])
        out_N[n] = widen(logits_NV[n, targets_N[n]]) - top - log_sum


def distribution(logits: np.ndarray, sampling: Sampling, denied: tuple[int, ...] = ()) -> np.ndarray:
    """The very distribution [V] that ``draw`` samples from for one row of float32 logits [V]."""
    p = np.empty(len(logits), np.float32)
    mask = np.zeros(len(logits) if denied else 0, np.uint8)
    if denied:
        mask[list(denied)] = 1
    numbers = (
        np.float32(sampling.temperature),
        sampling.top_k,
        np.float32(sampling.top_p),
        np.float32(sampling.min_p),
    )
    if sampling.temperature == 0:
        token, _ = draw(logits, mask, *numbers, 0.0, p)
        p[:] = 0
        p[token] = 1
        return p
    return p / weigh(logits, mask, *numbers, p)
