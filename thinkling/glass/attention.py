"""Who looks at whom: scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1), in the open.

The forward pass hands attention to one fused call that keeps no weights; here they are computed from the same
queries and keys. Legend as in ``activations``.

An attention map shows where a head reads, not what the model makes of it: weights alone are no explanation (Jain
and Wallace 2019, arXiv:1902.10186). They say what a value was mixed from, so take them as a place to look.
"""

from __future__ import annotations

import torch
from torch import Tensor

from thinkling.glass.activations import Activations


def scores(query_HTE: Tensor, key_KTE: Tensor) -> Tensor:
    """q·k / √E of every token with every token up to itself, [..., H, T, T]; -inf for those that come later.

    Each key-value head serves H / K query heads in a row. Leading dimensions (layers) are kept.
    """
    heads, t, width = query_HTE.shape[-3:]
    key_HTE = key_KTE.repeat_interleave(heads // key_KTE.shape[-3], dim=-3)
    products = query_HTE @ key_HTE.transpose(-1, -2) / width**0.5
    later = torch.ones(t, t, dtype=torch.bool, device=products.device).triu(1)
    return products.masked_fill(later, -torch.inf)


def weights(scores_HTT: Tensor) -> Tensor:
    """Softmax over the tokens that are looked at: every row sums to 1."""
    return scores_HTT.softmax(dim=-1)


def maps(seen: Activations) -> Tensor:
    """All attention weights of a text, [L, H, T, T]: row i is where token i looks."""
    return weights(scores(seen.query_LHTE, seen.key_LKTE))
