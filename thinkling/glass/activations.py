"""A forward pass that keeps what it computes: the residual stream, queries, keys, values, contexts, logits.

These are the operations of ``model.transformer`` in the order in which it does them, on the same stacked weights, so
the logits are its logits to the last bit (with ``model.reference``, in float32): looking changes nothing. What a
pass keeps is what it went on to use; nothing is computed a second time.

Legend: L layers, M = L + 1 places of the residual stream, T tokens, D model width, H query heads, K key-value heads,
E head width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from thinkling.core.errors import UserError
from thinkling.model import reference
from thinkling.model.config import ModelConfig
from thinkling.model.rotary import rotary_tables


@dataclass(frozen=True, slots=True)
class Activations:
    """What one text leaves in a model, all float32.

    ``residual_MTD`` is the residual stream before layer 0 (the embeddings), before layer 1, ..., after the last.
    ``query_LHTE`` and ``key_LKTE`` are those that are multiplied (normalized where the model does that, and rotated);
    ``context_LHTE`` is each head's weighted sum of values; ``logits_TV`` predict the token after each token.
    """

    residual_MTD: Tensor
    query_LHTE: Tensor
    key_LKTE: Tensor
    value_LKTE: Tensor
    context_LHTE: Tensor
    logits_TV: Tensor


class Weights:
    """A checkpoint's tensors by our names ("0_qkv", "head"), one or several of Hugging Face's stacked in each.

    They are stacked when they are asked for and kept by nobody: a pass needs the memory of one layer beside the
    checkpoint's own, not a second copy of the model.
    """

    def __init__(self, config: ModelConfig, tensors: Mapping[str, Tensor]) -> None:
        self._layout, self._tensors = config.layout(), tensors
        self._head = "embed" if config.tie_word_embeddings else "head"

    def __getitem__(self, own: str) -> Tensor:
        parts = [self._tensors[name] for name in self._layout[own]]
        return (parts[0] if len(parts) == 1 else torch.cat(parts)).detach().float()

    def get(self, own: str) -> Tensor | None:
        """None for what this architecture does not have (a bias)."""
        return self[own] if own in self._layout else None

    def unembedded(self, normalized_TD: Tensor) -> Tensor:
        """Logits [T, V] of final normalized hidden states."""
        return normalized_TD @ self[self._head].t()


@torch.no_grad()
def activations(config: ModelConfig, tensors: Mapping[str, Tensor], ids: Sequence[int]) -> Activations:
    """One text through the model; ``tensors`` as `checkpoint.load_checkpoint` gives them.

    Raises UserError where the model computes numbers that are not finite.
    """
    w, eps = Weights(config, tensors), config.rms_norm_eps
    t, heads, shared = len(ids), config.num_attention_heads, config.num_key_value_heads
    shape = (1, shared, t, heads // shared, config.head_dim)
    embedding = w["embed"]
    device = embedding.device
    position_N = torch.arange(t, device=device)
    first_BT = torch.zeros(1, t, dtype=torch.int32, device=device)  # one document: nobody looks past its start,
    trunk_BT2 = torch.zeros(1, t, 2, dtype=torch.int32, device=device)  # and it continues no other
    cos, sin = (table.to(device) for table in rotary_tables(config, t))
    kept: dict[str, list[Tensor]] = {name: [] for name in ("residual", "query", "key", "value", "context")}

    x = F.embedding(torch.tensor(ids, device=device), embedding)
    y = reference.norm(x, w["0_norm_attention"], eps)
    kept["residual"].append(x)
    for i in range(config.num_hidden_layers):
        qkv = F.linear(y, w[f"{i}_qkv"], w.get(f"{i}_qkv_bias"))
        if config.has("q_norm"):
            norms = w[f"{i}_q_norm"], w[f"{i}_k_norm"]
            q, k, v = reference.qk_norm_rope(qkv, *norms, cos, sin, position_N, shape, eps)
        else:
            q, k, v = reference.rope(qkv, cos, sin, position_N, shape)
        attended = reference.attention(q, k, v, first_BT, trunk_BT2)
        mixed = F.linear(attended, w[f"{i}_o"], w.get(f"{i}_o_bias"))
        x, y = reference.add_norm(x, mixed, w[f"{i}_norm_mlp"], eps)
        delta = F.linear(reference.swiglu(F.linear(y, w[f"{i}_gate_up"])), w[f"{i}_down"])
        last = i + 1 == config.num_hidden_layers
        x, y = reference.add_norm(x, delta, w["norm"] if last else w[f"{i + 1}_norm_attention"], eps)
        kept["query"].append(q[0].transpose(1, 2).reshape(heads, t, -1))
        kept["key"].append(k[0])
        kept["value"].append(v[0])
        kept["context"].append(attended.view(t, heads, -1).transpose(0, 1))
        kept["residual"].append(x)
        if not bool(x.isfinite().all()):
            raise UserError(f"glass: layer {i} computes numbers that are not finite; the model's weights are broken")
    logits_TV = w.unembedded(y)
    if not bool(logits_TV.isfinite().all()):
        raise UserError("glass: the output head computes logits that are not finite; the model's weights are broken")
    stacked = {name: torch.stack(tensors) for name, tensors in kept.items()}
    return Activations(
        stacked["residual"], stacked["query"], stacked["key"], stacked["value"], stacked["context"], logits_TV
    )
