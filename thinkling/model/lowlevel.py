"""Scalars of bfloat16 inside Numba kernels.

NumPy has no bfloat16, so a kernel sees such a tensor as uint16: the upper half of a float32.
``load`` and ``store`` turn either storage (uint16 or float32) into float32 arithmetic and back,
so that one kernel source serves both precisions. Everything here compiles to vector
instructions; Numba's own ``exp`` would be a scalar library call.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch  # noqa: F401  (loads the OpenMP library that Numba's threads then share with PyTorch's)
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

# OpenMP first: one pool of threads for matrix products and kernels; two pools would fight for the cores.
numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]

# reassoc lets sums vectorize, nnan maxima; the training loop checks its loss for NaN instead.
FASTMATH = {"reassoc", "contract", "nsz", "arcp", "nnan"}


@intrinsic
def _widen(typingctx: Any, value: Any) -> Any:
    """uint16 holding a bfloat16 -> float32: the same bits, shifted up."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = builder.zext(args[0], ir.IntType(32))
        return builder.bitcast(builder.shl(wide, ir.Constant(ir.IntType(32), 16)), ir.FloatType())

    return types.float32(types.uint16), codegen


@intrinsic
def _narrow(typingctx: Any, value: Any) -> Any:
    """float32 -> uint16 holding a bfloat16, rounded to nearest even."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i32 = ir.IntType(32)
        bits = builder.bitcast(args[0], i32)
        odd = builder.and_(builder.lshr(bits, ir.Constant(i32, 16)), ir.Constant(i32, 1))
        rounded = builder.add(bits, builder.add(odd, ir.Constant(i32, 0x7FFF)))
        return builder.trunc(builder.lshr(rounded, ir.Constant(i32, 16)), ir.IntType(16))

    return types.uint16(types.float32), codegen


@intrinsic
def _power_of_two(typingctx: Any, exponent: Any) -> Any:
    """2 ** n for an integral float32 n in [-126, 127], by writing the exponent bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i32 = ir.IntType(32)
        biased = builder.add(builder.fptosi(args[0], i32), ir.Constant(i32, 127))
        return builder.bitcast(builder.shl(biased, ir.Constant(i32, 23)), ir.FloatType())

    return types.float32(types.float32), codegen


@intrinsic
def _round(typingctx: Any, value: Any) -> Any:
    """float32 rounded to the nearest integral float32, in one instruction."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.FloatType(), [ir.FloatType()])
        rint = builder.module.declare_intrinsic("llvm.rint", [ir.FloatType()], kind)
        return builder.call(rint, [args[0]])

    return types.float32(types.float32), codegen


def load(x: Any) -> Any:
    """A stored scalar as float32 (only inside kernels)."""
    raise RuntimeError("load is for compiled kernels")


def store(like: Any, x: Any) -> Any:
    """float32 in the storage of ``like`` (only inside kernels)."""
    raise RuntimeError("store is for compiled kernels")


@overload(load, inline="always")
def _load(x):  # type: ignore[no-untyped-def]  # Numba compares signatures, annotations included
    if x == types.uint16:
        return lambda x: _widen(x)
    return lambda x: x


@overload(store, inline="always")
def _store(like, x):  # type: ignore[no-untyped-def]
    if like == types.uint16:
        return lambda like, x: _narrow(x)
    return lambda like, x: x


_LOG2E = np.float32(1.4426950408889634)
_LN2_HIGH = np.float32(0.693359375)
_LN2_LOW = np.float32(-2.12194440e-4)
_LOWEST = np.float32(-87.0)
_HIGHEST = np.float32(88.0)
_ONE = np.float32(1.0)
_P0 = np.float32(1.9875691500e-4)
_P1 = np.float32(1.3981999507e-3)
_P2 = np.float32(8.3334519073e-3)
_P3 = np.float32(4.1665795894e-2)
_P4 = np.float32(1.6666665459e-1)
_P5 = np.float32(5.0000001201e-1)


@njit(fastmath=FASTMATH, inline="always")
def exp32(x: Any) -> Any:
    """exp in float32 to about 2 ulp, clamped to [-87, 88] (coefficients: Cephes' expf)."""
    x = min(max(x, _LOWEST), _HIGHEST)
    n = _round(x * _LOG2E)
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = ((((_P0 * r + _P1) * r + _P2) * r + _P3) * r + _P4) * r + _P5
    return (p * r * r + r + _ONE) * _power_of_two(n)
