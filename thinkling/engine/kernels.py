"""The loops between the matrix products, compiled by Numba: no compiler is needed on the user's machine.

Each kernel works row by row, so what a row computes never depends on its batch-mates. Arrays
are float32 or bfloat16; NumPy has no bfloat16, so it travels as uint16 (the upper half of a
float32) and is widened by a shift on every load. The same source serves both: ``widen`` and
``narrow`` are resolved by the array's type when Numba compiles.

Legend: R rows (one token each), D model width, H query heads, G key/value heads, E head
width, F feed-forward width, L positions in one KV block.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import njit, prange, types
from numba.extending import intrinsic, overload

# The threads of torch and of Numba must be one pool: with two, each side's idle threads spin
# while the other works. Both use OpenMP, and Numba finds the runtime that torch has loaded.
numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]

FAST: dict[str, Any] = {
    "fastmath": {"nnan", "nsz", "arcp", "contract", "reassoc"},
    "cache": True,
    "nogil": True,
}
BLOCK = 32  # positions in one KV block (L)


# Bit tricks are spelled in LLVM's words, because Numba widens integer arithmetic to 64 bits,
# which would halve the width of every vector.


@intrinsic
def bfloat16_to_float(typingctx: Any, stored: Any) -> Any:
    """A bfloat16 (as uint16) as float32: its bits are the float32's upper half."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = context.get_value_type(types.uint32)
        return builder.bitcast(
            builder.shl(builder.zext(args[0], word), word(16)), context.get_value_type(types.float32)
        )

    return types.float32(types.uint16), codegen


@intrinsic
def float_to_bfloat16(typingctx: Any, value: Any) -> Any:
    """A float32 rounded to bfloat16 (as uint16), to nearest with ties to even."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = context.get_value_type(types.uint32)
        bits = builder.bitcast(args[0], word)
        odd = builder.and_(builder.lshr(bits, word(16)), word(1))
        rounded = builder.add(builder.add(bits, word(0x7FFF)), odd)
        return builder.trunc(builder.lshr(rounded, word(16)), context.get_value_type(types.uint16))

    return types.uint16(types.float32), codegen


@intrinsic
def bits_to_float(typingctx: Any, bits: Any) -> Any:
    """The float32 with these 32 bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.float32))

    return types.float32(types.uint32), codegen


@intrinsic
def power_of_two(typingctx: Any, exponent: Any) -> Any:
    """2**n for an integral float32 n in [-126, 127], by writing the exponent bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = context.get_value_type(types.int32)
        biased = builder.add(builder.fptosi(args[0], word), word(127))
        return builder.bitcast(builder.shl(biased, word(23)), context.get_value_type(types.float32))

    return types.float32(types.float32), codegen


def widen(value: Any) -> Any:
    """A stored number (float32, or bfloat16 as uint16) as float32."""
    raise NotImplementedError("compiled code only")


@overload(widen, inline="always", strict=False)
def _widen(value: Any) -> Any:
    if isinstance(value, types.Float):
        return lambda value: value
    return lambda value: bfloat16_to_float(value)


def narrow(array: Any, value: Any) -> Any:
    """A float32 in the storage type of ``array``; bfloat16 rounds to nearest, ties to even."""
    raise NotImplementedError("compiled code only")


@overload(narrow, inline="always", strict=False)
def _narrow(array: Any, value: Any) -> Any:
    if isinstance(array.dtype, types.Float):
        return lambda array, value: value
    return lambda array, value: float_to_bfloat16(np.float32(value))


@njit(inline="always", **FAST)
def exp32(x: Any) -> Any:
    """e**x in float32 within 2 ulp for x <= 88; plain arithmetic, so that loops over it vectorize.

    Range reduction and polynomial as in Cephes' expf: x = n ln 2 + r, |r| <= ln 2 / 2.
    """
    x = max(np.float32(x), np.float32(-87.0))
    n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    r = x - n * np.float32(0.693359375)
    r = r + n * np.float32(2.12194440e-4)
    y = np.float32(1.9875691500e-4)
    y = y * r + np.float32(1.3981999507e-3)
    y = y * r + np.float32(8.3334519073e-3)
    y = y * r + np.float32(4.1665795894e-2)
    y = y * r + np.float32(1.6666665459e-1)
    y = y * r + np.float32(5.0000001201e-1)
    y = y * r * r + r + np.float32(1.0)
    return y * power_of_two(n)


@njit(**FAST)
def normalize(x: Any, weight: Any, eps: Any, out: Any) -> None:
    """RMSNorm of one row (Zhang and Sennrich 2019): out = x / sqrt(mean(x^2) + eps) * weight."""
    total = np.float32(0.0)
    for i in range(x.shape[0]):
        total += x[i] * x[i]
    scale = np.float32(1.0) / np.sqrt(total / np.float32(x.shape[0]) + eps)
    for i in range(x.shape[0]):
        out[i] = narrow(out, x[i] * scale * weight[i])


@njit(parallel=True, **FAST)
def embed(table_VD: Any, tokens: Any, weight: Any, eps: Any, x_RD: Any, h_RD: Any) -> None:
    """Look the tokens up into the residual stream ``x`` (float32) and normalize it into ``h``."""
    for row in prange(tokens.shape[0]):
        source, x = table_VD[tokens[row]], x_RD[row]
        for i in range(x.shape[0]):
            x[i] = widen(source[i])
        normalize(x, weight, eps, h_RD[row])


@njit(parallel=True, **FAST)
def add_normalize(rows: int, delta_RD: Any, weight: Any, eps: Any, x_RD: Any, h_RD: Any) -> None:
    """Add a branch's output to the residual stream, then normalize for the next branch."""
    for row in prange(rows):
        delta, x = delta_RD[row], x_RD[row]
        for i in range(x.shape[0]):
            x[i] += widen(delta[i])
        normalize(x, weight, eps, h_RD[row])


@njit(parallel=True, **FAST)
def swiglu(rows: int, gate_up_R2F: Any, out_RF: Any) -> None:
    """SwiGLU (Shazeer 2020): silu(gate) * up, where each row holds gate and up side by side."""
    width = out_RF.shape[1]
    for row in prange(rows):
        gate, up, out = gate_up_R2F[row, :width], gate_up_R2F[row, width:], out_RF[row]
        for i in range(width):
            g = widen(gate[i])
            out[i] = narrow(out, g / (np.float32(1.0) + exp32(-g)) * widen(up[i]))


@njit(**FAST)
def norm_rope(source: Any, weight: Any, eps: Any, cos: Any, sin: Any, out: Any) -> None:
    """One head: RMSNorm over its width, then rotary embedding of (first half, second half) pairs.

    Rotary embedding: Su et al. 2021, in the half-split layout of GPT-NeoX and Hugging Face.
    """
    half = cos.shape[0]
    total = np.float32(0.0)
    for i in range(2 * half):
        total += widen(source[i]) * widen(source[i])
    scale = np.float32(1.0) / np.sqrt(total / np.float32(2 * half) + eps)
    for i in range(half):
        a = widen(source[i]) * scale * weight[i]
        b = widen(source[half + i]) * scale * weight[half + i]
        out[i] = a * cos[i] - b * sin[i]
        out[half + i] = b * cos[i] + a * sin[i]


@njit(**FAST)
def store_kv(
    qkv: Any, heads: int, norm: Any, eps: Any, cos: Any, sin: Any, k_GEL: Any, v_GLE: Any, at: int
) -> None:
    """Write one token's keys (normalized, rotated) and values into position ``at`` of its block."""
    groups, width = k_GEL.shape[0], k_GEL.shape[1]
    key = np.empty(width, np.float32)
    for g in range(groups):
        norm_rope(qkv[(heads + g) * width : (heads + g + 1) * width], norm, eps, cos, sin, key)
        for i in range(width):
            k_GEL[g, i, at] = narrow(k_GEL, key[i])
        value, out = qkv[(heads + groups + g) * width : (heads + groups + g + 1) * width], v_GLE[g, at]
        for i in range(width):
            out[i] = narrow(v_GLE, widen(value[i]))


@njit(**FAST)
def scores_of_block(q: Any, k_EL: Any, out: Any) -> None:
    """out[t] = q . k[:, t] for the positions of one block; keys lie transposed, so t vectorizes."""
    for t in range(BLOCK):
        out[t] = np.float32(0.0)
    for e in range(0, k_EL.shape[0], 8):
        q0, q1, q2, q3 = q[e], q[e + 1], q[e + 2], q[e + 3]
        q4, q5, q6, q7 = q[e + 4], q[e + 5], q[e + 6], q[e + 7]
        k0, k1, k2, k3 = k_EL[e], k_EL[e + 1], k_EL[e + 2], k_EL[e + 3]
        k4, k5, k6, k7 = k_EL[e + 4], k_EL[e + 5], k_EL[e + 6], k_EL[e + 7]
        for t in range(BLOCK):
            a = q0 * widen(k0[t]) + q1 * widen(k1[t]) + q2 * widen(k2[t]) + q3 * widen(k3[t])
            b = q4 * widen(k4[t]) + q5 * widen(k5[t]) + q6 * widen(k6[t]) + q7 * widen(k7[t])
            out[t] += a + b


@njit(**FAST)
def mix_values(p: Any, v_LE: Any, count: int, out: Any) -> None:
    """out += p[:count] @ v[:count], four positions at a time so that ``out`` is touched rarely."""
    width = out.shape[0]
    whole = count // 4 * 4
    for t in range(0, whole, 4):
        p0, p1, p2, p3 = p[t], p[t + 1], p[t + 2], p[t + 3]
        v0, v1, v2, v3 = v_LE[t], v_LE[t + 1], v_LE[t + 2], v_LE[t + 3]
        for i in range(width):
            out[i] += p0 * widen(v0[i]) + p1 * widen(v1[i]) + p2 * widen(v2[i]) + p3 * widen(v3[i])
    for t in range(whole, count):
        p0, v0 = p[t], v_LE[t]
        for i in range(width):
            out[i] += p0 * widen(v0[i])


@njit(**FAST)
def attend_row(
    qkv: Any,
    heads: int,
    norm: Any,
    eps: Any,
    cos: Any,
    sin: Any,
    k_NGEL: Any,
    v_NGLE: Any,
    blocks: Any,
    length: int,
    out: Any,
) -> None:
    """Attention of one query token over ``length`` cached positions, its own included."""
    groups, width = k_NGEL.shape[1], k_NGEL.shape[2]
    repeat = heads // groups
    used = (length + BLOCK - 1) // BLOCK
    score = np.empty((used + 1) * BLOCK, np.float32)
    query = np.empty(width, np.float32)
    mixed = np.empty(width, np.float32)
    scale = np.float32(1.0) / np.sqrt(np.float32(width))
    for head in range(heads):
        g = head // repeat
        norm_rope(qkv[head * width : (head + 1) * width], norm, eps, cos, sin, query)
        for i in range(width):
            query[i] *= scale
            mixed[i] = np.float32(0.0)
        for b in range(used):
            scores_of_block(query, k_NGEL[blocks[b], g], score[b * BLOCK : (b + 1) * BLOCK])
        top = score[0]
        for t in range(length):
            top = max(top, score[t])
        total = np.float32(0.0)
        for t in range(length):
            score[t] = exp32(score[t] - top)
            total += score[t]
        for b in range(used):
            count = min(BLOCK, length - b * BLOCK)
            mix_values(score[b * BLOCK : (b + 1) * BLOCK], v_NGLE[blocks[b], g], count, mixed)
        for i in range(width):
            out[head * width + i] = narrow(out, mixed[i] / total)


@njit(parallel=True, **FAST)
def attention(
    qkv: Any, heads: int, q_norm: Any, k_norm: Any, eps: Any, cos_TE: Any, sin_TE: Any, k_NGEL: Any, v_NGLE: Any,
    tables: Any, sequences: Any, positions: Any, out: Any
) -> None:  # fmt: skip
    """Per-head norm, rotary embedding, KV write and causal attention for a ragged batch of tokens.

    Row r is the token at ``positions[r]`` of the sequence whose KV blocks are listed in
    ``tables[sequences[r]]``; a prompt's tokens and single decoded tokens mix freely, since
    all keys are written before the first query looks at them.
    """
    for row in prange(positions.shape[0]):
        at = positions[row]
        block = tables[sequences[row], at // BLOCK]
        store_kv(
            qkv[row], heads, k_norm, eps, cos_TE[at], sin_TE[at], k_NGEL[block], v_NGLE[block], at % BLOCK
        )
    for row in prange(positions.shape[0]):
        at = positions[row]
        attend_row(
            qkv[row], heads, q_norm, eps, cos_TE[at], sin_TE[at], k_NGEL, v_NGLE, tables[sequences[row]], at + 1, out[row]
        )  # fmt: skip
