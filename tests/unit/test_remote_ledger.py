"""What a remote model cost: counts, tokens, dollars, time; and the rates that are not to be exceeded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkling.core.types import Usage
from thinkling.remote.bills import Bill, bill_for, estimate_tokens, stated_usage
from thinkling.remote.ledger import Ledger
from thinkling.remote.limits import RateLimit


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_an_account_of_everything() -> None:
    clock = Clock()
    ledger = Ledger(price_in=0.5, price_out=2.0, now=clock)
    ledger.send(again=False)
    clock.time += 10
    ledger.receive(Bill(Usage(1000, 300, 200, 1)), good=False)
    ledger.send(again=True)
    clock.time += 65
    ledger.receive(Bill(Usage(1000, 100, 0, 1), estimated=True), good=True)
    ledger.send(again=False)
    ledger.give_up()
    assert ledger.as_dict() == {
        "requests": 3,
        "replies": 1,
        "retries": 1,
        "failed": 1,
        "cancelled": 0,
        "tokens_in": 2000,
        "tokens_out": 400,
        "tokens_reasoning": 200,
        "estimated": 1,
        "reasoning_estimated": 0,
        "price_in": 0.5,
        "price_out": 2.0,
        "cost": pytest.approx((2000 * 0.5 + 400 * 2.0) / 1e6),
        "seconds": 75.0,
    }
    assert ledger.summary() == (
        "3 requests (1 retries, 1 failed); 2,000 tokens in, 400 out (200 of reasoning); estimated for 1 replies; "
        "$0.0018; 1:15"
    )


def test_nothing_was_asked_and_nothing_has_a_price() -> None:
    ledger = Ledger()
    assert (ledger.cost, ledger.seconds) == (None, 0.0)
    assert ledger.summary() == "0 requests; 0 tokens in, 0 out; 0:00"
    free = Ledger(price_in=0.0, price_out=0.0)
    assert free.cost == 0.0 and "$0.0000" in free.summary(), "a price of nothing is a price"


STATED = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (STATED, Usage(7, 5, 0, 1)),
        (STATED | {"completion_tokens_details": {"reasoning_tokens": 3}}, Usage(7, 5, 3, 1)),
        (STATED | {"completion_tokens_details": None}, Usage(7, 5, 0, 1)),
        # Reasoning left out of completion_tokens: the total has it.
        (STATED | {"total_tokens": 15, "completion_tokens_details": {"reasoning_tokens": 3}}, Usage(7, 8, 3, 1)),
        ({"prompt_tokens": 7, "completion_tokens": 5}, Usage(7, 5, 0, 1)),
        ({"prompt_tokens": 7}, None),
        ({"prompt_tokens": None, "completion_tokens": None}, None),
        (None, None),
    ],
)
def test_usage_as_endpoints_state_it(usage: object, expected: Usage | None) -> None:
    assert stated_usage({"usage": usage}) == expected


def test_what_is_not_stated_is_estimated_and_marked() -> None:
    assert bill_for({}, 10, "x" * 40) == Bill(Usage(10, 10, 0, 1), estimated=True)
    assert bill_for({"usage": STATED}, 10, "ab" * 10, thought=12) == Bill(Usage(7, 5, 3, 1), thinking_estimated=True)
    assert bill_for({}, 10, "ab" * 10, thought=20) == Bill(Usage(10, 5, 5, 1), True, True)
    assert [estimate_tokens(text) for text in ("", "a", "abcd", "abcde", "\u00e9\u00e9\u00e9", "\ud800")] == [
        0,
        1,
        1,
        2,
        2,
        1,
    ]


@given(
    per_minute=st.floats(1, 10_000),
    burst=st.floats(0, 10),
    arrivals=st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 50)), min_size=1, max_size=60),
)
def test_no_window_admits_more_than_the_rate(
    per_minute: float, burst: float, arrivals: list[tuple[float, float]]
) -> None:
    clock = Clock()
    limit = RateLimit(per_minute, burst, clock)
    used: list[tuple[float, float]] = []  # when, how much
    for pause, amount in arrivals:
        clock.time += pause
        used.append((clock.time + limit.reserve(amount), amount))
    for i, (start, _) in enumerate(used):
        for j, (end, _) in enumerate(used[i:], i):
            before = sum(amount for _, amount in used[i:j])  # all but the one that crosses the mark
            assert before <= (end - start + burst) * per_minute / 60 + 1e-6 * (1 + before)


def test_the_rate_is_reached_and_idle_time_gives_a_burst_back() -> None:
    clock = Clock()
    limit = RateLimit(600, burst=1.0, now=clock)
    waits = [limit.reserve(1) for _ in range(20)]
    assert waits[:11] == [0.0] * 11 and waits[19] == pytest.approx(0.9), "ten a second, ten at once"
    clock.time += 100
    assert [limit.reserve(1) for _ in range(3)] == [0.0] * 3


def test_a_correction_moves_what_comes_after() -> None:
    clock = Clock()
    limit = RateLimit(60, burst=0.0, now=clock)
    assert limit.reserve(10) == 0.0
    limit.correct(-8)
    assert limit.reserve(1) == pytest.approx(2.0)
    limit.correct(5)
    assert limit.reserve(1) == pytest.approx(8.0)


def test_no_limit() -> None:
    limit = RateLimit(0)
    limit.correct(1e9)
    assert {limit.reserve(1e9) for _ in range(5)} == {0.0}
