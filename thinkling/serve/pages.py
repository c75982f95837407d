"""The page's files, read once, compressed once, and kept in memory: a request is a look-up in a table.

Only what was found under the folder is in the table, so no path can lead out of it.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response

from thinkling.serve.errors import ApiError

WEB = Path(__file__).parent / "web"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    "": "text/plain; charset=utf-8",  # LICENSE
}
_PACKED = frozenset({".png", ".ico", ".woff2"})  # compressed already


@dataclass(frozen=True, slots=True)
class Page:
    """One file. ``etag`` names its bytes; ``packed`` are the same by gzip, None where that saves nothing."""

    body: bytes
    packed: bytes | None
    type: str
    etag: str


def read_page(file: Path) -> Page:
    body = file.read_bytes()
    packed = None if file.suffix in _PACKED else gzip.compress(body, 9, mtime=0)
    return Page(
        body,
        packed if packed is not None and len(packed) < len(body) else None,
        _TYPES[file.suffix],
        hashlib.sha256(body).hexdigest()[:32],
    )


def files(folder: Path) -> dict[str, Path]:
    """The files below a folder by their path in it, hidden ones and unknown kinds left out."""
    return {
        path.as_posix(): folder / path
        for path in sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
        if path.suffix in _TYPES and not any(part.startswith(".") for part in path.parts)
    }


class Pages:
    """The files of a folder by their path in it; with ``fresh``, as they are on disk each time."""

    def __init__(self, folder: Path, fresh: bool = False) -> None:
        self._folder, self._fresh = folder, fresh
        self._pages: Mapping[str, Page] = {name: read_page(file) for name, file in files(folder).items()}

    def find(self, name: str) -> Page | None:
        if not self._fresh:
            return self._pages.get(name)
        file = files(self._folder).get(name)
        return None if file is None else read_page(file)


def router(folder: Path = WEB, fresh: bool = False) -> APIRouter:
    """``/`` is ``index.html``; everything else is under ``/web/``."""
    routes, pages = APIRouter(include_in_schema=False), Pages(folder, fresh)

    @routes.api_route("/", methods=["GET", "HEAD"])
    @routes.api_route("/web/{name:path}", methods=["GET", "HEAD"])
    async def page(request: Request, name: str = "index.html") -> Response:
        found = pages.find(name)
        if found is None:
            raise ApiError(404, f"there is no file {request.url.path}")
        return respond(found, request.headers.get("accept-encoding", ""), request.headers.get("if-none-match", ""))

    return routes


def respond(page: Page, accept_encoding: str, if_none_match: str) -> Response:
    """A page as the client can read it, or 304 where it has it already (RFC 9110, sections 8.8.3 and 12.5.3)."""
    packed = page.packed is not None and takes_gzip(accept_encoding)
    etag = f'"{page.etag}{"-gzip" if packed else ""}"'
    headers = {"etag": etag, "cache-control": "no-cache", "vary": "accept-encoding"}
    known = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    if etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    body = page.body
    if packed and page.packed is not None:
        headers["content-encoding"], body = "gzip", page.packed
    return Response(body, headers={**headers, "content-type": page.type})


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip."""
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.partition(";")
        found = re.fullmatch(r"\s*q\s*=\s*(\d(?:\.\d{0,3})?)\s*", weight)
        weights[name.strip()] = float(found[1]) if found else 1.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0
