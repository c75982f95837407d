"""The crawl as files: deterministic bytes, readable WARC, a truth row for every response."""

from __future__ import annotations

import hashlib
import html
import json
import zlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from thinkling.core.stage import StageContext
from thinkling.world.stage import Recipe, run

SMALL = {"characters": 90_000, "chunk_characters": 30_000, "people": 24, "workers": 1, "odd_charset": 0.3, "seed": 5}
ENCODINGS = ("utf-8", "cp1252", "utf-16")
DROPS = ("url", "extract", "language", "quality", "exact_dedup", "near_dedup")


def write(folder: Path, **changes: object) -> Path:
    run(StageContext(folder), Recipe.model_validate(SMALL | changes))
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("world"))


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def parts(world: Path) -> list[Path]:
    return sorted((world / "crawl").iterdir())


def truth(world: Path) -> list[dict]:
    return pq.read_table(world / "truth.parquet").to_pylist()


def test_same_recipe_gives_same_bytes_whatever_the_workers(world: Path, tmp_path: Path) -> None:
    assert hashes(write(tmp_path / "again", workers=2)) == hashes(world)


def test_another_seed_gives_another_world(world: Path, tmp_path: Path) -> None:
    assert set(hashes(write(tmp_path / "other", seed=6)).values()).isdisjoint(
        value for name, value in hashes(world).items() if name != "blocklist.txt"
    )


def test_every_record_is_its_own_gzip_member(world: Path) -> None:
    for part in parts(world):
        data = part.read_bytes()
        members = []
        while data:
            unzip = zlib.decompressobj(wbits=31)
            members.append(unzip.decompress(data) + unzip.flush())
            assert unzip.eof
            data = unzip.unused_data
        assert all(member.startswith(b"WARC/1.1\r\n") and member.endswith(b"\r\n\r\n") for member in members)
        assert b"WARC-Type: warcinfo" in members[0]
        assert sum(b"WARC-Type: warcinfo" in member.split(b"\r\n\r\n")[0] for member in members) == 1


def test_fastwarc_reads_every_record_with_its_digests(world: Path) -> None:
    urls, ids = [], []
    for part in parts(world):
        with open(part, "rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
                assert record.verify_payload_digest()
                urls.append(record.headers["WARC-Target-URI"])
                ids.append(record.record_id)
    rows = truth(world)
    assert urls == [row["url"] for row in rows]
    assert len(set(urls)) == len(urls) and len(set(ids)) == len(ids)


def test_main_text_stands_in_the_page_in_its_true_charset(world: Path) -> None:
    rows = iter(truth(world))
    odd = 0
    for part in parts(world):
        with open(part, "rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
                row = next(rows)
                body = record.reader.read()
                assert len(body) == row["bytes"]
                if row["text"] is None:
                    continue
                assert row["characters"] == len(row["text"])
                readings = [html.unescape(body.decode(name, "replace")) for name in ENCODINGS]
                fitting = [
                    name
                    for name, page in zip(ENCODINGS, readings, strict=True)
                    if all(line in page for line in row["text"].split("\n"))
                ]
                assert fitting, row["url"]
                odd += "utf-8" not in fitting
    assert odd > 0  # some pages are not UTF-8


def test_the_truth_has_every_kind_of_fault_and_of_page(world: Path) -> None:
    rows = truth(world)
    assert {row["drop"] for row in rows} == {None, *DROPS}
    kept = [row for row in rows if row["drop"] is None]
    assert {row["kind"] for row in kept} == {"textbook", "encyclopedia", "story", "forum", "dialogue"}
    assert all(row["lang"] == "en" and row["text"] for row in kept)
    assert {row["lang"] for row in rows if row["drop"] == "language" and row["kind"] == "foreign"} <= {
        "de", "fr", "es", "it", "nl",
    }  # fmt: skip
    assert any(row["pii"] for row in kept)


def test_good_text_comes_in_the_amount_and_shares_asked_for(world: Path) -> None:
    kept = [row for row in truth(world) if row["drop"] is None]
    total = sum(row["characters"] for row in kept)
    assert SMALL["characters"] <= total < 1.2 * SMALL["characters"]
    recipe = Recipe.model_validate(SMALL)
    for kind, share in recipe.shares.model_dump().items():
        size = sum(row["characters"] for row in kept if row["kind"] == kind)
        assert abs(size / total - share) < 0.1, kind


def test_copies_come_after_what_they_copy(world: Path) -> None:
    seen: list[str] = []
    for row in truth(world):
        if row["drop"] == "exact_dedup":
            assert row["text"] in seen
        elif row["drop"] is None:
            seen.append(row["text"])


def test_near_copies_are_near(world: Path) -> None:
    def shingles(text: str) -> set[tuple[str, ...]]:
        words = text.lower().split()
        return set(zip(*(words[at:] for at in range(5)), strict=False))

    rows = truth(world)
    kept = [shingles(row["text"]) for row in rows if row["drop"] is None]
    copies = [shingles(row["text"]) for row in rows if row["drop"] == "near_dedup"]
    assert copies
    for copy in copies:
        assert 0.8 <= max(len(copy & page) / len(copy | page) for page in kept) < 1


def test_blocked_pages_are_on_the_blocklist_and_no_other(world: Path) -> None:
    blocked = set((world / "blocklist.txt").read_text().split())
    for row in truth(world):
        assert (row["url"].split("/")[2] in blocked) == (row["drop"] == "url")


def test_names_and_facts_are_written(world: Path) -> None:
    names = json.loads((world / "names.json").read_text())
    facts = [json.loads(line) for line in (world / "facts.jsonl").read_text().splitlines()]
    assert len(names["person"]) == SMALL["people"] and "Mara" in names["first_names"]
    assert {fact["kind"] for fact in facts} == {"person", "town", "team", "book", "school", "country"}
    assert {fact["subject"] for fact in facts} == {name for kind in {f["kind"] for f in facts} for name in names[kind]}
