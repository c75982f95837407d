"""Saved conversations: the tree and its rules, what a crash or a full disk may do, files that travel, the routes."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.serve import errors, exchange, history_routes
from thinkling.serve.database import APPLICATION, Unavailable
from thinkling.serve.history import MAX_DEPTH, MAX_MESSAGES, Conversation, Entry, History, Message, Missing, new_id
from thinkling.serve.state import ServerState


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    made = History(tmp_path / "history.sqlite")
    yield made
    made.close()


@pytest.fixture
def client(history: History) -> TestClient:
    return client_for(history)


def client_for(history: History | None) -> TestClient:
    app = FastAPI()
    errors.install(app)
    app.include_router(history_routes.router(cast(ServerState, SimpleNamespace(history=history))))
    return TestClient(app, raise_server_exceptions=False)


def chat(history: History, *contents: str) -> tuple[str, list[str]]:
    """A conversation with these turns in one line; its id, and theirs."""
    made, ids = history.create("a talk").id, []
    for i, content in enumerate(contents):
        ids.append(history.add(made, ids[-1] if ids else None, "assistant" if i % 2 else "user", content).id)
    return made, ids


def line(messages: int) -> Conversation:
    """A conversation of so many messages, each the answer to the one before."""
    ids = [new_id() for _ in range(messages)]
    turns = [Message(id, above, "user", "x", "", 1.0, "{}") for id, above in zip(ids, [None, *ids], strict=False)]
    return Conversation(new_id(), "deep", "", "{}", 1.0, 2.0, ids[-1], turns)


# The tree


def test_a_conversation_grows_into_a_tree(history: History) -> None:
    made, (question, answer) = chat(history, "2+2?", "5")
    again = history.add(made, question, "assistant", "4", "two and two", '{"model":"nano"}')
    found = history.conversation(made)
    assert [(m.id, m.parent, m.role, m.content) for m in found.messages] == [
        (question, None, "user", "2+2?"),
        (answer, question, "assistant", "5"),
        (again.id, question, "assistant", "4"),
    ]
    assert found.messages[2] == again
    assert (again.reasoning, again.meta, found.current) == ("two and two", '{"model":"nano"}', again.id)


def test_pruning_takes_the_subtree_and_moves_current_up_only_if_it_went(history: History) -> None:
    made, (a, b, c, d) = chat(history, "a", "b", "c", "d")
    other = history.add(made, b, "user", "other").id
    assert history.prune(made, c) == (2, other)  # it holds d; current is elsewhere, and stays
    assert [m.id for m in history.conversation(made).messages] == [a, b, other]
    assert history.prune(made, other) == (1, b)
    assert history.prune(made, a) == (2, None)
    assert history.conversation(made).messages == ()
    with pytest.raises(Missing):
        history.prune(made, d)


def test_a_message_of_another_conversation_is_no_parent_no_current_and_cannot_be_pruned_from_here(
    history: History,
) -> None:
    here, (mine,) = chat(history, "mine")
    there, (foreign,) = chat(history, "foreign")
    with pytest.raises(UserError, match="parent: expected the id of a message in this conversation"):
        history.add(here, foreign, "assistant", "no")
    with pytest.raises(UserError, match="current: expected"):
        history.change(here, current=foreign)
    with pytest.raises(Missing):
        history.prune(here, foreign)
    assert [m.id for m in history.conversation(here).messages] == [mine]
    assert [m.id for m in history.conversation(there).messages] == [foreign]


def test_the_schema_itself_refuses_a_parent_elsewhere(history: History) -> None:
    """Also where a bug in the code forgot to look."""
    here, _ = chat(history, "mine")
    _, (foreign,) = chat(history, "foreign")
    with pytest.raises(sqlite3.IntegrityError), history._transaction("BEGIN IMMEDIATE") as db:
        db.execute(
            "UPDATE messages SET parent = (SELECT number FROM messages WHERE id = ?) WHERE content = 'mine'", (foreign,)
        )
    assert history.conversation(here).messages[0].parent is None


def test_deleting_a_conversation_leaves_nothing_of_it(history: History) -> None:
    kept, _ = chat(history, "kept")
    gone, _ = chat(history, "a secret", "another")
    history.delete(gone)
    with pytest.raises(Missing):
        history.conversation(gone)
    assert [entry.id for entry in history.entries()] == [kept]
    history.close()
    assert b"secret" not in history.path.read_bytes()  # nor in the free pages of the file


def test_a_line_of_ten_thousand_messages_is_read_pruned_and_deleted_without_recursion(history: History) -> None:
    deep = line(10_000)
    history.insert([deep])
    assert len(history.conversation(deep.id).messages) == 10_000
    assert history.prune(deep.id, deep.messages[1].id) == (9_999, deep.messages[0].id)
    again = line(10_000)
    history.insert([again])
    history.delete(again.id)
    with pytest.raises(Missing):
        history.conversation(again.id)


def test_changes_touch_what_they_name(history: History) -> None:
    made, (a, b) = chat(history, "a", "b")
    changed = history.change(made, title="new", settings='{"t":1}')
    assert (changed.title, changed.system, changed.settings, changed.current) == ("new", "", '{"t":1}', b)
    before = history.conversation(made).updated
    assert history.change(made, current=a).current == a
    assert history.change(made, current=None).current is None
    assert history.conversation(made).updated == before  # to read elsewhere is no update


def test_a_full_conversation_takes_no_more(history: History) -> None:
    full = line(MAX_MESSAGES)
    history.insert([full])
    with pytest.raises(UserError, match="20,000 messages, the most there may be"):
        history.add(full.id, None, "user", "one more")


# The list, and the search


def test_the_list_is_paged_from_the_last_changed_on(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(float(second // 2) for second in range(1000))  # pairs of equal times
    monkeypatch.setattr("thinkling.serve.history._now", lambda: next(now))
    made = [history.create(f"talk {i}").id for i in range(7)]
    next(now)  # not the time of the last
    history.add(made[2], None, "user", "again")
    wanted = [made[2], *(id for id in reversed(made) if id != made[2])]
    paged: list[Entry] = []
    while page := history.entries(before=paged[-1].updated if paged else None, limit=1):
        assert len(page) <= 2
        paged += page
    assert [entry.id for entry in paged] == wanted
    assert [entry.id for entry in history.entries(limit=3)] == wanted[:4]  # the fourth is as old as the third
    assert paged[0].messages == 1


def test_the_search_knows_titles_and_contents_in_any_case_and_any_script(history: History) -> None:
    first = history.create("Über die Brücke").id
    second, _ = chat(history, "Что такое 50%?", "a_b")
    assert [entry.id for entry in history.entries("ÜBER DIE")] == [first]
    assert [entry.id for entry in history.entries("что")] == [second]
    assert [entry.id for entry in history.entries("50%")] == [second]
    assert [entry.id for entry in history.entries(" A_B ")] == [second]
    assert history.entries("axb") == []  # no wildcards
    assert history.entries("%") == history.entries("50%")


# The file


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.sqlite"
    history = History(path)
    history.create("x")
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    history.close()
    path.chmod(0o644)
    History(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_was_saved_is_there_after_a_kill(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom thinkling.serve.history import History\n"
        "history = History(sys.argv[1])\nmade = history.create().id\nprint(made, flush=True)\n"
        "while True: print(history.add(made, None, 'user', 'x' * 5000).id, flush=True)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "h")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        made, *told = [writer.stdout.readline().strip() for _ in range(40)]
        writer.kill()
    history = History(tmp_path / "h")
    assert {*told} <= {message.id for message in history.conversation(made).messages}
    history.close()


@pytest.mark.parametrize("damage", ["text", "header", "pages", "cut"])
def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "history.sqlite"
    history = History(path)
    history.insert([line(500)])
    history.close()
    whole = path.read_bytes()
    broken = {
        "text": b"these are my notes, not a database" * 40,
        "header": b"\0" * 100 + whole[100:],
        "pages": whole[:4096] + b"\xff" * (len(whole) - 4096),
        "cut": whole[: len(whole) // 2],
    }[damage]
    path.write_bytes(broken)
    with pytest.raises(UserError, match=r"history\.sqlite: this history is damaged .*backup"):
        History(path)
    assert path.read_bytes() == broken


def test_the_file_of_another_program_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "places.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE places (url TEXT)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(UserError, match="another program"):
        History(path)
    assert path.read_bytes() == before


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "h"
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(UserError, match=r"newer thinkling \(history version 2; this one knows 1\)"):
        History(path)


def test_a_folder_and_a_place_without_permission_are_no_histories(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a file"):
        History(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be opened"):
        History(tmp_path / "file" / "history")


def test_a_full_disk_is_told_and_loses_nothing(history: History) -> None:
    made, _ = chat(history, "kept")
    before = history.conversation(made)
    with history._lock:
        pages = history._db.execute("PRAGMA page_count").fetchone()[0]
        history._db.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(Unavailable) as caught:
        history.add(made, None, "user", "x" * 1_000_000)
    assert caught.value.why == "full" and "disk is full" in str(caught.value)
    response = client_for(history).post(
        f"/api/conversations/{made}/messages", json={"parent": None, "role": "user", "content": "x" * 900_000}
    )
    assert response.status_code == 507
    assert response.json()["error"]["code"] == "history_full"
    assert history.conversation(made) == before
    with history._lock:
        history._db.execute("PRAGMA max_page_count = 100000")
    history.add(made, None, "user", "x" * 1_000_000)


def test_a_file_that_another_process_holds_is_busy(history: History) -> None:
    with history._lock:
        history._db.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(history.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as caught:
        history.create()
    assert caught.value.why == "busy"
    response = client_for(history).post("/api/conversations", json={})
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert client_for(history).get("/api/conversations").status_code == 200  # reading goes on
    other.close()
    history.create()


def test_threads_may_write_at_once(history: History) -> None:
    made = history.create().id

    def write(name: int) -> None:
        above = None
        for i in range(20):
            above = history.add(made, above, "user", f"{name}-{i}").id

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    messages = history.conversation(made).messages
    by_id = {m.id: m for m in messages}
    assert len(by_id) == 160
    for m in messages:
        name, i = m.content.split("-")
        assert (by_id[m.parent].content if m.parent else None) == (f"{name}-{int(i) - 1}" if i != "0" else None)


# Files that travel

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TIMES = st.floats(0, 1e10)


@st.composite
def conversations(draw: st.DrawFn) -> dict[str, Any]:
    """A conversation as a file has it, with a tree of any shape."""
    ids: list[str] = []
    messages = []
    for i in range(draw(st.integers(0, 6))):
        parent = draw(st.sampled_from([None, *ids]))
        ids.append(f"m{i}")
        role = draw(st.sampled_from(["system", "user", "assistant"]))
        messages.append(
            {
                **{"id": ids[-1], "parent": parent, "role": role, "content": draw(TEXT), "reasoning": draw(TEXT)},
                **{"created": draw(TIMES), "meta": draw(st.dictionaries(TEXT, JSON, max_size=3))},
            }
        )
    return {
        **{"id": "c", "title": draw(TEXT), "system": draw(TEXT), "settings": draw(st.dictionaries(TEXT, JSON))},
        **{"created": draw(TIMES), "updated": draw(TIMES), "current": draw(st.sampled_from([None, *ids]))},
        "messages": messages,
    }


def file_of(*talks: dict[str, Any], **changes: Any) -> bytes:
    file = {"format": "thinkling-conversations", "version": 1, "conversations": list(talks), **changes}
    return json.dumps(file).encode()


def exported(history: History) -> Any:
    return json.loads("".join(exchange.file_pieces(exchange.still_there(history, history.ids()))))


def renumbered(file: Any) -> Any:
    """The same file with ids by order of appearance."""
    for talk in file["conversations"]:
        names = {None: None} | {message["id"]: f"m{i}" for i, message in enumerate(talk["messages"])}
        talk["id"], talk["current"] = "c", names[talk["current"]]
        for message in talk["messages"]:
            message["id"], message["parent"] = names[message["id"]], names[message["parent"]]
    return file


@settings(max_examples=30, deadline=None)
@given(st.lists(conversations(), max_size=3))
def test_import_then_export_gives_the_same_file_up_to_ids(talks: list[dict[str, Any]]) -> None:
    data = file_of(*talks)
    with tempfile.TemporaryDirectory() as folder:
        first, second = History(Path(folder) / "a"), History(Path(folder) / "b")
        assert exchange.load(first, data) == len(talks)
        out = exported(first)
        assert exchange.load(second, json.dumps(out, indent=1).encode()) == len(talks)
        wanted = json.loads(data)
        assert renumbered(exported(second)) == renumbered(out) == wanted
        ids = [
            id for talk in exported(first)["conversations"] for id in [talk["id"], *(m["id"] for m in talk["messages"])]
        ]
        assert len(set(ids)) == len(ids) and "m0" not in ids
        first.close()
        second.close()


def talk(**changes: Any) -> dict[str, Any]:
    messages = [
        {"id": "a", "parent": None, "role": "user", "content": "?", "reasoning": "", "created": 1, "meta": {}},
        {"id": "b", "parent": "a", "role": "assistant", "content": "!", "reasoning": "", "created": 2, "meta": {}},
    ]
    made = {"id": "c", "title": "t", "system": "", "settings": {}, "created": 1, "updated": 2, "current": "b"}
    return {**made, "messages": messages, **changes}


def spoiled(message: int, **changes: Any) -> dict[str, Any]:
    made = talk()
    made["messages"][message] |= changes
    return made


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"", r"expected a file of conversations, .* Expecting '{': line 1"),
        (b"[]", r"Expecting '{'"),
        (b"{}", r"it has no 'conversations'"),
        (b"{1:2}", r"a key in double quotes"),
        (b"{" * 100_000, r"expected a file of conversations"),
        (b'{"format":' + b"[" * 100_000, r"expected a file of conversations"),
        (file_of(talk())[:-1], r"Expecting ','"),
        (file_of(talk()) + b"x", r"Extra data"),
        (b'{"version":1,' + file_of(talk())[1:], r"version: the file has it twice"),
        (b"\xff", r"not UTF-8"),
        (file_of(talk(), format="chatgpt"), r"format: "),
        (file_of(talk(), version=2), r"version: expected 1"),
        (file_of(talk(), more=1), r"'more': unknown"),
        (file_of(talk(), talk(current="z")), r"conversations\[1\]\.current: expected the id of a message"),
        (file_of(talk(title="x" * 501)), r"conversations\[0\]\.title: "),
        (file_of(talk(created=-1)), r"conversations\[0\]\.created: "),
        (file_of(talk(updated=float("nan"))), r"conversations\[0\]\.updated: "),
        (file_of(talk(settings={"x": float("inf")})), r"conversations\[0\]\.settings: expected finite numbers"),
        (file_of(talk(settings={"x": "y" * 100_000})), r"conversations\[0\]\.settings: expected at most 100,000 bytes"),
        (file_of(spoiled(1, role="tool")), r"conversations\[0\]\.messages\[1\]\.role: "),
        (file_of(spoiled(1, parent="b")), r"conversations\[0\]\.messages\[1\]\.parent: expected the id of an earlier"),
        (file_of(spoiled(0, parent="b")), r"conversations\[0\]\.messages\[0\]\.parent: expected the id of an earlier"),
        (file_of(spoiled(1, id="a")), r"conversations\[0\]\.messages\[1\]\.id: an earlier message has the same"),
        (file_of(spoiled(1, content=None)), r"conversations\[0\]\.messages\[1\]\.content: "),
        (file_of(spoiled(1, meta=[])), r"conversations\[0\]\.messages\[1\]\.meta: "),
        (file_of(spoiled(0, content="x" * 1_000_001)), r"conversations\[0\]\.messages\[0\]\.content: "),
        (file_of(talk()).replace(b'"?"', rb'"\ud800"'), r"conversations\[0\]\.messages\[0\]\.content: "),
        (file_of(spoiled(0, meta={"x": "@"})).replace(b'"@"', b"[" * 99 + b"]" * 99), r"\.meta: expected JSON nested"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_refused_whole_and_the_place_named(history: History, data: bytes, place: str) -> None:
    with pytest.raises(UserError, match=place):
        exchange.load(history, data)
    assert history.ids() == []


def test_an_import_that_fails_while_it_is_stored_leaves_nothing(history: History) -> None:
    with history._lock:
        history._db.execute("PRAGMA max_page_count = 20")
    with pytest.raises(Unavailable):
        exchange.load(history, file_of(talk(), spoiled(0, content="x" * 500_000)))
    assert history.ids() == []


# The routes


def test_the_routes_go_together(client: TestClient) -> None:
    made = client.post("/api/conversations", json={"title": "Sums", "settings": {"temperature": 0.5}}).json()
    assert set(made) == {"id", "title", "system", "settings", "created", "updated", "current", "messages"}
    assert (made["current"], made["messages"], made["settings"]) == (None, [], {"temperature": 0.5})
    base = f"/api/conversations/{made['id']}"
    question = {"parent": None, "role": "user", "content": "2+2?", "reasoning": "", "meta": {}}
    asked = client.post(f"{base}/messages", json=question).json()
    tokens = [{"id": 7, "text": "4", "logprob": -0.25, "top": []}]
    answer = {
        "parent": asked["id"],
        "role": "assistant",
        "content": "4",
        "reasoning": "easy",
        "meta": {"tokens": tokens},
    }
    answered = client.post(f"{base}/messages", json=answer).json()
    assert {name: answered[name] for name in answer} == answer

    whole = client.get(base).json()
    assert whole["messages"] == [asked, answered] and whole["current"] == answered["id"]
    head = client.patch(base, json={"title": "Adding", "current": asked["id"]}).json()
    assert (head["title"], head["current"], "messages" in head) == ("Adding", asked["id"], False)
    (entry,) = client.get("/api/conversations", params={"query": "adding"}).json()["conversations"]
    assert (entry["id"], entry["title"], entry["messages"]) == (made["id"], "Adding", 2)

    one = client.get(f"{base}/export")
    assert one.headers["content-disposition"].startswith("attachment")
    assert one.json() == client.get("/api/export").json()
    assert client.post("/api/import", content=one.content).json() == {"imported": 1}
    assert len(client.get("/api/conversations").json()["conversations"]) == 2

    gone = client.delete(f"{base}/messages/{answered['id']}").json()
    assert gone == {"id": answered["id"], "deleted": True, "messages": 1, "current": asked["id"]}
    assert client.delete(base).json() == {"id": made["id"], "deleted": True}
    assert client.get(base).status_code == 404
    assert client.get(base).json()["error"]["code"] == "conversation_not_found"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"role": "user", "content": ""}, "parent"),
        ({"parent": None, "role": "tool", "content": ""}, "role"),
        ({"parent": None, "role": "user", "content": 1}, "content"),
        ({"parent": None, "role": "user", "content": "x" * 1_000_001}, "content"),
        ({"parent": "../x", "role": "user", "content": ""}, "parent"),
        ({"parent": None, "role": "user", "content": "", "id": "mine"}, "id"),
    ],
)
def test_a_bad_message_is_refused_by_field(client: TestClient, body: dict[str, Any], param: str) -> None:
    made = client.post("/api/conversations", json={}).json()["id"]
    response = client.post(f"/api/conversations/{made}/messages", json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ('{"x": NaN}', "finite numbers"),
        ('{"x": -1e999}', "finite numbers"),
        (r'{"x": "\ud800"}', "surrogate"),
        ('{"x": ' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}", "nested"),
        ('{"x": "' + "y" * exchange.META_BYTES + '"}', "at most 8,000,000 bytes"),
    ],
)
def test_meta_that_could_not_be_given_back_is_refused(client: TestClient, meta: str, said: str) -> None:
    made = client.post("/api/conversations", json={}).json()["id"]
    body = f'{{"parent": null, "role": "user", "content": "", "meta": {meta}}}'
    headers = {"content-type": "application/json"}
    response = client.post(f"/api/conversations/{made}/messages", content=body, headers=headers)
    assert response.status_code == 400 and said in response.json()["error"]["message"]
    assert client.get(f"/api/conversations/{made}").json()["messages"] == []


def test_meta_as_deep_as_it_may_be_comes_back_and_travels(client: TestClient) -> None:
    made = client.post("/api/conversations", json={}).json()["id"]
    deep: Any = 1
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    body = {"parent": None, "role": "user", "content": "", "meta": {"x": deep}}
    assert client.post(f"/api/conversations/{made}/messages", json=body).status_code == 200
    file = client.get("/api/export")
    assert client.post("/api/import", content=file.content).json() == {"imported": 1}


def test_a_server_without_a_history_says_so() -> None:
    response = client_for(None).get("/api/conversations")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "no_history")


def test_what_the_file_must_look_like_is_documented(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    body = schema["paths"]["/api/import"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["$ref"].removeprefix("#/components/schemas/") in schema["components"]["schemas"]
