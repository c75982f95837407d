"""The gateway, in front of a server that behaves and one that does not: bytes, headers, keys, and who hangs up."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response

from thinkling.core.types import Capabilities
from thinkling.serve import errors
from thinkling.serve.errors import ApiError
from thinkling.serve.limits import Gate
from thinkling.serve.settings import Limits, Settings
from thinkling.serve.source import Card
from thinkling.serve.upstream import Upstream

BODY = b'{"model": "gpt-x",  "messages": [], "odd field": "\\u00e9", "n": 1e0}\n'
MODELS = {
    "data": [
        {"id": "gpt-x", "created": 5, "max_model_len": 99},
        {"id": "org/m+v", "context_length": True},
        {"id": ""},
        "odd",
    ]
}
Handler = Callable[[httpx.Request], httpx.Response]


class Opened:
    """A source that counts how often it was started and closed."""

    local = False

    def __init__(self, name: str, state: str = "ready") -> None:
        self.card, self.state, self.events = Card(name, 0, 0, Capabilities(), local=False), "loading", []
        self.comes_to = state

    async def start(self) -> None:
        self.events.append("start")
        asyncio.get_running_loop().call_later(0.01, setattr, self, "state", self.comes_to)

    async def close(self) -> None:
        self.events.append("close")
        self.state = "closed"


def gateway(
    handler: Handler, local: tuple[str, ...] = (), opens: Callable[[str], Any] = Opened, **settings: Any
) -> tuple[FastAPI, Upstream, Gate]:
    settings = {"upstream": "http://upstream.test/base/v1/", "upstream_key": "sk-theirs", **settings}
    gate = Gate(8)
    upstream = Upstream(Settings(**settings), gate, local, opens, transport=httpx.MockTransport(handler))
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        return await upstream.forward(request)

    errors.install(app)
    return app, upstream, gate


def ask(app: FastAPI, content: bytes = BODY, **headers: str) -> httpx.Response:
    async def go() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ours.test") as client:
            client.headers.pop("accept-encoding")
            return await client.post(
                "/v1/chat/completions", content=content, headers={k.replace("_", "-"): v for k, v in headers.items()}
            )

    return asyncio.run(go())


def reply(status: int = 200, content: bytes = b"{}", headers: dict[str, str] | None = None) -> httpx.Response:
    """As it comes from a connection: not read yet."""
    return httpx.Response(status, stream=httpx.ByteStream(content), headers=headers)


def listing(request: httpx.Request) -> httpx.Response:
    assert request.url == "http://upstream.test/base/v1/models"
    return httpx.Response(200, json=MODELS)


def test_a_request_goes_on_byte_for_byte_without_what_is_private() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return reply(
            content=b'{"a":  1}',
            headers={
                "content-type": "application/json; odd=1",
                "x-ratelimit-remaining-tokens": "7",
                "openai-processing-ms": "3",
                "x-request-id": "req_theirs",
                "set-cookie": "theirs=1",
                "access-control-allow-origin": "*",
                "content-security-policy": "default-src *",
                "connection": "x-odd",
                "x-odd": "1",
            },
        )

    app, _, gate = gateway(handler)
    private = {"authorization": "Bearer sk-ours", "cookie": "a=1", "origin": "http://ours.test", "x_forwarded_for": "1"}
    response = ask(app, content_type="application/json", openai_beta="x", **private)
    (request,) = seen
    assert str(request.url) == "http://upstream.test/base/v1/chat/completions"
    assert request.content == BODY
    assert request.headers["authorization"] == "Bearer sk-theirs"
    assert request.headers["host"] == "upstream.test"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["openai-beta"] == "x"
    assert not {"cookie", "origin", "x-forwarded-for"} & set(request.headers)
    assert "sk-ours" not in str(request.headers)
    assert response.content == b'{"a":  1}'
    assert response.headers["content-type"] == "application/json; odd=1"
    assert response.headers["x-ratelimit-remaining-tokens"] == "7"
    assert response.headers["openai-processing-ms"] == "3"
    assert response.headers["x-upstream-request-id"] == "req_theirs"
    hidden = {"set-cookie", "access-control-allow-origin", "content-security-policy", "connection", "x-odd"}
    assert not hidden & set(response.headers)
    assert gate.count("upstream") == 0


def test_without_a_key_none_is_sent() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert "authorization" not in request.headers
        return reply()

    app, _, _ = gateway(handler, upstream_key="")
    assert ask(app, authorization="Bearer sk-ours").status_code == 200


def test_no_compression_is_asked_for_that_the_client_did_not_ask_for() -> None:
    packed = gzip.compress(b'{"a": 1}')

    def handler(request: httpx.Request) -> httpx.Response:
        if request.headers["accept-encoding"] == "gzip":
            return reply(content=packed, headers={"content-encoding": "gzip"})
        assert request.headers["accept-encoding"] == "identity"
        return reply(content=b'{"a": 1}')

    app, _, _ = gateway(handler)
    assert ask(app, accept_encoding="gzip").json() == {"a": 1}
    assert ask(app).json() == {"a": 1}


@pytest.mark.parametrize("status", [400, 404, 413, 422, 429, 500, 503])
def test_errors_are_passed_on(status: int) -> None:
    theirs = {"error": {"message": "theirs", "type": "t", "param": None, "code": "c"}}
    app, _, _ = gateway(lambda request: reply(status, json.dumps(theirs).encode(), {"retry-after": "17"}))
    response = ask(app)
    assert (response.status_code, response.json(), response.headers["retry-after"]) == (status, theirs, "17")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_our_fault_not_the_clients(status: int) -> None:
    """Its text may quote the key; and a client that reads 401 would change its own."""
    app, _, _ = gateway(lambda request: httpx.Response(status, text="bad key: sk-theirs"))
    response = ask(app)
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "upstream_key_refused"
    assert "sk-theirs" not in response.text


def test_a_redirect_is_not_followed_and_not_told() -> None:
    app, _, _ = gateway(lambda request: httpx.Response(307, headers={"location": "http://169.254.169.254/"}))
    response = ask(app)
    assert response.status_code == 502
    assert "location" not in response.headers


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (httpx.ConnectError("refused"), 503, "upstream_unreachable"),
        (httpx.ConnectTimeout("slow"), 503, "upstream_unreachable"),
        (httpx.ReadTimeout("slow"), 502, "upstream_timeout"),
        (httpx.RemoteProtocolError("odd"), 502, "upstream_failed"),
        (httpx.ReadError("gone"), 502, "upstream_failed"),
    ],
)
def test_a_dead_server_is_an_error_in_our_shape(error: Exception, status: int, code: str) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error

    app, _, gate = gateway(handler)
    response = ask(app)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert ("retry-after" in response.headers) is (status == 503)
    assert gate.count("upstream") == 0


def test_a_stream_that_breaks_off_says_so() -> None:
    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b'data: {"id": 1}\n\ndata: {"i'
            raise httpx.ReadError("gone")

    def handler(request: httpx.Request) -> httpx.Response:
        kind = "text/event-stream; charset=utf-8" if b"stream" in request.content else "application/json"
        return httpx.Response(200, stream=Broken(), headers={"content-type": kind})

    app, _, gate = gateway(handler)
    events = ask(app, b'{"stream": true}').content.split(b"\n\n")
    assert events[0] == b'data: {"id": 1}'
    assert json.loads(events[2].removeprefix(b"data: "))["error"]["code"] == "upstream_failed"
    assert b"[DONE]" not in b"".join(events)
    with pytest.raises(Exception):  # noqa: B017  the connection is cut, which this transport shows as it is
        ask(app, b"{}")
    assert gate.count("upstream") == 0


def test_so_many_at_once() -> None:
    app, _, gate = gateway(lambda request: reply(), limits=Limits(forwarded=1))
    held = gate.admit("upstream", 1)
    assert ask(app).status_code == 429
    held.release()
    assert ask(app).status_code == 200


def run(upstream: Upstream, names: list[str], what: str = "passes") -> list[bool]:
    async def go() -> list[bool]:
        return [await getattr(upstream, what)(name) for name in names]

    return asyncio.run(go())


def test_which_names_are_passed_on() -> None:
    _, upstream, _ = gateway(listing, local=("nano", "both"))
    names = ["gpt-x", "org/m+v", "gpt-x+sc:n=5", "nano", "nano+sc:n=5", "both", "unknown", ""]
    assert run(upstream, names) == [True, True, False, False, False, False, False, False]
    assert run(upstream, names, "has") == [True, True, False, False, False, False, False, False]
    cards = asyncio.run(upstream.models())
    assert [(card.id, card.created, card.context, card.local) for card in cards] == [
        ("gpt-x", 5, 99, False),
        ("org/m+v", 0, 0, False),
    ]


def test_a_server_without_a_list_gets_every_name_that_is_not_ours() -> None:
    _, upstream, _ = gateway(lambda request: httpx.Response(404), local=("nano", "a+b"))
    assert run(upstream, ["any", "nano", "nano+sc:n=2", "a+b+sc", "a+c"]) == [True, False, False, False, True]
    assert run(upstream, ["any"], "has") == [False]
    assert asyncio.run(upstream.models()) == []


def test_the_list_is_asked_for_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked, known = [1000.0], [0], ["gpt-x"]
    monkeypatch.setattr("thinkling.serve.upstream.time.monotonic", lambda: now[0])

    def handler(request: httpx.Request) -> httpx.Response:
        asked[0] += 1
        if not known:
            return httpx.Response(500)
        return httpx.Response(200, json={"data": [{"id": name} for name in known]})

    _, upstream, _ = gateway(handler)
    assert run(upstream, ["gpt-x"] * 5) == [True] * 5
    assert asked == [1]
    known.append("new")
    assert run(upstream, ["new", "new"]) == [False, False]  # heard of a moment ago
    assert asked == [1]
    now[0] += 6
    assert run(upstream, ["new", "gpt-x"]) == [True, True]
    assert asked == [2]
    known.clear()  # it fails: what it said last holds
    now[0] += 61
    assert run(upstream, ["new"]) == [True]
    assert asked == [3]


@pytest.mark.parametrize(
    "answer", [httpx.Response(500), httpx.Response(200, text="<html>"), httpx.Response(200, json=[])]
)
def test_a_server_that_never_told_its_models(answer: httpx.Response) -> None:
    _, upstream, _ = gateway(lambda request: answer, local=("nano",))
    assert run(upstream, ["nano"]) == [False]  # ours work all the same
    for call in (upstream.passes("gpt-x"), upstream.has("gpt-x"), upstream.models()):
        with pytest.raises(ApiError) as raised:
            asyncio.run(call)  # type: ignore[arg-type]
        assert raised.value.status == 502


def test_sources_are_opened_once_and_closed() -> None:
    opened: list[Opened] = []

    def opens(name: str) -> Opened:
        opened.append(Opened(name))
        return opened[-1]

    _, upstream, gate = gateway(listing, opens=opens)

    async def go() -> None:
        first, second = await asyncio.gather(upstream.source("m0"), upstream.source("m0"))
        assert first is second
        assert first.state == "ready"
        assert opened[0].events == ["start"]
        opened[0].state = "broken"
        assert (await upstream.source("m0")) is opened[1]
        assert opened[0].events == ["start", "close"]
        admission = gate.admit("m0")
        for i in range(1, 9):  # one more than are kept; m0 is in use, so m1 has to go
            await upstream.source(f"m{i}")
        assert [source.card.id for source in opened if source.state == "closed"] == ["m0", "m1"]
        assert opened[1].state == "ready"
        admission.release()
        held = [gate.admit(f"m{i}") for i in range(9)]
        with pytest.raises(ApiError) as raised:
            await upstream.source("m1")
        assert raised.value.status == 503
        del held
        await upstream.close()

    asyncio.run(go())
    assert all(source.events == ["start", "close"] for source in opened)


def test_a_source_that_cannot_be_opened() -> None:
    _, upstream, _ = gateway(listing, opens=lambda name: Opened(name, "broken"))
    with pytest.raises(ApiError) as raised:
        asyncio.run(upstream.source("m"))
    assert (raised.value.status, raised.value.code) == (503, "model_broken")


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """A real server on a port of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def test_over_real_connections_events_come_as_they_are_made_and_leaving_is_heard() -> None:
    made: list[int] = []
    gone = threading.Event()

    async def theirs(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = (await receive())["body"]

        async def until_gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()

        leaving = asyncio.create_task(until_gone())
        if body != b"silent":
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
            )
        for i in range(200):
            made.append(i)
            if body != b"silent":
                await send({"type": "http.response.body", "body": b"data: %d\n\n" % i, "more_body": True})
            await asyncio.sleep(0.05)
            if gone.is_set():
                break
        leaving.cancel()

    with serving(theirs) as address:
        gate = Gate(8)
        upstream = Upstream(Settings(upstream=address + "/v1"), gate, (), Opened)
        app = FastAPI()

        @app.post("/v1/completions")
        async def completions(request: Request) -> Response:
            return await upstream.forward(request)

        with serving(app) as ours:
            with httpx.stream("POST", ours + "/v1/completions", content=b"loud") as response:
                chunks = response.iter_raw()
                assert next(chunks) == b"data: 0\n\n"
                assert len(made) < 10  # the first came long before the last
                assert next(chunks) == b"data: 1\n\n"
            assert gone.wait(5), "the other server was not told that the client had left"
            gone.clear()
            with pytest.raises(httpx.ReadTimeout):  # not a byte has come yet when this client leaves
                httpx.post(ours + "/v1/completions", content=b"silent", timeout=httpx.Timeout(5, read=0.3))
            assert gone.wait(5), "the other server was not told that the client had left early"
            for _ in range(100):
                if gate.count("upstream") == 0:
                    break
                time.sleep(0.02)
            assert gate.count("upstream") == 0
