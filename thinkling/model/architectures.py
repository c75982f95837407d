"""What tells the supported architectures apart, as data: the tensors of their checkpoints and their settings.

All three are pre-norm decoders with RMSNorm, rotary positions, SwiGLU and grouped-query attention. Qwen3
(arXiv:2505.09388, section 2) normalizes every query and key head; Qwen2 (arXiv:2407.10671, section 2.2.1) does
not, and adds biases to queries, keys and values; Llama 3 (arXiv:2407.21783, section 3.2) has neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Our weights -> the tensors that are stacked in each, row upon row, under Hugging Face's names and with their shapes:
# V vocabulary, D model width, Q query heads times head width, K the same for key-value heads, E head width, F
# feed-forward width.
NameTable = Mapping[str, Mapping[str, str]]

OUTSIDE: NameTable = {
    "embed": {"model.embed_tokens.weight": "V D"},
    "norm": {"model.norm.weight": "D"},
    "head": {"lm_head.weight": "V D"},
}
LAYER: NameTable = {
    "norm_attention": {"input_layernorm.weight": "D"},
    "qkv": {"self_attn.q_proj.weight": "Q D", "self_attn.k_proj.weight": "K D", "self_attn.v_proj.weight": "K D"},
    "qkv_bias": {"self_attn.q_proj.bias": "Q", "self_attn.k_proj.bias": "K", "self_attn.v_proj.bias": "K"},
    "q_norm": {"self_attn.q_norm.weight": "E"},
    "k_norm": {"self_attn.k_norm.weight": "E"},
    "o": {"self_attn.o_proj.weight": "D Q"},
    "o_bias": {"self_attn.o_proj.bias": "D"},
    "norm_mlp": {"post_attention_layernorm.weight": "D"},
    "gate_up": {"mlp.gate_proj.weight": "F D", "mlp.up_proj.weight": "F D"},
    "down": {"mlp.down_proj.weight": "D F"},
}
LAYER_PREFIX = "model.layers.{}."

_BIASES = frozenset({"qkv_bias", "o_bias"})
_QK_NORMS = frozenset({"q_norm", "k_norm"})
OPTIONAL = _BIASES | _QK_NORMS  # the rows of ``LAYER`` that not every architecture has


@dataclass(frozen=True, slots=True)
class Architecture:
    """One architecture of Hugging Face's.

    ``always`` are the optional weights that it has, ``if_biased`` those that come with "attention_bias".
    ``may_lack`` are the keys that its config.json may leave out, ``settings`` what ours says besides the shape.
    """

    model_type: str
    always: frozenset[str] = frozenset()
    if_biased: frozenset[str] = frozenset()
    may_lack: frozenset[str] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)


QWEN3 = "Qwen3ForCausalLM"
ARCHITECTURES = {
    QWEN3: Architecture("qwen3", always=_QK_NORMS, if_biased=_BIASES, settings={"use_sliding_window": False}),
    "Qwen2ForCausalLM": Architecture(
        "qwen2",
        always=frozenset({"qkv_bias"}),
        may_lack=frozenset({"head_dim"}),
        settings={"use_sliding_window": False},
    ),
    "LlamaForCausalLM": Architecture(
        "llama",
        if_biased=_BIASES,
        may_lack=frozenset({"head_dim", "num_key_value_heads", "rope_theta"}),
        # without these two, transformers would take Llama 2's ids for them
        settings={"mlp_bias": False, "bos_token_id": None, "eos_token_id": None},
    ),
}

# Kinds of rotary positions -> the keys that describe them (see ``rotary``).
ROPE_TYPES: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}
