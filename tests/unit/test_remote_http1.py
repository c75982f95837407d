"""Responses from bytes: any pieces give the same, what is no response is told, and httpx's own client agrees."""

from __future__ import annotations

import asyncio
import gzip

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scripted_server import Reaction, ScriptedServer, in_turn, wire
from thinkling.remote.http1 import HEAD_LIMIT, BrokenResponse, Response, ResponseParser
from thinkling.remote.transport import KeepAlive, needs_proxy

OK = b"HTTP/1.1 200 OK\r\n"


def parse(*pieces: bytes, end: bool = True) -> Response:
    parser = ResponseParser()
    for piece in pieces:
        response = parser.feed(piece)
        if response is not None:
            return response
    response = parser.end() if end else None
    assert response is not None
    return response


@given(
    body=st.binary(max_size=300),
    chunked=st.booleans(),
    cuts=st.lists(st.integers(0, 600), max_size=8),
    early=st.booleans(),
)
def test_the_pieces_do_not_matter(body: bytes, chunked: bool, cuts: list[int], early: bool) -> None:
    data = wire(Reaction(body, headers={"x": " spaced "}, chunked=chunked))
    if early:
        data = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + data
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    response = parse(*(data[a:b] for a, b in zip(edges, edges[1:], strict=False)), end=False)
    assert (response.status, response.body, response.reusable) == (200, body, True)
    assert (b"x", b"spaced") in response.headers


@given(body=st.binary(min_size=1, max_size=200), chunked=st.booleans(), data=st.data())
def test_a_response_that_ends_early_is_never_taken_for_a_whole_one(
    body: bytes, chunked: bool, data: st.DataObject
) -> None:
    whole = wire(Reaction(body, chunked=chunked))
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(BrokenResponse, match="closed the connection"):
        parse(whole[:cut])


def test_a_body_without_a_length_reaches_to_the_end() -> None:
    assert parse(OK + b"\r\nabc", b"def") == Response(200, [], b"abcdef", False)


def test_no_body_and_trailers() -> None:
    assert parse(b"HTTP/1.1 204 No Content\r\n\r\n", end=False) == Response(204, [], b"", True)
    chunked = OK + b"Transfer-Encoding: Chunked\r\n\r\n2;ext=1\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n"
    assert parse(chunked, end=False).body == b"ab"


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (OK, True),
        (OK + b"Connection: close\r\n", False),
        (OK + b"connection: Keep-Alive\r\n", True),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
        (b"HTTP/1.1 200\r\n", True),
    ],
)
def test_whether_another_request_may_follow(head: bytes, reusable: bool) -> None:
    assert parse(head + b"content-length: 2\r\n\r\nok", end=False).reusable is reusable


def test_a_response_with_something_behind_it_is_not_followed_by_another_request() -> None:
    assert parse(OK + b"content-length: 2\r\n\r\nok" + OK, end=False).reusable is False


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b"a: 1\r\n folded\r\n\r\n",
        OK + b"content-length: two\r\n\r\n",
        OK + b"content-length: -2\r\n\r\n",
        OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nabc",
        OK + b"transfer-encoding: gzip\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n+2\r\nab\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n1\r\nabc0\r\n\r\n",
        OK + b"x: " + b"y" * (2 * HEAD_LIMIT),
    ],
)
def test_what_is_no_response(data: bytes) -> None:
    with pytest.raises(BrokenResponse):
        parse(data)


REACTIONS = {
    "json": Reaction({"a": "\u00e9" * 50}),
    "chunked": Reaction({"a": "b" * 500}, chunked=True),
    "closing": Reaction({"a": 1}, close=True),
    "gzip": Reaction(gzip.compress(b'{"a": "packed"}'), headers={"content-encoding": "gzip"}),
    "bad gzip": Reaction(b"not gzip at all", headers={"content-encoding": "gzip"}),
    "error": Reaction({"error": "no"}, status=503, headers={"retry-after": "3"}),
    "nothing": Reaction(b""),
    "hang up": Reaction(cut=0),
    "cut in the head": Reaction({"a": 1}, cut=30),
    "cut in the body": Reaction({"a": "b" * 500}, cut=200),
    "cut in a chunk": Reaction({"a": "b" * 500}, cut=300, chunked=True),
    "large": Reaction("x" * 3_000_000),
}


@pytest.mark.parametrize("name", REACTIONS)
def test_it_agrees_with_the_transport_of_httpx(name: str) -> None:
    """Twice each, so that a connection that is left behind in a wrong state would show."""

    async def ask(transport: httpx.AsyncBaseTransport) -> list[object]:
        seen: list[object] = []
        async with httpx.AsyncClient(transport=transport, timeout=10) as client:
            for _ in range(2):
                try:
                    response = await client.post(f"{server.base_url}/x?y=z", content=b"{}", headers={"a": "b"})
                    seen.append((response.status_code, response.content, response.headers.multi_items()))
                except httpx.HTTPError as error:
                    seen.append(type(error))
        return seen

    with ScriptedServer(in_turn([REACTIONS[name]] * 4)) as server:
        ours = asyncio.run(ask(KeepAlive()))
        theirs = asyncio.run(ask(httpx.AsyncHTTPTransport()))
        assert ours == theirs
        mine, others = server.asked[0], server.asked[2]
        assert (mine.target, mine.body, mine.headers) == (others.target, others.body, others.headers)


def test_connections_are_kept_and_lost_ones_are_not_used_again() -> None:
    async def run() -> None:
        async with httpx.AsyncClient(transport=KeepAlive(), timeout=10) as client:
            for expected in (1, 1, 1, 2, 2):
                await client.post(server.base_url, content=b"{}")
                assert server.connections == expected
                await asyncio.sleep(0.02)  # the end of the connection gets here

    replies = [Reaction({}), Reaction({}), Reaction({}, close=True), Reaction({}), Reaction({})]
    with ScriptedServer(in_turn(replies)) as server:
        asyncio.run(run())


def test_bytes_that_nobody_asked_for_end_a_connection() -> None:
    """Else the rest of a second reply to one request would be read as the reply to the next."""
    late = wire(Reaction(b"late"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rest = b""
        while await reader.readuntil(b"\r\n\r\n"):
            await reader.readexactly(2)
            writer.write(rest + wire(Reaction(b"first")))
            await asyncio.sleep(0.02)
            writer.write(late[:20])
            rest = late[20:]

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with httpx.AsyncClient(transport=KeepAlive(), timeout=10) as client:
            for _ in range(3):
                assert (await client.post(url, content=b"{}")).content == b"first"
                await asyncio.sleep(0.1)
        server.close()

    asyncio.run(run())


def test_timeouts_and_refusals_are_those_of_httpx() -> None:
    async def run() -> None:
        async with httpx.AsyncClient(transport=KeepAlive(), timeout=httpx.Timeout(0.1, connect=5)) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.post(server.base_url, content=b"{}")
            with pytest.raises(httpx.ConnectError):
                await client.post("http://127.0.0.1:1/", content=b"{}")

    with ScriptedServer(in_turn([Reaction({}, delay=5)])) as server:
        asyncio.run(run())


def test_the_environment_names_proxies_but_never_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    far, near = httpx.URL("https://far.example/v1"), httpx.URL("http://localhost:8000/v1")
    assert not needs_proxy(far)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert needs_proxy(far) and not needs_proxy(httpx.URL("http://far.example/v1"))
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert needs_proxy(httpx.URL("http://far.example/v1")) and not needs_proxy(near)
    monkeypatch.setenv("NO_PROXY", "far.example")
    assert not needs_proxy(far)
