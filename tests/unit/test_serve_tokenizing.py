"""`/tokenize`, `/detokenize` and `/api/next`."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from thinkling.core.types import Message
from thinkling.serve import errors, following, tokenizing
from thinkling.serve.limits import Gate
from thinkling.serve.metrics import Metrics
from thinkling.serve.scripted import Script
from thinkling.serve.settings import Settings
from thinkling.serve.source import Complete, Source
from thinkling.serve.state import ServerState
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import prompt_ids, render

ASK = [{"role": "user", "content": "the cat"}]


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["the cat sat on the mat, and the dog and the cow. " * 20], 300)


def post(path: str, body: dict[str, Any], source: Source | None = None) -> tuple[int, dict[str, Any]]:
    source = source or Script(tokenizer(), lambda job, i: " mat")
    state = ServerState(Settings(), {source.card.id: source}, Gate(4), Metrics({}))
    app = FastAPI()
    errors.install(app)
    for routes in (tokenizing, following):
        app.include_router(routes.router(state))
    reply = TestClient(app).post(path, json={"model": source.card.id, **body})
    return reply.status_code, reply.json()


def test_a_text_and_back() -> None:
    status, made = post("/tokenize", {"prompt": "the é<think>", "return_token_strs": True})
    assert status == 200 and made["count"] == len(made["tokens"]) and made["max_model_len"] == 512
    assert made["tokens"] == tokenizer().encode("the é<think>")
    assert "".join(piece["text"] for piece in made["pieces"]) == "the é<think>"
    assert bytes(byte for piece in made["pieces"] for byte in piece["bytes"]).decode() == "the é<think>"
    assert not any(piece["special"] for piece in made["pieces"]) and "\ufffd" in made["token_strs"]
    assert post("/detokenize", {"tokens": made["tokens"]}) == (200, {"prompt": "the é<think>"})


def test_special_tokens_only_where_they_are_asked_for() -> None:
    _, made = post("/tokenize", {"prompt": "a<think>the</think>", "parse_special": True})
    special = tokenizer().special
    assert made["tokens"] == [97, special["<think>"], *tokenizer().encode("the"), special["</think>"]]
    assert [piece["special"] for piece in made["pieces"]] == [False, True, False, True] and made["token_strs"] is None


def test_a_chat() -> None:
    messages = [Message.user("the cat")]
    assert post("/tokenize", {"messages": ASK})[1]["tokens"] == prompt_ids(tokenizer(), messages)
    whole = post("/tokenize", {"messages": ASK, "add_generation_prompt": False})[1]["tokens"]
    assert whole == render(tokenizer(), messages).ids


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/tokenize", {}, 400, None),
        ("/tokenize", {"prompt": "a", "model": "other"}, 404, "model"),
        ("/tokenize", {"prompt": "a", "model": "scripted+sc"}, 400, "model"),
        ("/tokenize", {"prompt": "a", "parse_special": 1}, 400, "parse_special"),
        ("/detokenize", {"tokens": [300]}, 400, "tokens"),
        ("/detokenize", {"tokens": [-1]}, 400, "tokens.0"),
        ("/api/next", {}, 400, None),
        ("/api/next", {"tokens": [300]}, 400, "tokens"),
        ("/api/next", {"tokens": []}, 400, "tokens"),
        ("/api/next", {"prompt": "a", "forced_tokens": [300]}, 400, "forced_tokens"),
        ("/api/next", {"prompt": "a", "top": 0}, 400, "top"),
        ("/api/next", {"tokens": [5] * 512}, 400, "prompt"),
    ],
)
def test_refused(path: str, body: dict[str, Any], status: int, param: str | None) -> None:
    got, said = post(path, body)
    assert (got, said["error"]["param"]) == (status, param)


def test_what_may_follow_is_the_models_own_distribution() -> None:
    from tests.unit.test_serve_chat import tiny

    status, made = post("/api/next", {"messages": ASK, "top": 300}, tiny())
    assert (
        status == 200
        and made["rest"] == pytest.approx(0, abs=1e-5)
        and len(made["candidates"]) == tokenizer().vocab_size
    )
    probabilities = [math.exp(each["logprob"]) for each in made["candidates"]]
    assert sum(probabilities) == pytest.approx(1, abs=1e-5) and probabilities == sorted(probabilities, reverse=True)
    entropy = -sum(p * math.log(p) for p in probabilities)
    assert made["entropy"] == pytest.approx(entropy, abs=1e-4)
    few = post("/api/next", {"messages": ASK, "top": 5}, tiny())[1]
    assert few["candidates"] == made["candidates"][:5] and few["entropy"] == made["entropy"]
    assert few["rest"] == pytest.approx(1 - sum(probabilities[:5]), abs=1e-6)
    special = {each["id"] for each in made["candidates"] if each["special"]}
    assert special == set(tokenizer().special.values())


def test_what_is_asked_about() -> None:
    source = Script(tokenizer(), lambda job, i: " mat")
    think = tokenizer().special["<think>"]
    for body in (
        {"tokens": [5, 6]}, {"prompt": "the"}, {"messages": ASK, "forced_tokens": [7]},
        {"messages": ASK, "think": True},
    ):  # fmt: skip
        assert post("/api/next", body, source)[0] == 200
    asked = [job.requests[0] for job in source.asked if isinstance(job, Complete)]
    chat = prompt_ids(tokenizer(), [Message.user("the cat")])
    assert [list(request.tokens) for request in asked] == [
        [5, 6], [tokenizer().special["<|endoftext|>"], *tokenizer().encode("the")], [*chat, 7], [*chat, think],
    ]  # fmt: skip
    assert all(request.sampling.max_tokens == 1 and request.top_logprobs == tokenizer().vocab_size for request in asked)
