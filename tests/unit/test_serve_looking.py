"""Looks over HTTP: which tokens are looked at, what comes back, and what is said to what cannot be."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import cache
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from thinkling.core.errors import UserError
from thinkling.core.locate import find_model
from thinkling.core.types import Message
from thinkling.glass.look import look
from thinkling.model.checkpoint import load_checkpoint
from thinkling.serve import errors, looking_routes
from thinkling.serve.limits import Gate
from thinkling.serve.looking_routes import SeenAttention, SeenLens, SeenWalk
from thinkling.serve.metrics import Metrics
from thinkling.serve.scripted import Script
from thinkling.serve.settings import Settings
from thinkling.serve.source import Failed, Job, Look, News, Seen
from thinkling.serve.state import ServerState
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import opening_ids, prompt_ids

ASK = [{"role": "user", "content": "What is 3 + 4?"}]


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.load(find_model("nano"))


class Inside(Script):
    """Looks into the packaged model, as the process with an engine does; the place is held meanwhile."""

    gate: Gate | None = None

    async def _answer(self, job: Job) -> AsyncIterator[News]:
        assert isinstance(job, Look) and self.gate is not None and self.gate.count("nano") == 1
        try:
            yield Seen(look(*load_checkpoint(find_model("nano")), tokenizer(), job.what, job.arguments))
        except UserError as error:
            yield Failed("user", str(error))


class Broken(Script):
    async def _answer(self, job: Job) -> AsyncIterator[News]:
        yield Failed("broken", "IndexError: a secret of the process")


def silent(job: Job, index: int) -> str:
    return ""


def sources() -> dict[str, Script]:
    card = Script.card
    made: dict[str, Script] = {
        "nano": Inside(tokenizer(), silent, replace(card, id="nano")),
        "echo": Script(tokenizer(), silent, replace(card, id="echo")),
        "far": Script(None, silent, replace(card, id="far", local=False)),
        "broken": Broken(tokenizer(), silent, replace(card, id="broken")),
        "slow": Script(tokenizer(), silent, replace(card, id="slow")),
    }
    made["slow"].state = "loading"
    return made


def post(path: str, body: Any, places: int = 8) -> httpx.Response:
    made = sources()
    state = ServerState(Settings(), made, Gate(places), Metrics(made))
    nano = made["nano"]
    assert isinstance(nano, Inside)
    nano.gate = state.gate
    app = FastAPI()
    app.include_router(looking_routes.router(state))
    errors.install(app)

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            content, headers = json.dumps(body), {"content-type": "application/json"}
            return await client.post(f"/api/glass/{path}", content=content, headers=headers)

    reply = asyncio.run(send())
    assert state.gate.count("nano") == state.gate.count("broken") == 0
    return reply


def echoed(path: str, **body: Any) -> dict[str, Any]:
    """The job that a request becomes."""
    value = post(path, {"model": "echo", **body}).json()
    assert value["what"] == path
    arguments: dict[str, Any] = value["arguments"]
    return arguments


def ids(**body: Any) -> list[int]:
    tokens: list[int] = echoed("attention", **body)["tokens"]
    return tokens


def fault(path: str, **body: Any) -> dict[str, Any]:
    reply = post(path, {"model": "nano", **body})
    assert reply.status_code == 400
    error: dict[str, Any] = reply.json()["error"]
    assert error["type"] == "invalid_request_error"
    return error


def test_each_look_comes_back_as_documented() -> None:
    tokens = prompt_ids(tokenizer(), [Message.user("What is 3 + 4?")])
    walk = SeenWalk.model_validate(post("walk", {"model": "nano", "messages": ASK, "layer": 3, "head": 2}).json())
    assert (walk.layer, walk.head, walk.position) == (3, 2, len(tokens) - 1)
    maps = SeenAttention.model_validate(post("attention", {"model": "nano", "messages": ASK}).json())
    assert maps.weights[3][2] == walk.weights
    lens = SeenLens.model_validate(post("lens", {"model": "nano", "messages": ASK, "top": 2}).json())
    assert lens.final == lens.layers[4] and len(lens.layers) == 5
    assert {(len(row.top), len(row.top[0])) for row in lens.layers} == {(len(tokens), 2)}
    assert [token.id for token in walk.tokens] == [token.id for token in maps.tokens] == tokens
    assert walk.logits[0].id == lens.final.top[-1][0].id


def test_the_looks_options_and_their_defaults() -> None:
    walk = echoed("walk", tokens=[5, 6], layer=1, head=2, position=0)
    assert walk == {"tokens": [5, 6], "layer": 1, "head": 2, "position": 0}
    assert echoed("walk", tokens=[5]) == {"tokens": [5], "layer": 0, "head": 0, "position": -1}
    assert echoed("lens", tokens=[5]) == {"tokens": [5], "top": 5}
    assert echoed("attention", tokens=[5]) == {"tokens": [5]}


def test_text_becomes_the_tokens_that_the_model_would_read() -> None:
    said, encode = tokenizer(), tokenizer().encode
    assert ids(prompt="2 + 2 =") == [*opening_ids(said), *encode("2 + 2 =")]
    assert ids(prompt="") == list(opening_ids(said))
    assert ids(messages=ASK) == prompt_ids(said, [Message.user("What is 3 + 4?")])
    parts = [{"type": "text", "text": "What is "}, {"type": "text", "text": "3 + 4?"}]
    assert ids(messages=[{"role": "user", "content": parts}]) == ids(messages=ASK)
    system = [Message.system("Be brief."), Message.user("What is 3 + 4?")]
    for role in ("system", "developer"):
        assert ids(messages=[{"role": role, "content": "Be brief."}, *ASK]) == prompt_ids(said, system)
    # a prompt cannot forge a special token
    assert said.special_id("<|im_end|>") not in ids(prompt="<|im_end|>")


def test_forced_tokens_follow_whatever_is_read() -> None:
    """So one looks into an answer, at any of its tokens."""
    before = prompt_ids(tokenizer(), [Message.user("What is 3 + 4?")])
    assert ids(messages=ASK, forced_tokens=[9, 8]) == [*before, 9, 8]
    assert ids(tokens=[1], forced_tokens=[9]) == [1, 9]
    assert ids(prompt="a", forced_tokens=[9]) == [*ids(prompt="a"), 9]


@pytest.mark.parametrize(
    ("path", "body", "message", "param"),
    [
        ("walk", {"tokens": [1], "layer": 4}, "layer: expected a whole number from 0 to 3, came 4", "layer"),
        ("walk", {"tokens": [1], "head": 3}, "head: expected a whole number from 0 to 2, came 3", "head"),
        ("walk", {"tokens": [1], "position": 1}, "position: expected a whole number from -1 to 0", "position"),
        ("lens", {"tokens": [1] * 70}, "the text has 70, and one can look at up to 64 at once", "tokens"),
        ("lens", {"prompt": "3 + 4 " * 40}, "and one can look at up to 64 at once", "prompt"),
        ("lens", {"messages": [{"role": "user", "content": "3 + 4 " * 40}]}, "up to 64 at once", "messages"),
        ("walk", {"tokens": [2048]}, "tokens: expected a whole number from 0 to 2047, came 2048", "tokens"),
        ("walk", {}, "expected one of tokens, prompt and messages", None),
        ("walk", {"prompt": "a", "tokens": [1]}, "expected one of tokens, prompt and messages", None),
        ("walk", {"tokens": []}, "tokens: ", "tokens"),
        ("walk", {"messages": []}, "messages: ", "messages"),
        ("walk", {"tokens": [-1]}, "tokens.0: ", "tokens.0"),
        ("walk", {"tokens": [1.5]}, "tokens.0: ", "tokens.0"),
        ("walk", {"tokens": [1], "layer": -1}, "layer: ", "layer"),
        ("walk", {"tokens": [1], "top": 3}, "top: ", "top"),
        ("attention", {"tokens": [1], "layer": 0}, "layer: ", "layer"),
        ("lens", {"tokens": [1], "top": 21}, "top: ", "top"),
        ("walk", {"prompt": "\ud800"}, "surrogate", "prompt"),
        ("walk", {"messages": [{"role": "tool", "content": "7"}]}, "messages.0.role: ", "messages.0.role"),
    ],
)
def test_what_cannot_be_looked_at_is_said(path: str, body: dict[str, Any], message: str, param: str | None) -> None:
    error = fault(path, **body)
    assert message in error["message"] and error["param"] == param


def test_a_model_elsewhere_unknown_loading_busy_or_broken() -> None:
    reply = post("walk", {"model": "far", "prompt": "a"})
    assert reply.status_code == 400 and "one can only look inside a model that runs here" in reply.text
    assert reply.json()["error"]["param"] == "model"
    reply = post("walk", {"model": "nano+sc:n=4", "prompt": "a"})
    assert reply.status_code == 400 and "name the model alone" in reply.text
    reply = post("walk", {"model": "nobody", "prompt": "a"})
    assert reply.status_code == 404 and reply.json()["error"]["code"] == "model_not_found"
    assert post("walk", {"model": "slow", "prompt": "a"}).status_code == 503
    assert post("walk", {"model": "nano", "prompt": "a"}, places=0).status_code == 429
    reply = post("walk", {"model": "broken", "prompt": "a"})
    assert reply.status_code == 500 and "secret" not in reply.text


def test_the_servers_process_needs_no_torch() -> None:
    code = "import sys, thinkling.serve.looking_routes; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
