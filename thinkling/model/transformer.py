"""The decoder: embeddings, layers of attention and feed-forward, a tied output head.

Weights are float32 masters; a step computes with copies in the working precision (bfloat16 where
the CPU multiplies it natively) and hands their gradients back to the masters.
Shape suffixes as in ``kernels.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thinkling.model import reference
from thinkling.model.config import ModelConfig


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


def rotary_tables(config: ModelConfig, length: int) -> tuple[Tensor, Tensor]:
    """cos and sin of position times frequency, each [length, head_dim / 2] float32."""
    half = torch.arange(0, config.head_dim, 2, dtype=torch.int64).float() / config.head_dim
    angles = torch.outer(torch.arange(length).float(), 1.0 / config.rope_theta**half)
    return angles.cos().contiguous(), angles.sin().contiguous()


class Transformer(nn.Module):
    """A Qwen3-shaped decoder with fused query-key-value and gate-up projections."""

    def __init__(self, config: ModelConfig, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.dtype = dtype
        d, f = config.hidden_size, config.intermediate_size
        layers = range(config.num_hidden_layers)
        shapes: dict[str, tuple[int, ...]] = {"embed": (config.vocab_size, d), "norm": (d,)}
        if not config.tie_word_embeddings:
            shapes["head"] = (config.vocab_size, d)
        for i in layers:
            shapes |= {
                f"{i}.norm_attention": (d,),
                f"{i}.qkv": (config.q_size + 2 * config.kv_size, d),
                f"{i}.q_norm": (config.head_dim,),
                f"{i}.k_norm": (config.head_dim,),
                f"{i}.o": (d, config.q_size),
                f"{i}.norm_mlp": (d,),
                f"{i}.gate_up": (2 * f, d),
                f"{i}.down": (d, f),
            }
        generator = torch.Generator().manual_seed(seed)
        self.weights = nn.ParameterDict()
        for name, shape in shapes.items():
            self.weights[name.replace(".", "_")] = nn.Parameter(_initial(name, shape, config, generator))
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
        x = F.embedding(batch.ids_BT.reshape(-1), w["embed"])
        y = ops.norm(x, w["0_norm_attention"], eps)
        for i in range(config.num_hidden_layers):
            qkv = F.linear(y, w[f"{i}_qkv"])
            q, k, v = ops.qk_norm_rope(
                qkv, w[f"{i}_q_norm"], w[f"{i}_k_norm"], self.cos, self.sin, position_N, shape, eps
            )
            mixed = F.linear(ops.attention(q, k, v, batch.first_BT, trunk_BT2), w[f"{i}_o"])
            x, y = ops.add_norm(x, mixed, w[f"{i}_norm_mlp"], eps)
            delta = F.linear(ops.swiglu(F.linear(y, w[f"{i}_gate_up"])), w[f"{i}_down"])
            last = i + 1 == config.num_hidden_layers
            x, y = ops.add_norm(x, delta, w["norm"] if last else w[f"{i + 1}_norm_attention"], eps)
        return y

    def sections(self, name: str) -> list[int]:
        """Rows of each Hugging Face tensor inside the weight ``name``."""
        return [len(part) for _, part in _parts(name, self.weights[name], self.config)]

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
        return {
            name: part.detach()
            for own, master in self.weights.items()
            for name, part in _parts(own, master, self.config)
        }

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy in tensors under Hugging Face's names; shapes were checked by ``load_checkpoint``."""
        with torch.no_grad():
            for own, master in self.weights.items():
                for name, part in _parts(own, master, self.config):
                    part.copy_(tensors[name])
        self.refresh()


def _initial(name: str, shape: tuple[int, ...], config: ModelConfig, generator: torch.Generator) -> Tensor:
    """Ones for norms, a small normal for embeddings, uniform of standard deviation 1/√fan_in for
    matrices, and zeros for those that write to the residual stream (as in nanochat and modded-nanogpt:
    each layer begins as the identity)."""
    kind = name.split(".")[-1]
    if len(shape) == 1:
        return torch.ones(shape)
    if kind in ("o", "down"):
        return torch.zeros(shape)
    if kind in ("embed", "head"):
        return torch.randn(shape, generator=generator) * 0.02
    bound = 3**0.5 * shape[1] ** -0.5
    return (torch.rand(shape, generator=generator) * 2 - 1) * bound


def _parts(own: str, master: Tensor, config: ModelConfig) -> list[tuple[str, Tensor]]:
    """The Hugging Face tensors inside one of ours, as views: the name table of the checkpoint."""
    if own == "embed":
        return [("model.embed_tokens.weight", master)]
    if own == "head":
        return [("lm_head.weight", master)]
    if own == "norm":
        return [("model.norm.weight", master)]
    layer, kind = own.split("_", 1)
    prefix = f"model.layers.{layer}"
    fused = {
        "qkv": (
            ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
            [config.q_size, config.kv_size, config.kv_size],
        ),
        "gate_up": (["mlp.gate_proj", "mlp.up_proj"], [config.intermediate_size] * 2),
    }
    if kind in fused:
        names, sizes = fused[kind]
        return [(f"{prefix}.{name}.weight", part) for name, part in zip(names, master.split(sizes), strict=True)]
    single = {
        "norm_attention": "input_layernorm",
        "norm_mlp": "post_attention_layernorm",
        "q_norm": "self_attn.q_norm",
        "k_norm": "self_attn.k_norm",
        "o": "self_attn.o_proj",
        "down": "mlp.down_proj",
    }
    return [(f"{prefix}.{single[kind]}.weight", master)]
