"""The Transformer's operations in plain PyTorch: the readable twin of ``fused.py``, and the path for GPUs.

Same names, same signatures, same numbers (see the parity tests). Shape suffixes as in ``kernels.py``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def norm(x_ND: Tensor, w_D: Tensor, eps: float) -> Tensor:
    """RMSNorm(x)·w, computed in float32."""
    x = x_ND.float()
    return (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * w_D).to(x_ND.dtype)


def add_norm(x_ND: Tensor, delta_ND: Tensor, w_D: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """(x + delta, RMSNorm(x + delta)·w)."""
    total = x_ND + delta_ND
    return total, norm(total, w_D, eps)


def _rotate(x_BTHE: Tensor, cos_BTE: Tensor, sin_BTE: Tensor) -> Tensor:
    low, high = x_BTHE.float().chunk(2, dim=-1)
    cos, sin = cos_BTE.unsqueeze(2), sin_BTE.unsqueeze(2)
    return torch.cat([low * cos - high * sin, high * cos + low * sin], dim=-1).to(x_BTHE.dtype)


def qk_norm_rope(
    qkv_NX: Tensor, wq_E: Tensor, wk_E: Tensor, cos_PE: Tensor, sin_PE: Tensor, position_N: Tensor,
    shape: tuple[int, int, int, int, int], eps: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Fused projection -> normalized, rotated q [B,K,T,G,E], k [B,K,T,E] and plain v [B,K,T,E]."""
    b, k, t, g, e = shape
    q, key, v = qkv_NX.view(b, t, -1, e).split([k * g, k, k], dim=2)
    return _rotated(norm(q, wq_E, eps), norm(key, wk_E, eps), v, cos_PE, sin_PE, position_N)


def rope(
    qkv_NX: Tensor, cos_PE: Tensor, sin_PE: Tensor, position_N: Tensor, shape: tuple[int, int, int, int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """``qk_norm_rope`` of a model that does not normalize its queries and keys."""
    b, k, t, g, e = shape
    q, key, v = qkv_NX.view(b, t, -1, e).split([k * g, k, k], dim=2)
    return _rotated(q, key, v, cos_PE, sin_PE, position_N)


def _rotated(
    q_BTHE: Tensor, k_BTKE: Tensor, v_BTKE: Tensor, cos_PE: Tensor, sin_PE: Tensor, position_N: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    b, t, k, e = k_BTKE.shape
    cos, sin = (table[position_N.long()].view(b, t, -1) for table in (cos_PE, sin_PE))
    q = _rotate(q_BTHE, cos, sin).view(b, t, k, -1, e).permute(0, 2, 1, 3, 4)
    return q, _rotate(k_BTKE, cos, sin).transpose(1, 2), v_BTKE.transpose(1, 2)


def attention(q_BKTGE: Tensor, k_BKTE: Tensor, v_BKTE: Tensor, first_BT: Tensor, trunk_BT2: Tensor) -> Tensor:
    """Causal attention within documents -> [N, H·E]; ``first_BT`` is each token's document start, ``trunk_BT2``
    the stretch [start, end) before it that the token sees too."""
    b, k, t, g, e = q_BKTGE.shape
    key_1T = torch.arange(t, device=q_BKTGE.device)[None, None, :]
    own_BTT = (key_1T <= key_1T.transpose(1, 2)) & (key_1T >= first_BT[:, :, None])
    trunk_BTT = (key_1T >= trunk_BT2[:, :, :1]) & (key_1T < trunk_BT2[:, :, 1:])
    q = q_BKTGE.permute(0, 1, 3, 2, 4).reshape(b, k * g, t, e)
    seen = (own_BTT | trunk_BTT)[:, None]
    out = F.scaled_dot_product_attention(q, k_BKTE, v_BKTE, attn_mask=seen, enable_gqa=True)
    return out.transpose(1, 2).reshape(b * t, k * g * e)


def take_rows(y_ND: Tensor, row_M: Tensor) -> Tensor:
    """y[row] for distinct rows."""
    return y_ND[row_M]


def swiglu(gate_up_NX: Tensor) -> Tensor:
    """silu(gate)·up, [N, 2F] -> [N, F]."""
    gate, up = gate_up_NX.chunk(2, dim=-1)
    return F.silu(gate) * up


def cross_entropy(y_ND: Tensor, w_VD: Tensor, target_N: Tensor, scale_N: Tensor) -> tuple[Tensor, Tensor]:
    """(Σ scale·loss, the losses in nats) of the next-token predictions softmax(y·wᵀ)."""
    loss_N = F.cross_entropy((y_ND @ w_VD.t()).float(), target_N, reduction="none")
    return (loss_N * scale_N).sum(), loss_N.detach()


def token_logprobs(y_ND: Tensor, w_VD: Tensor, target_N: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(log p(target), entropy), in nats, under softmax(y·wᵀ / temperature); entropy carries no gradient."""
    log_p_NV = F.log_softmax((y_ND @ w_VD.t()).float() / temperature, dim=-1)
    detached = log_p_NV.detach()
    entropy_N = -(detached.exp() * detached).sum(-1)
    return log_p_NV.gather(-1, target_N[:, None]).squeeze(-1), entropy_N
