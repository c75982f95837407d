"""Losses against slow twins and their defining properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.train.losses import group_advantages, policy_gradient
from thinkling.train.optimizer import orthogonalize
from thinkling.train.schedule import ScheduleSettings, factor


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=4, max_size=4), min_size=1, max_size=6))
def test_advantages_are_relative_to_their_group(rewards: list[list[float]]) -> None:
    for normalize in (True, False):
        advantages = group_advantages(np.asarray(rewards), normalize)
        assert np.allclose(advantages.sum(axis=1), 0)
        for row, group in zip(advantages, rewards, strict=True):
            if len(set(group)) == 1:
                assert not row.any()
            else:
                assert np.all((row > 0) == (np.asarray(group) > np.mean(group)))
                assert not normalize or math.isclose(row.std(), 1.0, rel_tol=1e-9)


def test_on_policy_the_gradient_is_reinforce() -> None:
    logp = torch.tensor([-1.0, -2.0, -0.5], requires_grad=True)
    advantage = torch.tensor([1.0, -1.0, 0.5])
    loss = policy_gradient(logp, logp.detach().clone(), advantage, 3, clip_low=0.2, clip_high=0.28)
    loss.total.backward()  # type: ignore[no-untyped-call]
    assert logp.grad is not None
    assert torch.allclose(logp.grad, -advantage / 3)
    assert loss.clipped == 0 and loss.ratio_error == 0 and loss.kl == 0


@pytest.mark.parametrize(
    ("ratio", "advantage", "learns"),
    [(1.27, 1.0, True), (1.29, 1.0, False), (1.29, -1.0, True), (0.79, -1.0, False), (0.79, 1.0, True)],
)
def test_the_clip_stops_gains_but_not_corrections(ratio: float, advantage: float, learns: bool) -> None:
    sampled = torch.tensor([-1.0])
    logp = (sampled + math.log(ratio)).requires_grad_()
    loss = policy_gradient(logp, sampled, torch.tensor([advantage]), 1, clip_low=0.2, clip_high=0.28)
    loss.total.backward()  # type: ignore[no-untyped-call]
    assert logp.grad is not None
    assert bool(logp.grad.abs() > 1e-6) == learns
    assert loss.clipped == (0.0 if learns else 1.0)


def test_the_divergence_is_zero_only_at_the_reference() -> None:
    logp = torch.tensor([-1.0, -2.0])
    same = policy_gradient(logp, logp, torch.zeros(2), 2, clip_low=0.2, clip_high=0.2, kl=1.0, reference_logp_N=logp)
    other = policy_gradient(
        logp, logp, torch.zeros(2), 2, clip_low=0.2, clip_high=0.2, kl=1.0, reference_logp_N=logp - 1
    )
    assert same.kl == 0
    assert math.isclose(other.kl, math.exp(-1), rel_tol=1e-5)  # e^-1 + 1 - 1
    assert math.isclose(float(other.total), other.kl, rel_tol=1e-5)


@pytest.mark.parametrize("shape", [(2, 16, 16), (1, 48, 16), (3, 16, 40)])
def test_orthogonalized_singular_values_lie_near_one(shape: tuple[int, int, int]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalize(x, steps=8))
    assert values.min() > 0.5 and values.max() < 1.3


@settings(deadline=None)
@given(st.integers(1, 500), st.floats(0, 0.5), st.floats(0, 0.5))
def test_the_schedule_rises_then_falls(steps: int, warmup: float, decay: float) -> None:
    settings_ = ScheduleSettings(warmup=warmup, decay=decay, final=0.1)
    values = [factor(settings_, step, steps) for step in range(steps)]
    assert all(0 < value <= 1 for value in values)
    top = values.index(max(values))
    assert values[: top + 1] == sorted(values[: top + 1])
    assert values[top:] == sorted(values[top:], reverse=True)
