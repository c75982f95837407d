"""The loops between the matrix products, compiled by Numba: no compiler is needed on the user's machine.

Each kernel works row by row, so what a row computes never depends on its batch-mates. Arrays
are float32 or bfloat16 held as uint16 (``model.lowlevel`` loads and stores both).

Legend: R rows (one token each), D model width, H query heads, G key/value heads, E head
width, F feed-forward width, L positions in one KV block, N blocks, T positions.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from numba import njit, prange

from thinkling.engine.vectors import BLOCK, larger, mix_block, score_block
from thinkling.model.lowlevel import FASTMATH, exp32, load, store

# The threads of torch and of Numba must be one pool: with two, each side's idle threads spin
# while the other works. Both use OpenMP, and Numba finds the runtime that torch has loaded; but
# as it starts, it sets that runtime's number of threads to all cores, so torch's is put back.
numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
_threads = torch.get_num_threads()
numba.set_num_threads(min(_threads, numba.config.NUMBA_NUM_THREADS))
torch.set_num_threads(_threads)

ROWS = 8  # neighbouring rows that one thread takes at a time: a group's rows share cached blocks
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)

kernel = njit(fastmath=FASTMATH, cache=True, nogil=True)
parallel_kernel = njit(parallel=True, fastmath=FASTMATH, cache=True, nogil=True)


@kernel
def normalize(x: Any, weight: Any, eps: Any, out: Any) -> None:
    """RMSNorm of one row (Zhang and Sennrich 2019): out = x / sqrt(mean(x^2) + eps) * weight."""
    total = _ZERO
    for i in range(x.shape[0]):
        total += x[i] * x[i]
    scale = _ONE / np.sqrt(total / np.float32(x.shape[0]) + eps)
    for i in range(x.shape[0]):
        out[i] = store(out[i], x[i] * scale * weight[i])


@parallel_kernel
def embed(table_VD: Any, tokens: Any, weight: Any, eps: Any, x_RD: Any, h_RD: Any) -> None:
    """Look the tokens up into the residual stream ``x`` (float32) and normalize it into ``h``."""
    for row in prange(tokens.shape[0]):
        source, x = table_VD[tokens[row]], x_RD[row]
        for i in range(x.shape[0]):
            x[i] = load(source[i])
        normalize(x, weight, eps, h_RD[row])


@parallel_kernel
def add_normalize(rows: int, delta_RD: Any, weight: Any, eps: Any, x_RD: Any, h_RD: Any) -> None:
    """Add a branch's output to the residual stream, then normalize for the next branch."""
    for row in prange(rows):
        delta, x = delta_RD[row], x_RD[row]
        for i in range(x.shape[0]):
            x[i] += load(delta[i])
        normalize(x, weight, eps, h_RD[row])


@parallel_kernel
def swiglu(rows: int, gate_up_R2F: Any, out_RF: Any) -> None:
    """SwiGLU (Shazeer 2020): silu(gate) * up, where each row holds gate and up side by side."""
    width = out_RF.shape[1]
    for row in prange(rows):
        gate, up, out = gate_up_R2F[row, :width], gate_up_R2F[row, width:], out_RF[row]
        for i in range(width):
            g = load(gate[i])
            out[i] = store(out[i], g / (_ONE + exp32(-g)) * load(up[i]))


@kernel
def norm_rope(source: Any, weight: Any, eps: Any, cos: Any, sin: Any, out: Any) -> None:
    """One head: RMSNorm over its width, then rotary embedding of (first half, second half) pairs.

    Rotary embedding: Su et al. 2021, in the half-split layout of GPT-NeoX and Hugging Face. ``eps`` None, which
    Numba compiles apart: no norm, only the ``weight``.
    """
    half = cos.shape[0]
    total = _ZERO
    for i in range(2 * half):
        out[i] = load(source[i])
        total += out[i] * out[i]
    scale = _ONE if eps is None else _ONE / np.sqrt(total / np.float32(2 * half) + eps)
    for i in range(2 * half):
        out[i] *= scale * weight[i]
    low, high = out[:half], out[half:]
    for i in range(half):
        a, b = low[i], high[i]
        low[i] = a * cos[i] - b * sin[i]
        high[i] = b * cos[i] + a * sin[i]


@kernel
def store_kv(
    qkv: Any, heads: int, norm: Any, eps: Any, cos: Any, sin: Any, k_GEL: Any, v_GLE: Any, at: int, key: Any
) -> None:
    """Write one token's keys (normalized, rotated) and values into position ``at`` of its block."""
    groups, width = k_GEL.shape[0], k_GEL.shape[1]
    for g in range(groups):
        norm_rope(qkv[(heads + g) * width : (heads + g + 1) * width], norm, eps, cos, sin, key)
        column = k_GEL[g, :, at]
        for i in range(width):
            column[i] = store(column[i], key[i])
        v_GLE[g, at, :] = qkv[(heads + groups + g) * width : (heads + groups + g + 1) * width]


@kernel
def attend_tile(
    tile: Any, q_nE: Any, k_NGEL: Any, v_NGLE: Any, g: int, blocks: Any, length: int, score_nS: Any, out: Any
) -> None:  # fmt: skip
    """Softmax attention of n heads over ``length`` positions into ``out`` [n * E]; ``q`` is overwritten."""
    n, width = len(tile), q_nE.shape[1]
    used = (length + BLOCK - 1) // BLOCK
    for b in range(used):
        k_EL, at = k_NGEL[blocks[b], g], b * BLOCK
        ahead = k_NGEL[blocks[min(b + 1, used - 1)], g]
        score_block(tile, q_nE, k_EL, score_nS, at, ahead)
    q_nE[:] = _ZERO
    for h in range(n):
        score, top, total = score_nS[h, :length], score_nS[h, 0], _ZERO
        for t in range(length):
            top = larger(top, score[t])
        for t in range(length):
            score[t] = exp32(score[t] - top)
            total += score[t]
        inverse = _ONE / total
        for t in range(length):
            score[t] *= inverse
    for b in range(used):
        v_LE, at = v_NGLE[blocks[b], g], b * BLOCK
        ahead = v_NGLE[blocks[min(b + 1, used - 1)], g]
        count = min(BLOCK, length - at)
        mix_block(tile, score_nS, at, v_LE, count, q_nE, ahead)
    for h in range(n):
        mixed, target = q_nE[h], out[h * width : (h + 1) * width]
        for i in range(width):
            target[i] = store(target[i], mixed[i])


@kernel
def attend_heads(
    tile: Any, first: int, qkv: Any, norm: Any, eps: Any, cos: Any, sin: Any, k_NGEL: Any, v_NGLE: Any, g: int,
    blocks: Any, length: int, query_nE: Any, score_nS: Any, out: Any
) -> None:  # fmt: skip
    """One token's heads ``first`` to ``first + n``, from the projection to the attended values."""
    width = query_nE.shape[1]
    for h in range(len(tile)):
        norm_rope(qkv[(first + h) * width : (first + h + 1) * width], norm, eps, cos, sin, query_nE[h])
    target = out[first * width : (first + len(tile)) * width]
    attend_tile(tile, query_nE, k_NGEL, v_NGLE, g, blocks, length, score_nS, target)


@parallel_kernel
def attention(
    threads: int, tile: Any, rest: Any, qkv: Any, heads: int, q_norm: Any, k_norm: Any, eps: Any, cos_TE: Any,
    sin_TE: Any, k_NGEL: Any, v_NGLE: Any, tables: Any, sequences: Any, positions: Any, out: Any
) -> None:  # fmt: skip
    """Per-head norm, rotary embedding, KV write and causal attention for a ragged batch of tokens.

    Row r is the token at ``positions[r]`` of the sequence whose KV blocks are listed in
    ``tables[sequences[r]]``; a prompt's tokens and single decoded tokens mix freely, since
    all keys are written before the first query looks at them. ``q_norm`` holds the scale
    1 / sqrt(E) already; with ``eps`` None heads are scaled by these weights and not normalized. The
    query heads on one key head are taken len(tile) at a time, at last len(rest). Each of ``threads``
    takes every so many rows, ``ROWS`` neighbours at a time.
    """
    rows, groups, width = positions.shape[0], k_NGEL.shape[1], k_NGEL.shape[2]
    repeat = heads // groups
    for thread in prange(threads):
        key = np.empty(width, np.float32)
        for start in range(thread * ROWS, rows, threads * ROWS):
            for row in range(start, min(start + ROWS, rows)):
                at = positions[row]
                block = tables[sequences[row], at // BLOCK]
                store_kv(
                    qkv[row], heads, k_norm, eps, cos_TE[at], sin_TE[at], k_NGEL[block], v_NGLE[block], at % BLOCK, key
                )  # fmt: skip
    for thread in prange(threads):
        longest = 0
        for start in range(thread * ROWS, rows, threads * ROWS):
            for row in range(start, min(start + ROWS, rows)):
                longest = max(longest, positions[row])
        query = np.empty((len(tile), width), np.float32)
        score = np.empty((len(tile), (longest // BLOCK + 1) * BLOCK), np.float32)
        for start in range(thread * ROWS, rows, threads * ROWS):
            for row in range(start, min(start + ROWS, rows)):
                at, blocks = positions[row], tables[sequences[row]]
                for g in range(groups):
                    end = (g + 1) * repeat
                    for first in range(g * repeat, end - len(tile) + 1, len(tile)):
                        attend_heads(
                            tile, first, qkv[row], q_norm, eps, cos_TE[at], sin_TE[at], k_NGEL, v_NGLE, g, blocks,
                            at + 1, query, score, out[row],
                        )  # fmt: skip
                    if len(rest) > 0:
                        attend_heads(
                            rest, end - len(rest), qkv[row], q_norm, eps, cos_TE[at], sin_TE[at], k_NGEL, v_NGLE, g,
                            blocks, at + 1, query, score, out[row],
                        )  # fmt: skip
