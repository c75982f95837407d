"""Rotary positions (RoFormer, arXiv:2104.09864), and how they are stretched over longer contexts.

Every pair of dimensions of a query or key turns by position times its own frequency, fast pairs telling
neighbours apart and slow ones far places.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinkling.model.config import ModelConfig


def frequencies(config: ModelConfig) -> Tensor:
    """Radians per position of each pair of dimensions, [head_dim / 2] float32.

    "linear" slows every pair down by the factor: position interpolation (arXiv:2306.15595, section 2.3).
    "llama3" (arXiv:2407.21783, section 3.2; the formula is that of Llama 3.1's published code) counts a pair's
    turns within the original context: from ``high_freq_factor`` on it stays as it is, up to ``low_freq_factor``
    it is slowed down by the factor, and between the two it gets a mixture.
    """
    half = torch.arange(0, config.head_dim, 2, dtype=torch.int64).float() / config.head_dim
    plain = 1.0 / config.rope_theta**half
    if config.rope_type == "default":
        return plain
    if config.rope_type == "linear":
        return plain / config.rope_factor
    low, high = config.rope_low_freq_factor, config.rope_high_freq_factor
    turns = config.rope_original_max_position_embeddings * plain / (2 * math.pi)
    kept = ((turns - low) / (high - low)).clamp(0.0, 1.0)
    return kept * plain + (1.0 - kept) * plain / config.rope_factor


def rotary_tables(config: ModelConfig, length: int) -> tuple[Tensor, Tensor]:
    """cos and sin of position times frequency, each [length, head_dim / 2] float32."""
    angles = torch.outer(torch.arange(length).float(), frequencies(config))
    return angles.cos().contiguous(), angles.sin().contiguous()
