"""`thinkling serve --upstream`: another server's models pass as they are, and get our strategies by a longer name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest
import uvicorn

from tests.serving import TOKENIZER, Listening, Process, Serving, loopback_alone, named
from thinkling.serve.scripted import Script
from thinkling.serve.settings import Limits
from thinkling.serve.source import Ask, Failed, Job

openai = pytest.importorskip("openai", reason="needs openai: pip install -e '.[dev]'")

MODEL = "org/scripted-2"
LOOSE = b'{ "model":"%s",\n "messages" : [{"role":"user","content":"say \\u00fcber"}], "seed": 1 }' % MODEL.encode()


def voting() -> Script:
    """Of the votes, every third is for another answer."""
    source, numbers = named(MODEL), count()
    plain = source.reply

    def reply(job: Job, index: int) -> str | Failed:
        if isinstance(job, Ask) and job.sample.messages[-1].text.startswith("vote"):
            return "The answer is 5." if next(numbers) % 3 == 1 else "The answer is 4."
        return plain(job, index)

    source.reply = reply
    return source


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    with loopback_alone():
        yield


@pytest.fixture(scope="module")
def behind() -> Iterator[Serving]:
    with Serving(voting(), key="behind-key", limits=Limits(queue=4)) as serving:
        yield serving


@pytest.fixture(scope="module")
def gateway(behind: Serving) -> Iterator[Process]:
    environment = {"THINKLING_UPSTREAM_KEY": "behind-key", "THINKLING_API_KEY": "front-key"}
    with Process("--upstream", behind.api, environment=environment) as process:
        yield process


@pytest.fixture(scope="module")
def client(gateway: Process) -> Iterator[Any]:
    with openai.OpenAI(base_url=gateway.api, api_key="front-key", max_retries=0) as client:
        yield client


def chat(client: Any, text: str, **options: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(**{"model": MODEL, "messages": messages, **options})


def test_the_models_are_those_of_the_other_server(client: Any) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.owned_by, model.context_length, model.local) == (MODEL, "upstream", 512, False)


def test_a_plain_request_passes(client: Any, behind: Serving) -> None:
    """The other server is asked the same, and answers the same, as if the client had come to it."""
    with openai.OpenAI(base_url=behind.api, api_key="behind-key", max_retries=0) as direct:
        for options in ({}, {"stream": True}, {"n": 2, "logprobs": True, "extra_body": {"tokens": True}}):
            replies = []
            for one in (direct, client):
                reply = chat(one, "say <think>hm</think>one two", seed=5, **options)
                found = [chunk.to_dict() for chunk in (reply if "stream" in options else [reply])]
                replies.append([{k: v for k, v in chunk.items() if k not in ("id", "created")} for chunk in found])
            assert _joined(replies[0]) == _joined(replies[1])
            assert behind.source.asked[-1] == behind.source.asked[-2]
    reply = client.completions.create(model=MODEL, prompt="say one", echo=True, logprobs=1, max_tokens=0)
    assert len(reply.choices[0].logprobs.tokens) == len(TOKENIZER.encode("say one"))


def _joined(chunks: list[dict[str, Any]]) -> Any:
    """Where a stream is cut into chunks depends on the moment."""
    if chunks[0]["object"] == "chat.completion":
        return chunks
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    return chunks[0], chunks[-1], *("".join(d.get(name) or "" for d in deltas) for name in ("content", "reasoning"))


def test_a_strategy_is_ours(client: Any, behind: Serving) -> None:
    before = len(behind.source.asked)
    reply = chat(client, "vote", model=f"{MODEL}+sc:n=3", extra_body={"answer_kind": "number", "strategy_events": True})
    assert reply.choices[0].message.content == "The answer is 4."
    jobs = behind.source.asked[before:]
    assert sum(job.sample.n for job in jobs if isinstance(job, Ask)) == 3
    assert {job.strategy for job in jobs if isinstance(job, Ask)} == {"plain"}
    trace = reply.choices[0].thinkling
    assert trace["tally"] == [["4", 2.0], ["5", 1.0]]
    assert reply.usage.completion_tokens == 3 * (len(TOKENIZER.encode("The answer is 4.")) + 1)
    streamed = chat(client, "vote", model=f"{MODEL}+sc:n=3", stream=True, extra_body={"answer_kind": "number"})
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == "The answer is 4."


def test_errors_are_passed_on(client: Any, behind: Serving) -> None:
    with pytest.raises(openai.BadRequestError) as long:
        chat(client, "word " * 900)
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as hot:
        chat(client, "hi", temperature=3)
    assert hot.value.param == "temperature"
    with pytest.raises(openai.InternalServerError) as broken:
        chat(client, "break")
    assert (broken.value.status_code, broken.value.code) == (500, "model_failed")
    held = [behind.state.gate.admit(MODEL) for _ in range(4)]
    with pytest.raises(openai.RateLimitError) as many:
        chat(client, "hi")
    assert many.value.response.headers["retry-after"] == "1"
    del held
    with pytest.raises(openai.NotFoundError):
        chat(client, "hi", model="gpt-x")
    with pytest.raises(openai.AuthenticationError):
        chat(client.with_options(api_key="behind-key"), "hi")


def test_under_a_strategy_what_the_client_can_mend_is_told_apart(
    client: Any, behind: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = f"{MODEL}+sc:n=3"
    with pytest.raises(openai.BadRequestError) as long:
        chat(client, "word " * 900, model=model)
    assert "maximum context length is 512 tokens" in long.value.message
    with monkeypatch.context() as patch:
        patch.setattr(behind.state, "sources", {})  # its model has gone
        with pytest.raises(openai.InternalServerError) as gone:
            chat(client, "hi", model=model)
    assert (gone.value.status_code, gone.value.code) == (502, "upstream_failed")


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    """Another server, whose answers are what it was asked, byte by byte."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    kind = b"text/event-stream; charset=odd" if b"stream" in body else b"application/json;odd"
    if scope["method"] == "GET":
        body = json.dumps({"data": [{"id": MODEL}]}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    for at in range(0, len(body), 7):
        await send({"type": "http.response.body", "body": body[at : at + 7], "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def test_byte_for_byte_both_ways() -> None:
    with (
        Listening(uvicorn.Server(uvicorn.Config(_echo, log_level="warning"))) as other,
        Process("--upstream", other.api) as process,
    ):
        for path in ("chat/completions", "completions"):
            for body in (LOOSE, LOOSE.replace(b'"seed"', b'"stream":true , "unknown to us"')):
                reply = httpx.post(f"{process.api}/{path}", content=body, trust_env=False)
                assert (reply.status_code, reply.content) == (200, body)
                assert reply.headers["content-type"].endswith("odd")


def test_a_server_that_is_gone() -> None:
    with (
        Serving(named(MODEL)) as behind,
        Process("--upstream", behind.api) as process,
        openai.OpenAI(base_url=process.api, api_key="none", max_retries=0) as client,
    ):
        assert chat(client, "say one").choices[0].message.content == "one"
        behind.stop()
        with pytest.raises(openai.InternalServerError) as raised:
            chat(client, "say one")
    assert (raised.value.status_code, raised.value.code) == (503, "upstream_unreachable")
