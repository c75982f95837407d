"""The two inner loops of attention, spelled in vectors of sixteen floats.

Numba leaves vectorization to LLVM, which keeps no running sums in registers across these
loops. Here they are written as LLVM instructions instead: still compiled on the spot for the
machine at hand (LLVM splits the vectors where registers are narrower), and about ten times faster.

Both serve n query heads that share their keys and values, so that each key or value is loaded, and
widened from bfloat16, once for all of them. n is the length of a tuple: Numba compiles per type.

Legend: n heads, E head width (a multiple of 16), L positions in a block, S positions of a row.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
BLOCK = 32  # positions in one KV block (L)
TILE = 4  # heads in the largest tile

_I16, _I32, _I64, _FLOAT = ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_WORDS = ir.VectorType(_I32, LANES)
_HALVES = ir.VectorType(_I16, LANES)


@intrinsic
def larger(typingctx: Any, a: Any, b: Any) -> Any:
    """The larger of two float32, in the one form of maximum that LLVM vectorizes as a reduction."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_FLOAT, [_FLOAT, _FLOAT])
        maximum = builder.module.declare_intrinsic("llvm.maxnum", [_FLOAT], kind)
        return builder.call(maximum, args, fastmath=("nnan", "nsz"))

    return types.float32(types.float32, types.float32), codegen


class _Array:
    """A C-contiguous array argument inside generated code."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        self.builder, self.bytes = builder, 2 if kind.dtype == types.uint16 else 4
        array = context.make_array(kind)(context, builder, value)
        self.data, self.shape = array.data, cgutils.unpack_tuple(builder, array.shape)

    def at(self, *index: Any) -> Any:
        offset = index[0]
        for size, part in zip(self.shape[1:], index[1:], strict=True):
            offset = self.builder.add(self.builder.mul(offset, size), part)
        return self.builder.gep(self.data, [offset])

    def vector(self, *index: Any) -> Any:
        """Sixteen neighbours from ``index`` on, as float32."""
        builder = self.builder
        if self.bytes == 4:
            return builder.load(builder.bitcast(self.at(*index), _VECTOR.as_pointer()), align=4)
        halves = builder.load(builder.bitcast(self.at(*index), _HALVES.as_pointer()), align=2)
        shift = ir.Constant(_WORDS, [16] * LANES)
        return builder.bitcast(builder.shl(builder.zext(halves, _WORDS), shift), _VECTOR)

    def prefetch(self, size: int, *index: Any) -> None:
        """Ask for ``size`` bytes from ``index`` on, a cache line of 64 at a time, ahead of their use."""
        builder, byte = self.builder, ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, _I32, _I32, _I32])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        start = builder.bitcast(self.at(*index), byte)
        read, everywhere, data = (ir.Constant(_I32, number) for number in (0, 3, 1))
        for offset in range(0, size, 64):
            builder.call(ask, [builder.gep(start, [_number(offset)]), read, everywhere, data])

    def put(self, value: Any, *index: Any) -> None:
        """Write sixteen float32 neighbours."""
        self.builder.store(value, self.builder.bitcast(self.at(*index), _VECTOR.as_pointer()), align=4)


def _splat(builder: Any, value: Any) -> Any:
    empty = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(_WORDS, [0] * LANES))


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32"), [a, b, c])


def _number(value: int) -> Any:
    return ir.Constant(_I64, value)


@intrinsic
def score_block(typingctx: Any, tile: Any, q: Any, k: Any, out: Any, at: Any, ahead: Any) -> Any:
    """out[:n, at:at+L] = q[:n, E] @ k[E, L] for one block of keys, where ``tile`` is a tuple of length n.

    ``ahead`` is a block of the same size that will be wanted next, to be fetched meanwhile.
    """
    n = tile.count

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        query, keys, result, coming = (_Array(context, builder, signature.args[i], args[i]) for i in (1, 2, 3, 5))
        parts = range(0, BLOCK, LANES)
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        sums = {(h, p): cgutils.alloca_once(builder, _VECTOR) for h in range(n) for p in parts}
        for held in sums.values():
            builder.store(zero, held)
        with cgutils.for_range(builder, keys.shape[0]) as loop:
            coming.prefetch(BLOCK * keys.bytes, loop.index, _number(0))
            vectors = {p: keys.vector(loop.index, _number(p)) for p in parts}
            for h in range(n):
                factor = _splat(builder, builder.load(query.at(_number(h), loop.index)))
                for p in parts:
                    total = _multiply_add(builder, factor, vectors[p], builder.load(sums[h, p]))
                    builder.store(total, sums[h, p])
        for (h, p), held in sums.items():
            result.put(builder.load(held), _number(h), builder.add(args[4], _number(p)))
        return context.get_dummy_value()

    return types.void(tile, q, k, out, types.intp, ahead), codegen


@intrinsic
def mix_block(
    typingctx: Any, tile: Any, p: Any, at: Any, v: Any, count: Any, out: Any, ahead: Any
) -> Any:  # fmt: skip
    """out[:n, E] += p[:n, at:at+count] @ v[:count, E]; ``tile`` and ``ahead`` as in ``score_block``."""
    n = tile.count

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        weights, values, result, coming = (_Array(context, builder, signature.args[i], args[i]) for i in (1, 3, 5, 6))

        def columns(first: Any, vectors: int) -> None:
            """The sums for ``vectors`` x 16 columns of the values, held in registers over the rows."""
            parts = [builder.add(first, _number(LANES * i)) for i in range(vectors)]
            sums = [[cgutils.alloca_once(builder, _VECTOR) for _ in parts] for _ in range(n)]
            for h in range(n):
                for held, part in zip(sums[h], parts, strict=True):
                    builder.store(result.vector(_number(h), part), held)
            with cgutils.for_range(builder, args[4]) as loop:
                coming.prefetch(vectors * LANES * values.bytes, loop.index, first)
                rows = [values.vector(loop.index, part) for part in parts]
                for h in range(n):
                    index = builder.add(args[2], loop.index)
                    factor = _splat(builder, builder.load(weights.at(_number(h), index)))
                    for row, held in zip(rows, sums[h], strict=True):
                        builder.store(_multiply_add(builder, factor, row, builder.load(held)), held)
            for h in range(n):
                for held, part in zip(sums[h], parts, strict=True):
                    result.put(builder.load(held), _number(h), part)

        width = result.shape[1]
        whole = builder.udiv(width, _number(4 * LANES))
        with cgutils.for_range(builder, whole) as loop:
            columns(builder.mul(loop.index, _number(4 * LANES)), 4)
        done = builder.mul(whole, _number(4 * LANES))
        rest = builder.udiv(builder.sub(width, done), _number(LANES))
        with cgutils.for_range(builder, rest) as loop:
            columns(builder.add(done, builder.mul(loop.index, _number(LANES))), 1)
        return context.get_dummy_value()

    return types.void(tile, p, types.intp, v, types.intp, out, ahead), codegen
