"""The logit lens (nostalgebraist 2020, "interpreting GPT: the logit lens"): what would the model say if it ended here?

A layer adds to the residual stream and overwrites nothing, so the stream between two layers can be read as the
model reads its end: by the final norm and the output head. After the last layer that is the model's own prediction.

Early rows are to be taken with care. Nothing trains a layer in the middle to speak the output head's language, and
where the basis drifts from layer to layer the lens reads gibberish, or leans to some tokens whatever the text. Belrose
et al. 2023 (arXiv:2303.08112) measure that, and learn an affine map per layer that corrects it (the tuned lens).
With tied embeddings the row before the first layer mostly names the token that was just read.

Legend as in ``activations``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from thinkling.glass.activations import Activations, Weights
from thinkling.model import reference
from thinkling.model.config import ModelConfig


@torch.no_grad()
def lens(config: ModelConfig, tensors: Mapping[str, Tensor], seen: Activations) -> Iterator[Tensor]:
    """Logits [T, V] read before layer 0, before layer 1, ..., after the last: M of them, one at a time, because
    together they would fill the memory (29 layers of 64 tokens of 150 000: 1.1 GB)."""
    w = Weights(config, tensors)
    final_norm = w["norm"]
    for residual_TD in seen.residual_MTD:
        yield w.unembedded(reference.norm(residual_TD, final_norm, config.rms_norm_eps))


def likeliest(config: ModelConfig, tensors: Mapping[str, Tensor], seen: Activations) -> Tensor:
    """The likeliest next token by the lens, [M, T]: the last row is the model's own."""
    return torch.stack([logits_TV.argmax(-1) for logits_TV in lens(config, tensors, seen)])


def first_shown(likeliest_MT: Tensor) -> Tensor:
    """The first place of the stream at which the lens shows what the model will say, [T], 0 to L."""
    return (likeliest_MT == likeliest_MT[-1]).int().argmax(0)


def settled(likeliest_MT: Tensor) -> Tensor:
    """The first place of the stream from which on the lens shows what the model will say, [T], 0 to L."""
    other = (likeliest_MT != likeliest_MT[-1]).flip(0)  # the last row differs nowhere
    m = len(likeliest_MT)
    return torch.where(other.any(0), m - other.int().argmax(0), 0)
