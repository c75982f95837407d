"""Places at a model: never more than there are, and every one comes back, however its holder ends."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkling.serve.errors import ApiError
from thinkling.serve.limits import Admission, Gate


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def retry(gate: Gate, name: str = "a") -> int:
    with pytest.raises(ApiError) as raised:
        gate.admit(name)
    assert raised.value.status == 429
    assert raised.value.type == "rate_limit_error"
    assert raised.value.headers is not None
    return int(raised.value.headers["retry-after"])


def test_places_are_counted_for_each_model() -> None:
    gate = Gate(2)
    held = [gate.admit("a"), gate.admit("a")]
    retry(gate)
    other = gate.admit("b")
    assert (gate.count("a"), gate.count("b"), gate.count("c")) == (2, 1, 0)
    held[0].release()
    held[0].release()
    assert gate.count("a") == 1
    gate.admit("a", places=2).release()
    with pytest.raises(ApiError):
        gate.admit("b", places=1)
    other.release()


def test_a_place_comes_back_from_a_block_an_exception_and_oblivion() -> None:
    gate = Gate(1)
    with gate.admit("a"):
        assert gate.count("a") == 1
    with pytest.raises(RuntimeError), gate.admit("a"):
        raise RuntimeError
    assert gate.count("a") == 0

    async def never_iterated(admission: Admission):  # type: ignore[no-untyped-def]
        async with admission:
            yield b""

    stream = never_iterated(gate.admit("a"))
    assert gate.count("a") == 1
    del stream
    gc.collect()
    assert gate.count("a") == 0


@pytest.mark.parametrize(("each", "seconds"), [(0.1, 1), (7.0, 7), (1000.0, 60)])
def test_later_is_told_from_the_recent_rate(each: float, seconds: int) -> None:
    clock = Clock()
    gate = Gate(1, clock=clock)
    with gate.admit("a"):
        assert retry(gate) == 1  # nobody has left yet
    for _ in range(100):
        clock.now += each
        gate.admit("a").release()
    clock.now += each
    held = gate.admit("a")
    assert abs(retry(gate) - seconds) <= 1
    clock.now += 600  # the model has become slow
    assert retry(gate) > 15
    held.release()


@given(st.lists(st.integers(-1, 5), max_size=60), st.integers(1, 4))
def test_never_more_than_places(moves: list[int], places: int) -> None:
    gate, held = Gate(places), []
    for move in moves:
        if move < 0:
            try:
                held.append(gate.admit("a"))
            except ApiError:
                assert len(held) == places
        elif move < len(held):
            held.pop(move).release()
        assert gate.count("a") == len(held) <= places
