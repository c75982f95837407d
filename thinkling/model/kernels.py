"""Fused CPU kernels of the Transformer, forward and backward, compiled by Numba (no C compiler needed).

On a small model the matrix products are fast and everything between them is not: an unfused
RMSNorm alone passes over its activations five times. Each kernel here reads its inputs once.
``reference.py`` holds the readable twin of each; ``fused.py`` gives them to autograd.

Arrays are bfloat16 stored as uint16, or float32; arithmetic is float32 (see ``lowlevel``).
Sums over tokens (gradients of norm weights) go through a fixed number of partial sums, so that
results do not depend on the number of threads.

Shape suffixes: N tokens (= B·T), B batch, T time, D model width, H query heads, K key-value heads,
G = H/K query heads per key-value head, E head width, F feed-forward width, V vocabulary, C chunks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from thinkling.model.lowlevel import FASTMATH, exp32, load, store

CHUNKS = 16
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_LOWEST = np.float32(-3.0e38)
LANES = 32

parallel_kernel = njit(parallel=True, fastmath=FASTMATH, cache=True, nogil=True)


@njit(fastmath=FASTMATH, inline="always")
def _highest(row_V: Any, lanes: Any) -> Any:
    """The largest element, by lanes: a running maximum is one long chain, which does not vectorize."""
    whole = row_V.shape[0] - row_V.shape[0] % LANES
    for i in range(LANES):
        lanes[i] = _LOWEST
    for start in range(0, whole, LANES):
        part = row_V[start : start + LANES]
        for i in range(LANES):
            lanes[i] = max(lanes[i], load(part[i]))
    highest = _LOWEST
    for i in range(LANES):
        highest = max(highest, lanes[i])
    for v in range(whole, row_V.shape[0]):
        highest = max(highest, load(row_V[v]))
    return highest


@njit(fastmath=FASTMATH, inline="always")
def _softmax_terms(row_V: Any, held_V: Any, factor: Any, lanes: Any) -> Any:
    """exp(row·factor - its maximum) into ``held``; returns the maximum. ``factor`` is positive."""
    highest = _highest(row_V, lanes) * factor
    for v in range(row_V.shape[0]):
        held_V[v] = exp32(load(row_V[v]) * factor - highest)
    return highest


@njit(fastmath=FASTMATH, inline="always")
def _sum(held_V: Any) -> Any:
    total = _ZERO
    for v in range(held_V.shape[0]):
        total += held_V[v]
    return total


@njit(fastmath=FASTMATH, inline="always")
def _write_scaled(row_V: Any, held_V: Any, factor: Any) -> None:
    for v in range(row_V.shape[0]):
        row_V[v] = store(row_V[v], held_V[v] * factor)


@parallel_kernel
def add_norm_forward(x_ND: Any, delta_ND: Any, w_D: Any, eps: Any, sum_ND: Any, y_ND: Any, r_N: Any) -> None:
    """sum = x + delta; y = RMSNorm(sum)·w; r = 1/rms, kept for the backward pass (arXiv:1910.07467)."""
    n_tokens, width = x_ND.shape
    for n in prange(n_tokens):
        square = _ZERO
        for d in range(width):
            total = load(x_ND[n, d]) + load(delta_ND[n, d])
            stored = store(sum_ND[n, d], total)
            sum_ND[n, d] = stored
            total = load(stored)
            square += total * total
        r = _ONE / np.sqrt(square / np.float32(width) + eps)
        r_N[n] = r
        for d in range(width):
            y_ND[n, d] = store(y_ND[n, d], load(sum_ND[n, d]) * r * w_D[d])


@parallel_kernel
def norm_forward(x_ND: Any, w_D: Any, eps: Any, y_ND: Any, r_N: Any) -> None:
    """y = RMSNorm(x)·w, for the first layer, which has nothing to add yet."""
    n_tokens, width = x_ND.shape
    for n in prange(n_tokens):
        square = _ZERO
        for d in range(width):
            value = load(x_ND[n, d])
            square += value * value
        r = _ONE / np.sqrt(square / np.float32(width) + eps)
        r_N[n] = r
        for d in range(width):
            y_ND[n, d] = store(y_ND[n, d], load(x_ND[n, d]) * r * w_D[d])


@parallel_kernel
def norm_backward(
    gy_ND: Any, gsum_ND: Any, has_gsum: bool, sum_ND: Any, r_N: Any, w_D: Any, gx_ND: Any, gw_CD: Any
) -> None:
    """Gradient of the norm plus the gradient that arrives along the residual stream."""
    n_tokens, width = sum_ND.shape
    for c in prange(gw_CD.shape[0]):
        for d in range(width):
            gw_CD[c, d] = _ZERO
        for n in range(c * n_tokens // gw_CD.shape[0], (c + 1) * n_tokens // gw_CD.shape[0]):
            r = r_N[n]
            dot = _ZERO
            for d in range(width):
                dot += load(gy_ND[n, d]) * w_D[d] * load(sum_ND[n, d])
            dot *= r * r / np.float32(width)
            for d in range(width):
                gy = load(gy_ND[n, d])
                x = load(sum_ND[n, d])
                gw_CD[c, d] += gy * x * r
                g = r * (gy * w_D[d] - x * dot)
                if has_gsum:
                    g += load(gsum_ND[n, d])
                gx_ND[n, d] = store(gx_ND[n, d], g)


@parallel_kernel
def qk_norm_rope_forward(
    qkv_NX: Any, wq_E: Any, wk_E: Any, cos_PE: Any, sin_PE: Any, position_N: Any, eps: Any,
    q_BKTGE: Any, k_BKTE: Any, v_BKTE: Any,
) -> None:  # fmt: skip
    """Split a fused projection into heads, normalize queries and keys, rotate them by position.

    Rotation pairs dimension i with i + E/2, as Hugging Face's ``rotate_half`` does (RoFormer,
    arXiv:2104.09864). Queries are laid out [B, K, T, G, E], so that the G heads which share a
    key-value head are rows of one matrix product.
    """
    n_batch, n_kv, n_time, n_group, width = q_BKTGE.shape
    half = width // 2
    heads = n_kv * n_group
    for n in prange(n_batch * n_time):
        b, t = n // n_time, n % n_time
        cos, sin = cos_PE[position_N[n]], sin_PE[position_N[n]]
        for head in range(heads + n_kv):
            x = qkv_NX[n, head * width : (head + 1) * width]
            low, high = x[:half], x[half:]
            square = _ZERO
            for e in range(width):
                square += load(x[e]) * load(x[e])
            r = _ONE / np.sqrt(square / np.float32(width) + eps)
            if head < heads:
                out, w = q_BKTGE[b, head // n_group, t, head % n_group], wq_E
            else:
                out, w = k_BKTE[b, head - heads, t], wk_E
            out_low, out_high, w_low, w_high = out[:half], out[half:], w[:half], w[half:]
            for e in range(half):
                a = load(low[e]) * r * w_low[e]
                c = load(high[e]) * r * w_high[e]
                out_low[e] = store(low[e], a * cos[e] - c * sin[e])
                out_high[e] = store(low[e], c * cos[e] + a * sin[e])
        for kv in range(n_kv):
            start = (heads + n_kv + kv) * width
            v_BKTE[b, kv, t, :] = qkv_NX[n, start : start + width]


@parallel_kernel
def qk_norm_rope_backward(
    qkv_NX: Any, wq_E: Any, wk_E: Any, cos_PE: Any, sin_PE: Any, position_N: Any, eps: Any,
    gq_BKTGE: Any, gk_BKTE: Any, gv_BKTE: Any, gqkv_NX: Any, gwq_CE: Any, gwk_CE: Any,
) -> None:  # fmt: skip
    """Undo the rotation, then the norm; 1/rms is computed again, which is cheaper than keeping it."""
    n_batch, n_kv, n_time, n_group, width = gq_BKTGE.shape
    half = width // 2
    heads = n_kv * n_group
    n_tokens = n_batch * n_time
    inverse = _ONE / np.float32(width)
    for c in prange(gwq_CE.shape[0]):
        gwq_CE[c, :] = _ZERO
        gwk_CE[c, :] = _ZERO
        turned = np.empty(width, np.float32)
        turned_low, turned_high = turned[:half], turned[half:]
        for n in range(c * n_tokens // gwq_CE.shape[0], (c + 1) * n_tokens // gwq_CE.shape[0]):
            b, t = n // n_time, n % n_time
            cos, sin = cos_PE[position_N[n]], sin_PE[position_N[n]]
            for head in range(heads + n_kv):
                x = qkv_NX[n, head * width : (head + 1) * width]
                gx = gqkv_NX[n, head * width : (head + 1) * width]
                if head < heads:
                    g, w, gw = gq_BKTGE[b, head // n_group, t, head % n_group], wq_E, gwq_CE[c]
                else:
                    g, w, gw = gk_BKTE[b, head - heads, t], wk_E, gwk_CE[c]
                g_low, g_high = g[:half], g[half:]
                square = _ZERO
                for e in range(width):
                    square += load(x[e]) * load(x[e])
                r = _ONE / np.sqrt(square * inverse + eps)
                for e in range(half):
                    turned_low[e] = load(g_low[e]) * cos[e] + load(g_high[e]) * sin[e]
                    turned_high[e] = load(g_high[e]) * cos[e] - load(g_low[e]) * sin[e]
                dot = _ZERO
                for e in range(width):
                    dot += turned[e] * w[e] * load(x[e])
                dot *= r * r * inverse
                for e in range(width):
                    value = load(x[e])
                    gw[e] += turned[e] * value * r
                    gx[e] = store(x[e], r * (turned[e] * w[e] - value * dot))
            for kv in range(n_kv):
                start = (heads + n_kv + kv) * width
                gqkv_NX[n, start : start + width] = gv_BKTE[b, kv, t]


@njit(fastmath=FASTMATH, inline="always")
def _turn(x: Any, cos: Any, sin: Any, sign: Any, out: Any) -> None:
    """One head, each pair of dimensions turned by its angle (``sign`` -1: turned back)."""
    half = cos.shape[0]
    low, high, out_low, out_high = x[:half], x[half:], out[:half], out[half:]
    for e in range(half):
        a, c, s = load(low[e]), load(high[e]), sign * sin[e]
        out_low[e] = store(low[e], a * cos[e] - c * s)
        out_high[e] = store(low[e], c * cos[e] + a * s)


@parallel_kernel
def rope_forward(
    qkv_NX: Any, cos_PE: Any, sin_PE: Any, position_N: Any, q_BKTGE: Any, k_BKTE: Any, v_BKTE: Any
) -> None:
    """``qk_norm_rope_forward`` without the norm."""
    n_batch, n_kv, n_time, n_group, width = q_BKTGE.shape
    heads = n_kv * n_group
    for n in prange(n_batch * n_time):
        b, t = n // n_time, n % n_time
        cos, sin = cos_PE[position_N[n]], sin_PE[position_N[n]]
        for head in range(heads + n_kv):
            out = q_BKTGE[b, head // n_group, t, head % n_group] if head < heads else k_BKTE[b, head - heads, t]
            _turn(qkv_NX[n, head * width : (head + 1) * width], cos, sin, _ONE, out)
        for kv in range(n_kv):
            start = (heads + n_kv + kv) * width
            v_BKTE[b, kv, t, :] = qkv_NX[n, start : start + width]


@parallel_kernel
def rope_backward(
    gq_BKTGE: Any, gk_BKTE: Any, gv_BKTE: Any, cos_PE: Any, sin_PE: Any, position_N: Any, gqkv_NX: Any
) -> None:
    """A rotation's gradient is turned back by the same angle."""
    n_batch, n_kv, n_time, n_group, width = gq_BKTGE.shape
    heads = n_kv * n_group
    for n in prange(n_batch * n_time):
        b, t = n // n_time, n % n_time
        cos, sin = cos_PE[position_N[n]], sin_PE[position_N[n]]
        for head in range(heads + n_kv):
            g = gq_BKTGE[b, head // n_group, t, head % n_group] if head < heads else gk_BKTE[b, head - heads, t]
            _turn(g, cos, sin, -_ONE, gqkv_NX[n, head * width : (head + 1) * width])
        for kv in range(n_kv):
            start = (heads + n_kv + kv) * width
            gqkv_NX[n, start : start + width] = gv_BKTE[b, kv, t]


@njit(fastmath=FASTMATH, inline="always")
def _softmax(row: Any, held: Any, factor: Any, lanes: Any) -> None:
    """Scores times ``factor`` -> probabilities, in place."""
    _softmax_terms(row, held, factor, lanes)
    _write_scaled(row, held, _ONE / _sum(held))


@njit(fastmath=FASTMATH, inline="always")
def _softmax_of_two(one: Any, two: Any, buffer: Any, factor: Any, lanes: Any) -> None:
    """The same over two stretches of one row that share their total."""
    highest = max(_highest(one, lanes), _highest(two, lanes)) * factor
    held_one, held_two = buffer[: one.shape[0]], buffer[one.shape[0] : one.shape[0] + two.shape[0]]
    for v in range(one.shape[0]):
        held_one[v] = exp32(load(one[v]) * factor - highest)
    for v in range(two.shape[0]):
        held_two[v] = exp32(load(two[v]) * factor - highest)
    inverse = _ONE / (_sum(held_one) + _sum(held_two))
    _write_scaled(one, held_one, inverse)
    _write_scaled(two, held_two, inverse)


@njit(fastmath=FASTMATH, inline="always")
def _dot(p: Any, g: Any) -> Any:
    total = _ZERO
    for j in range(p.shape[0]):
        total += load(p[j]) * load(g[j])
    return total


@njit(fastmath=FASTMATH, inline="always")
def _score_gradient(p: Any, g: Any, dot: Any, scale: Any) -> None:
    for j in range(p.shape[0]):
        g[j] = store(g[j], load(p[j]) * (load(g[j]) - dot) * scale)


@parallel_kernel
def causal_softmax_forward(
    s_XRW: Any, first_BT: Any, trunk_BT2: Any, n_kv: int, row0: int, group: int, scale: Any
) -> None:
    """Scores -> probabilities in place for the rows of one block of queries.

    Row r is head r % G of the query at time row0 + r // G; it sees keys first..time, where ``first``
    is the beginning of its own document in the packed window, and the keys of its ``trunk``, [start, end).
    All else becomes 0.
    """
    n_x, n_rows, n_keys = s_XRW.shape
    for x in prange(n_x * CHUNKS):
        i, c = x // CHUNKS, x % CHUNKS
        buffer, lanes = np.empty(n_keys, np.float32), np.empty(LANES, np.float32)
        for r in range(c * n_rows // CHUNKS, (c + 1) * n_rows // CHUNKS):
            t = row0 + r // group
            first, start, end = first_BT[i // n_kv, t], trunk_BT2[i // n_kv, t, 0], trunk_BT2[i // n_kv, t, 1]
            # A slice of its own lets the loops run over 0..n, which vectorizes; a computed index would not.
            row = s_XRW[i, r, first : t + 1]
            if start == end:
                _softmax(row, buffer[: row.shape[0]], scale, lanes)
            else:
                _softmax_of_two(s_XRW[i, r, start:end], row, buffer, scale, lanes)
            s_XRW[i, r, :start] = 0
            s_XRW[i, r, end:first] = 0
            s_XRW[i, r, t + 1 :] = 0


@parallel_kernel
def causal_softmax_backward(
    p_XRW: Any, g_XRW: Any, first_BT: Any, trunk_BT2: Any, n_kv: int, row0: int, group: int, scale: Any
) -> None:
    """Gradient of the probabilities -> gradient of the scores, in place in ``g``."""
    n_x, n_rows, n_keys = p_XRW.shape
    for x in prange(n_x * CHUNKS):
        i, c = x // CHUNKS, x % CHUNKS
        for r in range(c * n_rows // CHUNKS, (c + 1) * n_rows // CHUNKS):
            t = row0 + r // group
            first, start, end = first_BT[i // n_kv, t], trunk_BT2[i // n_kv, t, 0], trunk_BT2[i // n_kv, t, 1]
            p, g = p_XRW[i, r, first : t + 1], g_XRW[i, r, first : t + 1]
            dot = _dot(p, g)
            if start != end:
                dot += _dot(p_XRW[i, r, start:end], g_XRW[i, r, start:end])
                _score_gradient(p_XRW[i, r, start:end], g_XRW[i, r, start:end], dot, scale)
            _score_gradient(p, g, dot, scale)
            g_XRW[i, r, :start] = 0
            g_XRW[i, r, end:first] = 0
            g_XRW[i, r, t + 1 :] = 0


@parallel_kernel
def swiglu_forward(gu_NX: Any, h_NF: Any) -> None:
    """h = silu(gate)·up (arXiv:2002.05202); the fused input holds gate, then up."""
    n_tokens, width = h_NF.shape
    for n in prange(n_tokens):
        for f in range(width):
            gate = load(gu_NX[n, f])
            up = load(gu_NX[n, width + f])
            h_NF[n, f] = store(h_NF[n, f], gate / (_ONE + exp32(-gate)) * up)


@parallel_kernel
def swiglu_backward(gu_NX: Any, gh_NF: Any, ggu_NX: Any) -> None:
    n_tokens, width = gh_NF.shape
    for n in prange(n_tokens):
        for f in range(width):
            gate = load(gu_NX[n, f])
            up = load(gu_NX[n, width + f])
            g = load(gh_NF[n, f])
            sigmoid = _ONE / (_ONE + exp32(-gate))
            silu = gate * sigmoid
            ggu_NX[n, f] = store(ggu_NX[n, f], g * up * (sigmoid + silu * (_ONE - sigmoid)))
            ggu_NX[n, width + f] = store(ggu_NX[n, f], g * silu)


@parallel_kernel
def cross_entropy(logits_NV: Any, target_N: Any, scale_N: Any, loss_N: Any) -> None:
    """Loss of each row; the logits are overwritten by the gradient of Σ scale·loss."""
    n_rows, width = logits_NV.shape
    for c in prange(CHUNKS):
        held, lanes = np.empty(width, np.float32), np.empty(LANES, np.float32)
        for n in range(c * n_rows // CHUNKS, (c + 1) * n_rows // CHUNKS):
            row = logits_NV[n]
            highest = _softmax_terms(row, held, _ONE, lanes)
            chosen = load(row[target_N[n]])
            total = _sum(held)
            loss_N[n] = np.log(total) + highest - chosen
            held[target_N[n]] -= total
            _write_scaled(row, held, scale_N[n] / total)


@parallel_kernel
def token_logprob_forward(logits_NV: Any, target_N: Any, inverse_temperature: Any, logp_N: Any, entropy_N: Any) -> None:
    """log p(target) and the entropy, in nats, of softmax(logits / temperature)."""
    n_rows, width = logits_NV.shape
    for c in prange(CHUNKS):
        held, lanes = np.empty(width, np.float32), np.empty(LANES, np.float32)
        for n in range(c * n_rows // CHUNKS, (c + 1) * n_rows // CHUNKS):
            row = logits_NV[n]
            highest = _softmax_terms(row, held, inverse_temperature, lanes)
            total = _sum(held)
            expected = _ZERO
            for v in range(row.shape[0]):
                expected += held[v] * load(row[v])
            log_total = np.log(total) + highest
            logp_N[n] = load(row[target_N[n]]) * inverse_temperature - log_total
            entropy_N[n] = log_total - expected * inverse_temperature / total


@parallel_kernel
def token_logprob_backward(logits_NV: Any, target_N: Any, inverse_temperature: Any, g_N: Any) -> None:
    """Gradient of Σ g·log p(target) with respect to the logits, in place."""
    n_rows, width = logits_NV.shape
    for c in prange(CHUNKS):
        held, lanes = np.empty(width, np.float32), np.empty(LANES, np.float32)
        for n in range(c * n_rows // CHUNKS, (c + 1) * n_rows // CHUNKS):
            row = logits_NV[n]
            _softmax_terms(row, held, inverse_temperature, lanes)
            total = _sum(held)
            held[target_N[n]] -= total
            _write_scaled(row, held, -g_N[n] * inverse_temperature / total)
