"""From a record to a page's text: HTTP framing, charsets, main text."""

from __future__ import annotations

import gzip
import zlib

import pytest

from thinkling.data.extract import decode, extract, tidy
from thinkling.data.http import NotAPage, Page, decompress, join_chunks, open_page
from thinkling.data.warc import Record

LIMIT = 10_000
HTML = b"<html><body><p>Hello there.</p></body></html>"


def response(body: bytes = HTML, status: str = "200 OK", **headers: str) -> Record:
    fields = {"Content-Type": "text/html", **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    block = f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body
    return Record("file:0", 0, "response", "http://site.example/", {}, block)


def chunked(body: bytes, size: int = 7) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_page_with_its_charset() -> None:
    page = open_page(response(Content_Type='text/html; charset="ISO-8859-2"'), LIMIT)
    assert (page.body, page.charset) == (HTML, "iso-8859-2")


@pytest.mark.parametrize("status", ["404 Not Found", "301 Moved", "500 Oops"])
def test_other_status(status: str) -> None:
    with pytest.raises(NotAPage, match=status[:3]):
        open_page(response(status=status), LIMIT)


@pytest.mark.parametrize("kind", ["image/png", "application/pdf", "text/css", "application/json"])
def test_other_type(kind: str) -> None:
    with pytest.raises(NotAPage, match="not HTML"):
        open_page(response(Content_Type=kind), LIMIT)


@pytest.mark.parametrize("body", [b"%PDF-1.4 ...", b"\x89PNG\r\n\x1a\n...", bytes(500), b"GIF89a..."])
def test_binary_that_claims_to_be_html(body: bytes) -> None:
    with pytest.raises(NotAPage):
        open_page(response(body), LIMIT)


def test_block_that_is_no_response() -> None:
    for block in (b"", b"nonsense", b"nonsense\r\n\r\nmore"):
        with pytest.raises(NotAPage):
            open_page(Record("file:0", 0, "response", "http://site.example/", {}, block), LIMIT)


def test_chunked_really_falsely_and_cut_off() -> None:
    record = response(chunked(HTML), Transfer_Encoding="chunked")
    assert open_page(record, LIMIT).body == HTML
    record = response(HTML, Transfer_Encoding="chunked")
    assert open_page(record, LIMIT).body == HTML
    cut = join_chunks(chunked(HTML)[:40])
    assert cut
    assert HTML.startswith(cut)


@pytest.mark.parametrize(
    ("name", "encode"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", lambda b: zlib.compress(b)[2:-4])],
)
def test_content_encoding(name: str, encode: object) -> None:
    assert open_page(response(encode(HTML), Content_Encoding=name), LIMIT).body == HTML  # type: ignore[operator]
    assert open_page(response(HTML, Content_Encoding=name), LIMIT).body == HTML  # stored decoded


def test_decompression_bomb_is_refused() -> None:
    with pytest.raises(NotAPage, match="larger than"):
        decompress(gzip.compress(bytes(50_000_000)), "gzip", LIMIT)


def test_damaged_content_encoding_is_named() -> None:
    with pytest.raises(NotAPage, match="damaged"):
        decompress(b"\x1f\x8b\x08\x00garbage that is no gzip", "gzip", LIMIT)
    with pytest.raises(NotAPage, match="unknown"):
        decompress(HTML, "rot13", LIMIT)


RUSSIAN = "Привет, мир! Сегодня хорошая погода, и мы идём гулять в парк всей семьёй."
GERMAN = "Übermäßige Größe: die Straße führt über die Brücke nach Köln."


@pytest.mark.parametrize(
    ("text", "really", "claimed"),
    [
        (GERMAN, "utf-8", ""),
        (GERMAN, "utf-8", "iso-8859-1"),  # the commonest lie: UTF-8 served as Latin-1
        (GERMAN, "cp1252", "utf-8"),
        (GERMAN, "cp1252", "no-such-charset"),
        (GERMAN, "iso-8859-1", "iso-8859-1"),
        (RUSSIAN, "cp1251", "windows-1251"),
        (RUSSIAN, "cp1251", "utf-8"),
        (RUSSIAN, "koi8-r", "koi8-r"),
        (RUSSIAN, "utf-16", ""),
        ("日本語のテキスト", "iso-2022-jp", "iso-2022-jp"),
        ("日本語のテキスト", "shift_jis", "shift_jis"),
    ],
)
def test_charset_is_what_the_bytes_bear_out(text: str, really: str, claimed: str) -> None:
    assert decode(text.encode(really), claimed)[0] == text


def test_charset_from_meta() -> None:
    html = f'<meta charset="windows-1251"><p>{RUSSIAN}</p>'
    assert RUSSIAN in decode(html.encode("cp1251"), "")[0]


def test_any_bytes_decode() -> None:
    for body in (bytes(range(256)), b"\xff" * 9, b"\xef\xbb\xbf\xff\xfe", b""):
        assert isinstance(decode(body, "utf-8")[0], str)


def test_main_text_without_what_is_around_it() -> None:
    html = b"""<html><head><title>T</title><script>var x = "scripted";</script><style>p {}</style></head><body>
    <nav><a href="/">Home</a> <a href="/shop">Shop</a></nav><div class="ad">Buy now</div>
    <div id="cookie-banner">We value cookies</div><main><h1>The river</h1>
    <p>A   river  flows\n through the valley.</p><p>It is old.</p></main>
    <footer>Copyright</footer></body></html>"""
    extracted = extract(Page("http://site.example/", "", html))
    assert extracted is not None
    assert extracted.text == "The river\n\nA river flows through the valley.\n\nIt is old."


def test_page_without_text() -> None:
    assert extract(Page("http://site.example/", "", b"<html><body><nav>Home</nav></body></html>")) is None


def test_tidy() -> None:
    assert tidy(" a \t b\r\nc\x00d \n\n\n\n e\n") == "a b\ncd\n\ne"
