"""The remote backend against a server that misbehaves: retries, limits, cancelling, and an end that never hangs."""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scripted_server import (
    DROP,
    HANG_UP,
    HTML,
    STALL,
    Asked,
    Reaction,
    ScriptedServer,
    chat,
    in_turn,
    refusal,
    text,
)
from thinkling.core.errors import UserError
from thinkling.core.types import Capabilities, Message, Problem, Sample, Sampled, Sampling, Score, Usage, Verdict
from thinkling.remote.attempts import EndpointError, Unreachable, pause, retry_after
from thinkling.remote.backend import RemoteBackend, open_remote
from thinkling.remote.endpoint import Endpoint
from thinkling.rollout.backend import Result
from thinkling.rollout.driver import Failure, Rollout, drive
from thinkling.rollout.episodes import episodes

ROOT = Path(__file__).resolve().parents[2]
SECRET = "sk-proj-very-secret-123"
QUICK: dict[str, Any] = {"backoff": 0.001, "timeout": 5.0}


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def remote(server: ScriptedServer, **options: Any) -> RemoteBackend:
    return open_remote(f"openai:m@{server.base_url}", **{**QUICK, **options})


def ask(question: str = "2+2?", **fields: Any) -> Sample:
    return Sample((Message.user(question),), Sampling(), **{"seed": 1, **fields})


def wait(backend: RemoteBackend, count: int = 1) -> dict[int, Result]:
    done: dict[int, Result] = {}
    while len(done) < count:
        for ticket, result in backend.poll():
            assert ticket not in done, "each ticket once"
            done[ticket] = result
    return done


def answer(backend: RemoteBackend, effect: Sample | Score | None = None) -> Result:
    ticket = backend.submit(effect or ask())
    return wait(backend)[ticket]


def texts(result: Result) -> list[str]:
    assert isinstance(result, list), result
    return [sampled.message.text for sampled in result]


def eventually(condition: Any, seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    return bool(condition())


# ---- answers


def test_one_answer() -> None:
    with ScriptedServer(in_turn(["4"])) as server, remote(server) as backend:
        result = answer(backend)
        assert isinstance(result, list)
        (sampled,) = result
        assert (sampled.message, sampled.finish) == (Message.assistant("4"), "stop")
        assert (sampled.usage, sampled.weights_id) == (Usage(10, 5, 0, 1), "served-model")
        assert server.asked[0].target == "/v1/chat/completions" and "authorization" not in server.asked[0].headers
        assert backend.name == f"openai:m@{server.base_url}" and backend.capabilities == Capabilities()


def test_capabilities_are_what_was_declared() -> None:
    with open_remote("openai:m@http://127.0.0.1:1?prefix=1&logprobs=1&scoring=text&think_switch=thinking") as backend:
        assert backend.capabilities == Capabilities(prefix=True, logprobs=True, scoring=True, think=True)


def test_what_cannot_be_served_is_refused_before_anything_is_sent() -> None:
    with ScriptedServer(in_turn([])) as server, remote(server) as backend:
        with pytest.raises(UserError, match="option prefix=1"):
            backend.submit(ask(prefix="The answer"))
        assert backend.poll() == [] and not server.asked


def test_samples_of_a_group_are_requests_of_their_own_and_keep_their_order() -> None:
    seeds: list[int] = []

    def rule(asked: Asked) -> Reaction:
        seeds.append(asked.body["seed"])
        return Reaction(chat(f"seed {asked.body['seed']}"), delay=0.03 * (4 - len(seeds)))

    with ScriptedServer(rule) as server, remote(server, concurrency=4) as backend:
        said = texts(answer(backend, ask(n=4)))
        order = [call.body for call in server.asked]
        assert len({body["seed"] for body in order}) == 4 and server.most_open == 4
        with ScriptedServer(lambda asked: Reaction(chat(f"seed {asked.body['seed']}"))) as calm:
            assert said == texts(answer(remote(calm, concurrency=1), ask(n=4)))


def test_effects_finish_in_any_order() -> None:
    def rule(asked: Asked) -> Reaction:
        return Reaction(chat(asked.text), delay=0.3 if asked.text == "slow" else 0.0)

    with ScriptedServer(rule) as server, remote(server) as backend:
        slow, fast = backend.submit(ask("slow")), backend.submit(ask("fast"))
        first = wait(backend)
        assert list(first) == [fast] and texts(first[fast]) == ["fast"]
        assert texts(wait(backend)[slow]) == ["slow"]


def test_plain_text_and_scores_take_the_other_route() -> None:
    logprobs = {"tokens": ["2+2=", "4", "."], "token_logprobs": [None, -0.5, -1], "text_offset": [0, 4, 5]}
    replies = [Reaction(text(" 4")), Reaction(text("2+2=4.", logprobs=logprobs))]
    with ScriptedServer(in_turn(replies)) as server, remote(server, scoring="text") as backend:
        assert texts(answer(backend, Sample((), Sampling(), 1, prefix="2+2="))) == [" 4"]
        scored = answer(backend, Score((), Message.assistant("4"), prefix="2+2="))
        assert not isinstance(scored, list | Exception) and scored.logprobs == (-0.5,)
        assert [asked.target for asked in server.asked] == ["/v1/completions"] * 2


def test_nothing_asked_nothing_waited_for() -> None:
    with ScriptedServer(in_turn([])) as server, remote(server) as backend:
        start = time.monotonic()
        assert backend.poll() == [] and time.monotonic() - start < 0.1


# ---- what is tried again

PASSING = {
    "500": refusal(500, "oops"),
    "503": Reaction(HTML.body, 503),
    "529": refusal(529, "overloaded"),
    "408": refusal(408, "slow"),
    "409": refusal(409, "conflict"),
    "429": refusal(429, "too many", {"retry-after": "0.01"}),
    "html": HTML,
    "not json": Reaction(b'{"choices": [{'),
    "nothing": Reaction(b""),
    "drop": DROP,
    "drop in a chunk": Reaction(chat("lost"), cut=250, chunked=True),
    "hang up": HANG_UP,
    "no http": Reaction(b"", cut=3),
    "bad gzip": Reaction(b"no gzip", headers={"content-encoding": "gzip"}),
    "no choices": Reaction({"choices": []}),
    "no message": Reaction({"choices": [{}]}),
    "a list": Reaction([1]),
    "an error with 200": Reaction({"error": {"message": "upstream", "code": 502}}),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_tried_again(name: str) -> None:
    with ScriptedServer(in_turn([PASSING[name], PASSING[name], "4"])) as server, remote(server) as backend:
        assert texts(answer(backend)) == ["4"]
        assert len(server.asked) == 3 and backend.ledger.retries == 2
        assert server.asked[0].body == server.asked[2].body, "with the same seed"


def test_a_stall_is_a_timeout_is_tried_again() -> None:
    replies = [Reaction(chat("late"), delay=STALL), "4"]
    with ScriptedServer(in_turn(replies)) as server, remote(server, timeout=0.5) as backend:
        assert texts(answer(backend)) == ["4"]
        assert eventually(lambda: server.hung_up == 1), "the stalled request is broken off"


def test_it_is_given_up_in_the_end() -> None:
    with ScriptedServer(lambda asked: refusal(503, "overloaded")) as server, remote(server, retries=2) as backend:
        error = answer(backend)
        assert isinstance(error, EndpointError) and error.status == 503
        assert str(error) == f"{backend.name}: status 503: overloaded. Given up after 3 attempts"
        assert len(server.asked) == 3
        assert (backend.ledger.failed, backend.ledger.retries, backend.ledger.replies) == (1, 2, 0)


@pytest.mark.parametrize(
    ("reaction", "told"),
    [
        (refusal(400, "Unsupported parameter: 'seed'"), "Unsupported parameter: 'seed'. Check the options"),
        (refusal(401, "no key"), "Put the key into the environment variable OPENAI_API_KEY"),
        (refusal(403, "not yours"), "may use this model"),
        (refusal(404, "no such model"), "Check the model's name ('m') and the base URL (most end in /v1)"),
        (refusal(418, "teapot"), "status 418: teapot"),
        (Reaction({"detail": [{"loc": ["body"]}]}, 422), "seed_field"),
        (Reaction({"message": "not here"}, 404), "not here"),
        (Reaction({"error": "plain"}, 400), "plain"),
        (Reaction("plain text", 400), "status 400: plain text"),
        (Reaction(HTML.body, 404), "Bad gateway try later"),
        (Reaction(b"", 404), "status 404: Not Found"),
        (Reaction(b"", 307, {"location": "https://h/v2"}), "redirects to https://h/v2. Give the base URL"),
        (refusal(429, "broke", code="insufficient_quota"), "no credit left"),
        (Reaction({"error": {"message": "long prompt", "code": 400}}), "long prompt. Check the options"),
    ],
)
def test_what_no_waiting_mends_is_told_at_once(reaction: Reaction, told: str) -> None:
    with ScriptedServer(in_turn([reaction])) as server, remote(server) as backend:
        error = answer(backend)
        assert isinstance(error, EndpointError) and told in str(error)
        assert len(server.asked) == 1 and backend.ledger.retries == 0


def test_logprobs_that_an_endpoint_does_not_have_are_asked_for_once() -> None:
    with ScriptedServer(in_turn(["4"])) as server, remote(server, logprobs=True) as backend:
        error = answer(backend, ask(top_logprobs=2))
        assert isinstance(error, EndpointError) and "lacks what its options declare" in str(error)
        assert len(server.asked) == 1 and backend.ledger.tokens_out == 5, "it was paid for all the same"


# ---- how long it waits


def test_retry_after_is_honoured() -> None:
    replies = [refusal(429, "wait", {"retry-after": "0.3"}), "4"]
    with ScriptedServer(in_turn(replies)) as server, remote(server) as backend:
        assert texts(answer(backend)) == ["4"]
        assert 0.3 <= server.asked[1].at - server.asked[0].at < 3


def test_a_wait_that_is_too_long_is_a_failure() -> None:
    replies = [refusal(429, "wait", {"retry-after": "100"})]
    with ScriptedServer(in_turn(replies)) as server, remote(server, max_wait=20.0) as backend:
        error = answer(backend)
        assert isinstance(error, EndpointError) and "asks to wait 100 s, longer than max_wait=20" in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": format_datetime(datetime.fromtimestamp(1030, UTC), usegmt=True)}, 30.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:05 GMT"}, 0.0),  # past
        ({"retry-after": "soon"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "inf"}, 0.0),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(headers, now=1000.0) == seconds


@given(attempt=st.integers(0, 2000), asked=st.floats(0, 60), seed=st.integers())
def test_pauses_are_bounded_by_a_doubling_and_never_shorter_than_asked(attempt: int, asked: float, seed: int) -> None:
    endpoint = Endpoint(model="m", base_url="http://h", backoff=0.5, max_wait=60.0)
    seconds = pause(endpoint, attempt, asked, random.Random(seed))
    assert asked <= seconds <= asked + min(60.0, 0.5 * 2 ** min(attempt, 10))


def test_pauses_have_full_jitter() -> None:
    endpoint = Endpoint(model="m", base_url="http://h", backoff=0.5, max_wait=60.0)
    drawn = [pause(endpoint, 2, 0.0, random.Random(i)) for i in range(400)]
    assert min(drawn) < 0.05 and max(drawn) > 1.95 and 0.9 < sum(drawn) / 400 < 1.1


def test_requests_per_minute() -> None:
    with ScriptedServer(lambda asked: Reaction(chat("4"))) as server, remote(server, rpm=1200.0) as backend:
        start = time.monotonic()
        drive((one(f"{i}") for i in range(35)), backend)
        assert server.asked[34].at - start >= (34 - 20) / 20, "20 at once, then 20 a second"


def test_tokens_per_minute_count_what_replies_really_cost() -> None:
    with (
        ScriptedServer(lambda asked: Reaction(chat("4", usage=(1, 99)))) as server,
        remote(server, tpm=60_000.0, concurrency=1) as backend,
    ):
        start = time.monotonic()
        for _ in range(14):  # each seems to cost two tokens
            answer(backend, Sample((Message.user("4"),), Sampling(max_tokens=1), 1))
        assert 0.3 <= server.asked[13].at - start < 5, (
            "1,300 tokens before the last, 1,000 of them at once, then 1,000 a second"
        )


def test_requests_in_flight_are_bounded_and_the_bound_is_used() -> None:
    with (
        ScriptedServer(lambda asked: Reaction(chat("4"), delay=0.01)) as server,
        remote(server, concurrency=4) as backend,
    ):
        drive((one(f"{i}") for i in range(40)), backend)
        assert server.most_open == 4 and server.connections == 4, "and connections are kept"


# ---- what it costs


def test_attempts_that_had_to_be_repeated_are_paid_for() -> None:
    broken = {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 7}}
    with (
        ScriptedServer(in_turn([Reaction(broken), refusal(500, "no usage"), "4"])) as server,
        remote(server, price_in=1.0, price_out=10.0) as backend,
    ):
        result = answer(backend)
        assert isinstance(result, list) and result[0].usage == Usage(110, 12, 0, 2)
        ledger = backend.ledger.as_dict()
        assert (ledger["requests"], ledger["retries"], ledger["replies"]) == (3, 2, 1)
        assert (ledger["tokens_in"], ledger["tokens_out"]) == (110, 12)
        assert ledger["cost"] == pytest.approx(230e-6) and 0 < ledger["seconds"] < 5


def test_a_reply_without_usage_is_estimated_and_marked() -> None:
    with ScriptedServer(in_turn([Reaction(chat("x" * 400, usage=None))])) as server, remote(server) as backend:
        result = answer(backend, ask("y" * 40))
        assert isinstance(result, list) and result[0].usage == Usage(10, 100, 0, 1)
        assert backend.ledger.estimated == 1 and "estimated for 1 replies" in backend.ledger.summary()


# ---- what is not waited for any more


def test_cancel_breaks_the_request_off_and_frees_its_place() -> None:
    def rule(asked: Asked) -> Reaction:
        return Reaction(chat(asked.text), delay=STALL if asked.text == "stall" else 0.0)

    with ScriptedServer(rule) as server, remote(server, concurrency=1) as backend:
        stalled, queued, last = (backend.submit(ask(question)) for question in ("stall", "queued", "last"))
        assert eventually(lambda: server.open == 1)
        backend.cancel(queued)
        backend.cancel(stalled)
        backend.cancel(stalled)
        backend.cancel(12345)
        done = wait(backend)
        assert list(done) == [last] and texts(done[last]) == ["last"]
        assert eventually(lambda: server.hung_up == 1)
        assert [asked.text for asked in server.asked] == ["stall", "last"]
        assert backend.ledger.cancelled == 1 and backend.poll() == []
        backend.cancel(last)


def test_cancelling_many_at_once_loses_no_place() -> None:
    """A task that is cancelled before it has begun must give its place back as well."""
    with ScriptedServer(lambda asked: Reaction(chat("4"))) as server, remote(server, concurrency=2) as backend:
        for _ in range(50):
            for ticket in [backend.submit(ask(n=3)) for _ in range(3)]:
                backend.cancel(ticket)
        assert texts(answer(backend, ask(n=5))) == ["4"] * 5
        assert server.most_open <= 2


def test_a_ticket_that_is_cancelled_when_it_is_done_is_not_polled() -> None:
    with ScriptedServer(lambda asked: Reaction(chat("4"))) as server, remote(server) as backend:
        ticket = backend.submit(ask())
        assert eventually(lambda: backend.ledger.replies == 1)
        backend.cancel(ticket)
        assert texts(answer(backend)) == ["4"]


def test_a_sample_that_fails_fails_its_group_and_ends_the_rest_of_it() -> None:
    def rule(asked: Asked) -> Reaction:
        return refusal(400, "no") if asked.number == 1 else Reaction(chat("4"), delay=STALL)

    with ScriptedServer(rule) as server, remote(server, concurrency=3) as backend:
        error = answer(backend, ask(n=6))
        assert isinstance(error, EndpointError) and "status 400: no" in str(error)
        assert eventually(lambda: server.hung_up == 2) and len(server.asked) == 3


def test_an_endpoint_that_is_not_there_ends_the_drive_at_once() -> None:
    start = time.monotonic()
    with open_remote("openai:m@http://127.0.0.1:1/v1") as backend:
        with pytest.raises(Unreachable, match=r"openai:m@http://127\.0\.0\.1:1/v1: cannot be reached \(ConnectError"):
            drive((one(f"{i}") for i in range(100)), backend)
        with pytest.raises(Unreachable):  # and once more, should somebody try again
            answer(backend)
    assert time.monotonic() - start < 3


def test_an_endpoint_that_goes_away_is_an_error_of_each_effect() -> None:
    with ScriptedServer(in_turn(["4"])) as server:
        backend = remote(server, retries=1)
        assert texts(answer(backend)) == ["4"]
    error = answer(backend)
    assert isinstance(error, EndpointError) and not isinstance(error, Unreachable)
    assert "Given up after 2 attempts" in str(error)
    backend.close()


# ---- an end that never hangs


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "thinkling remote"]


def test_closing_breaks_off_what_is_on_its_way() -> None:
    with ScriptedServer(lambda asked: Reaction(chat("4"), delay=STALL)) as server:
        before = len(threads())
        with remote(server) as backend:
            for _ in range(5):
                backend.submit(ask(n=10))
            assert eventually(lambda: server.open == 32)
            start = time.monotonic()
        assert time.monotonic() - start < 2 and len(threads()) == before
        assert eventually(lambda: server.hung_up == 32) and len(server.asked) == 32
        backend.close()
        backend.cancel(0)
        assert backend.poll() == []
        with pytest.raises(RuntimeError, match="closed"):
            backend.submit(ask())


def test_a_backend_that_is_dropped_closes_itself() -> None:
    with ScriptedServer(lambda asked: Reaction(chat("4"), delay=STALL)) as server:
        before = len(threads())
        backend = remote(server)
        backend.submit(ask())
        assert eventually(lambda: server.open == 1)
        del backend
        gc.collect()
        assert len(threads()) == before and eventually(lambda: server.hung_up == 1)


PROGRAM = """
import sys
from thinkling.core.types import Message, Sample, Sampling
from thinkling.remote.backend import open_remote
backend = open_remote(sys.argv[1])
for i in range(40):
    backend.submit(Sample((Message.user("?"),), Sampling(), i))
print("asked", flush=True)
while sys.argv[2] == "wait":
    backend.poll()
"""


@pytest.mark.parametrize("how", ["end", "wait"])
def test_the_program_ends_with_requests_on_their_way(how: str) -> None:
    with ScriptedServer(lambda asked: Reaction(chat("4"), delay=STALL)) as server:
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, f"openai:m@{server.base_url}", how],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert program.stdout is not None and program.stdout.readline() == "asked\n"
        if how == "wait":
            assert eventually(lambda: server.open == 32, 20)
            program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=20)
    assert (errors == "") == (how == "end") and errors.count("Traceback") == (how == "wait"), errors
    assert how == "end" or errors.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_process_is_told_that_it_has_no_thread() -> None:
    with open_remote("openai:m@http://127.0.0.1:1") as backend:
        child = os.fork()
        if child == 0:
            try:
                backend.submit(ask())
            except RuntimeError:
                os._exit(42)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42


# ---- the key


def test_the_key_is_sent_and_shown_nowhere(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", SECRET)
    replies = [refusal(500, f"{SECRET} crashed"), refusal(401, f"Incorrect API key provided: {SECRET}.")]
    with ScriptedServer(in_turn(replies)) as server, remote(server, key_env="MY_KEY") as backend:
        error = answer(backend)
        assert server.asked[0].headers["authorization"] == f"Bearer {SECRET}"
        assert isinstance(error, EndpointError)
        assert "provided: [key]. Check the key in the environment variable MY_KEY" in str(error)
        seen: list[object] = [error, error.__cause__, error.__context__, error.args, backend, backend.endpoint]
        seen += [vars(backend), vars(backend._courier), vars(backend._courier._attempts)]
        seen += [backend._courier._attempts.client.headers, backend.ledger, caplog.text]
        assert SECRET not in "".join(f"{thing!r} {thing}" for thing in seen)


@pytest.mark.parametrize(
    "reaction",
    [
        Reaction("x" * 290 + SECRET, 500),
        Reaction("x" * 290 + SECRET),
        refusal(400, "x" * 290 + SECRET),
        Reaction({"error": {"message": "x" * 290 + SECRET, "code": 400}}),
        Reaction(b"", 307, {"location": f"https://h/{SECRET}"}),
    ],
)
def test_not_even_half_of_the_key(reaction: Reaction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", SECRET)
    with ScriptedServer(in_turn([reaction])) as server, remote(server, key_env="MY_KEY", retries=0) as backend:
        assert SECRET[:6] not in str(answer(backend))


def test_no_key_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with ScriptedServer(in_turn(["4", "4"])) as server:
        for key_env in ("OPENAI_API_KEY", ""):
            with remote(server, key_env=key_env) as backend:
                answer(backend)
        assert ["authorization" in asked.headers for asked in server.asked] == [True, False]


def test_a_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(in_turn([HTML, "4"])) as server:
        monkeypatch.setenv("HTTP_PROXY", server.base_url.removesuffix("/v1"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        with open_remote("openai:m@http://far.invalid/v1", **QUICK) as backend:
            assert texts(answer(backend)) == ["4"]
        assert server.asked[0].target == "http://far.invalid/v1/chat/completions"


# ---- under the driver


def one(question: str, n: int = 1) -> Rollout[list[str]]:
    samples: list[Sampled] = yield ask(question, n=n)
    return [sampled.message.text for sampled in samples]


def test_exactly_one_result_each_under_random_faults() -> None:
    """Every generator gets its own answer, or an error that its own requests met; what was sent adds up."""
    chance = random.Random(7)
    faults = [*PASSING.values(), Reaction(chat("late"), delay=STALL)]
    met: Counter[str] = Counter()

    def rule(asked: Asked) -> Reaction:
        if asked.text.startswith("bad"):
            return refusal(400, asked.text)
        if chance.random() < 0.3:
            met[asked.text] += 1
            return chance.choice(faults)
        return Reaction(chat(f"re: {asked.text}"), delay=chance.choice([0.0, 0.0, 0.01, 0.03]))

    def two_rounds(question: str) -> Iterator[Any]:
        first = yield ask(question)
        second = yield ask(f"{question} again", n=2), ask(f"{question} once more")
        return [sampled.message.text for samples in (first, *second) for sampled in samples]

    names = [f"bad {i}" if i % 10 == 3 else f"q{i}" for i in range(300)]
    ended: list[int] = []
    with ScriptedServer(rule) as server, remote(server, timeout=1.5, retries=30, max_wait=0.02) as backend:
        outcomes = drive(
            (two_rounds(name) for name in names), backend, limit=100, on_done=lambda i, *_: ended.append(i)
        )
        assert sorted(ended) == list(range(300))
        for name, outcome in zip(names, outcomes, strict=True):
            if name.startswith("bad"):
                assert isinstance(outcome, Failure) and f"status 400: {name}" in outcome.error
            else:
                assert outcome == [f"re: {name}", *[f"re: {name} again"] * 2, f"re: {name} once more"]
        ledger = backend.ledger
        assert ledger.replies == 270 * 4 and ledger.failed == 30 and ledger.cancelled == 0
        assert ledger.retries == sum(met.values()) > 300
        assert ledger.requests == len(server.asked) == ledger.replies + ledger.failed + ledger.retries
        assert server.most_open <= 32


class Echo:
    def grade(self, problem: Problem, text: str) -> Verdict:
        return Verdict(float(text == problem.answer), "graded", text)


def test_episodes_over_a_remote_model() -> None:
    """A group whose sample fails is as many failed episodes; the others are graded."""
    problems = [Problem(f"key{i}", "test", "echo", f"{i}", f"{i}") for i in range(5)]

    def rule(asked: Asked) -> Reaction:
        return refusal(400, "no") if asked.text == "3" else Reaction(chat("9" if asked.text == "4" else asked.text))

    with ScriptedServer(rule) as server, remote(server) as backend:
        made = episodes(problems, backend, family_of=lambda problem: Echo(), sampling=Sampling(), seed=3, n=2)
    assert [[episode.verdict.score for episode in group] for group in made] == [
        [1.0, 1.0],
        [1.0, 1.0],
        [1.0, 1.0],
        [None, None],
        [0.0, 0.0],
    ]
    assert all("status 400: no" in episode.error for episode in made[3])
    assert made[0][0].weights_id == "served-model" and made[0][0].usage == Usage(10, 5, 0, 1)
