"""The shape of a model, in the names that Hugging Face's ``config.json`` uses."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from thinkling.core.errors import UserError
from thinkling.model.architectures import (
    ARCHITECTURES,
    LAYER,
    LAYER_PREFIX,
    OPTIONAL,
    OUTSIDE,
    QWEN3,
    ROPE_TYPES,
)

# Settings of a config.json that change what the model computes -> the values under which it computes as we do;
# one that is absent does as well.
PLAIN: Mapping[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "mlp_bias": (False, None),
    "partial_rotary_factor": (1, None),
    "quantization_config": (None,),
    "dual_chunk_attention_config": (None,),
    "num_experts": (0, None),
    "num_local_experts": (0, None),
}


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A decoder with RMSNorm, RoPE, SwiGLU and grouped-query attention; see ``architectures`` for the variants.

    What we train ourselves is Qwen3's. ``attention_bias``: biases in all four projections of attention, where the
    architecture leaves it open. The fields from ``rope_type`` on: see ``rotary.frequencies``.
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
    architecture: str = QWEN3
    attention_bias: bool = False
    rope_type: str = "default"
    rope_factor: float = 1.0
    rope_low_freq_factor: float = 1.0
    rope_high_freq_factor: float = 4.0
    rope_original_max_position_embeddings: int = 8192

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

    def has(self, kind: str) -> bool:
        """Whether the layers have the weight ``kind`` of the name table ("q_norm", "qkv_bias", ...)."""
        variant = ARCHITECTURES[self.architecture]
        return kind not in OPTIONAL or kind in variant.always or (self.attention_bias and kind in variant.if_biased)

    def layout(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Our weights ("embed", "0_qkv", ...) -> the Hugging Face tensors in each, row upon row, with their shapes."""
        sizes = {
            "V": self.vocab_size, "D": self.hidden_size, "Q": self.q_size, "K": self.kv_size, "E": self.head_dim,
            "F": self.intermediate_size,
        }  # fmt: skip

        def sized(table: Mapping[str, str], prefix: str = "") -> dict[str, tuple[int, ...]]:
            return {prefix + name: tuple(sizes[letter] for letter in shape.split()) for name, shape in table.items()}

        outside = {own: sized(table) for own, table in OUTSIDE.items() if own != "head" or not self.tie_word_embeddings}
        layers = {
            f"{layer}_{kind}": sized(table, LAYER_PREFIX.format(layer))
            for layer in range(self.num_hidden_layers)
            for kind, table in LAYER.items()
            if self.has(kind)
        }
        return outside | layers

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor that a checkpoint of this shape must hold, under Hugging Face's names."""
        return {name: shape for parts in self.layout().values() for name, shape in parts.items()}

    def parameters(self) -> int:
        """Number of weights, a tied output head counted once."""
        return sum(math.prod(shape) for shape in self.tensor_shapes().values())

    def flops_per_token(self, context: int) -> int:
        """Training FLOPs per token, forward and backward: 6 per weight in a matrix product plus
        attention's 12·L·d·T, halved for causality (PaLM, arXiv:2204.02311, appendix B)."""
        d = self.hidden_size
        layer = d * (self.q_size + 2 * self.kv_size) + self.q_size * d + 3 * d * self.intermediate_size
        products = self.num_hidden_layers * layer + self.vocab_size * d
        return 6 * products + 6 * self.num_hidden_layers * self.q_size * context

    def to_hf(self) -> dict[str, Any]:
        """The content of ``config.json``."""
        variant = ARCHITECTURES[self.architecture]
        own = {key: value for key, value in asdict(self).items() if key not in _UNWRITTEN}
        if variant.if_biased:
            own["attention_bias"] = self.attention_bias
        scaling = {key: getattr(self, f"rope_{key}") for key in ROPE_TYPES[self.rope_type]}
        return {
            "architectures": [self.architecture],
            "model_type": variant.model_type,
            "attention_dropout": 0.0,
            "hidden_act": "silu",
            "initializer_range": 0.02,
            "use_cache": True,
            "rope_scaling": {"rope_type": self.rope_type, **scaling} if scaling else None,
            "torch_dtype": "float32",
            **variant.settings,
            **own,
        }

    @staticmethod
    def from_hf(folder: Path) -> ModelConfig:
        """Read ``config.json``; what it asks for and this code does not compute is refused by name."""
        path = folder / "config.json"
        if not path.is_file():
            raise UserError(f"{folder}: no config.json; expected a folder with a Hugging Face checkpoint")
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path}: not valid JSON ({error})") from error
        found = (raw.get("architectures") or [raw.get("model_type", "nothing")])[0]
        if found not in ARCHITECTURES:
            raise UserError(f"{path}: architecture {found} is not supported; expected {', '.join(ARCHITECTURES)}")
        variant = ARCHITECTURES[found]
        _refuse_unknown(raw, found, path)
        values = {name: raw[name] for name in _SHAPE if raw.get(name) is not None} | _rope(raw, path)
        values |= {"architecture": found, "attention_bias": bool(variant.if_biased and raw.get("attention_bias"))}
        missing = [name for name in _SHAPE if name not in values and name not in variant.may_lack]
        if missing:
            raise UserError(f"{path}: missing {', '.join(missing)}")
        heads = values["num_attention_heads"]
        absent = {"num_key_value_heads": heads, "head_dim": values["hidden_size"] // heads, "rope_theta": 10_000.0}
        return ModelConfig(**{**absent, "tie_word_embeddings": bool(raw.get("tie_word_embeddings")), **values})


_UNWRITTEN = {
    "architecture", "attention_bias", "rope_type", *(f"rope_{key}" for keys in ROPE_TYPES.values() for key in keys)
}  # fmt: skip
# The numbers of a config.json that have the names of our fields.
_SHAPE = [f.name for f in fields(ModelConfig) if f.name not in _UNWRITTEN | {"tie_word_embeddings"}]


def _refuse_unknown(raw: Mapping[str, Any], found: str, path: Path) -> None:
    """Raises UserError for a setting under which the model computes something else than we do."""
    for name, allowed in PLAIN.items():
        if raw.get(name, allowed[0]) not in allowed:
            raise UserError(f"{path}: {name}={raw[name]!r} is not supported for {found}; expected {allowed[0]!r}")
    other = sorted(set(raw.get("layer_types") or ()) - {"full_attention"})
    if other:
        raise UserError(f"{path}: layer_types={other} are not supported for {found}; expected full_attention alone")
    if raw.get("layer_types"):
        return
    # A window that no layer comes to use is as good as none; the two defaults are transformers'.
    first = raw.get("max_window_layers")
    used = (28 if first is None else first) < raw.get("num_hidden_layers", math.inf)
    if raw.get("use_sliding_window") and raw.get("sliding_window", 4096) and used:
        raise UserError(f"{path}: use_sliding_window={raw['use_sliding_window']!r} is not supported for {found}")


def _rope(raw: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Our fields for rotary positions, from "rope_scaling" and "rope_theta" or, as since transformers 5, from
    "rope_parameters", which holds both; where a file has the two tables, the first counts there and here."""
    name = "rope_scaling" if raw.get("rope_scaling") else "rope_parameters"
    table = dict(raw.get(name) or {})
    kind = table.pop("rope_type", None) or table.get("type", "default")
    theta = table.pop("rope_theta", None) or raw.get("rope_theta")
    theta = theta or (raw.get("rope_parameters") or {}).get("rope_theta")
    table.pop("type", None)
    if kind not in ROPE_TYPES:
        raise UserError(f"{path}: {name} of type {kind!r} is not supported; expected {', '.join(ROPE_TYPES)}")
    if table.pop("partial_rotary_factor", 1) not in PLAIN["partial_rotary_factor"]:
        raise UserError(f"{path}: partial_rotary_factor in {name} is not supported; expected 1")
    for key in ROPE_TYPES[kind]:
        value = table.get(key)
        if not isinstance(value, int | float) or value <= 0:
            raise UserError(f"{path}: {name} of type {kind!r}: expected {key} above 0, came {value!r}")
    unknown = sorted(set(table) - set(ROPE_TYPES[kind]))
    if unknown:
        raise UserError(f"{path}: {name} of type {kind!r} with {', '.join(unknown)} is not supported")
    if kind == "llama3" and table["high_freq_factor"] <= table["low_freq_factor"]:
        raise UserError(f"{path}: {name}: expected high_freq_factor above low_freq_factor, came {table}")
    scaling = {f"rope_{key}": table[key] for key in ROPE_TYPES[kind]}
    return {"rope_type": kind, **scaling} | ({} if theta is None else {"rope_theta": theta})
