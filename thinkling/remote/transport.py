"""Kept-alive HTTP/1.1 connections on asyncio, as a transport below httpx.

httpx does what it is good at: URLs, headers, decoding, exceptions. Its own connection pool (httpcore) spends
about two milliseconds of CPU on each of 32 requests in flight, most of it on walking over all connections for
every request; this one takes a free connection from a list, and a request costs a twentieth of that.

Each connection carries one request at a time. One on which anything comes that nobody asked for is closed, so
that no reply can ever be taken for another request's. HTTP/2, proxies and upgrades are httpx's own transport's.
"""

from __future__ import annotations

import asyncio
import ssl
import urllib.request
from collections import defaultdict

import httpx

from thinkling.remote.http1 import BrokenResponse, Response, ResponseParser

_ATTEMPT_DELAY = 0.25  # seconds until the next address of a name is tried beside the last one (RFC 8305)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

Origin = tuple[str, str, int]


def needs_proxy(url: httpx.URL) -> bool:
    """Whether the environment (HTTPS_PROXY, NO_PROXY and so on) sends requests to ``url`` through a proxy.

    Never for this machine itself: a local server cannot be reached through one.
    """
    proxies = urllib.request.getproxies()
    if url.host in _LOOPBACK or not (url.scheme in proxies or "all" in proxies):
        return False
    return not urllib.request.proxy_bypass(url.host)


class _Connection(asyncio.Protocol):
    """One connection: idle, or with one request on the way."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = ResponseParser()
        self._reply: asyncio.Future[Response] | None = None

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._reply is None:
            self.abort()  # nothing was asked
        else:
            self._feed(data)

    def eof_received(self) -> None:
        self._feed(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if error is not None:
            self._fail(httpx.ReadError(f"connection broken: {error}"))
        else:
            self._feed(None)

    async def exchange(self, request: bytes, timeout: float | None) -> Response:
        """Send a request, return its response. Raises httpx's ReadTimeout, ReadError or RemoteProtocolError."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._parser, self._reply = ResponseParser(), loop.create_future()
        self._transport.write(request)
        late = None if timeout is None else loop.call_later(timeout, self._fail, httpx.ReadTimeout("no reply in time"))
        try:
            return await self._reply
        except BaseException:
            self.abort()
            raise
        finally:
            self._reply = None
            if late is not None:
                late.cancel()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _feed(self, data: bytes | None) -> None:
        if self._reply is None or self._reply.done():
            return
        try:
            response = self._parser.end() if data is None else self._parser.feed(data)
        except BrokenResponse as error:
            self._fail(httpx.RemoteProtocolError(str(error)))
            return
        if response is not None:
            if not response.reusable:
                self.abort()
            self._reply.set_result(response)

    def _fail(self, error: httpx.TransportError) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)


class KeepAlive(httpx.AsyncBaseTransport):
    """Sends requests over connections that stay open; its user bounds how many are in flight.

    ``context`` is what https needs.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._idle: defaultdict[Origin, list[_Connection]] = defaultdict(list)
        self._ssl = context

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        timeout = request.extensions.get("timeout", {})
        url = request.url
        origin = url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)
        connection = self._take(origin) or await self._connect(origin, timeout.get("connect"))
        head = [b"%b %b HTTP/1.1" % (request.method.encode(), url.raw_path)]
        head += [b"%b: %b" % header for header in request.headers.raw]
        body = await request.aread()
        response = await connection.exchange(b"\r\n".join([*head, b"", body]), timeout.get("read"))
        if connection.open:
            self._idle[origin].append(connection)
        return httpx.Response(response.status, headers=response.headers, stream=httpx.ByteStream(response.body))

    async def aclose(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()

    def _take(self, origin: Origin) -> _Connection | None:
        """The connection that was used last and is still open."""
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()
            if connection.open:
                return connection
        return None

    async def _connect(self, origin: Origin, timeout: float | None) -> _Connection:
        scheme, host, port = origin
        if scheme == "https" and self._ssl is None:
            raise httpx.UnsupportedProtocol("https without an SSL context")
        try:
            async with asyncio.timeout(timeout):
                _, connection = await asyncio.get_running_loop().create_connection(
                    _Connection,
                    host,
                    port,
                    ssl=self._ssl if scheme == "https" else None,
                    happy_eyeballs_delay=_ATTEMPT_DELAY,
                )
        except TimeoutError:
            raise httpx.ConnectTimeout(f"no connection in {timeout:g} seconds") from None
        except OSError as error:
            raise httpx.ConnectError(str(error)) from None
        return connection
