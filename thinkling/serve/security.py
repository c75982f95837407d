"""What stands before every route: who may ask, from where, how much; and what every response carries.

A server on a person's own machine is reached by every page that the person's browser opens. Against these stand
three checks, on every route: the ``Host`` must be a name of ours (a foreign name that was made to resolve to
127.0.0.1 is not: DNS rebinding), an ``Origin`` must be our own (no other page's script), and where the browser
tells the site that a request comes from (``Sec-Fetch-Site``, W3C Fetch Metadata) it must be ours: only the page
itself may be opened by a link from elsewhere. There is no CORS.

It is plain ASGI: a stream passes through untouched, and a client that leaves is noticed by who answers it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
import time
import traceback
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thinkling.serve.errors import ApiError, response
from thinkling.serve.settings import LOOPBACK_NAMES, Settings, is_loopback
from thinkling.serve.state import ServerState

log = logging.getLogger("thinkling.serve")
access_log = logging.getLogger("thinkling.serve.access")

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=(), serial=(), payment=()",
    "cache-control": "no-store",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_IMPORT = "/api/import"
_DRAIN_RETRY_S = 5
# Frames cannot send a key. Whoever lists the runs with one gets a cookie that opens their reports, and nothing else.
_RUNS, _FRAMED, _COOKIE, _COOKIE_S = "/api/runs", "/runs/", "thinkling_reports", 3600


class Shield:
    """The outermost layer of the server."""

    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self._app, self._state = app, state
        self._key = state.settings.key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, headers = time.perf_counter(), Headers(scope=scope)
        exchange = _Exchange(send, self._added(scope, headers))
        try:
            refusal = self._refusal(scope, headers)
            if refusal is not None:
                await response(refusal)(scope, receive, exchange.send)
            else:
                limited = _Limited(receive, self._most_bytes(scope["path"]))
                await self._app(scope, limited.receive, exchange.send)
        except ClientDisconnect:
            pass
        except asyncio.CancelledError:
            # At the server's end, a response that is not waited for stays unfinished: that is no mistake to log.
            if not self._state.draining:
                raise
        except Exception as error:
            log.error("request %s failed: %s", exchange.id, _where(error))
            log.debug("request %s: %r", exchange.id, error)
            if exchange.status is None:
                fault = ApiError(500, f"the server made a mistake; its log knows more under request {exchange.id}")
                await response(fault)(scope, receive, exchange.send)
            # Else the response stays unfinished: the server below cuts the connection, and the client sees that.
        finally:
            self._record(scope, exchange, time.perf_counter() - began)

    def _added(self, scope: Scope, headers: Headers) -> dict[str, str]:
        came = headers.get("x-request-id", "")
        added = {"x-request-id": came if _REQUEST_ID.fullmatch(came) else secrets.token_hex(12), **_HEADERS}
        if self._key and scope["path"] == _RUNS and self._knows_key(headers):
            added["set-cookie"] = (
                f"{_COOKIE}={sign(self._key, int(time.time()) + _COOKIE_S)}; Path={_FRAMED}; Max-Age={_COOKIE_S}; "
                "HttpOnly; SameSite=Strict"
            )
        return added

    def _refusal(self, scope: Scope, headers: Headers) -> ApiError | None:
        """Why a request is not let through: the first reason, or None."""
        method, path = scope["method"], scope["path"]
        page = method in ("GET", "HEAD") and (path == "/" or path.startswith("/web/"))
        health = path == "/health"
        fault = foreign(headers, self._state.settings, page)
        if fault is not None:
            return ApiError(403, fault, code="foreign_request")
        if self._state.draining and not health and path != "/metrics":
            retry = {"retry-after": str(_DRAIN_RETRY_S)}
            return ApiError(503, "the server is about to stop; ask again later", code="draining", headers=retry)
        if self._key and not (page or health or self._knows_key(headers) or self._may_frame(method, path, headers)):
            return ApiError(
                401,
                "expected the server's key as 'Authorization: Bearer KEY'; came another one or none",
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )
        most = self._most_bytes(path)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > most:
            return too_large(most)
        return None

    def _knows_key(self, headers: Headers) -> bool:
        scheme, _, came = headers.get("authorization", "").partition(" ")
        return hmac.compare_digest(came.strip().encode("latin-1"), self._key) and scheme.lower() == "bearer"

    def _may_frame(self, method: str, path: str, headers: Headers) -> bool:
        if method != "GET" or not path.startswith(_FRAMED):
            return False
        found = re.search(rf"(?:^|; ?){_COOKIE}=([^;]*)", headers.get("cookie", ""))
        return found is not None and signed(self._key, found[1], time.time())

    def _most_bytes(self, path: str) -> int:
        limits = self._state.settings.limits
        return limits.import_bytes if path == _IMPORT else limits.body_bytes

    def _record(self, scope: Scope, exchange: _Exchange, seconds: float) -> None:
        status = exchange.status or 499  # the client left before there was an answer
        route = getattr(scope.get("route"), "path", "(none)")
        self._state.metrics.responded(scope["method"], route, status, seconds)
        if self._state.settings.access_log:
            # As it was sent, percent-encoded and without its query: no line breaks, no search words.
            path = scope.get("raw_path") or scope["path"].encode()
            access_log.info("%s %s %d %.3fs %s", scope["method"], ascii(path[:200])[2:-1], status, seconds, exchange.id)


class _Exchange:
    """The response's way out: adds the headers that it has not set itself, and remembers its status."""

    def __init__(self, send: Send, added: Mapping[str, str]) -> None:
        self._send, self.id = send, added["x-request-id"]
        self._added = [(name.encode(), value.encode()) for name, value in added.items()]
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = list(message.get("headers", ()))
            names = {name.lower() for name, _ in own}
            message = {**message, "headers": own + [header for header in self._added if header[0] not in names]}
        await self._send(message)


class _Limited:
    """A body's way in: as it comes, up to so many bytes. A client need not say its length in advance."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most, self._came = receive, most, 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._came += len(message.get("body", b""))
            if self._came > self._most:
                raise too_large(self._most)
        return message


def too_large(most: int) -> ApiError:
    # The rest of the body is still on its way: the connection cannot carry another request.
    return ApiError(
        413, f"the body is larger than the {most} bytes that this server takes", headers={"connection": "close"}
    )


def foreign(headers: Headers, settings: Settings, page: bool) -> str | None:
    """Why a request does not come from here, or None. ``page``: it asks for the static page."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not _ours(hosts[0].lower(), settings):
        return (
            f"this server is not known as {', '.join(hosts)[:100]!r}; call it localhost, or start it with "
            "--allow-host NAME"
        )
    for origin in headers.getlist("origin"):
        if not _same(origin.lower(), hosts[0].lower()):
            return f"pages of {origin[:100]!r} may not use this server"
    site = headers.get("sec-fetch-site")
    if site in (None, "same-origin", "none"):
        return None
    if page and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document":
        return None
    return "pages of another site may not use this server"


def _ours(host: str, settings: Settings) -> bool:
    """Whether a Host header is a name of ours. A tunnel may have changed the port, which no attacker gains by."""
    name = host_name(host)
    return name is not None and (
        name in LOOPBACK_NAMES
        or (is_loopback(name) and name == settings.host.strip("[]").lower())
        or any(host == known.lower() or name == known.lower().strip("[]") for known in settings.hosts)
    )


def host_name(host: str) -> str | None:
    """The name in ``name``, ``name:port``, ``[v6]`` or ``[v6]:port``; None where it is none of these."""
    found = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?", host)
    return None if found is None else found[1] or found[2]


def _same(origin: str, host: str) -> bool:
    """Whether an Origin is that of a page of ours, behind whatever speaks TLS for us."""
    scheme, _, rest = origin.partition("://")
    if scheme not in ("http", "https"):
        return False
    default = ":443" if scheme == "https" else ":80"
    return rest.removesuffix(default) == host.removesuffix(default)


def sign(key: bytes, until: int) -> str:
    """A token that opens framed reports until a time (seconds since 1970), and does not tell the key."""
    return f"{until}.{hmac.new(key, f'thinkling reports {until}'.encode(), hashlib.sha256).hexdigest()}"


def signed(key: bytes, token: str, now: float) -> bool:
    until = token.partition(".")[0]
    if not re.fullmatch(r"\d{1,12}", until) or int(until) < now:
        return False
    return hmac.compare_digest(token.encode("latin-1", "replace"), sign(key, int(until)).encode())


def _where(error: BaseException, told: frozenset[int] = frozenset()) -> str:
    """An exception's type and where it was raised. Not what it says: that may quote a prompt."""
    told |= {id(error)}  # exceptions can stand in a ring
    lines = f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"
    parts = list(error.exceptions) if isinstance(error, BaseExceptionGroup) else []
    causes = [*parts, error.__cause__ or error.__context__]
    return lines + "".join(
        f"from {_where(cause, told)}" for cause in causes if cause is not None and id(cause) not in told
    )
