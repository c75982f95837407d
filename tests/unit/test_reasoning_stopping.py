"""When to stop voting: the Beta tail against integration and scipy, and how often the winner changes after all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betainc
from scipy.stats import beta

from thinkling.core.errors import UserError
from thinkling.reasoning.stopping import majority_is_stable, overtaking_probability


@given(st.integers(0, 60), st.integers(0, 60))
def test_it_is_the_regularized_incomplete_beta_function(a: int, b: int) -> None:
    first, second = max(a, b), min(a, b)
    assert overtaking_probability([a, b]) == pytest.approx(betainc(first + 1, second + 1, 0.5), rel=1e-10)


@pytest.mark.parametrize(("first", "second"), [(1, 0), (4, 0), (6, 1), (5, 5), (12, 7), (30, 21)])
def test_it_is_the_integral_of_the_posterior(first: int, second: int) -> None:
    below, _ = quad(beta(first + 1, second + 1).pdf, 0.0, 0.5)
    assert overtaking_probability([second, first]) == pytest.approx(below, abs=1e-9)


def test_its_values_at_small_counts() -> None:
    assert [overtaking_probability([v]) for v in range(5)] == [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32]
    assert overtaking_probability([]) == overtaking_probability([0]) == overtaking_probability([9, 9, 2]) == 0.5
    assert overtaking_probability([6, 1]) == 9 / 256
    assert overtaking_probability([2, 7, 1]) == overtaking_probability([7, 2]), "the two leading answers alone"
    assert 0.0 < overtaking_probability([900, 100]) < 1e-100, "no underflow to 0, no overflow"


def test_when_sampling_may_stop_at_five_percent() -> None:
    stable = [(4, 0), (6, 1), (8, 2), (9, 3), (4,)]
    unstable = [(3, 0), (5, 1), (7, 2), (8, 3), (3,), ()]
    assert all(majority_is_stable(counts, 0.05) for counts in stable)
    assert not any(majority_is_stable(counts, 0.05) for counts in unstable)


@pytest.mark.parametrize("error", [0.05, 0.1, 0.2])
def test_the_winner_changes_no_more_often_than_stated(error: float) -> None:
    """Under the prior: two answers, the first with a uniform share. Looking after every sample is allowed."""
    generator, problems, budget = np.random.default_rng(7), 4000, 40
    share = generator.random(problems)
    votes = (generator.random((problems, budget)) < share[:, None]).cumsum(axis=1)
    stops = {(a, b): majority_is_stable((a, b), error) for a in range(budget + 1) for b in range(budget + 1 - a)}
    stopped = changed = mistaken = 0
    for p in range(problems):
        for t in range(budget):
            a, b = int(votes[p, t]), t + 1 - int(votes[p, t])
            if stops[a, b]:
                stopped += 1
                final = 2 * int(votes[p, -1]) - budget
                changed += final * (a - b) < 0
                mistaken += (share[p] > 0.5) != (a > b)
                break
    slack = 3 * np.sqrt(error / stopped)
    assert stopped > problems / 2
    assert changed / stopped <= error + slack, "the majority of all 40 samples"
    assert error / 3 < mistaken / stopped <= error + slack, "the answer that is truly likelier"


@pytest.mark.parametrize("error", [0.0, 0.5, 1.0, -0.1, float("nan")])
def test_an_error_that_bounds_nothing_is_refused(error: float) -> None:
    with pytest.raises(UserError, match="strictly between 0 and 0.5"):
        majority_is_stable((4, 0), error)


def test_negative_votes_are_refused() -> None:
    with pytest.raises(UserError, match="negative"):
        overtaking_probability([3, -1])
