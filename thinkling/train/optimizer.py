"""Muon for matrices, AdamW for the rest, over float32 masters.

Muon (Keller Jordan, 2024): momentum whose matrix is replaced by the nearest orthogonal one, found by
five Newton–Schulz iterations. A fused weight (query-key-value, gate-up) is orthogonalized part by
part. AdamW: arXiv:1711.05101.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from thinkling.core.recipe import Settings
from thinkling.model.transformer import Transformer

# Quintic that drives singular values towards 1 fastest from below (Jordan's tuned coefficients).
_A, _B, _C = 3.4445, -4.7750, 2.0315


class OptimizerSettings(Settings):
    matrices: Literal["muon", "adamw"] = Field(default="muon", description="optimizer of the layers' matrices")
    matrix_rate: float = Field(default=0.02, gt=0, description="peak learning rate of the matrices")
    embedding_rate: float = Field(default=0.005, gt=0, description="peak learning rate of embeddings and head")
    norm_rate: float = Field(default=0.005, gt=0, description="peak learning rate of norms and biases")
    momentum: float = Field(default=0.95, ge=0, lt=1, description="Muon's momentum")
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.95, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0, description="decoupled, on the matrices")
    clip: float = Field(default=1.0, gt=0, description="largest norm of the whole gradient")


def orthogonalize(x_LRC: Tensor, steps: int = 5) -> Tensor:
    """A batch of matrices [L, R, C] -> nearly orthogonal ones (singular values in about 0.7..1.2)."""
    wide = x_LRC.shape[1] > x_LRC.shape[2]
    x = x_LRC.transpose(1, 2) if wide else x_LRC
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = _A * x + (_B * gram + _C * (gram @ gram)) @ x
    return x.transpose(1, 2) if wide else x


class Optimizer:
    """Steps a ``Transformer``'s masters; ``tensors`` is its whole state, for checkpoints."""

    def __init__(self, model: Transformer, settings: OptimizerSettings) -> None:
        self.model = model
        self.settings = settings
        self.updates = 0
        self.tensors: dict[str, Tensor] = {}
        for name, weight in model.weights.items():
            self.tensors[f"{name}.first"] = torch.zeros_like(weight)
            if not self._by_muon(name):
                self.tensors[f"{name}.second"] = torch.zeros_like(weight)

    def _by_muon(self, name: str) -> bool:
        return self.settings.matrices == "muon" and self._is_matrix(name)

    def _is_matrix(self, name: str) -> bool:
        return self.model.weights[name].ndim == 2 and name not in ("embed", "head")

    def _rate(self, name: str) -> float:
        if self._is_matrix(name):
            return self.settings.matrix_rate
        return self.settings.embedding_rate if name in ("embed", "head") else self.settings.norm_rate

    @torch.no_grad()
    def step(self, factor: float) -> float:
        """One update at ``factor`` times the peak rates; clears gradients; returns their norm before clipping."""
        weights = dict(self.model.weights.items())
        norm = global_norm(w.grad for w in weights.values() if w.grad is not None)
        scale = min(1.0, self.settings.clip / (norm + 1e-12))
        self.updates += 1
        for name, weight in weights.items():
            if weight.grad is None:
                continue
            gradient = weight.grad.mul_(scale)
            if self._is_matrix(name) and self.settings.weight_decay:
                weight.mul_(1.0 - factor * self._rate(name) * self.settings.weight_decay)
            if not self._by_muon(name):
                self._adamw(name, weight, gradient, factor * self._rate(name))
        self._muon([name for name in weights if self._by_muon(name)], factor * self.settings.matrix_rate)
        for weight in weights.values():
            weight.grad = None
        self.model.refresh()
        return norm

    def _adamw(self, name: str, weight: Tensor, gradient: Tensor, rate: float) -> None:
        s = self.settings
        first, second = self.tensors[f"{name}.first"], self.tensors[f"{name}.second"]
        first.lerp_(gradient, 1 - s.beta1)
        second.mul_(s.beta2).addcmul_(gradient, gradient, value=1 - s.beta2)
        unbiased = (second / (1 - s.beta2**self.updates)).sqrt_().add_(1e-8)
        weight.addcdiv_(first, unbiased, value=-rate / (1 - s.beta1**self.updates))

    def _muon(self, names: list[str], rate: float) -> None:
        """Momentum (Nesterov), then orthogonal updates, computed together for all parts of one shape."""
        by_shape: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = {}
        for name in names:
            weight, buffer = self.model.weights[name], self.tensors[f"{name}.first"]
            if weight.grad is None:
                continue
            buffer.lerp_(weight.grad, 1 - self.settings.momentum)
            ahead = weight.grad.lerp(buffer, self.settings.momentum)
            sizes = self.model.sections(name)
            for part, update in zip(weight.split(sizes), ahead.split(sizes), strict=True):
                by_shape.setdefault(tuple(part.shape), []).append((part, update))
        for (rows, columns), pairs in by_shape.items():
            stacked = torch.stack([update for _, update in pairs])
            updates = orthogonalize(stacked.to(self.model.dtype)).to(stacked.dtype)
            step = -rate * max(1.0, rows / columns) ** 0.5
            for (part, _), update in zip(pairs, updates, strict=True):
                part.add_(update, alpha=step)


def global_norm(tensors: Iterable[Tensor]) -> float:
    """Euclidean norm over all tensors together."""
    squares = [tensor.square().sum() for tensor in tensors]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0
