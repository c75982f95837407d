"""The whole server: every route is there and documented, errors have one shape, it starts, drains and ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from thinkling.core.errors import UserError
from thinkling.core.types import Capabilities
from thinkling.serve import errors
from thinkling.serve.app import Server, build_app, make_state
from thinkling.serve.errors import ApiError
from thinkling.serve.scripted import Script
from thinkling.serve.settings import Settings
from thinkling.serve.source import Card
from thinkling.serve.state import ServerState, Startable
from thinkling.tokenizer.bpe import Tokenizer

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = Tokenizer.load(ROOT / "thinkling" / "nano_model")
CHAT = {"model": "scripted", "messages": [{"role": "user", "content": "hi"}]}
PATHS = {
    "/health", "/metrics", "/v1/models", "/v1/models/{model}", "/v1/chat/completions", "/v1/completions", "/tokenize",
    "/detokenize", "/api/next", "/api/strategies", "/api/settings", "/api/conversations", "/api/conversations/{id}",
    "/api/conversations/{id}/messages", "/api/conversations/{id}/messages/{mid}", "/api/conversations/{id}/export",
    "/api/export", "/api/import", "/api/runs", "/api/runs/{id}/curves", "/runs/{id}/report", "/api/glass/walk",
    "/api/glass/attention", "/api/glass/lens",
}  # fmt: skip


class Inner(BaseModel):
    n: int


class Body(BaseModel):
    items: list[Inner]


def script(**options: Any) -> Script:
    return Script(TOKENIZER, lambda job, i: "<think>hm</think>one two three", **options)


def make(tmp_path: Path, *sources: Any, **settings: Any) -> ServerState:
    (tmp_path / "runs").mkdir(exist_ok=True)
    settings = {"runs": tmp_path / "runs", "history": tmp_path / "history.sqlite", **settings}
    return make_state(Settings(**settings), {source.card.id: source for source in sources or (script(),)})


def ask(app: FastAPI, method: str, path: str, **more: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
        ):
            return await client.request(method, path, **more)

    return asyncio.run(go())


def test_every_route_is_there_and_documents_its_errors(tmp_path: Path) -> None:
    schema = build_app(make(tmp_path, key="sk-k")).openapi()
    named = {"/".join("{}" if part.startswith("{") else part for part in path.split("/")) for path in schema["paths"]}
    assert named == {"/".join("{}" if part.startswith("{") else part for part in path.split("/")) for path in PATHS}
    assert schema["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
    ids = []
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            ids.append(operation["operationId"])
            assert "422" not in operation["responses"], path
            assert ("security" in operation) is (path != "/health"), path
            assert "401" in operation["responses"] or path == "/health", path
            assert "403" in operation["responses"], path
            if "requestBody" in operation:
                assert {"400", "413"} <= set(operation["responses"]), path
    assert len(ids) == len(set(ids))
    assert "HTTPValidationError" not in schema["components"]["schemas"]


def test_without_a_key_none_is_documented(tmp_path: Path) -> None:
    schema = build_app(make(tmp_path)).openapi()
    assert "securitySchemes" not in schema["components"]
    assert not any("security" in operation for path in schema["paths"].values() for operation in path.values())


def test_there_is_no_page_that_loads_scripts_from_elsewhere(tmp_path: Path) -> None:
    app = build_app(make(tmp_path))
    for path in ("/docs", "/redoc"):
        assert ask(app, "GET", path).status_code == 404
    app = build_app(make(tmp_path, key="sk-k"))
    assert ask(app, "GET", "/openapi.json").status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "not_found_error"),
        ("GET", "/v1/models/none", 404, "not_found_error"),
        ("GET", "/v1/chat/completions", 405, "invalid_request_error"),
        ("POST", "/v1/models", 405, "invalid_request_error"),
        ("GET", "/v1/models/", 404, "not_found_error"),
        ("GET", "/v1/models?x=%ff", 200, ""),
    ],
)
def test_errors_of_the_frame(tmp_path: Path, method: str, path: str, status: int, kind: str) -> None:
    response = ask(build_app(make(tmp_path)), method, path)
    assert response.status_code == status
    if kind:
        assert set(response.json()) == {"error"}
        assert response.json()["error"]["type"] == kind
        assert response.json()["error"]["message"]
    assert (status == 405) is ("allow" in response.headers)


def test_a_path_tells_the_methods_of_all_its_routes(tmp_path: Path) -> None:
    app = build_app(make(tmp_path))
    response = ask(app, "PUT", "/api/conversations")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    assert response.json()["error"]["message"] == "/api/conversations takes GET, POST; came PUT"
    assert ask(build_app(make(tmp_path)), "POST", "/web/app.js").headers["allow"] == "GET, HEAD"


def test_errors_have_one_shape() -> None:
    app = FastAPI()
    errors.install(app)

    @app.post("/take")
    async def take(body: Body) -> None: ...

    @app.get("/user")
    async def user() -> None:
        raise UserError("expected this, came that")

    @app.get("/own")
    async def own() -> None:
        raise ApiError(429, "half a pair \ud800", code="c", param="p", headers={"retry-after": "3"})

    def error(method: str, path: str, status: int, **more: Any) -> dict[str, Any]:
        response = ask(app, method, path, **more)
        assert response.status_code == status
        assert set(response.json()) == {"error"}
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
        return response.json()["error"]

    bad = error("POST", "/take", 400, json={"items": [{"n": 1}, {"n": "my secret"}]})
    assert bad["param"] == "items.1.n"
    assert bad["type"] == "invalid_request_error"
    assert "integer" in bad["message"]
    assert "secret" not in bad["message"]
    assert error("POST", "/take", 400, json={})["param"] == "items"
    assert error("POST", "/take", 400)["param"] is None
    broken = error("POST", "/take", 400, content=b'{"a"', headers={"content-type": "application/json"})
    assert "not valid JSON" in broken["message"]
    assert error("POST", "/take", 400, content=b"[" * 100_000, headers={"content-type": "application/json"})
    assert error("GET", "/user", 400)["message"] == "expected this, came that"
    mine = error("GET", "/own", 429)
    assert mine == {"message": "half a pair ?", "type": "rate_limit_error", "param": "p", "code": "c"}
    assert ask(app, "GET", "/own").headers["retry-after"] == "3"


def test_models(tmp_path: Path) -> None:
    other = script(card=Card("org/other:1+x", 7, 0, Capabilities(), local=False))
    app = build_app(make(tmp_path, script(), other))
    listed = ask(app, "GET", "/v1/models").json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["scripted", "org/other:1+x"]
    first, second = listed["data"]
    assert first["object"] == "model"
    assert first["context_length"] == 512
    assert second["context_length"] is None
    assert first["capabilities"]["think"]
    assert not first["capabilities"]["value"]
    assert (first["local"], second["local"]) == (True, False)
    assert ask(app, "GET", "/v1/models/org/other:1+x").json() == second


@pytest.mark.parametrize(
    ("states", "status", "said"),
    [
        (("ready", "ready"), 200, "ok"),
        (("ready", "loading"), 503, "loading"),
        (("broken", "loading"), 503, "broken"),
    ],
)
def test_health(tmp_path: Path, states: Any, status: int, said: str) -> None:
    card = Card("second", 0, 0, Capabilities())
    sources = script(state=states[0]), script(state=states[1], card=card)
    response = ask(build_app(make(tmp_path, *sources)), "GET", "/health")
    assert (response.status_code, response.json()) == (status, {"status": said})


@pytest.mark.parametrize(("state", "code"), [("loading", "model_loading"), ("broken", "model_broken")])
def test_a_model_that_is_not_ready(tmp_path: Path, state: Any, code: str) -> None:
    response = ask(build_app(make(tmp_path, script(state=state))), "POST", "/v1/chat/completions", json=CHAT)
    assert response.status_code == 503
    assert response.json()["error"]["code"] == code
    assert ("retry-after" in response.headers) is (state == "loading")


def test_an_unknown_model(tmp_path: Path) -> None:
    app = build_app(make(tmp_path))
    response = ask(app, "POST", "/v1/chat/completions", json={**CHAT, "model": "gpt-x"})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


def test_a_crash_of_a_source_is_one_error(tmp_path: Path) -> None:
    def crash(job: Any, i: int) -> str:
        raise RuntimeError("my secret")

    app = build_app(make(tmp_path, Script(TOKENIZER, crash)))
    response = ask(app, "POST", "/v1/chat/completions", json=CHAT)
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "secret" not in response.text


def test_what_is_started_is_closed(tmp_path: Path) -> None:
    class Living(Script):
        events: list[str] = []

        async def start(self) -> None:
            self.events.append("start")

        async def close(self) -> None:
            self.events.append("close")

    source = Living(TOKENIZER, lambda job, i: "hi")
    assert isinstance(source, Startable)
    assert not isinstance(script(), Startable)
    state = make(tmp_path, source)
    assert ask(build_app(state), "GET", "/health").status_code == 200
    assert Living.events == ["start", "close"]


def test_without_history_and_runs(tmp_path: Path) -> None:
    app = build_app(make(tmp_path, history=None, runs=None))
    assert ask(app, "GET", "/api/conversations").status_code == 404
    assert ask(app, "GET", "/api/runs").status_code == 404
    shown = ask(app, "GET", "/api/settings").json()
    assert (shown["history"], shown["runs"]) == (False, False)


def test_metrics_of_a_chat(tmp_path: Path) -> None:
    app = build_app(make(tmp_path))

    async def go() -> str:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
        ):
            for stream in (False, True):
                assert (await client.post("/v1/chat/completions", json={**CHAT, "stream": stream})).status_code == 200
            return (await client.get("/metrics")).text

    text = asyncio.run(go())
    assert 'thinkling_requests_total{method="POST",route="/v1/chat/completions",status="200"} 2.0' in text
    assert 'thinkling_answer_seconds_count{model="scripted"} 2.0' in text
    assert 'thinkling_tokens_total{kind="completion",model="scripted"} 0.0' not in text
    assert 'thinkling_first_token_seconds_count{model="scripted"} 1.0' in text
    assert 'thinkling_sequences_running{model="scripted"} 0.0' in text


def test_the_queue_is_bounded(tmp_path: Path) -> None:
    state = make(tmp_path)
    state.settings = replace(state.settings, limits=replace(state.settings.limits, queue=1))
    app = build_app(state)
    held = [state.gate.admit("scripted") for _ in range(64)]
    for body in (CHAT, {**CHAT, "stream": True}):
        response = ask(app, "POST", "/v1/chat/completions", json=body)
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) >= 1
    for admission in held:
        admission.release()
    assert ask(app, "POST", "/v1/chat/completions", json=CHAT).status_code == 200
    assert state.gate.count("scripted") == 0


@contextmanager
def serving(state: ServerState) -> Iterator[tuple[Server, str]]:
    server = Server(state)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield server, f"http://127.0.0.1:{state.settings.port}"
    finally:
        server.handle_exit(signal.SIGTERM, None)
        thread.join(20)
        assert not thread.is_alive()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_told_to_stop_it_finishes_what_is_under_way(tmp_path: Path) -> None:
    slow = script(pause=0.1)
    with serving(make(tmp_path, slow, port=free_port(), drain_s=15)) as (server, address):
        with httpx.stream("POST", address + "/v1/chat/completions", json={**CHAT, "stream": True}) as response:
            lines = response.iter_lines()
            assert response.status_code == 200
            assert next(lines).startswith("data: ")
            server.handle_exit(signal.SIGTERM, None)
            time.sleep(0.3)
            with pytest.raises(httpx.TransportError):
                httpx.get(address + "/health")
            rest = [line for line in lines if line.startswith("data: ")]
        assert rest[-1] == "data: [DONE]"
        assert "three" in "".join(rest)
    assert slow.cancelled == []


@pytest.mark.parametrize("shown", [True, False])
def test_requests_are_logged_if_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str], shown: bool) -> None:
    with serving(make(tmp_path, port=free_port(), access_log=shown)) as (_, address):
        response = httpx.get(address + "/v1/models?q=secret", headers={"x-request-id": "seen"})
        assert "server" not in response.headers
    logged = capsys.readouterr().err
    assert ("GET /v1/models 200 " in logged and " seen\n" in logged) is shown
    assert "secret" not in logged


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_orderly_end_is_no_death_by_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    server, raised = Server(make(tmp_path, port=free_port())), []

    def send() -> None:
        while not server.started:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    before = signal.signal(number, lambda *_: raised.append(number))
    try:
        threading.Thread(target=send).start()
        server.run()
    finally:
        signal.signal(number, before)
    assert not raised


def test_a_second_ctrl_c_ends_it_at_once_and_is_no_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = script(pause=30)
    with serving(make(tmp_path, slow, port=free_port(), drain_s=15)) as (server, address):
        began = time.monotonic()
        with httpx.stream("POST", address + "/v1/chat/completions", json={**CHAT, "stream": True}) as response:
            assert response.status_code == 200
            server.handle_exit(signal.SIGINT, None)
            server.handle_exit(signal.SIGINT, None)
            with pytest.raises(httpx.TransportError):
                response.read()
        assert time.monotonic() - began < 5
    assert len(slow.cancelled) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_an_answer_that_takes_too_long_is_cut_off(tmp_path: Path) -> None:
    slow = script(pause=30)
    with (
        serving(make(tmp_path, slow, port=free_port(), drain_s=1)) as (server, address),
        httpx.stream("POST", address + "/v1/chat/completions", json={**CHAT, "stream": True}) as response,
    ):
        assert response.status_code == 200
        server.handle_exit(signal.SIGTERM, None)
        began = time.monotonic()
        with pytest.raises(httpx.TransportError):
            response.read()
        assert time.monotonic() - began < 5
    assert len(slow.cancelled) == 1


def test_a_client_that_leaves_cancels_its_job_and_gives_its_place_back(tmp_path: Path) -> None:
    slow = script(pause=0.2)
    state = make(tmp_path, slow, port=free_port())
    with serving(state) as (_, address):
        with httpx.stream("POST", address + "/v1/chat/completions", json={**CHAT, "stream": True}) as response:
            next(response.iter_lines())
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(address + "/v1/chat/completions", json=CHAT, timeout=httpx.Timeout(5, read=0.3))
        for _ in range(100):
            if len(slow.cancelled) == 2 and state.gate.count("scripted") == 0:
                break
            time.sleep(0.02)
        assert len(slow.cancelled) == 2
        assert state.gate.count("scripted") == 0


def test_a_gateway_in_front_of_another_of_us(tmp_path: Path) -> None:
    theirs = script(card=Card("far", 1, 512, Capabilities(), "w-far"))
    opened: list[str] = []

    def open_source(name: str) -> Script:
        opened.append(name)
        card = Card(name, 1, 0, Capabilities(prefix=True, think=True), "w-here", local=False)
        return script(card=card)

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with serving(make(tmp_path / "a", theirs, port=free_port(), key="sk-far")) as (_, address):
        settings = Settings(port=free_port(), upstream=f"{address}/v1", upstream_key="sk-far", history=None)
        state = make_state(settings, {"scripted": script()}, open_source)
        with (
            serving(state) as (_, address),
            httpx.Client(base_url=address, headers={"authorization": "Bearer sk-other"}, timeout=20) as client,
        ):
            models = client.get("/v1/models").json()["data"]
            assert [(model["id"], model["owned_by"]) for model in models] == [
                ("scripted", "thinkling"),
                ("far", "upstream"),
            ]

            def chat(model: str, **more: Any) -> httpx.Response:
                return client.post("/v1/chat/completions", json={**CHAT, "model": model, **more})

            assert chat("far").json()["system_fingerprint"] == "w-far"
            assert chat("far", stream=True).text.endswith("data: [DONE]\n\n")
            assert len(theirs.asked) == 2
            assert opened == []
            # What the other server refuses, it refuses itself.
            assert chat("far", tools=[1]).json()["error"]["type"] == "invalid_request_error"
            assert chat("far+sc:n=2").json()["system_fingerprint"] == "w-here"
            assert chat("far", strategy="sc:n=2").status_code == 200
            assert opened == ["far"]
            assert len(theirs.asked) == 2
            assert chat("scripted").status_code == 200
            assert chat("nowhere").json()["error"]["code"] == "model_not_found"
            text = client.post("/v1/completions", json={"model": "far", "prompt": "a"})
            assert text.json()["object"] == "text_completion"
    dead = Settings(upstream="http://127.0.0.1:1/v1")

    def alone(method: str, path: str, **more: Any) -> httpx.Response:
        return ask(build_app(make_state(dead, {"scripted": script()}, open_source)), method, path, **more)

    assert alone("POST", "/v1/chat/completions", json=CHAT).status_code == 200
    assert alone("POST", "/v1/chat/completions", json={**CHAT, "model": "far"}).status_code == 502
    assert [model["id"] for model in alone("GET", "/v1/models").json()["data"]] == ["scripted"]
