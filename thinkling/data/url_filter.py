"""Step 1: drop pages by their address, before anything is parsed (FineWeb's URL filter, own lists)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from thinkling.core.errors import UserError
from thinkling.data.url_words import FORBIDDEN_PARTS, HARD_WORDS, SOFT_WORDS

_NOT_WORD = re.compile(r"[^a-z0-9]+")
_SOFT_LIMIT = 2


class UrlFilter:
    """``blocked`` are hosts; each stands for all its subdomains too."""

    def __init__(self, blocked: Iterable[str] = ()) -> None:
        self._blocked = frozenset(parse_host(host) for host in blocked)

    def check(self, url: str) -> str | None:
        """Why the URL is refused, or None."""
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").rstrip(".")
        except ValueError:
            return "malformed URL"
        if parts.scheme not in ("http", "https") or not host or any(c.isspace() for c in host):
            return "malformed URL"
        labels = host.split(".")
        if any(".".join(labels[i:]) in self._blocked for i in range(len(labels))):
            return "blocked host"
        text = unquote(url).lower()
        words = frozenset(_NOT_WORD.split(text))
        if words & HARD_WORDS:
            return "blocked word"
        if len(words & SOFT_WORDS) >= _SOFT_LIMIT:
            return "several suspicious words"
        joined = _NOT_WORD.sub("", text)
        if any(part in joined for part in FORBIDDEN_PARTS):
            return "blocked word"
        return None


def parse_host(line: str) -> str:
    """A host as blocklists write it: ``example.com``, ``*.example.com``, ``||example.com^``, a URL."""
    host = line.strip().lower().removeprefix("||").rstrip("^/").removeprefix("*.")
    if "://" in host:
        host = urlsplit(host).hostname or ""
    if not host or any(c.isspace() or c == "/" for c in host):
        raise UserError(f"blocked host: expected a host name such as 'example.com', came {line.strip()!r}")
    return host.strip(".")
