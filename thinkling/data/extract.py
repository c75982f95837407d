"""Step 2: from a page's bytes to its main text: charset, then resiliparse's main-content extraction."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from thinkling.data.http import Page

# CSS selectors of what is not main text: HTML5's own elements for it, and class names that say so.
# Whole words only: [class*="share"] and the like cost 5 points of recall on real articles.
_SKIPPED = [
    *("nav", "footer", "aside", "header"),
    *(".ad", ".ads", ".advert", ".advertisement", '[class*="cookie"]', '[id*="cookie"]'),
    *(".breadcrumb", ".breadcrumbs", ".related", ".sidebar", ".share", ".social"),
]
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:.-]+)", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n{3,}")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Extracted:
    text: str
    charset: str


def extract(page: Page) -> Extracted | None:
    """The page's main text, paragraphs separated by a blank line; None where there is none."""
    html, charset = decode(page.body, page.charset)
    text = extract_plain_text(
        html,
        preserve_formatting=True,
        main_content=True,
        list_bullets=False,
        alt_texts=False,
        links=False,
        form_fields=False,
        noscript=False,
        comments=False,
        post_meta=False,
        skip_elements=_SKIPPED,
    )
    text = tidy(text)
    return Extracted(text, charset) if text else None


def tidy(text: str) -> str:
    """Unix line ends, no control characters, single spaces, at most one blank line between paragraphs."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.replace("\n", " ").isprintable():
        text = _CONTROLS.sub("", text)
    lines = [" ".join(line.split()) for line in text.split("\n")]
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip("\n")


def decode(body: bytes, claimed: str) -> tuple[str, str]:
    """A page's characters and the charset they were in.

    Claims (header, then <meta>) are believed only as far as the bytes bear them out: bytes that are
    valid UTF-8 are UTF-8, since nothing else of any length looks like it; a claim under which they do
    not decode is a lie, and they are sniffed instead. Never fails: the last resort replaces.
    """
    for bom, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if body.startswith(bom):
            return body[len(bom) :].decode(name, "replace"), name
    meta = _META_CHARSET.search(body[:4096])
    claims = [claimed, meta.group(1).decode("ascii").lower() if meta else ""]
    escaped = b"\x1b" in body  # ISO-2022 encodings are ASCII bytes with escapes, and so valid UTF-8 too
    candidates = claims if escaped else ["utf-8", *claims]
    for name in candidates:
        decoded = _decode_strictly(body, name)
        if decoded is not None:
            return decoded
    sniffed = detect_encoding(body) or "cp1252"
    return _decode_strictly(body, sniffed) or (body.decode("utf-8", "replace"), "utf-8")


def _decode_strictly(body: bytes, name: str) -> tuple[str, str] | None:
    if not name:
        return None
    charset = map_encoding_to_html5(name, fallback_utf8=False)
    if charset is None:
        return None
    try:
        # Browsers read Latin-1 as Windows-1252, and so does the table; its five holes are no reason to fail.
        return body.decode(charset, "replace" if charset == "cp1252" else "strict"), charset
    except (UnicodeDecodeError, LookupError):
        return None
