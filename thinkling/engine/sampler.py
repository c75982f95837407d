"""Drawing a token from logits: temperature, then top-k, top-p and min-p, one uniform per (seed, position).

The filters apply in that order, each to what the one before has left. Ties are kept in order
of id. Nothing is sorted: a threshold is found by bisection over the bits of a float32, which
order positive numbers as integers do, so every pass over the vocabulary is a plain sum.

Legend: N rows to draw, S slots, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange, types
from numba.extending import intrinsic

from thinkling.core.types import Sampling
from thinkling.engine.kernels import kernel, parallel_kernel
from thinkling.engine.vectors import larger
from thinkling.model.lowlevel import exp32, load

CHUNK = 64  # ids whose weights are summed at once before the draw looks inside
_ABOVE_ONE = np.uint32(0x3F800001)  # bits of the float32 next after 1
_NEVER = np.float32(-3.0e38)  # in place of a denied id's logit


@intrinsic
def bits_to_float(typingctx: Any, bits: Any) -> Any:
    """The float32 with these 32 bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.float32))

    return types.float32(types.uint32), codegen


@kernel
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


@kernel
def log_total(logits: Any) -> Any:
    """(largest logit, log of the sum of e**(logit - largest)) of one row."""
    top = load(logits[0])
    for i in range(logits.shape[0]):
        top = larger(top, load(logits[i]))
    total = np.float32(0.0)
    for i in range(logits.shape[0]):
        total += exp32(load(logits[i]) - top)
    return top, np.log(total)


@kernel
def keep_count(p: Any, k: int) -> None:
    """Zero all but the ``k`` largest of ``p`` (within 0..1)."""
    wanted = np.float32(k)  # counted in float32, exact up to 2**24, because that vectorizes
    low, high = np.uint32(0), _ABOVE_ONE  # count(p >= low) >= k > count(p >= high)
    while high - low > 1:
        middle = np.uint32(low + (high - low) // np.uint32(2))
        threshold, count = bits_to_float(middle), np.float32(0.0)
        for i in range(p.shape[0]):
            count += np.float32(1.0) if p[i] >= threshold else np.float32(0.0)
        if count >= wanted:
            low = middle
        else:
            high = middle
        if count == wanted:
            break
    threshold, kept = bits_to_float(low), 0
    for i in range(p.shape[0]):
        if p[i] > threshold:
            kept += 1
    for i in range(p.shape[0]):
        if p[i] < threshold:
            p[i] = np.float32(0.0)
        elif p[i] == threshold:
            kept += 1
            if kept > k:
                p[i] = np.float32(0.0)


@kernel
def keep_mass(p: Any, mass: Any) -> None:
    """Zero all but the fewest largest of ``p`` (within 0..1) that sum to ``mass`` or more (Holtzman et al. 2020)."""
    low, high = np.uint32(0), _ABOVE_ONE  # sum(p >= low) >= mass > sum(p >= high)
    while high - low > 1:
        middle = np.uint32(low + (high - low) // np.uint32(2))
        threshold, total = bits_to_float(middle), np.float32(0.0)
        for i in range(p.shape[0]):
            total += p[i] if p[i] >= threshold else np.float32(0.0)
        if total >= mass:
            low = middle
        else:
            high = middle
    threshold, kept = bits_to_float(low), np.float32(0.0)
    for i in range(p.shape[0]):
        kept += p[i] if p[i] > threshold else np.float32(0.0)
    for i in range(p.shape[0]):
        if p[i] < threshold:
            p[i] = np.float32(0.0)
        elif p[i] == threshold:
            if kept >= mass:
                p[i] = np.float32(0.0)
            kept += threshold


@kernel
def total_of(p: Any) -> Any:
    total = np.float32(0.0)
    for i in range(p.shape[0]):
        total += p[i]
    return total


@kernel
def allow(logits: Any, denied: Any, bias: Any, p: Any) -> Any:
    """Copy the biased logits that are not denied to ``p``, the others as ``_NEVER``; returns the largest."""
    top = _NEVER
    for i in range(p.shape[0]):
        p[i] = load(logits[i])
    for i in range(bias.shape[0]):
        p[i] += bias[i]
    for i in range(denied.shape[0]):
        p[i] = _NEVER if denied[i] else p[i]
    for i in range(p.shape[0]):
        top = larger(top, p[i])
    return top


@kernel
def weigh(top: Any, temperature: Any, top_k: Any, top_p: Any, min_p: Any, p: Any) -> Any:
    """Turn logits ``p``, of which ``top`` is the largest, into the unnormalized sampling distribution.

    Returns its sum; the likeliest id has weight 1. ``temperature`` > 0.
    """
    inverse = np.float32(1.0) / temperature
    for i in range(p.shape[0]):
        p[i] = exp32((p[i] - top) * inverse) if p[i] > _NEVER else np.float32(0.0)
    if 0 < top_k < p.shape[0]:
        keep_count(p, top_k)
    if top_p < np.float32(1.0):
        keep_mass(p, total_of(p) * top_p)
    if min_p > np.float32(0.0):  # Nguyen et al. 2024
        for i in range(p.shape[0]):
            p[i] = p[i] if p[i] >= min_p else np.float32(0.0)
    return total_of(p)


@kernel
def pick(p: Any, target: Any) -> Any:
    """The first id whose cumulative weight exceeds ``target``: whole chunks first, then inside one."""
    size, start = p.shape[0], 0
    passed: Any = 0.0
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


@kernel
def draw(
    logits: Any, denied: Any, bias: Any, temperature: Any, top_k: Any, top_p: Any, min_p: Any, u: Any, p: Any
) -> Any:  # fmt: skip
    """(token, logprob) from one row; (-1, 0) where everything is denied.

    ``denied`` is empty, or holds a 1 for each id that may not come next; ``bias`` is empty, or holds what is
    added to each logit. ``p`` [V] is scratch. Temperature 0 takes the largest allowed logit, and reports its
    plain softmax logprob.
    """
    best = allow(logits, denied, bias, p)
    if best <= _NEVER:
        return -1, np.float32(0.0)
    if temperature > np.float32(0.0):
        total = weigh(best, temperature, top_k, top_p, min_p, p)
        token = pick(p, u * np.float64(total))
        return token, np.log(p[token] / total)
    token = 0
    while p[token] < best:
        token += 1
    top, log_sum = log_total(logits)
    return token, load(logits[token]) - top - log_sum


@parallel_kernel
def draw_rows(
    logits_NV: Any, slots: Any, denies: Any, denied_SV: Any, leans: Any, bias_SV: Any, temperature: Any,
    top_k: Any, top_p: Any, min_p: Any, seeds: Any, counts: Any, scratch_NV: Any, tokens_N: Any, logprobs_N: Any
) -> None:  # fmt: skip
    """Draw one token for each row; row n belongs to slot ``slots[n]``, whose settings it uses."""
    for n in prange(slots.shape[0]):
        s = slots[n]
        denied = denied_SV[s, : denied_SV.shape[1] if denies[s] else 0]
        bias = bias_SV[s, : bias_SV.shape[1] if leans[s] else 0]
        token, logprob = draw(
            logits_NV[n], denied, bias, temperature[s], top_k[s], top_p[s], min_p[s],
            uniform(seeds[s], counts[s]), scratch_NV[n],
        )  # fmt: skip
        tokens_N[n] = token
        logprobs_N[n] = logprob


@parallel_kernel
def plain_logprobs(logits_NV: Any, targets_N: Any, out_N: Any) -> None:
    """Log-probability of one target per row under the plain softmax."""
    for n in prange(targets_N.shape[0]):
        top, log_sum = log_total(logits_NV[n])
        out_N[n] = load(logits_NV[n, targets_N[n]]) - top - log_sum


def distribution(logits: np.ndarray, sampling: Sampling, denied: tuple[int, ...] = ()) -> np.ndarray:
    """The very distribution [V] that ``draw`` samples the first token from, for one row of float32 logits [V]."""
    p = np.empty(len(logits), np.float32)
    mask = np.zeros(len(logits) if denied else 0, np.uint8)
    mask[list(denied)] = 1
    bias = np.zeros(len(logits) if sampling.logit_bias else 0, np.float32)
    for number, amount in sampling.logit_bias:
        bias[number] += np.float32(amount)
    top = allow(logits, mask, bias, p)
    if sampling.temperature == 0:
        return (np.arange(len(p)) == int(np.argmax(p))).astype(np.float32)
    settings = np.float32(sampling.top_p), np.float32(sampling.min_p)
    total = weigh(top, np.float32(sampling.temperature), sampling.top_k, *settings, p)
    return np.asarray(p / total)
