"""The stages data and shards: nothing is lost uncounted, and nothing depends on the number of workers."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from thinkling.core.artifact import Artifact, Manifest
from thinkling.core.errors import UserError
from thinkling.core.stage import StageContext
from thinkling.data import shards, stage, workers
from thinkling.data.documents import Reject, read_documents, read_rejects
from thinkling.data.pipeline import STEPS, Pipeline, Rules
from thinkling.data.warc import Record
from thinkling.tokenizer.bpe import Tokenizer

ANIMALS = ["horse", "goat", "sheep", "otter", "heron", "badger", "falcon", "beetle", "rabbit", "salmon"]
PLACES = ["the hill", "the mill", "the lake", "the wood", "the farm", "the moor", "the cove", "the fen"]


def article(number: int, flaw: str = "") -> list[str]:
    """Five lines of English that pass every filter and share few 5-grams with another number's."""
    rng = np.random.default_rng(number)

    def some(words: list[str]) -> str:
        return words[int(rng.integers(len(words)))]

    return [
        f"{some(ANIMALS).title()} number {number} lives near {some(PLACES)} and eats {int(rng.integers(99))} "
        f"leaves for every {some(ANIMALS)} that it has to meet on the way home from {some(PLACES)}.{flaw}",
        f"People of {some(PLACES)} say that a {some(ANIMALS)} was once seen with {int(rng.integers(999))} young "
        f"ones, and that every {some(ANIMALS)} of those days was twice as large as a {some(ANIMALS)} is today.",
        f"In the year {int(rng.integers(1000, 2000))} somebody counted {int(rng.integers(999))} tracks between "
        f"{some(PLACES)} and {some(PLACES)}; most belonged to a {some(ANIMALS)} that could not be found.",
        f"Now that {some(PLACES)} has been drained, you have to wait for {int(rng.integers(99))} nights to hear "
        f"the call of the {some(ANIMALS)}, which is a little like that of the {some(ANIMALS)}.",
        f"Whoever wants to see it should be patient, bring {int(rng.integers(99))} biscuits and never shout at a "
        f"{some(ANIMALS)}, because the {some(ANIMALS)} of {some(PLACES)} will not forgive it for a long time.",
    ]


def page(lines: list[str]) -> bytes:
    paragraphs = "".join(f"<p>{line}</p>\n" for line in lines)
    return f"<html><head><title>x</title></head><body><nav>Home</nav><main>{paragraphs}</main></body></html>".encode()


def record(url: str, body: bytes, status: str = "200 OK", mime: str = "text/html", kind: str = "response") -> bytes:
    block = f"HTTP/1.1 {status}\r\nContent-Type: {mime}\r\n\r\n".encode() + body
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(block)}\r\n\r\n"
    return gzip.compress(head.encode() + block + b"\r\n\r\n")


GERMAN = [
    "Der alte Mann ging langsam über die Brücke und dachte an seine Kindheit im Dorf.",
    "Im Sommer schwammen die Kinder unter dem Rad, während die Eltern im Schatten saßen.",
]


TWICE = ["This is all we know."] * 2
THIN = [
    "The otter that we saw in the river was small, quick and not at all afraid of people.",
    "It dived under a bridge, came up with silver fish between its teeth, and ate them where everybody could look.",
]


def crawl() -> list[tuple[str, bytes, str]]:
    """(URL, record, the step that should take it, "" for none), with one page for each."""
    good = [(f"http://good.example/{i}", record(f"http://good.example/{i}", page(article(i))), "") for i in range(70)]
    near = article(3)
    near[4] = near[4].replace("biscuits", "cookies")

    def one(step: str, name: str, body: bytes, **how: str) -> tuple[str, bytes, str]:
        return name, record(name, body, **how), step

    bad = [
        one("read", "http://good.example/missing", page(article(100)), status="404 Not Found"),
        one("read", "http://good.example/picture", b"\x89PNG...", mime="image/png"),
        one("url", "http://www.blocked.example/x", page(article(101))),
        one("extract", "http://good.example/empty", b"<html><body><nav>Home</nav></body></html>"),
        one("language", "http://good.example/german", page(GERMAN * 3)),
        one("gopher_repetition", "http://good.example/spam", page(["buy it now and buy it here"] * 30)),
        one(
            "gopher_quality",
            "http://good.example/thin",
            page(THIN),
        ),
        one("c4", "http://good.example/code", page([*article(103), "int main() { return 0; }"])),
        one(
            "fineweb",
            "http://good.example/twice",
            page([*article(104), *TWICE]),
        ),
        one("exact_dedup", "http://other.example/copy", page(article(2))),
        one("near_dedup", "http://other.example/near", page(near)),
    ]
    return good[:60] + bad + good[60:]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crawl")
    records = [data for _, data, _ in crawl()]
    request = record("http://good.example/1", b"", kind="request")
    (folder / "a.warc.gz").write_bytes(request + b"".join(records[:40]))
    (folder / "b.warc.gz").write_bytes(b"".join(records[40:]) + record("http://good.example/cut", b"x" * 99)[:-30])
    (folder / "notes.txt").write_text("not an archive")
    return folder


def run(folder: Path, **settings: Any) -> dict[str, Any]:
    recipe = {"stage": "data", "workers": 0, **settings}
    return stage.run(StageContext(folder), stage.Recipe.model_validate_json(json.dumps(recipe)))


def run_on(folder: Path, archive: Path, **settings: Any) -> dict[str, Any]:
    return run(folder, inputs=[str(archive)], blocked_hosts=["blocked.example"], **settings)


def hashes(folder: Path) -> dict[str, str]:
    names = ("documents.parquet", "rejects.parquet", "funnel.json", "unreadable.json")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def test_every_page_ends_once_where_it_should(tmp_path: Path, archive: Path) -> None:
    metrics = run_on(tmp_path, archive)
    kept = [document.url for document in read_documents(tmp_path)]
    rejects = list(read_rejects(tmp_path))
    assert Counter(kept + [reject.url for reject in rejects]) == Counter(url for url, _, _ in crawl())
    assert {reject.url: reject.stage for reject in rejects} == {url: step for url, _, step in crawl() if step}
    assert kept == [url for url, _, step in crawl() if not step]  # crawl order
    assert all(reject.reason for reject in rejects)
    assert metrics["documents"] == len(kept) == 70


def test_kept_text_is_the_main_text(tmp_path: Path, archive: Path) -> None:
    run_on(tmp_path, archive)
    assert next(read_documents(tmp_path)).text == "\n".join(article(0))


def test_duplicates_name_the_original(tmp_path: Path, archive: Path) -> None:
    run_on(tmp_path, archive)
    ids = {document.url: document.id for document in read_documents(tmp_path)}
    details = {reject.stage: reject.detail for reject in read_rejects(tmp_path)}
    assert details["exact_dedup"] == ids["http://good.example/2"]
    assert details["near_dedup"] == ids["http://good.example/3"]


def test_funnel_adds_up(tmp_path: Path, archive: Path) -> None:
    run_on(tmp_path, archive)
    rows = json.loads((tmp_path / "funnel.json").read_text())
    assert [row["step"] for row in rows] == ["records", *STEPS]
    for row in rows:
        assert row["in"] == row["kept"] + row["rejected"]
        assert row["rejected"] == sum(row["reasons"].values())
    assert [row["kept"] for row in rows[:-1]] == [row["in"] for row in rows[1:]]
    assert rows[-1]["kept"] == sum(1 for _ in read_documents(tmp_path))
    assert sum(row["rejected"] for row in rows[1:]) == sum(1 for _ in read_rejects(tmp_path))
    assert rows[0]["reasons"] == {
        "gzip member cut off by the end of the file": 1,
        "not a WARC or ARC file": 1,
        "request record": 1,
    }


def test_what_could_not_be_read_is_named(tmp_path: Path, archive: Path) -> None:
    run_on(tmp_path, archive)
    unreadable = json.loads((tmp_path / "unreadable.json").read_text())
    assert unreadable["count"] == 2
    assert [(one["url"], one["id"].split(":")[0]) for one in unreadable["named"]] == [
        ("http://good.example/cut", "b.warc.gz"),
        ("", "notes.txt"),
    ]


def test_result_does_not_depend_on_workers(tmp_path: Path, archive: Path) -> None:
    for count in (0, 2):
        run_on(tmp_path / str(count), archive, workers=count)
    assert hashes(tmp_path / "0") == hashes(tmp_path / "2")


def test_same_recipe_same_bytes(tmp_path: Path, archive: Path) -> None:
    run_on(tmp_path / "a", archive)
    run_on(tmp_path / "b", archive)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


class _Deadly:
    """Stands for a page that crashes native code: unpickling it ends the process."""

    id, url = "file:666", "http://deadly.example/"

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


def rules(**changes: Any) -> Rules:
    defaults = {
        "language": "en",
        "min_language_score": 0.65,
        "blocked_hosts": (),
        "max_page_bytes": 1 << 20,
        "filter_text": False,
        "near_dedup_seed": 1,
        "prompts": (),
    }
    return Rules(**(defaults | changes))


def test_page_that_kills_its_worker_is_the_only_one_lost() -> None:
    def item(number: int) -> Record:
        block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page(article(number))
        return Record(f"file:{number}", number, "response", f"http://good.example/{number}", {}, block)

    batches: list[Any] = [[item(0), item(1)], [item(2), _Deadly(), item(3)], [item(4)], [item(5)]]
    judged = [fate for batch in workers.judge_batches(batches, rules(), 1) for fate in batch]
    alone = Pipeline(rules())
    expected = [alone.judge(item(number)) for number in range(6)]
    deadly = Reject("file:666", "http://deadly.example/", "extract", "the parser crashed on it")
    assert judged == [*expected[:3], deadly, *expected[3:]]


def test_a_worker_may_die_before_the_batches_of_a_dead_one_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    start = workers._Worker._start

    def start_and_kill_the_third(worker: Any) -> None:
        start(worker)
        started.append(worker)
        if len(started) == 3:  # one for the batch with the deadly page, one to judge its pages, one to go on with
            worker._process.kill()
            worker._process.join()

    monkeypatch.setattr(workers._Worker, "_start", start_and_kill_the_third)
    batches: list[Any] = [[_Deadly()], [], []]
    assert [len(batch) for batch in workers.judge_batches(batches, rules(), 1)] == [1, 0, 0]
    assert len(started) > 3


def test_an_error_over_the_pages_of_a_dead_worker_is_raised_as_itself() -> None:
    no_page: Any = "what no rule knows"  # a mistake in the code, seen only once the batch is judged page by page
    with pytest.raises(AttributeError, match="'str' object has no attribute"):
        list(workers.judge_batches([[_Deadly(), no_page]], rules(), 1))


def test_scores_against_the_truth(tmp_path: Path) -> None:
    world = tmp_path / "world"
    (world / "crawl").mkdir(parents=True)
    (world / "crawl" / "part-00000.warc.gz").write_bytes(b"".join(data for _, data, _ in crawl()))
    (world / "blocklist.txt").write_text("# hosts\nblocked.example\n")
    merged = {"read": "extract", "gopher_repetition": "quality", "gopher_quality": "quality"}
    merged |= {"c4": "quality", "fineweb": "quality"}
    rows = []
    for number, (url, _, step) in enumerate(crawl()):
        text = None if step else "\n".join(article(int(url.rsplit("/", 1)[1])))
        drop = merged.get(step, step) or None
        if number == 0:
            drop = "quality"  # the truth disagrees about one page that is kept
        rows.append({"url": url, "text": text, "drop": drop, "pii": number == 1})
    pq.write_table(pa.Table.from_pylist(rows), world / "truth.parquet")
    parent = Artifact("world", world, Manifest.__new__(Manifest))
    recipe = stage.Recipe.model_validate_json('{"stage": "data", "workers": 0}')
    metrics = stage.run(StageContext(tmp_path / "data", parents={"crawl": parent}), recipe)
    scores = json.loads((tmp_path / "data" / "scores.json").read_text())
    assert metrics["scores"] == scores["overall"]
    assert scores["overall"]["recall"] == 1.0
    assert scores["overall"]["precision"] == pytest.approx(69 / 70)
    for step in ("url", "extract", "language", "exact_dedup", "near_dedup"):
        assert (scores["steps"][step]["precision"], scores["steps"][step]["recall"]) == (1.0, 1.0)
    assert scores["steps"]["quality"]["recall"] == pytest.approx(4 / 5)
    assert scores["confusion"]["quality"] == {"kept": 1, "quality": 4}
    assert scores["extraction"]["f1"] == 1.0
    assert scores["pii"]["recall"] == 0.0


def test_personal_data_is_replaced_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.warc.gz").write_bytes(record("http://good.example/", page(article(1, " Write to me@mail.example."))))
    run(tmp_path / "out", inputs=[str(tmp_path / "a.warc.gz")])
    (document,) = read_documents(tmp_path / "out")
    assert "email@example.com" in document.text
    assert "me@mail.example" not in document.text
    assert document.meta["pii"] == 1


def test_decontamination(tmp_path: Path, archive: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"question": " ".join(article(5)[0].split()[:14])}) + "\n")
    run_on(tmp_path / "out", archive, decontaminate=[str(prompts)])
    taken = [reject for reject in read_rejects(tmp_path / "out") if reject.stage == "decontaminate"]
    assert [reject.url for reject in taken] == ["http://good.example/5"]
    assert len(taken[0].detail.split()) == 13


@pytest.mark.parametrize("damage", ["cut", "flipped", "no gzip"])
def test_damaged_prompts_are_named(tmp_path: Path, archive: Path, damage: str) -> None:
    path = tmp_path / "prompts.txt.gz"
    whole = gzip.compress("".join(f"prompt {hashlib.sha256(bytes([n])).hexdigest()}\n" for n in range(99)).encode())
    path.write_bytes({"cut": whole[:-50], "flipped": whole[:200] + bytes(200) + whole[400:], "no gzip": b"x"}[damage])
    with pytest.raises(UserError, match=r"evaluation prompts '.*prompts.txt.gz' cannot be read: .+"):
        run_on(tmp_path / "out", archive, decontaminate=[str(path)])


def test_text_inputs(tmp_path: Path) -> None:
    rows = [{"body": "\n".join(article(i)), "link": f"http://good.example/{i}"} for i in range(5)]
    lines = [json.dumps(row) for row in rows]
    lines[3:3] = ["not json", json.dumps({"other": 1}), ""]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    story = "\n\n".join("\n".join(article(10 + i)) for i in range(6))
    (tmp_path / "b.txt").write_text(story + "\n<|endoftext|>\n    indented\nverse\n", encoding="utf-8-sig")
    metrics = run(
        tmp_path / "out",
        text=[str(tmp_path / "a.jsonl.gz"), str(tmp_path / "b.txt")],
        text_field="body",
        url_field="link",
        text_piece_characters=1000,
    )
    documents = list(read_documents(tmp_path / "out"))
    assert [document.text for document in documents[:5]] == [row["body"] for row in rows]
    assert [document.url for document in documents[:5]] == [row["link"] for row in rows]
    assert documents[-1].text == "    indented\nverse"
    assert "\n\n".join(document.text for document in documents[5:-1]) == story
    assert len(documents) == 5 + 3 + 1
    assert metrics["unreadable"] == 2


def test_text_inputs_may_be_filtered(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in ("too short", "\n".join(article(1)))))
    run(tmp_path / "out", text=[str(path)], filter_text=True)
    assert len(list(read_documents(tmp_path / "out"))) == 1
    assert [reject.text for reject in read_rejects(tmp_path / "out")] == ["too short"]


def test_cut_off_text_file_keeps_what_was_read(tmp_path: Path) -> None:
    text = "\n".join(
        json.dumps({"text": f"{i} " + hashlib.sha256(str(i).encode()).hexdigest() * 9}) for i in range(999)
    )
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text.encode())[:-2000])
    metrics = run(tmp_path / "out", text=[str(tmp_path / "a.jsonl.gz")])
    assert 0 < metrics["documents"] < 999
    named = json.loads((tmp_path / "out" / "unreadable.json").read_text())["named"]
    assert any("damaged gzip" in one["reason"] for one in named)


def test_user_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to read"):
        run(tmp_path / "a")
    with pytest.raises(UserError, match="no such file"):
        run(tmp_path / "b", inputs=[str(tmp_path / "missing.warc.gz")])
    (tmp_path / "x.jsonl").write_text('{"content": "hello"}\n')
    with pytest.raises(UserError, match="text_field"):
        run(tmp_path / "c", text=[str(tmp_path / "x.jsonl")])
    (tmp_path / "y.warc").write_text("nonsense")
    with pytest.raises(UserError, match="no document survived"):
        run(tmp_path / "d", inputs=[str(tmp_path / "y.warc")])


def make_shards(tmp_path: Path, seed: int, name: str) -> tuple[Path, Tokenizer, dict[str, Any]]:
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"text": "\n".join(article(i))}) for i in range(80)))
    if not (tmp_path / "data").exists():
        run(tmp_path / "data", text=[str(path)], near_dedup=False)
    tokenizer = Tokenizer.train(["\n".join(article(i)) for i in range(20)], 400)
    (tmp_path / "tokenizer").mkdir(exist_ok=True)
    tokenizer.save(tmp_path / "tokenizer")
    parents = {role: Artifact(role, tmp_path / role, Manifest.__new__(Manifest)) for role in ("data", "tokenizer")}
    recipe = shards.Recipe.model_validate_json(json.dumps({"stage": "shards", "seed": seed, "val_share": 0.2}))
    meta = shards.run(StageContext(tmp_path / name, parents=parents), recipe)
    return tmp_path / name, tokenizer, meta


def test_shards_hold_every_document_once(tmp_path: Path) -> None:
    folder, tokenizer, meta = make_shards(tmp_path, 1, "shards")
    train, val = np.load(folder / "train.npy"), np.load(folder / "val.npy")
    assert train.dtype == val.dtype == np.uint16
    assert meta == json.loads((folder / "meta.json").read_text())
    assert (len(train), len(val)) == (meta["train_tokens"], meta["val_tokens"])
    texts = {}
    for name, ids in (("train", train), ("val", val)):
        parts = tokenizer.decode(ids.tolist()).split(shards.END)
        assert parts.pop() == ""
        texts[name] = parts
    original = [document.text for document in read_documents(tmp_path / "data")]
    assert sorted(texts["train"] + texts["val"]) == sorted(original)
    assert texts["val"] == [text for text in original if shards.is_held_out(text, 0.2)]
    assert 5 <= len(texts["val"]) <= 30
    assert texts["train"] != [text for text in original if not shards.is_held_out(text, 0.2)]  # shuffled
    assert meta["val_bytes"] == sum(len(text.encode()) for text in texts["val"])
    total = sum(len(text.encode()) for text in original)
    assert meta["bytes_per_token"] == pytest.approx(total / (len(train) + len(val) - len(original)))


def test_shards_are_reproducible_and_shuffled_by_the_seed(tmp_path: Path) -> None:
    first, again, other = (make_shards(tmp_path, seed, name)[0] for seed, name in ((1, "a"), (1, "b"), (2, "c")))
    assert (first / "train.npy").read_bytes() == (again / "train.npy").read_bytes()
    assert (first / "train.npy").read_bytes() != (other / "train.npy").read_bytes()
    assert (first / "val.npy").read_bytes() == (other / "val.npy").read_bytes()
