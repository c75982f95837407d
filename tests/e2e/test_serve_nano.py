"""`thinkling serve nano` as it is run: the packaged model's own tokens, an orderly end, and what goes wrong."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving import TOKENIZER, Process, gauge, loopback_alone, loopback_environment, wait_for
from thinkling.core.locate import PACKAGED
from thinkling.core.types import Message, Sample, Sampled, Sampling
from thinkling.engine.backend import LocalBackend
from thinkling.engine.engine import Engine
from thinkling.model.checkpoint import load_checkpoint
from thinkling.tokenizer.chat import stop_ids

openai = pytest.importorskip("openai", reason="needs openai: pip install -e '.[dev]'")

QUESTION = "Tom has 3 apples and buys 4 more. How many apples has he?"
ENDLESS = {"logit_bias": {str(number): -100 for number in stop_ids(TOKENIZER)}}


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    with loopback_alone():
        yield


@pytest.fixture(scope="module")
def nano() -> Iterator[Process]:
    with Process("nano", "--precision", "float32", "--slots", "8") as process:
        yield process


@pytest.fixture(scope="module")
def client(nano: Process) -> Iterator[Any]:
    with openai.OpenAI(base_url=nano.api, api_key="none", max_retries=0) as client:
        yield client


def chat(client: Any, text: str = QUESTION, **options: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(**{"model": "nano", "messages": messages, "temperature": 1, **options})


def engine_says(seed: int, n: int, max_tokens: int) -> list[Sampled]:
    """The answers of an engine here."""
    config, weights = load_checkpoint(PACKAGED)
    backend = LocalBackend(
        Engine(weights, config, slots=8, max_len=256, dtype="float32", tokenizer=TOKENIZER), TOKENIZER, "nano"
    )
    sample = Sample((Message.user(QUESTION),), Sampling(temperature=1.0, max_tokens=max_tokens), seed, n)
    backend.submit(sample)
    while True:
        for _, result in backend.poll():
            assert isinstance(result, list)
            return result


def test_a_stream_is_the_engines_own_tokens(client: Any) -> None:
    """Token by token, for a seed, in a stream and in one piece; and the texts are these tokens' texts."""
    expected = engine_says(seed=7, n=3, max_tokens=60)
    options = {"seed": 7, "n": 3, "max_tokens": 60, "extra_body": {"tokens": True}}
    ids: dict[int, list[int]] = {0: [], 1: [], 2: []}
    texts = {place: {"content": "", "reasoning_content": ""} for place in ids}
    ends: dict[int, str] = {}
    for chunk in chat(client, stream=True, **options):
        for choice in chunk.choices:
            ids[choice.index] += [token["id"] for token in getattr(choice.delta, "tokens", None) or ()]
            for name in texts[choice.index]:
                texts[choice.index][name] += getattr(choice.delta, name, None) or ""
            ends[choice.index] = choice.finish_reason or ends.get(choice.index, "")
    whole = chat(client, **options)
    for place, sampled in enumerate(expected):
        drawn = sampled.tokens.ids[sampled.tokens.origins.count("prompt") :]
        assert ids[place] == list(drawn)
        assert [token["id"] for token in whole.choices[place].tokens] == list(drawn)
        assert ends[place] == whole.choices[place].finish_reason == sampled.finish
        message = whole.choices[place].message
        assert texts[place]["content"] == message.content == sampled.message.text
        assert texts[place]["reasoning_content"] == (getattr(message, "reasoning_content", None) or "")
        assert texts[place]["reasoning_content"] == (sampled.message.thinking or "")
    assert whole.usage.completion_tokens == sum(sampled.usage.completion for sampled in expected)
    assert chat(client, **{**options, "seed": 8}).choices[0].tokens != whole.choices[0].tokens


def test_a_strategy_over_the_real_model(client: Any) -> None:
    options = {"seed": 3, "max_tokens": 80, "extra_body": {"strategy_events": True, "answer_kind": "number"}}
    reply = chat(client, model="nano+sc:n=3", **options)
    trace = reply.choices[0].thinkling
    assert len(trace["candidates"]) == 3
    assert reply.usage.completion_tokens == sum(made["tokens"] for made in trace["candidates"])
    assert reply.choices[0].message.content == next(made["text"] for made in trace["candidates"] if made["chosen"])


def test_a_closed_stream_frees_the_engines_slots(client: Any, nano: Process) -> None:
    before = gauge(nano.address, "thinkling_tokens_drawn_total", "nano")
    stream = chat(client, stream=True, n=4, max_tokens=1500, extra_body=ENDLESS)
    next(stream)
    wait_for(lambda: gauge(nano.address, "thinkling_sequences_running", "nano") == 4)
    stream.close()
    wait_for(lambda: gauge(nano.address, "thinkling_sequences_running", "nano") == 0)
    assert gauge(nano.address, "thinkling_tokens_drawn_total", "nano") - before < 4 * 1500 / 2


def test_the_models_process_dies_and_comes_back(client: Any, nano: Process) -> None:
    drawn = gauge(nano.address, "thinkling_tokens_drawn_total", "nano")
    stream = chat(client, stream=True, max_tokens=1500, extra_body=ENDLESS)
    next(stream)
    nano.model().kill()
    with pytest.raises(openai.APIError) as raised:
        list(stream)
    assert raised.value.code == "model_failed"
    assert "'nano'" in raised.value.message
    with pytest.raises(openai.InternalServerError) as loading:
        chat(client, max_tokens=1)
    assert (loading.value.status_code, loading.value.code) == (503, "model_loading")
    assert loading.value.response.headers["retry-after"] == "5"
    assert not nano.is_ready()
    assert "ended unexpectedly (exit status -9)" in nano.log
    wait_for(nano.is_ready)
    expected = engine_says(seed=7, n=1, max_tokens=30)[0]
    assert chat(client, seed=7, max_tokens=30).choices[0].message.content == expected.message.text
    assert gauge(nano.address, "thinkling_tokens_drawn_total", "nano") > drawn


def test_told_to_stop_it_says_its_answer_to_the_end() -> None:
    with Process("nano") as process, openai.OpenAI(base_url=process.api, api_key="none", max_retries=0) as client:
        stream = chat(client, stream=True, max_tokens=800, extra_body={**ENDLESS, "tokens": True})
        chunks = [next(stream)]
        process.send(signal.SIGTERM)
        wait_for(lambda: "Shutting down" in process.log)
        with pytest.raises((openai.APIConnectionError, openai.InternalServerError)):
            chat(client.with_options(timeout=5), max_tokens=1)
        chunks += stream
        tokens = [token for chunk in chunks for token in getattr(chunk.choices[0].delta, "tokens", None) or ()]
        assert (len(tokens), chunks[-1].choices[0].finish_reason) == (800, "length")
        assert process.wait() == 0
        assert "Traceback" not in process.log
        with pytest.raises(httpx.ConnectError):
            httpx.get(process.address, trust_env=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no/such/folder"], "no/such/folder: no such folder; expected a model's folder"),
        (["{empty}"], "no config.json, so it is no model"),
        (["nano", "x=nano", "x=nano"], "two models are called 'x'"),
        (["nano", "--port", "{taken}"], "cannot listen on 127.0.0.1:{taken}: Address already in use; choose another"),
        (["nano", "--host", "0.0.0.0"], "it wants a key"),
    ],
)
def test_what_is_wrong_is_said_at_once(words: list[str], said: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        known = {"empty": str(tmp_path), "taken": str(other.getsockname()[1])}
        command = [word.format(**known) for word in words]
        done = subprocess.run(
            [sys.executable, "-m", "thinkling", "serve", *command, "--no-history"],
            env=loopback_environment(), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert said.format(**known) in done.stderr
    assert "Traceback" not in done.stderr
