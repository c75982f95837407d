"""The server keeps the promises of its own OpenAPI document, whatever is sent.

Schemathesis makes requests from that document, valid ones and ones with a fault (wrong types, missing and unknown
fields, unsupported methods, no key or a wrong one), and checks each response: a documented status, type, headers
and shape, and no fault of the server's own.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig

from thinkling.serve.app import build_app, make_state
from thinkling.serve.scripted import Script
from thinkling.serve.settings import Settings
from thinkling.serve.source import Job, Look, News, Seen
from thinkling.tokenizer.bpe import Tokenizer

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-schemathesis"
NAME = "scripted"


LIKELY = {"id": 1, "text": "a", "probability": 0.5}
LENS = {"layer": 0, "top": [[LIKELY]]}
SEEN: dict[str, dict[str, Any]] = {
    "attention": {"weights": [[[[1.0]]]]},
    "lens": {"layers": [LENS, LENS], "final": LENS},
    "walk": {
        **dict.fromkeys(("layers", "heads", "kv_heads", "width", "head_dim", "vocabulary"), 1),
        **dict.fromkeys(("layer", "head", "position"), 0),
        **dict.fromkeys(("embedding", "residual", "query", "key", "value", "scores", "weights", "context"), [[1.0]]),
        "logits": [{**LIKELY, "logit": 2.0}],
        "entropy": 0.1,
    },
}


class Seeing(Script):
    """Scripted looks have the shapes of real ones."""

    async def ask(self, job: Job) -> AsyncIterator[News]:
        if isinstance(job, Look):
            yield Seen({"tokens": [{"id": 1, "text": "a", "special": False}], **SEEN[job.what]})
            return
        async for news in super().ask(job):
            yield news


# Schemathesis makes a test out of each operation, and has to know them when tests are collected.
FOLDER = tempfile.TemporaryDirectory()
TOKENIZER = Tokenizer.load(ROOT / "thinkling" / "nano_model")
STATE = make_state(
    Settings(
        key=KEY,
        hosts=("testserver",),
        runs=Path(FOLDER.name),
        history=Path(FOLDER.name) / "history.sqlite",
        access_log=False,
    ),
    {NAME: Seeing(TOKENIZER, lambda job, i: "<think>hm</think>five")},
)
assert STATE.history is not None
CONVERSATION = STATE.history.create("a title")


def served(coverage: bool) -> Any:
    """The document; with ``coverage`` every field of every operation is tried at its bounds, and left out."""
    config = SchemathesisConfig.from_dict(
        {
            "phases": {"coverage": {"enabled": coverage}},
            "auth": {"openapi": {"key": {"bearer": KEY}}},
            "checks": {
                # Rules that a schema cannot tell (ids of a vocabulary, one field or the other) are 400 too.
                "positive_data_acceptance": {"expected-statuses": ["2xx", "400", "404"]},
                "negative_data_rejection": {"expected-statuses": ["400", "401", "403", "404", "405", "413"]},
            },
        }
    )
    app, bearer = build_app(STATE), {"Authorization": f"Bearer {KEY}"}

    async def lasting(scope: Any, receive: Any, send: Any) -> None:
        """The client here begins and ends the application's life around every request; that would close history."""
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})

    return schemathesis.openapi.from_asgi("/openapi.json", lasting, config=config, headers=bearer)


quick, thorough = served(coverage=False), served(coverage=True)


def steer(case: Any) -> None:
    """Lead what the schema allows to where something happens behind it, by the rules that no schema tells: a model
    that exists, ids of its vocabulary, a prompt in one form only, messages that say something."""
    if "/conversations/{id}" in case.path and case.method != "DELETE":
        case.path_parameters["id"] = CONVERSATION.id
    body = case.body
    if not isinstance(body, dict) or "model" not in body:
        return
    body["model"] = NAME
    ways = [way for way in ("messages", "tokens", "prompt") if body.get(way) is not None]
    for way in ways[1:] if case.path != "/v1/chat/completions" else ():
        del body[way]
    if not ways:
        body["prompt"] = "hi"
    for name in ("tokens", "forced_tokens", "prompt"):
        if isinstance(body.get(name), list):
            body[name] = [
                int(one) % TOKENIZER.vocab_size if isinstance(one, int | float) else one for one in body[name]
            ]
    body.pop("thinking_budget", None)
    for message in body.get("messages") or ():
        message["content"] = message.get("content") or "hi"


def bounded(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def judge(case: Any) -> None:
    if case.meta.generation.mode.is_positive:
        steer(case)
    case.call_and_validate()


@quick.parametrize()
@bounded(8)
def test_every_operation_keeps_its_promises(case: Any) -> None:
    judge(case)


@pytest.mark.slow
@thorough.parametrize()
@bounded(60)
def test_every_operation_keeps_its_promises_at_every_bound(case: Any) -> None:
    judge(case)
