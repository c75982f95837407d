"""Losses as pure functions of per-token numbers.

Shape suffix: N sampled tokens of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def group_advantages(rewards_PG: NDArray[np.float64], normalize: bool) -> NDArray[np.float64]:
    """Each reward relative to its group's mean; divided by the group's standard deviation if ``normalize``.

    GRPO (DeepSeekMath, arXiv:2402.03300, section 4.1) divides; Dr. GRPO (arXiv:2503.20783) does not,
    since that favours problems that are nearly always or nearly never solved.
    Groups whose rewards are all the same get zeros.
    """
    centered = rewards_PG - rewards_PG.mean(axis=1, keepdims=True)
    if not normalize:
        return centered
    deviation = rewards_PG.std(axis=1, keepdims=True)
    return np.divide(centered, deviation, out=np.zeros_like(centered), where=deviation > 1e-9)


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    total: Tensor
    clipped: float  # share of tokens whose gradient the clip removed
    ratio_error: float  # mean |ratio - 1|: how far the trainer's policy is from the sampler's
    kl: float  # mean per-token divergence from the reference, nats


def policy_gradient(
    logp_N: Tensor, sampled_logp_N: Tensor, advantage_N: Tensor, count: int,
    *, clip_low: float, clip_high: float, kl: float = 0.0, reference_logp_N: Tensor | None = None,
) -> PolicyLoss:  # fmt: skip
    """Token-level clipped policy gradient: -Σ min(ρA, clip(ρ)A) / count, ρ = p(trainer)/p(sampler).

    ``sampled_logp_N`` is what the engine drew from, so the first update already corrects for kernel
    numerics. Averaging over all tokens of the step (``count``) rather than per answer, and a wider
    upper clip, follow DAPO (arXiv:2503.14476, sections 3.1 and 3.3). ``kl`` weighs the unbiased low-variance
    estimator of the divergence from a reference policy (k3; GRPO, equation 4).
    """
    ratio_N = (logp_N - sampled_logp_N).exp()
    bounded_N = ratio_N.clamp(1 - clip_low, 1 + clip_high)
    gain_N = torch.minimum(ratio_N * advantage_N, bounded_N * advantage_N)
    total = -gain_N.sum() / count
    divergence = 0.0
    if reference_logp_N is not None:
        log_ratio_N = reference_logp_N - logp_N
        kl_N = log_ratio_N.exp() - log_ratio_N - 1
        total = total + kl * kl_N.sum() / count
        divergence = float(kl_N.detach().mean()) if len(kl_N) else 0.0
    with torch.no_grad():
        idle = (bounded_N * advantage_N < ratio_N * advantage_N).float()
        few = max(len(logp_N), 1)
        return PolicyLoss(total, float(idle.sum()) / few, float((ratio_N - 1).abs().sum()) / few, divergence)


def verifier_loss(logit_N: Tensor, label_N: Tensor, weight_N: Tensor) -> Tensor:
    """Weighted binary cross-entropy of a scalar head: Σ w·(-y·log σ(z) - (1-y)·log(1-σ(z))).

    ``label_N`` in [0, 1] may be soft: the share of continuations that came out right. The logistic of a head
    that minimizes this is the probability that an answer is right. The labels of an outcome, at every token
    of a solution: Cobbe et al. 2021, arXiv:2110.14168, section 4.2; of steps: Math-Shepherd,
    arXiv:2312.08935, section 3.3, equation 5.
    """
    return F.binary_cross_entropy_with_logits(logit_N, label_N, weight_N, reduction="sum")
