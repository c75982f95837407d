"""Reading archives: everything readable is read, and what is not is named, whatever the damage."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.data.warc import Record, Unreadable, read_archive

LIMIT = 100_000


def record(number: int, length: int | None = None, body: bytes | None = None, kind: str = "response") -> bytes:
    """One WARC record; ``length`` is what its header claims, the truth if None."""
    payload = body if body is not None else b"HTTP/1.1 200 OK\r\n\r\n<p>page %d</p>" % number
    claimed = len(payload) if length is None else length
    return (
        (
            b"WARC/1.0\r\nWARC-Type: %s\r\nWARC-Target-URI: http://site.example/%d\r\nContent-Length: %d\r\n\r\n"
            % (kind.encode(), number, claimed)
        )
        + payload
        + b"\r\n\r\n"
    )


def read(path: Path, data: bytes) -> tuple[list[int], list[tuple[str, str]]]:
    """Numbers of the pages read whole, and (url, reason) of what could not be read."""
    path.write_bytes(data)
    items = list(read_archive(path, "file", LIMIT))
    pages = [int(item.url.rsplit("/", 1)[1]) for item in items if isinstance(item, Record)]
    for item in items:
        if isinstance(item, Record):
            number = int(item.url.rsplit("/", 1)[1])
            assert item.block == b"HTTP/1.1 200 OK\r\n\r\n<p>page %d</p>" % number
    return pages, [(item.url, item.reason) for item in items if isinstance(item, Unreadable)]


def layouts(records: list[bytes]) -> dict[str, bytes]:
    return {
        "plain": b"".join(records),
        "gzip": b"".join(map(gzip.compress, records)),
        "whole-gzip": gzip.compress(b"".join(records)),
    }


@pytest.mark.parametrize("layout", ["plain", "gzip", "whole-gzip"])
@pytest.mark.parametrize("length", [0, 10, 60, 90, 100_000, 10**15])
def test_lying_length_costs_one_record(tmp_path: Path, layout: str, length: int) -> None:
    data = layouts([record(0), record(1, length), record(2), record(3)])[layout]
    pages, bad = read(tmp_path / "a.warc", data)
    assert pages == [0, 2, 3]
    assert [(url, "Content-Length" in reason) for url, reason in bad] == [("http://site.example/1", True)]


@pytest.mark.parametrize("layout", ["plain", "gzip", "whole-gzip"])
def test_intact_file_is_read_whole_and_ids_are_distinct(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(layouts([record(i) for i in range(5)])[layout])
    items = [item for item in read_archive(path, "file", LIMIT) if isinstance(item, Record)]
    assert [item.url[-1] for item in items] == list("01234")
    assert len({item.id for item in items}) == 5


def test_members_need_not_match_records(tmp_path: Path) -> None:
    data = b"".join(record(i) for i in range(4))
    pieces = [data[at : at + 100] for at in range(0, len(data), 100)]
    assert read(tmp_path / "a.warc.gz", b"".join(map(gzip.compress, pieces))) == ([0, 1, 2, 3], [])


@pytest.mark.parametrize("layout", ["plain", "gzip", "whole-gzip"])
def test_page_over_the_limit_is_skipped_and_named(tmp_path: Path, layout: str) -> None:
    data = layouts([record(0), record(1, body=b"x" * (LIMIT + 1)), record(2)])[layout]
    pages, bad = read(tmp_path / "a.warc", data)
    assert pages == [0, 2]
    assert bad == [("http://site.example/1", f"record larger than {LIMIT} bytes")]


def test_truncated_gzip_member_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    whole = [gzip.compress(record(i)) for i in range(3)]
    pages, bad = read(tmp_path / "a.warc.gz", whole[0] + whole[1] + whole[2][:-20])
    assert pages == [0, 1]
    assert bad == [("http://site.example/2", "gzip member cut off by the end of the file")]


def test_broken_gzip_member_in_the_middle_costs_only_itself(tmp_path: Path) -> None:
    whole = [gzip.compress(record(i)) for i in range(4)]
    cut = whole[0] + whole[1][: len(whole[1]) // 2] + whole[2] + whole[3]
    pages, bad = read(tmp_path / "a.warc.gz", cut)
    assert pages == [0, 2, 3]
    assert len(bad) == 1
    assert "damaged gzip" in bad[0][1]
    flipped = bytearray(whole[1])
    flipped[-6] ^= 1  # the checksum
    pages, bad = read(tmp_path / "b.warc.gz", whole[0] + bytes(flipped) + whole[2])
    assert pages == [0, 2]
    assert bad == [("http://site.example/1", "damaged gzip member (incorrect data check)")]


def test_junk_between_and_behind_members(tmp_path: Path) -> None:
    whole = [gzip.compress(record(i)) for i in range(2)]
    pages, bad = read(tmp_path / "a.warc.gz", whole[0] + b"junk" * 9 + whole[1] + b"junk")
    assert pages == [0, 1]
    assert len(bad) == 2
    assert read(tmp_path / "b.warc.gz", whole[0] + bytes(5000)) == ([0], [])  # zero padding means nothing


@pytest.mark.parametrize(
    "data",
    [b"", b"hello world\n" * 99, gzip.compress(b"hello"), b"\x1f\x8b\x08broken"],
    ids=["empty", "text", "gzip-of-text", "broken-gzip"],  # gzip writes the time: no name for a test
)
def test_what_is_no_archive_is_one_unreadable(tmp_path: Path, data: bytes) -> None:
    pages, bad = read(tmp_path / "a.warc", data)
    assert pages == []
    assert len(bad) == 1


def test_header_without_a_length(tmp_path: Path) -> None:
    broken = record(1).replace(b"Content-Length", b"Content-Width")
    pages, bad = read(tmp_path / "a.warc", record(0) + broken + record(2))
    assert pages == [0, 2]
    assert bad == [("http://site.example/1", "record header with Content-Length ''")]


def test_arc(tmp_path: Path) -> None:
    def arc(url: str, body: bytes) -> bytes:
        return f"{url} 10.0.0.1 20080430204825 text/html {len(body)}\n".encode() + body + b"\n"

    page = b"HTTP/1.1 200 OK\r\n\r\n<p>page 7</p>"
    data = arc("filedesc://x.arc", b"1 1 Archive\n") + arc("dns:site.example", b"1.2.3.4")
    data += arc("http://site.example/7", page)
    for name, content in layouts([data]).items():
        path = tmp_path / f"{name}.arc"
        path.write_bytes(content)
        items = list(read_archive(path, "file", LIMIT))
        assert [(item.kind, item.block) for item in items if isinstance(item, Record)][1:] == [
            ("metadata", b"1.2.3.4"),
            ("response", page),
        ]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["plain", "gzip", "whole-gzip"]))
def test_random_damage_never_raises_and_never_alters_a_page(
    tmp_path_factory: pytest.TempPathFactory, seed: int, layout: str
) -> None:
    rng = random.Random(seed)
    data = bytearray(layouts([record(i) for i in range(6)])[layout])
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        action = rng.choice(["flip", "cut", "insert"])
        if action == "flip":
            data[at] ^= 1 << rng.randrange(8)
        elif action == "cut":
            del data[at : at + rng.randint(1, 50)]
        else:
            data[at:at] = rng.randbytes(rng.randint(1, 50))
    path = tmp_path_factory.mktemp("damage") / "a.warc"
    path.write_bytes(bytes(data))
    items = list(read_archive(path, "file", LIMIT))
    good = {b"HTTP/1.1 200 OK\r\n\r\n<p>page %d</p>" % i for i in range(6)}
    intact = sum(isinstance(item, Record) and item.block in good for item in items)
    assert intact + sum(isinstance(item, Unreadable) for item in items) >= 1
    if layout == "gzip":  # checksums: a page is whole or it is not there
        assert all(item.block in good for item in items if isinstance(item, Record))
