"""`/v1/completions`: continued and scored documents, over a scripted source and over a real engine."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from thinkling.core.seeds import derive
from thinkling.serve import completions, errors
from thinkling.serve.limits import Gate
from thinkling.serve.metrics import Metrics
from thinkling.serve.schemas.completions import CompletionReply
from thinkling.serve.scripted import Reply, Script
from thinkling.serve.settings import Limits, Settings
from thinkling.serve.source import Complete, Source
from thinkling.serve.state import ServerState
from thinkling.tokenizer.bpe import Tokenizer


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["the cat sat on the mat, and the dog and the cow. " * 20], 300)


def script(reply: Reply | str = " on the mat", **more: Any) -> Script:
    return Script(tokenizer(), reply if callable(reply) else lambda job, i: reply, **more)


def client(source: Source, **settings: Any) -> TestClient:
    sources = {source.card.id: source}
    state = ServerState(Settings(**settings), sources, Gate(64), Metrics(sources))
    app = FastAPI()
    errors.install(app)
    app.include_router(completions.router(state))
    return TestClient(app)


def ask(source: Source, body: dict[str, Any], **settings: Any) -> dict[str, Any]:
    reply = client(source, **settings).post("/v1/completions", json={"model": source.card.id, **body})
    assert reply.status_code == 200, reply.text
    CompletionReply.model_validate(reply.json())
    made: dict[str, Any] = reply.json()
    return made


def stream(source: Source, body: dict[str, Any]) -> list[dict[str, Any]]:
    reply = client(source).post("/v1/completions", json={"model": source.card.id, "stream": True, **body})
    assert reply.status_code == 200, reply.text
    *lines, last, empty = reply.text.split("\n\n")
    assert (last, empty) == ("data: [DONE]", "")
    chunks = [json.loads(line[6:]) for line in lines if not line.startswith(":")]
    for chunk in chunks:
        CompletionReply.model_validate(chunk)
    return chunks


def refused(body: dict[str, Any], source: Source | None = None, **settings: Any) -> tuple[int, str | None]:
    source = source or script()
    reply = client(source, **settings).post("/v1/completions", json={"model": source.card.id, **body})
    return reply.status_code, reply.json()["error"]["param"]


def jobs(source: Script) -> list[Complete]:
    return [job for job in source.asked if isinstance(job, Complete)]


def test_a_text_is_continued_after_the_mark_of_a_beginning() -> None:
    source = script()
    made = ask(source, {"prompt": "the cat sat", "seed": 5})
    assert made["object"] == "text_completion" and made["choices"][0]["text"] == " on the mat"
    assert made["choices"][0]["finish_reason"] == "stop" and made["choices"][0]["logprobs"] is None
    (request,) = jobs(source)[0].requests
    assert request.tokens == (tokenizer().special["<|endoftext|>"], *tokenizer().encode("the cat sat"))
    assert (request.seed, request.sampling.max_tokens, request.forced, request.top_logprobs) == (5, 16, (), 0)
    assert made["usage"]["prompt_tokens"] == len(request.tokens)


def test_ids_are_taken_as_they_are() -> None:
    source, ids = script(), tokenizer().encode("the cat")
    ask(source, {"prompt": ids})
    ask(source, {"prompt": [ids, ids[:1]]})
    assert [request.tokens for job in jobs(source) for request in job.requests] == [(*ids,), (*ids,), (ids[0],)]


def test_every_prompt_gets_n_choices_with_the_seeds_of_one() -> None:
    source = script(lambda job, i: f" {i}")
    made = ask(source, {"prompt": ["the cat", "the dog"], "n": 2, "seed": 9})
    assert [(c["index"], c["text"]) for c in made["choices"]] == [(i, f" {i}") for i in range(4)]
    requests = jobs(source)[0].requests
    assert [request.seed for request in requests] == [derive(9, 0), derive(9, 1)] * 2
    assert requests[0].tokens == requests[1].tokens != requests[2].tokens
    assert made["usage"]["prompt_tokens"] == len(requests[0].tokens) + len(requests[2].tokens)


def test_scoring_a_prompt() -> None:
    source = script()
    made = ask(source, {"prompt": "the cat sat", "echo": True, "logprobs": 1, "max_tokens": 0})
    (choice,) = made["choices"]
    told = choice["logprobs"]
    assert choice["text"] == "the cat sat" == "".join(told["tokens"]) and choice["finish_reason"] == "length"
    assert told["token_logprobs"][0] is None and told["top_logprobs"][0] is None
    assert set(told["token_logprobs"][1:]) == {-0.5} and told["text_offset"] == [0, 3, 7]
    assert made["usage"]["completion_tokens"] == 0
    (request,) = jobs(source)[0].requests
    assert request.tokens == (tokenizer().special["<|endoftext|>"],)
    assert request.forced == (*tokenizer().encode("the cat sat"),) and request.sampling.max_tokens == 3


def test_an_echo_with_what_follows() -> None:
    ids = tokenizer().encode("the cat sat")
    made = ask(script(), {"prompt": ids, "echo": True, "logprobs": 2, "max_tokens": 3})
    (choice,) = made["choices"]
    assert choice["text"] == "the cat sat on the mat"[: len(choice["text"])] and len(choice["text"]) > 11
    told = choice["logprobs"]
    assert "".join(told["tokens"]) == choice["text"] and len(told["tokens"]) == len(ids) + 3
    assert told["token_logprobs"][0] is None and None not in told["token_logprobs"][1:]
    bare = ask(script(), {"prompt": "the cat sat", "echo": True})["choices"][0]
    assert bare["text"] == "the cat sat on the mat" and bare["logprobs"] is None


def test_every_drawn_token_has_a_logprob_those_of_the_end_too() -> None:
    (choice,) = ask(script(), {"prompt": "a", "logprobs": 0, "stop": " mat"})["choices"]
    told = choice["logprobs"]
    assert choice["text"] == " on the" and "".join(told["tokens"]) == " on the mat"
    assert told["text_offset"][-1] == len(" on the") and [len(top) for top in told["top_logprobs"]] == [1] * 3
    (choice,) = ask(script(), {"prompt": "a", "logprobs": 1})["choices"]
    assert choice["logprobs"]["tokens"][-1] == "<|im_end|>" and choice["text"] == " on the mat"


@pytest.mark.parametrize("chunk", [1, 2, 50])
@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "the"}, {"prompt": ["the", "a"], "n": 2}, {"prompt": "the", "stop": [" m"], "logprobs": 2},
        {"prompt": "the", "echo": True}, {"prompt": "the", "echo": True, "logprobs": 1},
        {"prompt": "é", "max_tokens": 4},
        {"prompt": "the", "max_tokens": 0}, {"prompt": "the cat", "max_tokens": 0, "echo": True},
        {"prompt": "the cat", "max_tokens": 0, "echo": True, "logprobs": 1}, {"prompt": [5], "logprobs": 1},
    ],
)  # fmt: skip
def test_a_stream_says_what_the_response_says(body: dict[str, Any], chunk: int) -> None:
    source = script(lambda job, i: f" on é mat {i}", chunk=chunk)
    whole, chunks = ask(source, body), stream(source, {**body, "stream_options": {"include_usage": True}})
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"] == whole["usage"]
    for choice in whole["choices"]:
        told = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
        assert "".join(c["text"] for c in told) == choice["text"]
        assert [c["finish_reason"] for c in told if c["finish_reason"]] == [choice["finish_reason"]]
        for key in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
            listed = [value for c in told if c["logprobs"] for value in c["logprobs"][key]]
            assert listed == (choice["logprobs"][key] if choice["logprobs"] else [])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": "a", "suffix": "b"}, "suffix"),
        ({"prompt": "a", "best_of": 2}, "best_of"),
        ({"prompt": [300]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": "\x00", "strategy": "sc"}, "strategy"),
        ({"model": "scripted+sc", "prompt": "a"}, "model"),
        ({"prompt": ["a"] * 257}, "prompt"),
        ({"prompt": "a", "n": 65}, "n"),
        ({"prompt": "a", "logprobs": 21}, "logprobs"),
        ({"prompt": "a", "logit_bias": {"300": 1}}, "logit_bias"),
        ({"prompt": "the cat " * 300}, "prompt"),
    ],
)
def test_refused_by_name(body: dict[str, Any], param: str) -> None:
    source = script()
    assert refused(body, source) == (400, param) and not source.asked


def test_a_prompt_may_fill_the_context_where_nothing_follows() -> None:
    body = {"prompt": [5] * 512, "echo": True, "logprobs": 0}
    assert ask(script(), {**body, "max_tokens": 0})["choices"][0]["logprobs"]["token_logprobs"][1] == -0.5
    assert refused({**body, "max_tokens": 1})[0] == 400
    assert refused({"prompt": "a", "max_tokens": 9}, limits=Limits(max_tokens=8)) == (400, "max_tokens")


def test_scores_are_the_engines() -> None:
    from tests.unit.test_engine_backend import engine
    from tests.unit.test_serve_chat import tiny

    ids = tokenizer().encode("the cat sat on the mat")
    made = ask(tiny(), {"prompt": [ids, ids[:4]], "echo": True, "logprobs": 3, "max_tokens": 0})
    for choice, wanted in zip(made["choices"], engine().score([ids, ids[:4]]), strict=True):
        told = choice["logprobs"]
        assert told["token_logprobs"][1:] == pytest.approx(wanted, abs=1e-4)
        for token, logprob, top in list(zip(told["tokens"], told["token_logprobs"], told["top_logprobs"], strict=True))[
            1:
        ]:
            assert top[token] == logprob and 1 <= len(top) <= 4
            assert sum(math.exp(value) for value in top.values()) < 1.001
    text = ask(tiny(), {"prompt": "the cat", "max_tokens": 9, "seed": 3})["choices"][0]["text"]
    chunks = stream(tiny(), {"prompt": "the cat", "max_tokens": 9, "seed": 3})
    assert "".join(choice["text"] for chunk in chunks for choice in chunk["choices"]) == text
