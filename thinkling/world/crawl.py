"""The crawl as a crawler meets it: pages get hosts, addresses and charsets, and become WARC records."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any

from thinkling.world.html import Site, render
from thinkling.world.page import Block, Page
from thinkling.world.warc import response

_SLUG = re.compile(r"[^a-z0-9]+")
_QUOTE = re.compile(r'(^|[\s(])"')
# Wrong or missing claims about the charset: (header claim, meta claim, actual encoding).
CHARSETS = (
    ("iso-8859-1", "iso-8859-1", "cp1252"),  # what browsers have always made of Latin-1
    ("iso-8859-1", "utf-8", "utf-8"),
    ("utf-16", "utf-16", "utf-16"),
    ("", "none", "utf-8"),
    ("windows-1252", "windows-1252", "cp1252"),
)


@dataclass(frozen=True, slots=True)
class Record:
    """One response: its WARC bytes and its row of the ground truth."""

    data: bytes
    row: dict[str, Any]


def typographic(page: Page) -> Page:
    """The page with curly quotes and apostrophes, as word processors set them."""

    def curl(text: str) -> str:
        return _QUOTE.sub("\\1“", text).replace('"', "”").replace("'", "’")

    blocks: list[Block] = [
        (tag, curl(content) if isinstance(content, str) else tuple(map(curl, content))) for tag, content in page.blocks
    ]
    return page.with_(blocks=tuple(blocks), title=curl(page.title))


def address(page: Page, host: str, number: int) -> str:
    """The page's URL: every page has a number of its own."""
    slug = _SLUG.sub("-", page.title.lower()).strip("-")[:48].strip("-")
    return f"https://{host}/{page.kind.split('_')[0][:4]}/{number}-{slug}"


def record(rng: random.Random, page: Page, sites: tuple[Site, ...], number: int) -> Record:
    """``page`` on a site of its own choosing as a WARC response, ``number`` unique in the crawl."""
    site = sites[int(rng.random() * len(sites))]
    url = address(page, page.host or site.host, number)
    location = f"https://{site.host}/" if page.status == 301 else ""
    if page.body is not None:
        body, content_type = page.body, page.content_type
    else:
        body, content_type = _html(rng, page, site)
    text = page.text()
    row = {
        "url": url,
        "kind": page.kind,
        "text": text,
        "lang": page.lang if text is not None else "",
        "drop": page.drop,
        "pii": page.pii,
        "characters": len(text or ""),
        "bytes": len(body),
    }
    return Record(response(url, number, page.status, content_type, body, location), row)


def _html(rng: random.Random, page: Page, site: Site) -> tuple[bytes, str]:
    """The page's bytes and content type; a page marked ``charset`` "odd" gets one of the wrong claims."""
    if page.charset == "odd":
        claim, meta, encoding = CHARSETS[int(rng.random() * len(CHARSETS))]
    else:
        claim, meta, encoding = page.charset, page.charset, page.charset
    html = render(rng, page.with_(charset=meta), site)
    content_type = f"text/html; charset={claim}" if claim else "text/html"
    return html.encode(encoding, "xmlcharrefreplace"), content_type
