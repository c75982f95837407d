"""`/v1/chat/completions` over a scripted source, and over a real engine where what is told must be exact."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from thinkling.core.types import Capabilities, Message, Sample, Sampled, TokenSeq, Usage
from thinkling.serve import chat, errors
from thinkling.serve.desk import Desk
from thinkling.serve.limits import Gate
from thinkling.serve.metrics import Metrics
from thinkling.serve.schemas.chat import ChatChunk, ChatCompletion
from thinkling.serve.scripted import Reply, Script
from thinkling.serve.settings import Limits, Settings
from thinkling.serve.source import Answered, Ask, Card, Completed, Failed, Job, News, Source, Started, State, Tokens
from thinkling.serve.sse import PIECE, EventStream, Pace, batches, unless_gone
from thinkling.serve.state import ServerState
from thinkling.tokenizer.bpe import Tokenizer

ASK = [{"role": "user", "content": "the cat"}]


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["the cat sat on the mat, and the dog and the cow. " * 20], 300)


def script(reply: Reply | str = "the mat", **more: Any) -> Script:
    return Script(tokenizer(), reply if callable(reply) else lambda job, i: reply, **more)


def client(source: Source, **settings: Any) -> TestClient:
    sources = {source.card.id: source}
    state = ServerState(Settings(**settings), sources, Gate(Settings(**settings).limits.queue), Metrics(sources))
    app = FastAPI()
    errors.install(app)
    app.include_router(chat.router(state))
    return TestClient(app)


def ask(source: Source, body: dict[str, Any], **settings: Any) -> dict[str, Any]:
    reply = client(source, **settings).post(
        "/v1/chat/completions", json={"model": source.card.id, "messages": ASK, **body}
    )
    assert reply.status_code == 200, reply.text
    made: dict[str, Any] = ChatCompletion.model_validate(reply.json()) and reply.json()
    return made


def stream(source: Source, body: dict[str, Any], **settings: Any) -> list[dict[str, Any]]:
    """The chunks of a stream, each of which is as documented; it ends properly."""
    reply = client(source, **settings).post(
        "/v1/chat/completions", json={"model": source.card.id, "messages": ASK, "stream": True, **body}
    )
    assert reply.status_code == 200, reply.text
    lines = [line for line in reply.text.split("\n\n") if line and not line.startswith(":")]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    for chunk in chunks:
        ChatChunk.model_validate(chunk)
    return chunks


def error(source: Source, body: dict[str, Any], **settings: Any) -> tuple[int, str, str | None, str | None]:
    reply = client(source, **settings).post(
        "/v1/chat/completions", json={"model": source.card.id, "messages": ASK, **body}
    )
    said = reply.json()["error"]
    return reply.status_code, said["message"], said["param"], said["code"]


def joined(chunks: list[dict[str, Any]], key: str, index: int = 0) -> str:
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    return "".join(delta.get(key) or "" for delta in deltas)


def records(chunks: list[dict[str, Any]], index: int = 0) -> list[dict[str, Any]]:
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    told = [dict(record) for choice in choices for record in choice["delta"].get("tokens") or ()]
    assert [record.pop("index") for record in told] == list(range(len(told)))
    return told


def asides(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [chunk["thinkling"] for chunk in chunks if "thinkling" in chunk]


# --- one piece -------------------------------------------------------------------------------------------------------


def test_an_answer() -> None:
    source = script("<think>hm</think>the mat")
    made = ask(source, {"max_tokens": 40})
    assert made["object"] == "chat.completion" and made["model"] == "scripted"
    assert made["system_fingerprint"] == "script-1"
    (choice,) = made["choices"]
    assert choice["message"] == {
        "role": "assistant", "content": "the mat", "refusal": None, "reasoning_content": "hm", "reasoning": "hm",
    }  # fmt: skip
    assert choice["finish_reason"] == "stop" and choice["logprobs"] is None
    assert made["usage"]["total_tokens"] == made["usage"]["prompt_tokens"] + made["usage"]["completion_tokens"]
    assert made["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}


def test_the_job_is_what_was_asked() -> None:
    source = script()
    body = {
        "n": 3, "seed": -7, "temperature": 0.5, "top_p": 0.9, "top_k": 4, "min_p": 0.1, "stop": "mat", "max_tokens": 9,
        "presence_penalty": 1, "frequency_penalty": -1, "logit_bias": {"5": -100}, "reasoning_effort": "none",
    }  # fmt: skip
    ask(source, body)
    (job,) = source.asked
    assert isinstance(job, Ask) and not job.watch and job.strategy == "plain"
    assert (job.sample.n, job.sample.seed, job.sample.think) == (3, -7, False)
    drawn = job.sample.sampling
    assert (drawn.temperature, drawn.top_p, drawn.top_k, drawn.min_p) == (0.5, 0.9, 4, 0.1)
    assert (drawn.stop, drawn.max_tokens) == (("mat",), 9)
    assert (drawn.presence_penalty, drawn.frequency_penalty, drawn.logit_bias) == (1, -1, ((5, -100),))


def test_what_is_left_out() -> None:
    source = script()
    ask(source, {})
    ask(source, {})
    first, second = (job.sample for job in source.asked if isinstance(job, Ask))
    assert first.sampling.temperature == 1 and first.think is None
    assert first.sampling.max_tokens == 512 - 21  # all the room that the prompt leaves
    assert first.seed != second.seed


def test_several_choices() -> None:
    made = ask(script(lambda job, i: f"cat {i}"), {"n": 3})
    assert [(c["index"], c["message"]["content"]) for c in made["choices"]] == [(i, f"cat {i}") for i in range(3)]
    chunks = stream(script(lambda job, i: f"cat {i}"), {"n": 3})
    assert [joined(chunks, "content", i) for i in range(3)] == ["cat 0", "cat 1", "cat 2"]
    finishes = [c["index"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"] == "stop"]
    assert finishes == [0, 1, 2]


def test_logprobs_are_of_the_content_with_true_bytes() -> None:
    source = script("<think>hm</think>é mat")
    choice = ask(source, {"logprobs": True, "top_logprobs": 2})["choices"][0]
    content = choice["logprobs"]["content"]
    assert b"".join(bytes(token["bytes"]) for token in content).decode() == choice["message"]["content"] == "é mat"
    assert content[0]["token"] == "\ufffd" and content[0]["bytes"] == [0xC3]
    assert all(len(token["top_logprobs"]) == 2 and token["logprob"] == -0.5 for token in content)
    none = ask(source, {"logprobs": True})["choices"][0]["logprobs"]["content"]
    assert all(token["top_logprobs"] == [] for token in none)
    chunks = stream(source, {"logprobs": True, "top_logprobs": 2})
    told = [t for chunk in chunks for c in chunk["choices"] for t in (c["logprobs"] or {"content": []})["content"]]
    assert told == content


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_tokens_spell_the_answer_one_record_per_id(chunk: int) -> None:
    source = script("<think>hm é</think>the mat on", chunk=chunk)
    body = {"tokens": True, "top_logprobs": 1, "stop": " on"}
    whole = ask(source, body)["choices"][0]
    told = records(stream(source, body))
    assert told == whole["tokens"]
    assert "".join(r["text"] for r in told if r["kind"] == "text") == whole["message"]["content"] == "the mat"
    assert "".join(r["text"] for r in told if r["kind"] == "think") == whole["message"]["reasoning"] == "hm é"
    marks = [r["mark"] for r in told if r["kind"] == "mark"]
    assert marks == ["<think>", "</think>"] and all(r["text"] == "" for r in told if r["kind"] == "mark")
    job = source.asked[0]
    assert isinstance(job, Ask) and job.watch and job.sample.top_logprobs == 1
    assert all(len(r["top"]) == 1 and r["top"][0]["id"] == r["id"] for r in told)


def test_a_fork_holds_what_follows_the_given_ids() -> None:
    special, torn = tokenizer().special, tokenizer().encode_bytes("é".encode())
    begun = [special["<think>"], *tokenizer().encode("hm"), torn[0]]
    source = script(lambda job, i: "never")
    source.reply = lambda job, i: " so</think>the mat"
    for body in ({"forced_tokens": begun}, {"forced_tokens": begun[1:], "think": True}):
        whole = ask(source, body)["choices"][0]["message"]
        chunks = stream(source, body)
        # The torn character is the first thing that follows, completed or not.
        assert whole["reasoning"] == joined(chunks, "reasoning") == "\ufffd so"
        assert whole["content"] == joined(chunks, "content") == "the mat"
    assert isinstance(job := source.asked[0], Ask) and job.sample.forced == tuple(begun)


def test_thinking_can_be_kept_from_clients() -> None:
    source = script("<think>secret</think>the mat")
    body = {"tokens": True, "strategy_events": True, "strategy": "sc:n=1"}
    whole = ask(source, body, show_thinking=False)
    assert "secret" not in json.dumps(whole) and "reasoning" not in whole["choices"][0]["message"]
    assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0
    for strategy in ("sc:n=1", "plain"):
        chunks = stream(source, {**body, "strategy": strategy}, show_thinking=False)
        assert joined(chunks, "content") == "the mat" and not joined(chunks, "reasoning")
        assert not [r for r in records(chunks) if r["kind"] == "think"]
        assert not any("secret" in json.dumps(chunk) for chunk in chunks)


def test_what_was_thought_is_taken_back_by_either_name() -> None:
    source = script()
    for name in ("reasoning", "reasoning_content"):
        ask(source, {"messages": [*ASK, {"role": "assistant", "content": "a", name: "hm"}, *ASK]})
    jobs = [job for job in source.asked if isinstance(job, Ask)]
    assert all(job.sample.messages[1].thinking == "hm" for job in jobs)
    plain = script(card=replace(script().card, capabilities=Capabilities(prefix=True)))
    ask(plain, {"messages": [*ASK, {"role": "assistant", "content": "a", "reasoning": "hm"}, *ASK]})
    assert isinstance(job := plain.asked[0], Ask) and job.sample.messages[1].thinking is None


# --- streams ---------------------------------------------------------------------------------------------------------


def test_the_exact_bytes_of_a_stream() -> None:
    source = script("<think>hm</think>the mat", chunk=100)
    reply = client(source).post(
        "/v1/chat/completions",
        json={"model": "scripted", "messages": ASK, "stream": True, "stream_options": {"include_usage": True}},
    )
    head = (
        '{"id":"chatcmpl-0","object":"chat.completion.chunk","created":1,"model":"scripted",'
        '"system_fingerprint":"script-1","choices":['
    )
    choice = '{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}'
    lines = [
        choice % ('{"role":"assistant","content":""}', "null"),
        choice % ('{"reasoning_content":"hm","reasoning":"hm"}', "null"),
        choice % ('{"content":"the mat"}', "null"),
        choice % ("{}", '"stop"'),
    ]
    expected = "".join(f'data: {head}{line}],"usage":null}}\n\n' for line in lines)
    usage = '{"prompt_tokens":21,"completion_tokens":7,"total_tokens":28,'
    usage += '"completion_tokens_details":{"reasoning_tokens":2}}'
    expected += f'data: {head}],"usage":{usage}}}\n\ndata: [DONE]\n\n'
    got = re.sub(r'"created":\d+', '"created":1', re.sub(r"chatcmpl-[0-9a-f]{32}", "chatcmpl-0", reply.text))
    assert got == expected
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache" and reply.headers["x-accel-buffering"] == "no"


def test_without_include_usage_no_chunk_has_any() -> None:
    assert not any("usage" in chunk for chunk in stream(script(), {}))


@pytest.mark.parametrize("chunk", [1, 2, 50])
@pytest.mark.parametrize("body", [{}, {"n": 3}, {"stop": [" mat", "sat on"]}, {"max_tokens": 5}, {"think": True}])
def test_a_stream_says_what_the_response_says(chunk: int, body: dict[str, Any]) -> None:
    source = script(lambda job, i: f"<think>hm {i}</think>the cat sat on é mat {i}", chunk=chunk)
    whole, chunks = ask(source, body), stream(source, {**body, "stream_options": {"include_usage": True}})
    for choice in whole["choices"]:
        index = choice["index"]
        assert joined(chunks, "content", index) == choice["message"]["content"]
        assert joined(chunks, "reasoning", index) == choice["message"]["reasoning"]
        finishes = [c["finish_reason"] for chunk in chunks for c in chunk["choices"] if c["index"] == index]
        assert finishes[-1] == choice["finish_reason"] and set(finishes[:-1]) == {None}
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"] == whole["usage"]


def test_a_strategy_tells_its_answer_at_the_end_and_its_candidates_on_the_way() -> None:
    source = script("<think>hm</think>the mat", chunk=2)
    chunks = stream(source, {"model": "scripted+sc:n=4", "strategy_events": True})
    assert chunks[0]["model"] == "scripted+sc:n=4"
    assert isinstance(job := source.asked[0], Ask) and job.strategy == "sc:n=4" and job.watch
    effect, *grown, trace = asides(chunks)
    assert effect == {"type": "effect", "effect": 0, "n": 1, "prefix": ""}
    assert "".join(e["text"] for e in grown if e["kind"] == "think") == "hm"
    assert "".join(e["text"] for e in grown if e["kind"] == "text") == "the mat"
    assert trace["type"] == "trace" and trace["strategy"] == "sc:n=4"
    assert trace["candidates"][0]["chosen"] and trace["candidates"][0]["thinking"] == "hm"
    assert joined(chunks, "content") == "the mat" and joined(chunks, "reasoning") == "hm"
    places = [i for i, chunk in enumerate(chunks) for c in chunk["choices"] if c["delta"].get("content")]
    assert places and min(places) > max(i for i, chunk in enumerate(chunks) if "effect" in chunk.get("thinkling", {}))
    assert not asides(stream(source, {"strategy": "sc:n=4"}))
    whole = ask(source, {"strategy": "sc:n=4", "strategy_events": True})["choices"][0]
    assert {**whole["thinkling"]} == trace


def test_a_silent_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinkling.serve.answering.SILENCE_S", 0.02)
    source = script("the mat", chunk=100, pause=0.1)
    reply = client(source).post("/v1/chat/completions", json={"model": "scripted", "messages": ASK, "stream": True})
    lines = reply.text.split("\n\n")
    assert lines.count(": keep-alive") >= 2 and json.loads(lines[0][6:])["choices"][0]["delta"]["role"] == "assistant"
    assert lines[-2] == "data: [DONE]"


class Breaking(Script):
    """Fails after it has begun."""

    async def _answer(self, job: Job) -> AsyncIterator[News]:
        yield Started(0, 1)
        yield Tokens(0, 0, tuple(tokenizer().encode("the")))
        await asyncio.sleep(0.05)
        yield Failed("broken", "secret detail", Usage(1, 1))


def test_an_error_in_a_stream_is_told_and_nothing_pretends_to_be_an_end() -> None:
    reply = client(Breaking(tokenizer(), lambda job, i: "")).post(
        "/v1/chat/completions", json={"model": "scripted", "messages": ASK, "stream": True}
    )
    *_, last, empty = reply.text.split("\n\n")
    assert empty == "" and json.loads(last[6:])["error"]["type"] == "server_error"
    assert "secret" not in reply.text and "[DONE]" not in reply.text and '"stop"' not in reply.text


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
def test_errors_before_the_first_token_have_a_status(streamed: bool) -> None:
    body = {"stream": streamed}
    for kind, status, code in (("user", 400, None), ("context", 400, "context_length_exceeded"), ("broken", 500, None)):
        source = script(lambda job, i, kind=kind: Failed(kind, "detail"))
        got = error(source, body)
        assert got[0] == status and (got[3] == code or kind == "broken")
        assert ("detail" in got[1]) == (kind != "broken")
    away = script(lambda job, i: Failed("broken", "detail"), card=replace(script().card, local=False))
    assert error(away, body)[0] == 502


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "scripted+evil.py:f"}, "model"),
        ({"strategy": "sc:n=100000"}, "strategy"),
        ({"model": "scripted+sc", "strategy": "refine"}, "strategy"),
        ({"strategy": "few-shot"}, "strategy"),
        ({"strategy": "bon:verifier=/etc"}, "strategy"),
        ({"answer_kind": "nonsense"}, "answer_kind"),
        ({"n": 65}, "n"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"logit_bias": {"300": 1}}, "logit_bias"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "strategy": "zs-cot"}, "logprobs"),
        ({"forced_tokens": [300]}, "forced_tokens"),
        ({"forced_tokens": [278]}, "forced_tokens"),
        ({"forced_tokens": [5], "strategy": "sc"}, "forced_tokens"),
        ({"thinking_budget": 9, "strategy": "sc"}, "thinking_budget"),
        ({"thinking_budget": 9, "think": False}, "thinking_budget"),
        ({"thinking_budget": 9, "max_tokens": 9}, "thinking_budget"),
        ({"reasoning_effort": "low", "strategy": "sc"}, "reasoning_effort"),
        ({"reasoning_effort": "high", "think": False}, "reasoning_effort"),
        ({"tools": [{}]}, "tools"),
    ],
)
def test_refused_by_name_before_a_token_is_spent(body: dict[str, Any], param: str) -> None:
    source = script()
    status, _, named, _ = error(source, body)
    assert (status, named) == (400, param) and not source.asked


def test_unknown_models_and_full_queues_and_loading() -> None:
    assert error(script(), {"model": "other+sc"})[0::3] == (404, "model_not_found")
    assert error(script(state="loading"), {})[0] == 503
    source = script(pause=0.2)
    assert error(script(card=replace(source.card, context=21)), {})[3] == "context_length_exceeded"
    assert error(source, {"n": 3}, limits=Limits(n=2))[2] == "n"
    assert error(source, {"messages": ASK * 3}, limits=Limits(messages=2))[2] == "messages"
    assert error(source, {"max_tokens": 11}, limits=Limits(max_tokens=10))[2] == "max_tokens"


def test_a_model_without_a_think_part() -> None:
    source = script(card=replace(script().card, capabilities=Capabilities(prefix=True)))
    assert error(source, {"think": True})[2] == "think"
    assert error(source, {"reasoning_effort": "high"})[2] == "reasoning_effort"
    assert error(source, {"reasoning_effort": "low"})[2] == "reasoning_effort"
    assert error(source, {"logprobs": True})[2] == "logprobs"
    assert ask(source, {"reasoning_effort": "none"}) and ask(source, {"reasoning_effort": "medium"})


@pytest.mark.parametrize(
    "raw", [b'{"model":"scripted","messages":[{"role":"user","content":"\\ud800"}]}', b"NaN", b"[]", b"{", b"\xff",
            b'{"model":"scripted","messages":[{"role":"user","content":"x"}],"temperature":NaN}',
            b'{"model":"scripted","messages":[{"role":"user","content":"x"}],"seed":' + b"9" * 5000 + b"}",
            b'{"model":"scr\\udfffipted","messages":[{"role":"user","content":"x"}]}', b"[" * 5000]
)  # fmt: skip
def test_bodies_that_are_nonsense(raw: bytes) -> None:
    reply = client(script()).post("/v1/chat/completions", content=raw, headers={"content-type": "application/json"})
    assert reply.status_code == 400 and reply.json()["error"]["type"] == "invalid_request_error"


def test_effort_and_budget_make_a_strategy() -> None:
    source = script("<think>hm</think>the mat")
    for body in ({"reasoning_effort": "low"}, {"thinking_budget": 64}):
        ask(source, {**body, "max_tokens": 200})
    ask(source, {"reasoning_effort": "low", "max_tokens": 10})
    ask(source, {"reasoning_effort": "high"})
    jobs = [job for job in source.asked if isinstance(job, Ask)]
    assert [job.strategy for job in jobs] == [
        "budget:max=64,answer_tokens=136", "budget:max=64,answer_tokens=136", "budget:max=5,answer_tokens=5", "plain",
    ]  # fmt: skip
    assert jobs[3].sample.think is True


# --- leaving ---------------------------------------------------------------------------------------------------------


_SCOPE = {
    "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "POST",
    "path": "/v1/chat/completions", "raw_path": b"", "query_string": b"", "scheme": "http", "root_path": "",
    "headers": [(b"content-type", b"application/json"), (b"host", b"localhost")], "server": ("localhost", 80),
}  # fmt: skip


async def _leave(source: Script, app: Any, body: dict[str, Any], after: Callable[[bytes], bool]) -> None:
    """A client that sends a request, reads until ``after``, and is gone."""
    gone = asyncio.Event()
    sent = iter([{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}])

    async def receive() -> dict[str, Any]:
        message = next(sent, None)
        if message is None:
            await gone.wait()
            return {"type": "http.disconnect"}
        return message

    async def send(message: dict[str, Any]) -> None:
        if after(message.get("body", b"")):
            gone.set()

    if after(b""):
        asyncio.get_running_loop().call_later(0.05, gone.set)
    await asyncio.wait_for(app(dict(_SCOPE), receive, send), 5)
    assert source.running == 0 and source.cancelled == source.asked  # now, and not when the loop ends


@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_that_leaves_ends_the_job_at_once(streamed: bool) -> None:
    source = script("the cat sat on the mat " * 20, pause=0.05)
    body = {"model": "scripted", "messages": ASK, "stream": streamed}
    after = (lambda data: b"content" in data) if streamed else (lambda data: True)
    asyncio.run(_leave(source, client(source).app, body, after))
    assert len(source.cancelled) == 1 and source.drawn < 20


def test_a_full_queue_is_told_and_a_place_is_given_back() -> None:
    source = script("the cat", pause=0.01)
    small = client(source, limits=Limits(queue=1))
    body = {"model": "scripted", "messages": ASK, "stream": True}
    for _ in range(3):
        asyncio.run(_leave(source, small.app, body, lambda data: b"content" in data))
    assert small.post("/v1/chat/completions", json=body).status_code == 200

    async def both() -> list[int]:
        import httpx

        async with httpx.AsyncClient(transport=httpx.ASGITransport(small.app), base_url="http://localhost") as http:
            replies = await asyncio.gather(*(http.post("/v1/chat/completions", json=body) for _ in range(2)))
            return sorted(reply.status_code for reply in replies)

    assert asyncio.run(both()) == [200, 429]


async def _stall(app: Any, body: dict[str, Any]) -> int:
    """A client that reads the first tokens, then nothing, and stays; returns how many bytes it took."""
    sent = iter([{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}])
    took = 0

    async def receive() -> dict[str, Any]:
        for message in sent:
            return message
        return await asyncio.Future()  # it stays

    async def send(message: dict[str, Any]) -> None:
        nonlocal took
        took += len(message.get("body", b""))
        if b'"content":"the' in message.get("body", b""):
            await asyncio.Future()

    with pytest.raises(ClientDisconnect):
        await asyncio.wait_for(app(dict(_SCOPE), receive, send), 5)
    return took


def test_a_client_that_stays_and_reads_nothing_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinkling.serve.sse.STALLED_S", 0.05)
    source = script("the cat sat on the mat " * 20, pause=0.05)
    small = client(source, limits=Limits(queue=1))
    body = {"model": "scripted", "messages": ASK, "stream": True}
    assert asyncio.run(_stall(small.app, body)) > 0
    assert source.running == 0 and source.cancelled == source.asked and source.drawn < 20
    assert small.post("/v1/chat/completions", json={**body, "max_tokens": 1}).status_code == 200


def test_a_slow_line_is_given_time_for_each_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinkling.serve.sse.STALLED_S", 0.1)
    sent: list[dict[str, Any]] = []

    async def chunks() -> AsyncGenerator[tuple[bytes, bool], None]:
        yield bytes(10 * PIECE + 1), False
        yield b"", True

    async def send(message: dict[str, Any]) -> None:
        await asyncio.sleep(0.1 * len(message.get("body", b"")) / (2 * PIECE))
        sent.append(message)

    async def go() -> None:
        await EventStream(chunks())({"type": "http"}, asyncio.Future, send)  # type: ignore[arg-type]

    asyncio.run(go())
    assert sum(len(message.get("body", b"")) for message in sent) == 10 * PIECE + 1
    assert [message.get("more_body", True) for message in sent] == [True] * 12 + [False]


async def _paced(count: int) -> list[int]:
    async def news() -> AsyncGenerator[News, None]:
        for token in range(count):
            yield Tokens(0, 0, (token,))
            await asyncio.sleep(0.001)
        yield Answered((), Usage())

    return [len(batch) async for batch in batches(news(), Pace(0.05, 0.0), 1.0)]


def test_news_that_come_together_are_told_together() -> None:
    sizes = asyncio.run(_paced(60))
    assert sizes[0] <= 2 and sum(sizes) == 61 and len(sizes) <= 6
    pace = Pace()
    assert pace.interval == 0.02
    pace.streams = 64
    assert pace.interval == pytest.approx(0.0704)


def test_work_is_cancelled_when_the_client_is_gone() -> None:
    done: list[str] = []

    async def work() -> str:
        try:
            await asyncio.sleep(5)
        finally:
            done.append("closed")
        return "never"

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def stay() -> dict[str, Any]:
        await asyncio.sleep(5)
        return {}

    async def quick() -> str:
        return "made"

    async def fail() -> str:
        raise ValueError("no")

    async def left() -> None:
        assert await unless_gone(receive, work()) is None and done == ["closed"]

    asyncio.run(left())
    assert asyncio.run(unless_gone(stay, quick())) == "made"
    with pytest.raises(ValueError, match="no"):
        asyncio.run(unless_gone(stay, fail()))


# --- a real engine ---------------------------------------------------------------------------------------------------


class InProcess:
    """A source whose desk is stepped here."""

    state: State = "ready"
    load: dict[str, int] = {}

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.card = Card("tiny", 0, 128, desk.backend.capabilities, "w")
        self.tokenizer = tokenizer()
        self.numbers: Iterator[int] = iter(range(10**6))

    async def ask(self, job: Job) -> AsyncIterator[News]:
        number = next(self.numbers)
        self.desk.take(number, job)
        while True:
            news, self.desk.news = self.desk.news, []
            for of, item in news:
                assert of == number
                yield item
                if isinstance(item, Answered | Completed | Failed):
                    return
            self.desk.step()
            await asyncio.sleep(0)


@cache
def tiny() -> InProcess:
    from tests.unit.test_engine_backend import engine
    from thinkling.engine.backend import LocalBackend

    backend = LocalBackend(engine(), tokenizer(), "tiny", patience=1)
    return InProcess(Desk(backend, watchable=backend))


def lively(seed: int, **more: Any) -> dict[str, Any]:
    """Hot sampling in which tags, line breaks and bytes of torn characters come often."""
    special = tokenizer().special
    often = [*(special[name] for name in ("<think>", "</think>", "<|im_end|>")), 10, 32, 0xC3, 0xA9]
    return {"seed": seed, "logit_bias": {str(token): 3.5 for token in often}, "max_tokens": 24, **more}


@pytest.mark.parametrize(
    "body",
    [
        {}, {"n": 3}, {"think": True}, {"stop": [" ", "the", "é"]}, {"strategy": "direct", "n": 2},
        {"strategy": "sc:n=3"}, {"strategy": "zs-cot"}, {"strategy": "bon:n=3,by=likelihood", "n": 2},
        {"thinking_budget": 8}, {"thinking_budget": 16}, {"strategy": "budget:min=6,max=12"},
        {"strategy": "budget:min=10,max=20", "stop": ["at", "\n"]},
        {"strategy": "budget:min=4,max=9", "n": 2}, {"strategy": "budget:max=12,answer_tokens=5", "stop": [" "]},
    ],
)  # fmt: skip
def test_what_is_streamed_is_what_the_engine_answers(body: dict[str, Any]) -> None:
    spoke = thought = 0
    for seed in range(8):
        whole = ask(tiny(), lively(seed, **body))
        chunks = stream(tiny(), lively(seed, **body, strategy_events=True, stream_options={"include_usage": True}))
        for choice in whole["choices"]:
            index, message = choice["index"], choice["message"]
            assert joined(chunks, "content", index) == message["content"]
            assert joined(chunks, "reasoning", index) == (message.get("reasoning") or "")
            spoke, thought = spoke + bool(message["content"]), thought + bool(message.get("reasoning"))
        assert chunks[-1]["usage"] == whole["usage"]
        assert [event["type"] for event in asides(chunks)][-1] == "trace"
    assert spoke and (thought or "stop" in body or body.get("strategy") == "direct")


@pytest.mark.parametrize("body", [{}, {"strategy": "sc:n=3"}, {"n": 2, "stop": [" "]}])
def test_every_token_is_told_with_its_logprob(body: dict[str, Any]) -> None:
    for seed in range(6):
        asked = lively(seed, **body, tokens=True, logprobs=True, top_logprobs=3)
        whole, chunks = ask(tiny(), asked), stream(tiny(), asked)
        for choice in whole["choices"]:
            assert records(chunks, choice["index"]) == choice["tokens"]
            for record in choice["tokens"]:
                assert record["logprob"] < 0 and len(record["top"]) == 3
                rivals = {rival["id"]: rival["logprob"] for rival in record["top"]}
                assert rivals.get(record["id"], record["logprob"]) == record["logprob"] <= max(rivals.values())
            spelled = "".join(r["text"] for r in choice["tokens"] if r["kind"] == "text")
            assert spelled == choice["message"]["content"]


class Forced(Script):
    """A budget with a least: the model would stop thinking, and is made to go on. Some of its news is late."""

    async def _answer(self, job: Job) -> AsyncIterator[News]:
        special, ids = tokenizer().special, tokenizer().encode
        opened, closed = special["<think>"], special["</think>"]
        yield Started(0, 1, True, given=(opened,))
        yield Tokens(0, 0, (*ids("hm "), closed))
        await asyncio.sleep(0.1)
        yield Tokens(0, 0, (*ids("no"),))
        await asyncio.sleep(0.1)
        yield Started(1, 1, True, prefix="hm Wait,", given=(opened, *ids("hm Wait,")))
        yield Tokens(0, 0, (*ids(" never"),))
        yield Tokens(1, 0, (*ids(" so "), closed, *ids("mat")))
        await asyncio.sleep(0.1)
        message = Message.assistant("mat", "hm Wait, so ")
        yield Answered((Sampled(message, TokenSeq((), (), ()), "stop", Usage(9, 9, 5, 2)),), Usage(9, 9, 5, 2))


def test_a_budget_is_told_while_it_is_spent() -> None:
    """What may still be taken back is not told: space before "Wait", and an answer that came too early."""
    source = Forced(tokenizer(), lambda job, i: "")
    chunks = stream(source, {"strategy": "budget:min=6,max=12"})
    deltas = [c["delta"] for chunk in chunks for c in chunk["choices"]][1:-1]
    assert [delta.get("reasoning") or delta["content"] for delta in deltas] == ["hm", " Wait, so", " ", "mat"]
    assert deltas[-1] == {"content": "mat"}
    free = [c["delta"] for chunk in stream(source, {"thinking_budget": 12}) for c in chunk["choices"]][1:-1]
    assert [delta.get("reasoning") or delta["content"] for delta in free][:2] == ["hm ", "no"]


def test_a_fork_repeats_the_rest() -> None:
    """Forcing what an answer began with, under greedy sampling, gives its rest."""
    body = {"temperature": 0, "max_tokens": 12, "tokens": True, "seed": 1}
    whole = ask(tiny(), body)["choices"][0]["tokens"]
    forced = [record["id"] for record in whole[:5]]
    rest = ask(tiny(), {**body, "forced_tokens": forced, "max_tokens": 7})["choices"][0]["tokens"]
    assert rest == whole[5:]
    chunks = stream(tiny(), {**body, "forced_tokens": forced, "max_tokens": 7})
    assert records(chunks) == rest


def test_a_source_elsewhere_answers_at_the_end() -> None:
    class Elsewhere(Script):
        async def ask(self, job: Job) -> AsyncIterator[News]:
            self.tokenizer = tokenizer()
            async for item in super().ask(job):
                if not isinstance(item, Tokens):
                    yield item
                    self.tokenizer = None

    source = Elsewhere(tokenizer(), lambda job, i: "<think>hm</think>the mat", card=replace(script().card, local=False))
    source.tokenizer = None
    for strategy in ("plain", "sc:n=2", "budget:max=9"):
        chunks = stream(source, {"strategy": strategy, "strategy_events": True})
        assert joined(chunks, "content") == "the mat" and joined(chunks, "reasoning") == "hm"
    assert error(source, {"logprobs": True})[2] == "logprobs"
    assert isinstance(source.asked[0], Ask) and isinstance(source.asked[0].sample, Sample)
