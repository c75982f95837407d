"""The page's files: exact bytes, compressed or not; nothing from outside the folder, whatever the path says."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from thinkling.serve import errors
from thinkling.serve.pages import WEB, files, read_page, router, takes_gzip

SCRIPT = b"export const answer = 42;\n" * 50


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.js").write_bytes(b"secret")
    web = tmp_path / "web"
    (web / "lib").mkdir(parents=True)
    (web / "index.html").write_bytes(b"<!doctype html><title>hi</title>")
    (web / "lib" / "a.js").write_bytes(SCRIPT)
    (web / "lib" / "tiny.css").write_bytes(b"a{}")
    (web / "font.woff2").write_bytes(bytes(1000))
    (web / "LICENSE").write_bytes(b"free")
    (web / ".hidden.js").write_bytes(b"hidden")
    (web / "notes.sqlite").write_bytes(b"odd")
    return web


def ask(folder: Path, path: str, method: str = "GET", fresh: bool = False, **headers: str) -> httpx.Response:
    app = FastAPI()
    app.include_router(router(folder, fresh))
    errors.install(app)
    return send(app, path, method, **headers)


def send(app: FastAPI, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            client.headers.pop("accept-encoding")
            return await client.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return asyncio.run(go())


def test_index_is_the_root(folder: Path) -> None:
    root = ask(folder, "/")
    assert root.content == b"<!doctype html><title>hi</title>"
    assert root.headers["content-type"] == "text/html; charset=utf-8"
    assert root.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lib/a.js", "text/javascript; charset=utf-8"),
        ("lib/tiny.css", "text/css; charset=utf-8"),
        ("font.woff2", "font/woff2"),
        ("LICENSE", "text/plain; charset=utf-8"),
    ],
)
def test_files_have_their_type_and_bytes(folder: Path, name: str, kind: str) -> None:
    for coding in ("identity", "gzip, br"):
        found = ask(folder, f"/web/{name}", accept_encoding=coding)
        assert found.headers["content-type"] == kind
        assert found.content == (folder / name).read_bytes()
        assert found.headers["vary"] == "accept-encoding"


def test_what_gains_by_it_is_compressed(folder: Path) -> None:
    plain, packed = ask(folder, "/web/lib/a.js"), ask(folder, "/web/lib/a.js", accept_encoding="gzip")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(SCRIPT) / 10
    assert plain.headers["etag"] != packed.headers["etag"]
    for name in ("lib/tiny.css", "font.woff2"):
        assert "content-encoding" not in ask(folder, f"/web/{name}", accept_encoding="gzip").headers


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*;q=0", False),
        ("", False),
        ("identity", False),
        ("x-gzipped", False),
    ],
)
def test_accept_encoding(header: str, takes: bool) -> None:
    assert takes_gzip(header) is takes


@given(st.text())
def test_any_accept_encoding_is_read(header: str) -> None:
    takes_gzip(header)


def test_what_is_known_is_not_sent_again(folder: Path) -> None:
    etag = ask(folder, "/web/lib/a.js").headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = ask(folder, "/web/lib/a.js", if_none_match=known)
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == etag
        assert again.headers["cache-control"] == "no-cache"
    assert ask(folder, "/web/lib/a.js", if_none_match='"other"').status_code == 200
    # The compressed form is another representation.
    assert ask(folder, "/web/lib/a.js", if_none_match=etag, accept_encoding="gzip").status_code == 200


def test_head_is_get_without_a_body(folder: Path) -> None:
    for path in ("/", "/web/lib/a.js"):
        head, get = ask(folder, path, "HEAD"), ask(folder, path)
        assert head.headers == get.headers
        assert ask(folder, path, "POST").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/web/../secret.js",
        "/web/%2e%2e/secret.js",
        "/web/..%2fsecret.js",
        "/web/lib/../../secret.js",
        "/web//etc/passwd",
        "/web/%2fetc/passwd",
        "/web/.hidden.js",
        "/web/notes.sqlite",
        "/web/lib",
        "/web/lib/",
        "/web/",
        "/web/lib/a.js/",
        "/web/lib/a.js%00",
        "/web/lib/A.js",
        "/index.html",
        "/secret.js",
    ],
)
@pytest.mark.parametrize("fresh", [False, True])
def test_nothing_else_is_there(folder: Path, path: str, fresh: bool) -> None:
    # As a client that does not tidy paths would send it.
    app = FastAPI()
    app.include_router(router(folder, fresh))
    errors.install(app)
    sent: list[Any] = []

    async def go() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def out(message: Any) -> None:
            sent.append(message)

        decoded = (
            httpx.URL("http://x" + path).path if ".." not in path else path.replace("%2e", ".").replace("%2f", "/")
        )
        scope = {
            "type": "http", "method": "GET", "path": decoded, "raw_path": path.encode(), "query_string": b"",
            "headers": [], "http_version": "1.1", "scheme": "http", "asgi": {"version": "3.0"}, "server": ("x", 80),
        }  # fmt: skip
        await app(scope, receive, out)

    asyncio.run(go())
    assert sent[0]["status"] == 404
    assert b"secret;" not in b"".join(message.get("body", b"") for message in sent)


def test_in_development_files_are_as_they_are_now(folder: Path) -> None:
    old, new = FastAPI(), FastAPI()
    old.include_router(router(folder))
    new.include_router(router(folder, fresh=True))
    (folder / "lib" / "a.js").write_bytes(b"changed")
    (folder / "lib" / "b.js").write_bytes(b"added")
    assert send(old, "/web/lib/a.js").content == SCRIPT
    assert send(new, "/web/lib/a.js").content == b"changed"
    assert send(new, "/web/lib/b.js").content == b"added"


def test_the_real_page_can_be_read_and_asks_nobody_else() -> None:
    found = files(WEB)
    assert "index.html" in found
    odd = {file.suffix for file in WEB.rglob("*") if file.is_file()} - {file.suffix for file in found.values()}
    assert not odd, f"kinds of file that are not served: {odd}"
    for file in found.values():
        page = read_page(file)
        assert page.packed is None or gzip.decompress(page.packed) == page.body
    index = found["index.html"].read_text(encoding="utf-8")
    for forbidden in ("http://", "https://", "<style", " style=", " onclick=", " onload=", "javascript:"):
        assert forbidden not in index
