"""Small random models of transformers' in every variant that we load, as the parity tests compare with them."""

from __future__ import annotations

from typing import Any

import torch
import transformers

VOCABULARY = 97
SHAPE = dict(
    vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    intermediate_size=80, max_position_embeddings=256,
)  # fmt: skip
# Heads of 16 have wavelengths of 6, 20, 63, 199 and more positions: with 64 positions at first, the fastest is kept,
# two are mixed, and the others are slowed down.
LLAMA3_ROPE = {
    "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
LINEAR_ROPE = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}
VARIANTS: dict[str, tuple[type, dict[str, Any]]] = {
    "qwen2": (transformers.Qwen2Config, {"tie_word_embeddings": True}),
    "qwen2 untied": (transformers.Qwen2Config, {"tie_word_embeddings": False}),
    "llama": (transformers.LlamaConfig, {}),
    "llama tied, no sharing": (transformers.LlamaConfig, {"tie_word_embeddings": True, "num_key_value_heads": 4}),
    "llama3 rope": (transformers.LlamaConfig, {"rope_parameters": LLAMA3_ROPE}),
    "llama linear rope, biased, wide heads": (
        transformers.LlamaConfig,
        {"rope_parameters": LINEAR_ROPE, "attention_bias": True, "head_dim": 32},
    ),
    "qwen3 biased": (transformers.Qwen3Config, {"attention_bias": True, "head_dim": 16}),
}


def peer(variant: str) -> Any:
    """The model, none of whose weights is at a value (zero, one) that would hide its absence."""
    kind, settings = VARIANTS[variant]
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(kind(**SHAPE | settings), attn_implementation="eager")
    for weight in model.parameters():
        torch.nn.init.normal_(weight, 0.0, 0.15) if weight.ndim > 1 else torch.nn.init.uniform_(weight, 0.5, 1.5)
    return model.eval()
