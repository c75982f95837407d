"""The shape of a model, in the names that Hugging Face's ``config.json`` uses for Qwen3."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from thinkling.core.errors import UserError

ARCHITECTURE = "Qwen3ForCausalLM"


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A Qwen3-shaped decoder: RMSNorm, RoPE, SwiGLU, grouped-query attention, per-head QK-norm.

    Source of the shape: the Qwen3 technical report (arXiv:2505.09388), section 2.
    """

    vocab_size: int = 2048
    hidden_size: int = 192
    num_hidden_layers: int = 4
    num_attention_heads: int = 3
    num_key_value_heads: int = 1
    head_dim: int = 64
    intermediate_size: int = 512
    max_position_embeddings: int = 1024
    rope_theta: float = 10_000.0
    rms_norm_eps: float = 1e-6
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        if self.num_attention_heads % self.num_key_value_heads:
            raise UserError(
                f"model: {self.num_attention_heads} attention heads cannot share "
                f"{self.num_key_value_heads} key-value heads; expected a divisor"
            )
        if self.head_dim % 2:
            raise UserError(f"model: head_dim must be even for rotary positions, came {self.head_dim}")

    @property
    def q_size(self) -> int:
        return self.num_attention_heads * self.head_dim

    @property
    def kv_size(self) -> int:
        return self.num_key_value_heads * self.head_dim

    def parameters(self) -> int:
        """Number of weights, a tied output head counted once."""
        d, f = self.hidden_size, self.intermediate_size
        attention = d * (self.q_size + 2 * self.kv_size) + self.q_size * d + 2 * self.head_dim
        layer = attention + 3 * d * f + 2 * d
        embeddings = self.vocab_size * d * (1 if self.tie_word_embeddings else 2)
        return self.num_hidden_layers * layer + embeddings + d

    def flops_per_token(self, context: int) -> int:
        """Training FLOPs per token, forward and backward: 6 per weight in a matrix product plus
        attention's 12·L·d·T, halved for causality (PaLM, arXiv:2204.02311, appendix B)."""
        d = self.hidden_size
        layer = d * (self.q_size + 2 * self.kv_size) + self.q_size * d + 3 * d * self.intermediate_size
        products = self.num_hidden_layers * layer + self.vocab_size * d
        return 6 * products + 6 * self.num_hidden_layers * self.q_size * context

    def to_hf(self) -> dict[str, Any]:
        """The content of ``config.json``."""
        own = asdict(self)
        theta = own.pop("rope_theta")
        return {
            "architectures": [ARCHITECTURE],
            "model_type": "qwen3",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "hidden_act": "silu",
            "initializer_range": 0.02,
            "use_cache": True,
            "use_sliding_window": False,
            "rope_theta": theta,
            "rope_scaling": None,
            "torch_dtype": "float32",
            **own,
        }

    @staticmethod
    def from_hf(folder: Path) -> ModelConfig:
        """Read ``config.json``; an architecture that this code does not compute is refused by name."""
        path = folder / "config.json"
        if not path.is_file():
            raise UserError(f"{folder}: no config.json; expected a folder with a Hugging Face checkpoint")
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path}: not valid JSON ({error})") from error
        found = (raw.get("architectures") or [raw.get("model_type", "nothing")])[0]
        if found != ARCHITECTURE:
            raise UserError(f"{path}: architecture {found} is not supported; expected {ARCHITECTURE}")
        rope = raw.get("rope_parameters") or {}
        scaling = raw.get("rope_scaling") or (rope if rope.get("rope_type", "default") != "default" else None)
        for name, refused in (
            ("rope_scaling", scaling),
            ("attention_bias", raw.get("attention_bias")),
            ("use_sliding_window", raw.get("use_sliding_window")),
        ):
            if refused:
                raise UserError(f"{path}: {name}={refused!r} is not supported for {ARCHITECTURE}")
        if raw.get("hidden_act", "silu") != "silu":
            raise UserError(f"{path}: hidden_act={raw['hidden_act']!r} is not supported; expected 'silu'")
        if "rope_theta" in rope and "rope_theta" not in raw:
            raw["rope_theta"] = rope["rope_theta"]
        missing = [f.name for f in fields(ModelConfig) if f.name not in raw and f.name != "tie_word_embeddings"]
        if missing:
            raise UserError(f"{path}: missing {', '.join(missing)}")
        values = {f.name: raw[f.name] for f in fields(ModelConfig) if f.name in raw}
        values.setdefault("tie_word_embeddings", False)
        return ModelConfig(**values)
