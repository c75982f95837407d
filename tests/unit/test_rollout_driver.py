"""The driver: order, concurrency, failures as data, every token counted."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.types import (
    Message,
    RunTool,
    Sample,
    Sampled,
    Sampling,
    Score,
    Scored,
    Usage,
)
from thinkling.rollout.driver import Failure, drive
from thinkling.rollout.scripted import Scripted, decode, encode, queue, read_turn


def ask(text: str, **options: Any) -> Sample:
    return Sample((Message.user(text),), Sampling(max_tokens=100), seed=0, **options)


def echo(effect: Sample, index: int) -> str:
    return f"{effect.messages[-1].text}/{index}"


def chat(name: str, turns: int) -> Generator[Any, Any, list[str]]:
    heard: list[str] = []
    for turn in range(turns):
        (sampled,) = yield ask(f"{name}{turn}")
        heard.append(sampled.message.text)
    return heard


@settings(max_examples=40, deadline=None)
@given(
    turns=st.lists(st.integers(0, 4), max_size=12),
    limit=st.integers(1, 7),
    waits=st.lists(st.integers(1, 5), min_size=1, max_size=5),
)
def test_outcomes_keep_the_input_order_whatever_finishes_first(turns: list[int], limit: int, waits: list[int]) -> None:
    backend = Scripted(echo, patience=lambda ticket: waits[ticket % len(waits)])
    outcomes = drive((chat(f"g{i}t", k) for i, k in enumerate(turns)), backend, limit=limit)
    assert outcomes == [[f"g{i}t{t}/0" for t in range(k)] for i, k in enumerate(turns)]


def test_effects_of_many_generators_are_in_flight_together_and_never_above_the_limit() -> None:
    in_flight: list[int] = []

    class Watched(Scripted):
        def poll(self) -> list[Any]:
            in_flight.append(len(self._due))
            return super().poll()

    drive((chat(f"{i}-", 3) for i in range(50)), backend := Watched(echo), limit=20)
    assert max(in_flight) == 20 and len(backend.submitted) == 150
    assert backend.polls <= 9, "150 effects, 20 at a time (the last ones of a chain alone)"


def test_generators_are_started_only_when_there_is_room() -> None:
    alive: list[int] = []

    def source() -> Generator[Any, None, None]:
        for i in range(30):
            alive.append(i)
            yield chat(str(i), 1)

    class Looking(Scripted):
        def poll(self) -> list[Any]:
            assert len(alive) <= 4 * (self.polls + 1)
            return super().poll()

    assert len(drive(source(), Looking(echo), limit=4)) == 30


def test_an_exception_is_data_and_spares_the_others() -> None:
    def broken() -> Generator[Any, Any, str]:
        yield ask("before")
        raise ZeroDivisionError("oops")

    first, second, third = drive([chat("a", 2), broken(), chat("b", 1)], Scripted(echo))
    assert first == ["a0/0", "a1/0"] and third == ["b0/0"]
    assert isinstance(second, Failure) and second.error == "ZeroDivisionError: oops"
    assert second.usage.completion == len(encode("before/0")) + 1, "what it cost before it failed"


def test_a_failed_effect_is_raised_at_the_yield_where_it_may_be_handled() -> None:
    def careful() -> Generator[Any, Any, str]:
        try:
            yield ask("q")
        except ConnectionError as error:
            (sampled,) = yield ask("again")
            return f"{error}, then {sampled.message.text}"
        return "no error came"

    script = [ConnectionError("gone"), "fine", ConnectionError("gone")]
    handled, failed = drive([careful(), chat("c", 1)], Scripted(queue([script[0], script[2], script[1]])))
    assert handled == "gone, then fine"
    assert isinstance(failed, Failure) and isinstance(failed.exception, ConnectionError)


def test_an_effect_the_backend_refuses_and_a_value_that_is_no_effect() -> None:
    def scoring() -> Generator[Any, Any, None]:
        yield Score((Message.user("q"),), Message.assistant("a"))

    def confused() -> Generator[Any, Any, None]:
        yield "a string"

    refused, wrong = drive([scoring(), confused()], Scripted(echo))
    assert isinstance(refused, Failure) and "does not score" in refused.error
    assert isinstance(wrong, Failure) and "a string" in wrong.error


def test_a_tuple_of_effects_runs_side_by_side() -> None:
    def beam() -> Generator[Any, Any, list[str]]:
        nothing = yield ()
        assert nothing == ()
        results = yield (ask("x", n=2), Score((Message.user("x"),), Message.assistant("y")), ask("z"))
        (two, scored, one) = results
        return [s.message.text for s in two] + [str(scored.value)] + [s.message.text for s in one]

    backend = Scripted(
        echo,
        score=lambda s: Scored((-1.0,), 0.5, Usage(prompt=1)),
        patience=lambda ticket: 3 - ticket,
    )
    assert drive([beam()], backend) == [["x/0", "x/1", "0.5", "z/0"]]
    assert backend.polls == 3, "the slowest of them decides"


def test_when_one_of_a_tuple_fails_its_siblings_are_cancelled() -> None:
    def pair() -> Generator[Any, Any, str]:
        try:
            yield (ask("slow"), ask("fails"), ask("waits"))
        except ValueError:
            return "caught"
        return "not caught"

    def rule(effect: Sample, index: int) -> str | Exception:
        return ValueError("no") if effect.messages[0].text == "fails" else "yes"

    backend = Scripted(rule, patience=lambda ticket: 9 if ticket == 0 else 1)
    assert drive([pair(), chat("other", 1)], backend, limit=2) == ["caught", ["yes"]]
    assert backend.cancelled == [0]
    assert len(backend.submitted) == 3, "the effect that still waited was never sent"


def test_tools_run_and_count_and_their_errors_are_the_generators() -> None:
    def uses(name: str) -> Generator[Any, Any, str]:
        text = yield RunTool(name, "2+2")
        return str(text)

    bills: dict[int, Usage] = {}
    tools = {
        "calc": lambda source: str(eval(source)),
        "bad": lambda source: str(1 // 0),
    }
    good, bad, unknown = drive(
        [uses("calc"), uses("bad"), uses("nope")],
        Scripted(echo),
        tools=tools,
        on_done=lambda i, outcome, usage: bills.update({i: usage}),
    )
    assert good == "4" and bills[0] == Usage(calls=1)
    assert isinstance(bad, Failure) and isinstance(bad.exception, ZeroDivisionError)
    assert isinstance(unknown, Failure) and "bad, calc" in unknown.error


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.booleans()), max_size=8))
def test_every_token_is_counted_those_of_failures_too(
    plans: list[tuple[int, int, bool]],
) -> None:
    handed: list[Usage] = []

    class Counting(Scripted):
        def poll(self) -> list[Any]:
            done = super().poll()
            handed.extend(sampled.usage for _, result in done for sampled in result)
            return done

    def run(turns: int, n: int, fails: bool) -> Generator[Any, Any, int]:
        for _ in range(turns):
            yield ask("q", n=n)
        if fails:
            raise RuntimeError
        return turns

    bills: list[Usage] = []
    drive(
        (run(*plan) for plan in plans),
        Counting(echo),
        on_done=lambda i, outcome, usage: bills.append(usage),
    )
    assert sum(bills, Usage()) == sum(handed, Usage())


def test_an_interrupt_cancels_what_is_in_flight_and_closes_the_generators() -> None:
    closed: list[str] = []

    def patient() -> Generator[Any, Any, None]:
        try:
            yield ask("q")
        finally:
            closed.append("closed")

    class Interrupted(Scripted):
        def poll(self) -> list[Any]:
            raise KeyboardInterrupt

    backend = Interrupted(echo)
    with pytest.raises(KeyboardInterrupt):
        drive([patient(), patient()], backend)
    assert backend.cancelled == [0, 1] and closed == ["closed", "closed"]


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        drive([], Scripted(echo), limit=0)


# --- the scripted backend keeps a real one's promises ---------------------------------------------


def one(backend: Scripted, effect: Sample) -> Sampled:
    def run() -> Generator[Any, Any, Sampled]:
        (sampled,) = yield effect
        return sampled  # type: ignore[no-any-return]

    (sampled,) = drive([run()], backend)
    assert isinstance(sampled, Sampled)
    return sampled


@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "a", "é", "<", "think>", "漢"]),
        max_size=8,
    )
)
def test_scripted_tokens_decode_to_the_text(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert decode(encode(text)) == text


def test_scripted_turns_are_parsed_cut_and_counted() -> None:
    sampled = one(Scripted(["<think>let me</think>4"]), ask("q"))
    assert (sampled.message.thinking, sampled.message.text, sampled.finish) == (
        "let me",
        "4",
        "stop",
    )
    assert sampled.usage == Usage(prompt=8, completion=10, thinking=6, calls=1)
    assert len(sampled.tokens.ids) == len(sampled.tokens.origins) == len(sampled.tokens.logprobs) == 18

    short = Sample((Message.user("q"),), Sampling(max_tokens=3), seed=0)
    sampled = one(Scripted(["abcdef"]), short)
    assert (sampled.message.text, sampled.finish, sampled.usage.completion) == (
        "abc",
        "length",
        3,
    )

    stopped = Sample((Message.user("q"),), Sampling(stop=("\nQ",)), seed=0)
    sampled = one(Scripted(["12\nQuestion: more"]), stopped)
    assert (sampled.message.text, sampled.finish) == ("12", "stop")


def test_scripted_think_and_prefix_and_plain_continuation() -> None:
    opened = one(Scripted(["hm</think>7"]), ask("q", think=True))
    assert (opened.message.thinking, opened.message.text) == ("hm", "7")
    assert opened.tokens.origins.count("forced") == 1
    forbidden = one(Scripted(["<think>hm</think>7"]), ask("q", think=False))
    assert forbidden.message.thinking is None
    begun = one(Scripted(["world"]), ask("q", prefix="hello "))
    assert begun.message.text == "hello world"
    plain = one(Scripted([" 4"]), Sample((), Sampling(), seed=0, prefix="2+2 ="))
    assert plain.message.text == " 4" and "forced" not in plain.tokens.origins


def test_an_unclosed_thought_is_all_thought() -> None:
    turn = read_turn("<think>never ends")
    assert (turn.thinking, turn.text) == ("never ends", "")
