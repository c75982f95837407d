"""The decoder: embeddings, layers of attention and feed-forward, an output head.

Weights are float32 masters; a step computes with copies in the working precision (bfloat16 where
the CPU multiplies it natively) and hands their gradients back to the masters.
Shape suffixes as in ``kernels.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thinkling.model import reference
from thinkling.model.config import ModelConfig
from thinkling.model.rotary import rotary_tables


@dataclass(frozen=True, slots=True)
class Packed:
    """Token windows holding one or more documents each.

    ``ids_BT`` int64; ``first_BT`` int32, the index in its window of each token's document start;
    ``position_BT`` int32, the token's position within its document. ``trunk_BT2`` int32: the stretch
    [start, end) of the window that a token sees besides its own document, which continues it; several
    documents may continue one trunk (start = end: none, as everywhere if it is None).
    """

    ids_BT: Tensor
    first_BT: Tensor
    position_BT: Tensor
    trunk_BT2: Tensor | None = None

    @staticmethod
    def whole(ids_BT: Tensor) -> Packed:
        """Windows of one document each."""
        b, t = ids_BT.shape
        device = ids_BT.device
        first = torch.zeros(b, t, dtype=torch.int32, device=device)
        position = torch.arange(t, dtype=torch.int32, device=device).repeat(b, 1)
        return Packed(ids_BT, first, position)

    def to(self, device: torch.device | str) -> Packed:
        trunk = None if self.trunk_BT2 is None else self.trunk_BT2.to(device)
        return Packed(self.ids_BT.to(device), self.first_BT.to(device), self.position_BT.to(device), trunk)


class Transformer(nn.Module):
    """A decoder with fused query-key-value and gate-up projections, in any variant of ``architectures``."""

    def __init__(self, config: ModelConfig, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.dtype = dtype
        generator = torch.Generator().manual_seed(seed)
        self._layout = config.layout()
        self.weights = nn.ParameterDict()
        for own, parts in self._layout.items():
            rows, (_, *columns) = sum(shape[0] for shape in parts.values()), next(iter(parts.values()))
            self.weights[own] = nn.Parameter(_initial(own, (rows, *columns), generator))
        cos, sin = rotary_tables(config, config.max_position_embeddings)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._working: dict[str, Tensor] = {}
        self.refresh()

    @property
    def device(self) -> torch.device:
        return self.weights["embed"].device

    @property
    def ops(self) -> ModuleType:
        """The fused kernels on a CPU, plain PyTorch elsewhere."""
        if self.device.type != "cpu":
            return reference
        from thinkling.model import fused

        return fused

    def refresh(self) -> None:
        """Copy the masters into working precision; due after every change of the masters."""
        for name, master in self.weights.items():
            if master.ndim < 2 or self.dtype == torch.float32:
                self._working[name] = master
            elif name in self._working and self._working[name].device == master.device:
                self._working[name].data.copy_(master.data)
            else:
                self._working[name] = master.detach().to(self.dtype).requires_grad_()

    def collect_gradients(self) -> None:
        """Add the working copies' gradients to their masters' float32 ones."""
        for name, master in self.weights.items():
            copy = self._working[name]
            if copy is master or copy.grad is None:
                continue
            if master.grad is None:
                master.grad = copy.grad.float()
            else:
                master.grad += copy.grad
            copy.grad = None

    def hidden(self, batch: Packed) -> Tensor:
        """Final normalized hidden states, [B·T, D] in working precision."""
        config, ops, w = self.config, self.ops, self._working
        eps = config.rms_norm_eps
        b, t = batch.ids_BT.shape
        position_N = batch.position_BT.reshape(-1)
        trunk_BT2 = batch.trunk_BT2
        if trunk_BT2 is None:
            trunk_BT2 = torch.zeros(b, t, 2, dtype=torch.int32, device=self.device)
        group = config.num_attention_heads // config.num_key_value_heads
        shape = (b, config.num_key_value_heads, t, group, config.head_dim)
        qk_norm = config.has("q_norm")
        x = F.embedding(batch.ids_BT.reshape(-1), w["embed"])
        y = ops.norm(x, w["0_norm_attention"], eps)
        for i in range(config.num_hidden_layers):
            qkv = F.linear(y, w[f"{i}_qkv"], self._bias(f"{i}_qkv_bias"))
            if qk_norm:
                norms = w[f"{i}_q_norm"], w[f"{i}_k_norm"]
                q, k, v = ops.qk_norm_rope(qkv, *norms, self.cos, self.sin, position_N, shape, eps)
            else:
                q, k, v = ops.rope(qkv, self.cos, self.sin, position_N, shape)
            attended = ops.attention(q, k, v, batch.first_BT, trunk_BT2)
            mixed = F.linear(attended, w[f"{i}_o"], self._bias(f"{i}_o_bias"))
            x, y = ops.add_norm(x, mixed, w[f"{i}_norm_mlp"], eps)
            delta = F.linear(ops.swiglu(F.linear(y, w[f"{i}_gate_up"])), w[f"{i}_down"])
            last = i + 1 == config.num_hidden_layers
            x, y = ops.add_norm(x, delta, w["norm"] if last else w[f"{i + 1}_norm_attention"], eps)
        return y

    def _bias(self, name: str) -> Tensor | None:
        """A projection's bias in working precision, or None in a model without."""
        bias = self._working.get(name)
        return None if bias is None else bias.to(self.dtype)

    def sections(self, name: str) -> list[int]:
        """Rows of each Hugging Face tensor inside the weight ``name``."""
        return [shape[0] for shape in self._layout[name].values()]

    @property
    def head(self) -> Tensor:
        """The output head in working precision, [V, D]."""
        return self._working["embed" if self.config.tie_word_embeddings else "head"]

    def forward(self, batch: Packed) -> Tensor:
        """Logits, [B, T, V] in float32. Training never forms them all: see ``cross_entropy``."""
        b, t = batch.ids_BT.shape
        return (self.hidden(batch) @ self.head.t()).float().view(b, t, -1)

    def state(self) -> dict[str, Tensor]:
        """The masters under Hugging Face's names (views, not copies)."""
        return {name: part.detach() for name, part in self._parts()}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy in tensors under Hugging Face's names; shapes were checked by ``load_checkpoint``."""
        with torch.no_grad():
            for name, part in self._parts():
                part.copy_(tensors[name])
        self.refresh()

    def _parts(self) -> Iterator[tuple[str, Tensor]]:
        """The Hugging Face tensors inside our weights, as views."""
        for own, master in self.weights.items():
            yield from zip(self._layout[own], master.split(self.sections(own)), strict=True)


def _initial(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Ones for norms, zeros for biases, a small normal for embeddings, uniform of standard deviation 1/√fan_in
    for matrices, and zeros for those that write to the residual stream (as in nanochat and modded-nanogpt:
    each layer begins as the identity)."""
    if name.endswith("_bias"):
        return torch.zeros(shape)
    if len(shape) == 1:
        return torch.ones(shape)
    if name.endswith(("_o", "_down")):
        return torch.zeros(shape)
    if name in ("embed", "head"):
        return torch.randn(shape, generator=generator) * 0.02
    bound = 3**0.5 * shape[1] ** -0.5
    return (torch.rand(shape, generator=generator) * 2 - 1) * bound
