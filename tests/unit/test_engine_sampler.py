"""Drawing tokens: the distribution against a slow reference, and the draws against the distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.types import Sampling
from thinkling.engine import sampler


def reference(logits: np.ndarray, sampling: Sampling, denied: tuple[int, ...] = ()) -> np.ndarray:
    """Sort, filter, renormalize: each filter as its definition says, on what the one before left."""
    scores = logits.astype(np.float64)
    for number, bias in sampling.logit_bias:
        scores[number] += bias
    scores /= sampling.temperature
    scores[list(denied)] = -np.inf
    p = np.exp(scores - scores.max())
    p /= p.sum()
    order = np.argsort(-p, kind="stable")
    if sampling.top_k:
        p[order[sampling.top_k :]] = 0
    if sampling.top_p < 1:
        before = np.cumsum(p[order]) - p[order]
        p[order[before >= sampling.top_p * p.sum() - 1e-7]] = 0
    if sampling.min_p:
        p[p < sampling.min_p * p.max() * (1 - 1e-6)] = 0
    return p / p.sum()


def test_the_uniform_is_a_pure_function_and_uniform() -> None:
    drawn = np.array([sampler.uniform(seed, at) for seed in range(200) for at in range(100)])
    assert np.array_equal(drawn[:100], [sampler.uniform(0, at) for at in range(100)])
    assert drawn.min() >= 0 and drawn.max() < 1
    counts = np.bincount((drawn * 50).astype(int), minlength=50)
    assert ((counts - 400) ** 2 / 400).sum() < 95  # chi-square, 49 degrees of freedom: p = 1e-4
    table = drawn.reshape(200, 100)
    assert abs(np.corrcoef(table[:-1].ravel(), table[1:].ravel())[0, 1]) < 0.03  # neighbouring seeds
    assert abs(np.corrcoef(table[:, :-1].ravel(), table[:, 1:].ravel())[0, 1]) < 0.03  # and positions


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    size=st.sampled_from([2, 17, 64, 65, 300]),
    temperature=st.sampled_from([0.3, 0.7, 1.0, 1.7]),
    top_k=st.sampled_from([0, 1, 5, 1000]),
    top_p=st.sampled_from([1.0, 0.95, 0.5, 0.01]),
    min_p=st.sampled_from([0.0, 0.05, 0.4]),
    ban=st.booleans(),
    bias=st.sampled_from([(), ((0, 3.5), (1, -100.0), (0, 1.0))]),
)
def test_the_distribution_equals_the_reference(
    seed: int,
    size: int,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    ban: bool,
    bias: tuple[tuple[int, float], ...],
) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, size).astype(np.float32)
    denied = (int(np.argmax(logits)),) if ban else ()
    sampling = Sampling(temperature, top_k, top_p, min_p, logit_bias=bias)
    got = sampler.distribution(logits, sampling, denied)
    np.testing.assert_allclose(got, reference(logits, sampling, denied), atol=2e-6)


def test_ties_are_kept_in_order_of_id() -> None:
    flat = np.zeros(8, np.float32)
    assert np.flatnonzero(sampler.distribution(flat, Sampling(top_k=3))).tolist() == [0, 1, 2]
    assert np.flatnonzero(sampler.distribution(flat, Sampling(top_p=0.5))).tolist() == [0, 1, 2, 3]


def draws(
    logits: np.ndarray, sampling: Sampling, count: int, denied: tuple[int, ...] = ()
) -> tuple[list[int], list[float]]:
    mask = np.zeros(len(logits) if denied else 0, np.uint8)
    mask[list(denied)] = 1
    scratch = np.empty(len(logits), np.float32)
    numbers = (np.float32(sampling.temperature), sampling.top_k, np.float32(sampling.top_p), np.float32(sampling.min_p))
    bias = np.zeros(len(logits) if sampling.logit_bias else 0, np.float32)
    for number, amount in sampling.logit_bias:
        bias[number] += amount
    both = [sampler.draw(logits, mask, bias, *numbers, sampler.uniform(7, at), scratch) for at in range(count)]
    return [token for token, _ in both], [logprob for _, logprob in both]


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(0.5, top_k=10),
        Sampling(1.5, top_p=0.8),
        Sampling(1.0, min_p=0.1),
        Sampling(logit_bias=((7, 4.0), (8, -2.0))),
    ],
)
def test_draws_follow_the_distribution_and_report_its_logprob(sampling: Sampling) -> None:
    logits = np.random.default_rng(1).normal(0, 2, 100).astype(np.float32)
    denied = (3, int(np.argmax(logits)))
    expected = reference(logits, sampling, denied)
    tokens, logprobs = draws(logits, sampling, 20_000, denied)
    counts = np.bincount(tokens, minlength=100)
    assert not counts[expected == 0].any()
    often = expected * 20_000 >= 5
    chi_square = ((counts - expected * 20_000)[often] ** 2 / (expected * 20_000)[often]).sum()
    freedom = often.sum() - 1
    assert chi_square < freedom + 5 * math.sqrt(2 * freedom)
    np.testing.assert_allclose(logprobs[:500], np.log(expected[tokens[:500]]), atol=1e-5)


def test_greedy_takes_the_best_allowed_and_reports_the_plain_softmax() -> None:
    logits = np.array([1.0, 4.0, 3.0, 4.0], np.float32)
    plain = logits - np.log(np.exp(logits).sum())
    assert draws(logits, Sampling(0.0), 1) == ([1], [pytest.approx(plain[1], abs=1e-6)])
    assert draws(logits, Sampling(0.0), 1, denied=(1, 3)) == ([2], [pytest.approx(plain[2], abs=1e-6)])
    leaning = Sampling(0.0, logit_bias=((0, 5.0),))
    assert draws(logits, leaning, 1) == ([0], [pytest.approx(plain[0], abs=1e-6)])


def test_nothing_allowed_draws_nothing() -> None:
    for temperature in (0.0, 1.0):
        assert draws(np.zeros(3, np.float32), Sampling(temperature), 1, denied=(0, 1, 2))[0] == [-1]


def test_bfloat16_rows_are_read_as_their_values() -> None:
    values = np.array([0.5, -2.0, 3.0, 1.25], np.float32)  # exact in bfloat16
    stored = (values.view(np.uint32) >> 16).astype(np.uint16)
    one, two = np.empty(1, np.float32), np.empty(1, np.float32)
    sampler.plain_logprobs(values[None], np.array([3], np.int32), one)
    sampler.plain_logprobs(stored[None], np.array([3], np.int32), two)
    assert one == two
    assert one[0] == pytest.approx(1.25 - math.log(np.exp(values).sum()), abs=1e-6)
