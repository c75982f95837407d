"""What stands before every route: names, origins, keys, sizes, and what no response may lack or tell."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import StreamingResponse

from thinkling.core.errors import UserError
from thinkling.serve import errors
from thinkling.serve.limits import Gate
from thinkling.serve.metrics import Metrics
from thinkling.serve.security import CSP, Shield, host_name, sign, signed
from thinkling.serve.settings import Limits, Settings, read_key
from thinkling.serve.state import ServerState

KEY = "sk-right"
HOST = "localhost:8000"
BEARER = {"authorization": f"Bearer {KEY}"}
NAVIGATION = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def make(**settings: Any) -> tuple[FastAPI, ServerState]:
    state = ServerState(Settings(**settings), {}, Gate(1), Metrics({}))
    app = FastAPI()

    @app.post("/v1/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.post("/v1/parsed")
    async def parsed(body: dict[str, int]) -> int:
        return len(body)

    @app.post("/api/import")
    async def take(request: Request) -> int:
        return len(await request.body())

    @app.get("/v1/crash")
    async def crash(prompt: str = "") -> None:
        try:
            raise KeyError(prompt)
        except KeyError as error:
            raise RuntimeError(prompt) from error

    @app.get("/v1/half")
    async def half() -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError("broke")

        return StreamingResponse(body())

    @app.get("/runs/{name}/report")
    @app.get("/api/runs")
    @app.get("/web/{name}")
    @app.get("/")
    @app.get("/health")
    @app.get("/v1/models")
    async def fine() -> str:
        return "fine"

    errors.install(app)
    app.add_middleware(Shield, state=state)
    return app, state


def ask(
    app: FastAPI, method: str, path: str, headers: dict[str, str] | list[tuple[str, str]] | None = None, **more: Any
) -> httpx.Response:
    async def go() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{HOST}") as client:
            return await client.request(method, path, headers=headers, **more)

    return asyncio.run(go())


def code(response: httpx.Response) -> str | None:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error["code"]


@pytest.mark.parametrize(
    ("host", "fine"),
    [
        ("localhost:8000", True),
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("LOCALHOST:8000", True),
        ("localhost", True),
        ("localhost:9000", True),  # through a tunnel
        ("chat.example:8000", True),
        ("exact.example:99", True),
        ("exact.example:98", False),
        ("evil.example:8000", False),
        ("localhost.evil.example:8000", False),
        ("evil.example:8000@localhost", False),
        ("127.0.0.1.nip.io", False),
        ("0.0.0.0:8000", False),
        ("", False),
        ("localhost:8000, evil.example", False),
    ],
)
def test_only_our_own_names_are_answered(host: str, fine: bool) -> None:
    """DNS rebinding: the page of evil.example, whose name now leads to 127.0.0.1, still sends its own name."""
    app, _ = make(hosts=("chat.example", "exact.example:99"))
    response = ask(app, "GET", "/v1/models", {"host": host})
    assert response.status_code == (200 if fine else 403)
    assert fine or code(response) == "foreign_request"


def test_a_server_for_all_addresses_is_not_reached_by_that_address() -> None:
    app, _ = make(host="0.0.0.0", key=KEY, hosts=("chat.example",))
    assert ask(app, "GET", "/health", {"host": "0.0.0.0:8000"}).status_code == 403
    assert ask(app, "GET", "/health", {"host": "chat.example"}).status_code == 200


def test_two_hosts_are_none() -> None:
    app, _ = make()
    assert ask(app, "GET", "/", [("host", HOST), ("host", HOST)]).status_code == 403


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=30))
def test_a_host_name_has_no_strange_characters(host: str) -> None:
    name = host_name(host)
    assert name is None or set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-:")


@pytest.mark.parametrize(
    ("origin", "host", "fine"),
    [
        ("http://localhost:8000", HOST, True),
        ("https://chat.example", "chat.example", True),
        ("https://chat.example", "chat.example:443", True),
        ("http://chat.example", "chat.example:80", True),
        ("http://localhost:3000", HOST, False),  # another program's page on this machine
        ("http://127.0.0.1:8000", HOST, False),
        ("https://evil.example", HOST, False),
        ("null", HOST, False),  # a sandboxed frame, a file
        ("file://", HOST, False),
        ("chrome-extension://localhost:8000", HOST, False),
        ("http://localhost:8000.evil.example", HOST, False),
        ("http://localhost:8000/", HOST, False),
        ("http://[", HOST, False),  # no address at all
        ("", HOST, False),
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/", "/health", "/nowhere"])
def test_no_other_page_may_ask(origin: str, host: str, fine: bool, path: str) -> None:
    app, _ = make(hosts=("chat.example",))
    response = ask(app, "GET", path, {"origin": origin, "host": host})
    assert (response.status_code != 403) is fine
    assert "access-control-allow-origin" not in response.headers


def test_of_two_origins_each_must_be_ours() -> None:
    app, _ = make()
    ours, other = ("origin", f"http://{HOST}"), ("origin", "https://evil.example")
    assert ask(app, "GET", "/v1/models", [("host", HOST), ours, other]).status_code == 403


def test_no_preflight_succeeds() -> None:
    app, _ = make()
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    response = ask(app, "OPTIONS", "/v1/echo", asked)
    assert response.status_code == 403
    assert not any(name.startswith("access-control") for name in response.headers)


@pytest.mark.parametrize(
    ("path", "headers", "fine"),
    [
        ("/v1/models", {"sec-fetch-site": "same-origin"}, True),
        ("/v1/models", {"sec-fetch-site": "none"}, True),
        ("/v1/models", {"sec-fetch-site": "cross-site"}, False),
        ("/v1/models", {"sec-fetch-site": "same-site"}, False),
        ("/v1/models", NAVIGATION, False),
        ("/", NAVIGATION, True),  # a link leads to the page
        ("/", {**NAVIGATION, "sec-fetch-dest": "iframe"}, False),
        ("/web/app.js", {**NAVIGATION, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}, False),
    ],
)
def test_another_site_may_link_to_the_page_and_nothing_else(path: str, headers: dict[str, str], fine: bool) -> None:
    app, _ = make()
    assert ask(app, "GET", path, headers).status_code == (200 if fine else 403)


@pytest.mark.parametrize(
    ("sent", "fine"),
    [
        (f"Bearer {KEY}", True),
        (f"bearer {KEY}", True),
        ("Bearer wrong", False),
        (f"Bearer {KEY}x", False),
        (f"Bearer {KEY[:-1]}", False),
        (KEY, False),
        (f"Basic {KEY}", False),
        ("Bearer ", False),
        ("Bearer \xff", False),
        (None, False),
    ],
)
def test_the_key(sent: str | None, fine: bool) -> None:
    app, _ = make(key=KEY)
    headers = {} if sent is None else {"authorization": sent.encode("latin-1")}
    for method, path in [("GET", "/v1/models"), ("POST", "/v1/echo"), ("GET", "/nowhere"), ("GET", "/metrics")]:
        response = ask(app, method, path, headers)  # type: ignore[arg-type]
        assert (response.status_code != 401) is fine
        assert fine or (code(response) == "invalid_api_key" and response.headers["www-authenticate"] == "Bearer")
        assert KEY not in response.text


def test_what_needs_no_key() -> None:
    app, _ = make(key=KEY)
    for path in ("/", "/health", "/web/app.js"):
        assert ask(app, "GET", path).status_code == 200
    for method, path in [("POST", "/"), ("POST", "/web/app.js"), ("GET", "/webs"), ("GET", "/healthy")]:
        assert ask(app, method, path).status_code == 401


def test_a_frame_shows_a_report_after_the_runs_were_listed() -> None:
    app, _ = make(key=KEY)
    assert "set-cookie" not in ask(app, "GET", "/api/runs").headers
    cookie = ask(app, "GET", "/api/runs", BEARER).headers["set-cookie"]
    assert KEY not in cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/runs/"} <= set(cookie.split("; "))
    sent = {"cookie": cookie.partition(";")[0]}
    assert ask(app, "GET", "/runs/a/report").status_code == 401
    assert ask(app, "GET", "/runs/a/report", sent).status_code == 200
    assert ask(app, "GET", "/runs/a/report", {"cookie": sent["cookie"][:-1] + "x"}).status_code == 401
    assert ask(app, "GET", "/v1/models", sent).status_code == 401
    assert ask(app, "POST", "/runs/a/report", sent).status_code == 401


def test_a_signature_ends() -> None:
    token = sign(b"key", 100)
    assert signed(b"key", token, 99.0)
    assert not signed(b"key", token, 101.0)
    assert not signed(b"other", token, 99.0)
    assert not signed(b"key", token.replace("100", "900"), 99.0)
    assert not signed(b"key", "", 99.0)


@pytest.mark.parametrize("path", ["/v1/echo", "/v1/parsed"])
@pytest.mark.parametrize("told", [True, False])
def test_a_body_has_a_limit_whether_its_length_was_told_or_not(path: str, told: bool) -> None:
    app, _ = make(limits=Limits(body_bytes=100))

    async def chunks(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 10):
            yield b"1" * 10

    def send(size: int) -> httpx.Response:
        content = b"1" * size if told else chunks(size)
        return ask(app, "POST", path, {"content-type": "application/json"}, content=content)

    assert send(100).status_code != 413
    response = send(110)
    assert response.status_code == 413
    assert "100 bytes" in response.json()["error"]["message"]
    assert response.headers["connection"] == "close"


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    app, _ = make(limits=Limits(body_bytes=100))
    read = []

    async def chunks() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"1" * 101

    assert ask(app, "POST", "/v1/echo", {"content-length": "101"}, content=chunks()).status_code == 413
    assert not read


def test_an_import_may_be_larger() -> None:
    app, _ = make(limits=Limits(body_bytes=100, import_bytes=1000))
    assert ask(app, "POST", "/api/import", content=b"1" * 1000).status_code == 200
    assert ask(app, "POST", "/api/import", content=b"1" * 1001).status_code == 413


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/", {}), ("/nowhere", {}), ("/v1/models", {"origin": "http://evil"}), ("/v1/crash", {}), ("/", {"host": "x"})],
)
def test_every_response_is_wrapped(path: str, headers: dict[str, str]) -> None:
    app, _ = make()
    found = ask(app, "GET", path, headers).headers
    assert found["content-security-policy"] == CSP
    assert found["x-content-type-options"] == "nosniff"
    assert found["referrer-policy"] == "no-referrer"
    assert found["cross-origin-opener-policy"] == found["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in found["permissions-policy"]
    assert found["cache-control"] == "no-store"
    assert len(found["x-request-id"]) == 24


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-1.2_3", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ('"><', False)]
)
def test_the_requests_id(sent: str, kept: bool) -> None:
    app, _ = make()
    assert (ask(app, "GET", "/", {"x-request-id": sent}).headers["x-request-id"] == sent) is kept


def test_a_crash_tells_the_log_where_and_nobody_what(caplog: pytest.LogCaptureFixture) -> None:
    app, _ = make()
    with caplog.at_level(logging.INFO):
        response = ask(app, "GET", "/v1/crash", {"x-request-id": "here"}, params={"prompt": "secret"})
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "here" in response.json()["error"]["message"]
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    record = next(record for record in caplog.records if record.name == "thinkling.serve")
    said = record.getMessage()
    assert "request here failed: RuntimeError" in said
    assert "from KeyError" in said
    assert "in crash" in said
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("thinkling")]
    assert not any("secret" in line for line in ours)


def test_a_stream_that_breaks_is_seen_to_break() -> None:
    """The response is never completed: the server below then cuts the connection."""
    app, _ = make()
    sent: list[dict[str, Any]] = []

    async def go() -> None:
        async def receive() -> dict[str, Any]:
            await asyncio.sleep(10)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "path": "/v1/half", "raw_path": b"/v1/half", "query_string": b"",
            "headers": [(b"host", HOST.encode())], "http_version": "1.1", "scheme": "http", "asgi": {"version": "3.0"},
        }  # fmt: skip
        await app(scope, receive, send)

    asyncio.run(go())
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[-1]["more_body"]


def test_the_access_log_has_no_query_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    app, _ = make()
    with caplog.at_level(logging.INFO, "thinkling.serve.access"):
        ask(app, "GET", "/v1/a%0Ab?query=secret", {"x-request-id": "mine"})
    (record,) = (record for record in caplog.records if record.name == "thinkling.serve.access")
    line = record.getMessage()
    assert line.startswith("GET /v1/a%0Ab 404 ")
    assert line.endswith(" mine")
    assert "secret" not in line
    assert "\n" not in line


def test_requests_are_counted_by_route_never_by_what_was_written() -> None:
    app, state = make()
    ask(app, "GET", "/runs/abc/report")
    ask(app, "GET", "/nowhere-at-all")
    ask(app, "BREW", "/v1/models")
    text = state.metrics.text().decode()
    assert 'thinkling_requests_total{method="GET",route="/runs/{name}/report",status="200"} 1.0' in text
    assert 'route="(none)",status="404"' in text
    assert 'method="other"' in text
    assert not any(word in text for word in ("abc", "nowhere", "BREW"))


def test_while_it_drains_nothing_new_begins() -> None:
    app, state = make(key=KEY)
    state.draining = True
    response = ask(app, "POST", "/v1/echo", BEARER)
    assert response.status_code == 503
    assert code(response) == "draining"
    assert int(response.headers["retry-after"]) > 0
    assert ask(app, "GET", "/health").status_code == 200  # its own route says more


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"host": "0.0.0.0"}, "THINKLING_API_KEY.* and .*--allow-host"),
        ({"host": "0.0.0.0", "key": KEY}, "--allow-host"),
        ({"host": "192.168.1.2", "hosts": ("a",)}, "THINKLING_API_KEY"),
        ({"host": "::", "hosts": ("a",)}, "a key"),
        ({"host": "example.org"}, "a key"),
        ({"port": 70000}, "port"),
        ({"key": "with space"}, "set it anew"),
        ({"upstream": "localhost:8001"}, "base URL"),
        ({"drain_s": -1}, "drain_s"),
    ],
)
def test_unsafe_settings_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says) as raised:
        Settings(**settings)
    assert "with space" not in str(raised.value)


def test_safe_settings() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "[::1]", "127.8.9.1"):
        Settings(host=host)
    assert KEY not in repr(Settings(host="0.0.0.0", key=KEY, hosts=("a",), upstream_key=KEY))
    with pytest.raises(UserError, match="queue"):
        Limits(queue=0)


def test_a_key_comes_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "one")
    assert read_key("SOME_KEY") == "one"
    assert read_key("NO_SUCH_KEY") == ""
    file = tmp_path / "key"
    with pytest.raises(UserError, match="cannot be read"):
        read_key("SOME_KEY", file)
    file.write_text(" two\n")
    file.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        read_key("SOME_KEY", file)
    file.chmod(0o600)
    assert read_key("SOME_KEY", file) == "two"
    file.write_text("\n")
    with pytest.raises(UserError, match="empty"):
        read_key("SOME_KEY", file)
