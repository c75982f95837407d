"""The CPU kernels as autograd functions, and attention and the output head built from them.

Every function has a twin of the same name and signature in ``reference.py``.
Shape suffixes as in ``kernels.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from thinkling.model import kernels

# Rows of queries per block of attention: a block sees only the keys up to its own end, which
# skips most of the upper triangle; smaller blocks would starve the matrix units.
QUERY_BLOCK = 128
# Rows of logits alive at once. Every block has exactly this many (the last one is padded), because oneDNN compiles
# and keeps a kernel for each new shape: with a row count that changes every step, that cost 30 MB a step.
HEAD_ROWS = 512


def view(x: Tensor) -> np.ndarray[Any, Any]:
    """The tensor's memory as NumPy sees it (bfloat16 as uint16)."""
    x = x.detach()
    return x.view(torch.uint16).numpy() if x.dtype == torch.bfloat16 else x.numpy()


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, eps: float) -> Tensor:
        x = x.contiguous()
        y, r = torch.empty_like(x), torch.empty(x.shape[0])
        kernels.norm_forward(view(x), view(w), np.float32(eps), view(y), view(r))
        ctx.save_for_backward(x, r, w)
        return y

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> Any:
        x, r, w = ctx.saved_tensors
        gx, gw = torch.empty_like(x), torch.empty(kernels.CHUNKS, x.shape[1])
        gy = gy.contiguous()
        kernels.norm_backward(view(gy), view(gy), False, view(x), view(r), view(w), view(gx), view(gw))
        return gx, gw.sum(0), None


class _AddNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, delta: Tensor, w: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        total, y, r = torch.empty_like(x), torch.empty_like(x), torch.empty(x.shape[0])
        kernels.add_norm_forward(
            view(x), view(delta.contiguous()), view(w), np.float32(eps), view(total), view(y), view(r)
        )
        ctx.save_for_backward(total, r, w)
        return total, y

    @staticmethod
    def backward(ctx: Any, gtotal: Tensor, gy: Tensor) -> Any:
        total, r, w = ctx.saved_tensors
        gx, gw = torch.empty_like(total), torch.empty(kernels.CHUNKS, total.shape[1])
        kernels.norm_backward(
            view(gy.contiguous()),
            view(gtotal.contiguous()),
            True,
            view(total),
            view(r),
            view(w),
            view(gx),
            view(gw),
        )
        return gx, gx, gw.sum(0), None


def norm(x_ND: Tensor, w_D: Tensor, eps: float) -> Tensor:
    """RMSNorm(x)·w."""
    return _Norm.apply(x_ND, w_D, eps)


def add_norm(x_ND: Tensor, delta_ND: Tensor, w_D: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """(x + delta, RMSNorm(x + delta)·w)."""
    return _AddNorm.apply(x_ND, delta_ND, w_D, eps)


class _TakeRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, row: Tensor) -> Tensor:
        ctx.save_for_backward(row)
        ctx.rows = y.shape[0]
        return y.index_select(0, row)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (row,) = ctx.saved_tensors
        return g.new_zeros(ctx.rows, g.shape[1]).index_copy_(0, row, g), None


def take_rows(y_ND: Tensor, row_M: Tensor) -> Tensor:
    """y[row] for distinct rows; plain indexing would add up its gradient element by element."""
    return _TakeRows.apply(y_ND, row_M)


class _QkNormRope(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, wq: Tensor, wk: Tensor, cos: Tensor, sin: Tensor, position: Tensor,
        shape: tuple[int, int, int, int, int], eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        b, k, t, g, e = shape
        q_BKTGE = qkv.new_empty(b, k, t, g, e)
        k_BKTE, v_BKTE = qkv.new_empty(b, k, t, e), qkv.new_empty(b, k, t, e)
        kernels.qk_norm_rope_forward(
            view(qkv), view(wq), view(wk), view(cos), view(sin), view(position), np.float32(eps),
            view(q_BKTGE), view(k_BKTE), view(v_BKTE),
        )  # fmt: skip
        ctx.save_for_backward(qkv, wq, wk, cos, sin, position)
        ctx.eps = eps
        return q_BKTGE, k_BKTE, v_BKTE

    @staticmethod
    def backward(ctx: Any, gq: Tensor, gk: Tensor, gv: Tensor) -> Any:
        qkv, wq, wk, cos, sin, position = ctx.saved_tensors
        gqkv = torch.empty_like(qkv)
        gwq, gwk = (torch.empty(kernels.CHUNKS, wq.shape[0]) for _ in range(2))
        kernels.qk_norm_rope_backward(
            view(qkv), view(wq), view(wk), view(cos), view(sin), view(position), np.float32(ctx.eps),
            view(gq.contiguous()), view(gk.contiguous()), view(gv.contiguous()), view(gqkv), view(gwq), view(gwk),
        )  # fmt: skip
        return gqkv, gwq.sum(0), gwk.sum(0), None, None, None, None, None


def qk_norm_rope(
    qkv_NX: Tensor, wq_E: Tensor, wk_E: Tensor, cos_PE: Tensor, sin_PE: Tensor, position_N: Tensor,
    shape: tuple[int, int, int, int, int], eps: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Fused projection -> normalized, rotated q [B,K,T,G,E], k [B,K,T,E] and plain v [B,K,T,E]."""
    return _QkNormRope.apply(qkv_NX, wq_E, wk_E, cos_PE, sin_PE, position_N, shape, eps)


class _Rope(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, cos: Tensor, sin: Tensor, position: Tensor, shape: tuple[int, int, int, int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        b, k, t, g, e = shape
        q_BKTGE = qkv.new_empty(b, k, t, g, e)
        k_BKTE, v_BKTE = qkv.new_empty(b, k, t, e), qkv.new_empty(b, k, t, e)
        kernels.rope_forward(view(qkv), view(cos), view(sin), view(position), view(q_BKTGE), view(k_BKTE), view(v_BKTE))
        ctx.save_for_backward(cos, sin, position)
        ctx.width = qkv.shape[1]
        return q_BKTGE, k_BKTE, v_BKTE

    @staticmethod
    def backward(ctx: Any, gq: Tensor, gk: Tensor, gv: Tensor) -> Any:
        cos, sin, position = ctx.saved_tensors
        gqkv = gq.new_empty(len(position), ctx.width)
        kernels.rope_backward(
            view(gq.contiguous()), view(gk.contiguous()), view(gv.contiguous()), view(cos), view(sin), view(position),
            view(gqkv),
        )  # fmt: skip
        return gqkv, None, None, None, None


def rope(
    qkv_NX: Tensor, cos_PE: Tensor, sin_PE: Tensor, position_N: Tensor, shape: tuple[int, int, int, int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """``qk_norm_rope`` of a model that does not normalize its queries and keys."""
    return _Rope.apply(qkv_NX, cos_PE, sin_PE, position_N, shape)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, first: Tensor, trunk: Tensor) -> Tensor:
        b, n_kv, t, g, e = q.shape
        scale = np.float32(e**-0.5)
        q_XRE, k_XTE, v_XTE = q.view(b * n_kv, t * g, e), k.view(b * n_kv, t, e), v.view(b * n_kv, t, e)
        o_XRE = torch.empty_like(q_XRE)
        probabilities = []
        for start in range(0, t, QUERY_BLOCK):
            end = min(start + QUERY_BLOCK, t)
            rows = slice(start * g, end * g)
            p_XRW = torch.bmm(q_XRE[:, rows], k_XTE[:, :end].transpose(1, 2))
            kernels.causal_softmax_forward(view(p_XRW), view(first), view(trunk), n_kv, start, g, scale)
            o_XRE[:, rows] = torch.bmm(p_XRW, v_XTE[:, :end])
            probabilities.append(p_XRW)
        ctx.save_for_backward(q_XRE, k_XTE, v_XTE, first, trunk, *probabilities)
        ctx.shape = q.shape
        return o_XRE.view(b, n_kv, t, g, e).transpose(1, 2).reshape(b * t, n_kv * g * e)

    @staticmethod
    def backward(ctx: Any, go: Tensor) -> Any:
        q_XRE, k_XTE, v_XTE, first, trunk, *probabilities = ctx.saved_tensors
        b, n_kv, t, g, e = ctx.shape
        scale = np.float32(e**-0.5)
        go_XRE = go.view(b, t, n_kv, g, e).transpose(1, 2).reshape(b * n_kv, t * g, e)
        gq, gk, gv = torch.empty_like(q_XRE), torch.zeros_like(k_XTE), torch.zeros_like(v_XTE)
        for index, p_XRW in enumerate(probabilities):
            start = index * QUERY_BLOCK
            end = min(start + QUERY_BLOCK, t)
            rows = slice(start * g, end * g)
            gs_XRW = torch.bmm(go_XRE[:, rows], v_XTE[:, :end].transpose(1, 2))
            gv[:, :end] += torch.bmm(p_XRW.transpose(1, 2), go_XRE[:, rows])
            kernels.causal_softmax_backward(view(p_XRW), view(gs_XRW), view(first), view(trunk), n_kv, start, g, scale)
            gq[:, rows] = torch.bmm(gs_XRW, k_XTE[:, :end])
            gk[:, :end] += torch.bmm(gs_XRW.transpose(1, 2), q_XRE[:, rows])
        return gq.view(ctx.shape), gk.view(b, n_kv, t, e), gv.view(b, n_kv, t, e), None, None


def attention(q_BKTGE: Tensor, k_BKTE: Tensor, v_BKTE: Tensor, first_BT: Tensor, trunk_BT2: Tensor) -> Tensor:
    """Causal attention within documents -> [N, H·E]; ``first_BT`` is each token's document start, ``trunk_BT2``
    the stretch [start, end) before it that the token sees too."""
    return _Attention.apply(q_BKTGE, k_BKTE, v_BKTE, first_BT, trunk_BT2)


class _SwiGlu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gu: Tensor) -> Tensor:
        h = gu.new_empty(gu.shape[0], gu.shape[1] // 2)
        kernels.swiglu_forward(view(gu), view(h))
        ctx.save_for_backward(gu)
        return h

    @staticmethod
    def backward(ctx: Any, gh: Tensor) -> Any:
        (gu,) = ctx.saved_tensors
        ggu = torch.empty_like(gu)
        kernels.swiglu_backward(view(gu), view(gh.contiguous()), view(ggu))
        return ggu


def swiglu(gate_up_NX: Tensor) -> Tensor:
    """silu(gate)·up, [N, 2F] -> [N, F]."""
    return _SwiGlu.apply(gate_up_NX)


def _blocks(y_ND: Tensor, target_N: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """(rows, y, target) block by block, the last one padded to full size with rows that mean nothing."""
    for start in range(0, y_ND.shape[0], HEAD_ROWS):
        rows = slice(start, min(start + HEAD_ROWS, y_ND.shape[0]))
        y, target = y_ND[rows], target_N[rows]
        missing = HEAD_ROWS - len(y)
        if missing:
            y, target = F.pad(y, (0, 0, 0, missing)), F.pad(target, (0, missing))
        yield rows, y, target


def _padded(x_N: Tensor, rows: slice) -> Tensor:
    """The rows of ``x``, followed by zeros up to a full block."""
    return F.pad(x_N[rows], (0, HEAD_ROWS - (rows.stop - rows.start)))


class _ScaledLoss(torch.autograd.Function):
    """Σ scale·loss, with the gradient computed in the forward pass: logits never outlive their block."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, w: Tensor, target: Tensor, scale: Tensor, loss: Tensor) -> Tensor:
        needed = any(ctx.needs_input_grad[:2])
        gy = torch.empty_like(y)
        gw = torch.zeros(w.shape)
        for rows, y_block, target_block in _blocks(y, target):
            logits, losses = y_block @ w.t(), torch.empty(HEAD_ROWS)
            kernels.cross_entropy(view(logits), view(target_block), view(_padded(scale, rows)), view(losses))
            loss[rows] = losses[: rows.stop - rows.start]
            if needed:
                gy[rows] = (logits @ w)[: rows.stop - rows.start]
                gw += logits.t() @ y_block
        ctx.save_for_backward(gy, gw.to(w.dtype))
        return (loss * scale).sum()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        gy, gw = ctx.saved_tensors
        if float(g) == 1.0:
            return gy, gw, None, None, None
        return gy * g, gw * g, None, None, None


def cross_entropy(y_ND: Tensor, w_VD: Tensor, target_N: Tensor, scale_N: Tensor) -> tuple[Tensor, Tensor]:
    """(Σ scale·loss, the losses in nats) of the next-token predictions softmax(y·wᵀ)."""
    loss_N = torch.empty(y_ND.shape[0])
    total = _ScaledLoss.apply(y_ND, w_VD, target_N, scale_N, loss_N)
    return total, loss_N


class _TokenLogprob(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, w: Tensor, target: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        logp, entropy = torch.empty(y.shape[0]), torch.empty(y.shape[0])
        inverse = np.float32(1.0 / temperature)
        for rows, y_block, target_block in _blocks(y, target):
            logits = y_block @ w.t()
            logps, entropies = torch.empty(HEAD_ROWS), torch.empty(HEAD_ROWS)
            kernels.token_logprob_forward(view(logits), view(target_block), inverse, view(logps), view(entropies))
            logp[rows], entropy[rows] = (x[: rows.stop - rows.start] for x in (logps, entropies))
        ctx.save_for_backward(y, w, target)
        ctx.inverse = inverse
        ctx.mark_non_differentiable(entropy)
        return logp, entropy

    @staticmethod
    def backward(ctx: Any, glogp: Tensor, _: Tensor) -> Any:
        y, w, target = ctx.saved_tensors
        gy, gw = torch.empty_like(y), torch.zeros(w.shape)
        for rows, y_block, target_block in _blocks(y, target):
            logits = y_block @ w.t()
            # A padded row has gradient 0, so that it adds nothing to the head's.
            kernels.token_logprob_backward(view(logits), view(target_block), ctx.inverse, view(_padded(glogp, rows)))
            gy[rows] = (logits @ w)[: rows.stop - rows.start]
            gw += logits.t() @ y_block
        return gy, gw.to(w.dtype), None, None


def token_logprobs(y_ND: Tensor, w_VD: Tensor, target_N: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(log p(target), entropy), in nats, under softmax(y·wᵀ / temperature); entropy carries no gradient."""
    return _TokenLogprob.apply(y_ND, w_VD, target_N, temperature)
