"""Runs as the page sees them: found, named, followed while they train, and never a way out of their folder."""

from __future__ import annotations

import io
import json
import math
import os
import socket
import time
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
from thinkling.core.lock import locked
from thinkling.core.runlog import RunLog
from thinkling.core.stage import StageContext
from thinkling.serve import errors, runs, runs_routes
from thinkling.serve.curves import MOST_LINES, MOST_POINTS, Curves, read_curves
from thinkling.serve.inside import open_inside
from thinkling.serve.runs import NoSuchRun, Run, Runs
from thinkling.serve.state import ServerState


def stage(folder: Path, *rows: dict[str, Any], done: bool = True, report: str = "") -> Path:
    """The folder of a stage, finished or not."""
    folder.mkdir(parents=True)
    (folder / ("manifest.json" if done else ".making.json")).write_text("{}")
    for row in rows:
        RunLog(folder / "log.jsonl").append(row)
    if report:
        (folder / "report.html").write_text(report)
    return folder


def evaluation(folder: Path, *, done: bool = True) -> Path:
    folder.mkdir(parents=True)
    (folder / "eval.json").write_text("{}")
    (folder / "attempts.jsonl").write_text("")
    if done:
        (folder / "results.json").write_text("{}")
        (folder / "report.html").write_text("<p>results</p>")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run and an evaluation, in ``runs``."""
    made = tmp_path / "runs"
    stage(made / "nano" / "world")
    stage(made / "nano" / "pretrain", {"step": 0, "loss": 3.0}, {"step": 1, "loss": 2.5})
    (made / "nano" / "run.json").write_text("{}")
    (made / "nano" / "report.html").write_text("<p>the run</p>")
    evaluation(made / "ev" / "base")
    return made


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with client_for(Runs(folder)) as made:
        yield made


def client_for(found: Runs | None) -> TestClient:
    app = FastAPI()
    errors.install(app)
    app.include_router(runs_routes.router(cast(ServerState, SimpleNamespace(runs=found))))
    return TestClient(app, raise_server_exceptions=False)


def named(found: Runs, name: str) -> Run:
    return next(run for run in found.all() if run.name == name)


def age(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


# What is a run, and how it is


def test_runs_and_evaluations_are_found_at_any_depth_that_people_use(folder: Path) -> None:
    stage(folder / "2024" / "may" / "small" / "rl")
    (folder / "notes").mkdir()
    found = Runs(folder).all()
    assert {run.name: (run.kind, run.state, run.report) for run in found} == {
        "nano": ("training", "done", True),
        "ev/base": ("evaluation", "done", True),
        "2024/may/small": ("training", "done", False),
    }
    assert [run.updated for run in found] == sorted((run.updated for run in found), reverse=True)
    nano = named(Runs(folder), "nano")
    assert {one.name: (one.state, one.report, one.series) for one in nano.stages} == {
        "world": ("done", False, False),
        "pretrain": ("done", False, True),
    }


def test_a_runs_folder_may_itself_be_given(folder: Path) -> None:
    (run,) = Runs(folder / "nano").all()
    assert (run.name, len(run.stages)) == ("nano", 2)
    assert Runs(folder / "nano").report(run.id) == b"<p>the run</p>"


def test_an_artifact_among_the_runs_hides_none_of_them(folder: Path) -> None:
    stage(folder / "model")
    assert {"nano", "ev/base"} < {run.name for run in Runs(folder).all()}


def test_an_id_tells_nothing_of_the_path_and_stays(folder: Path) -> None:
    run = named(Runs(folder), "ev/base")
    assert named(Runs(folder), "ev/base").id == run.id
    assert len({run.id for run in Runs(folder).all()}) == 2
    assert run.id.isalnum() and "base" not in run.id
    for id in ("ev/base", "nano", "..", ""):
        with pytest.raises(NoSuchRun):
            Runs(folder).report(id)


def test_a_run_that_trains_is_running_and_its_last_stage_too(folder: Path) -> None:
    stage(folder / "nano" / "sft", {"step": 0, "loss": 1.0}, done=False)
    stage(folder / "nano" / "rl", done=False)
    age(folder / "nano" / "rl" / ".making.json", 100)  # an earlier attempt, given up
    found = Runs(folder)
    assert named(found, "nano").state == "stopped"
    with locked(folder / "nano"):
        run = named(found, "nano")
        assert run.state == "running"
        assert [(one.name, one.state) for one in run.stages[2:]] == [("rl", "stopped"), ("sft", "running")]
    assert named(found, "nano").state == "stopped"
    assert [one.state for one in named(found, "nano").stages] == ["done", "done", "stopped", "stopped"]


def test_looking_takes_no_lock_from_a_run_that_wants_to_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(folder / "nano"):
        pass
    about = json.loads((folder / "nano" / ".lock").read_text())
    (folder / "nano" / ".lock").write_text(json.dumps({**about, "pid": 2**22 + 1}))  # no such process
    monkeypatch.setattr("fcntl.flock", lambda *_: pytest.fail("the lock was tried"))
    assert named(Runs(folder), "nano").state == "done"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "host": "@"}', '{"pid": -1, "host": "@"}'])
def test_an_odd_lock_is_no_lock(folder: Path, text: str) -> None:
    (folder / "nano" / ".lock").write_text(text.replace("@", socket.gethostname()))
    assert named(Runs(folder), "nano").state == "done"


def test_a_run_on_another_machine_is_known_by_what_it_writes(folder: Path) -> None:
    stage(folder / "nano" / "rl", {"step": 0, "loss": 1.0}, done=False)
    (folder / "nano" / ".lock").write_text(json.dumps({"pid": 1, "host": "elsewhere", "since": ""}))
    assert named(Runs(folder), "nano").state == "running"
    for file in (folder / "nano").rglob("*"):
        age(file, 1000)
    assert named(Runs(folder), "nano").state == "stopped"


def test_an_evaluation_begun_again_and_cut_off_is_not_done(folder: Path) -> None:
    assert named(Runs(folder), "ev/base").state == "done"
    age(folder / "ev" / "base" / "results.json", 100)
    assert named(Runs(folder), "ev/base").state == "stopped"
    with locked(folder / "ev" / "base"):
        assert [one.state for one in named(Runs(folder), "ev/base").stages] == ["running"]
    evaluation(folder / "ev" / "new", done=False)
    assert (named(Runs(folder), "ev/new").state, named(Runs(folder), "ev/new").report) == ("stopped", False)


def test_names_are_as_the_rooms_that_write_have_them() -> None:
    from thinkling.evaluate.attempts import ATTEMPTS
    from thinkling.evaluate.evaluation import EVAL, REPORT, RESULTS

    assert (runs.EVAL, runs.RESULTS, runs.ATTEMPTS, runs.REPORT) == (EVAL, RESULTS, ATTEMPTS, REPORT)
    assert StageContext.__init__.__code__.co_consts.__contains__(runs.LOG)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        Runs(tmp_path / "none")


# No way out


def test_links_lead_nowhere(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    stage(outside / "secret", {"step": 0, "loss": 1.0}, report="secret")
    (outside / "run.json").write_text("{}")
    (outside / "report.html").write_text("secret")
    (folder / "linked").symlink_to(outside)
    (folder / "nano" / "linked").symlink_to(outside / "secret")
    stage(folder / "nano" / "rl")
    (folder / "nano" / "rl" / "log.jsonl").symlink_to(outside / "secret" / "log.jsonl")
    (folder / "nano" / "report.html").unlink()
    (folder / "nano" / "report.html").symlink_to(outside / "report.html")
    found = Runs(folder)
    assert {run.name for run in found.all()} == {"nano", "ev/base"}
    nano = named(found, "nano")
    assert ({one.name: one.series for one in nano.stages}, nano.report) == (
        {"world": False, "pretrain": True, "rl": False},
        False,
    )
    assert found.curves(nano.id, "rl").series == {}
    for name in ("linked", "../../outside/secret", "..", ".", "", "/", "pretrain/../rl", "pre\0train", "\udcff"):
        with pytest.raises(NoSuchRun):
            found.curves(nano.id, name)
    with pytest.raises(NoSuchRun):
        found.report(nano.id)


def test_a_folder_exchanged_for_a_link_after_it_was_found_is_not_followed(folder: Path, tmp_path: Path) -> None:
    found = Runs(folder)
    id = named(found, "nano").id
    (folder / "nano").rename(tmp_path / "elsewhere")
    (folder / "nano").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NoSuchRun):
        found.report(id)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with open_inside(tmp_path, ["file"]) as file:
        assert file.read() == b"x"
    for parts in (
        ["pipe"],
        ["folder"],
        ["file", "x"],
        ["..", tmp_path.name, "file"],
        ["none"],
        ["folder/../file"],
        [""],
    ):
        with pytest.raises(FileNotFoundError):
            open_inside(tmp_path, parts)


def test_odd_names_are_shown_and_harm_nothing(folder: Path) -> None:
    for name in (b"\xff\xfe", "ну <b>&'\"".encode(), b"line\nbreak", b"%2e%2e"):
        stage(Path(os.fsdecode(os.fsencode(folder) + b"/" + name)) / "sft", {"step": 0, "loss": 1.0})
    client = client_for(Runs(folder))
    found = client.get("/api/runs").json()["runs"]
    assert {"\ufffd\ufffd", "ну <b>&'\"", "line\nbreak", "%2e%2e"} < {run["name"] for run in found}
    for run in found:
        if run["kind"] == "training" and run["name"] != "nano":
            curves = client.get(f"/api/runs/{run['id']}/curves", params={"stage": "sft"}).json()
            assert curves["series"] == {"loss": [[0, 1.0]]}


# Curves


def curves_of(*rows: Any, after: int = 0, tail: str = "") -> Curves:
    text = "".join(json.dumps(row) + "\n" for row in rows) + tail
    return read_curves(io.BytesIO(text.encode()), after)


def test_numbers_become_points_and_nothing_else_does() -> None:
    made = curves_of(
        {"step": -1, "val_bpb": 3.5, "samples": ["once"], "fine": True, "note": "x", "none": None},
        {"summary": "no step", "speed": 5},
        {"step": 0, "loss": math.nan, "styles": {"check": 9, "deep": {"er": 1}}, "seconds": math.inf},
        {"step": 1, "loss": 2.5, "held_out": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}},
        {"step": "two", "loss": 1},
        {"step": True, "loss": 1},
        [1, 2],
        {"step": 2, "huge": 10**400, "large": 2**60, "loss": -0.0},
    )
    assert made.next == 8 and made.reset
    assert made.series == {
        "val_bpb": [(-1, 3.5)],
        "loss": [(0, None), (1, 2.5), (2, 0.0)],
        "styles.check": [(0, 9)],
        "styles.deep.er": [(0, 1)],
        "seconds": [(0, None)],
        "held_out": [(1, 0.5)],
        "huge": [(2, None)],
        "large": [(2, 2.0**60)],
    }
    json.dumps(made.series, allow_nan=False)


def test_a_log_is_followed_line_by_line_while_it_is_written(tmp_path: Path) -> None:
    log, told, after = tmp_path / "log.jsonl", [], 0
    rows = [{"step": step, "loss": float(step)} for step in range(30)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    for end in range(0, len(text) + 7, 7):  # cut anywhere, as a reader may find it
        log.write_text(text[:end])
        with log.open("rb") as file:
            made = read_curves(file, after)
        told += made.series.get("loss", [])
        after = made.next
    assert told == [(step, float(step)) for step in range(30)] and after == 30


def test_a_torn_or_foreign_line_counts_and_is_passed_over() -> None:
    deep = '{"step": 3, "x": ' + "[" * 100_000 + "\n"
    text = '{"step": 0, "loss": 1}\n{"step": 1, "lo\n\xff\x00\n' + deep + '\n{"step": 4, "loss": 2}\n{"step": 5, "lo'
    made = read_curves(io.BytesIO(text.encode("latin-1")), 0)
    assert (made.next, made.series) == (6, {"loss": [(0, 1), (4, 2)]})


def test_a_log_that_went_back_to_a_checkpoint_is_told_anew() -> None:
    rows = [{"step": step, "loss": 1.0} for step in range(5)]
    assert curves_of(*rows, after=5) == Curves(5, False, {})
    made = curves_of(*rows[:3], after=5)
    assert (made.next, made.reset, len(made.series["loss"])) == (3, True, 3)


def test_new_lines_are_told_exactly_however_many_but_not_all_at_once() -> None:
    count = 2 * MOST_LINES + 11
    text = b"".join(b'{"step":%d,"loss":%d}\n' % (step, step % 7) for step in range(count))
    told, after = [], 1
    while (made := read_curves(io.BytesIO(text), after)).series:
        assert not made.reset and made.next - after <= MOST_LINES
        told += made.series["loss"]
        after = made.next
    assert told == [(step, step % 7) for step in range(1, count)]


VALUES = st.one_of(st.integers(-5, 5), st.floats(-100, 100), st.just(math.nan))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9_000), st.dictionaries(st.integers(0, 9_000), VALUES, max_size=20), st.integers(0, 3))
def test_thinning_keeps_ends_extremes_gaps_and_order(count: int, spikes: dict[int, float], seed: int) -> None:
    values = [spikes.get(i, math.sin(i * (seed + 1) / 50)) for i in range(count)]
    whole = [(i, None if math.isnan(value) else value) for i, value in enumerate(values)]
    made = curves_of(*({"step": i, "x": value} for i, value in enumerate(values))).series["x"]
    assert len(made) <= MOST_POINTS
    assert set(made) <= set(whole) and made == sorted(made, key=lambda point: point[0])
    assert (made[0], made[-1]) == (whole[0], whole[-1])
    finite = [value for _, value in whole if value is not None]
    if finite:
        kept = [value for _, value in made if value is not None]
        assert (min(kept), max(kept)) == (min(finite), max(finite))
    assert any(value is None for _, value in made) == any(value is None for _, value in whole)
    if count <= MOST_POINTS - 2:
        assert made == whole
    else:
        steps = [step for step, _ in made]
        assert max(b - a for a, b in zip(steps, steps[1:], strict=False)) <= 8 * count / MOST_POINTS + 2  # evenly


def test_a_hundred_thousand_steps_are_read_in_little_memory_and_time() -> None:
    text = b"".join(b'{"step":%d,"loss":%f,"seconds":0.5}\n' % (step, step % 97) for step in range(100_000))
    started = time.perf_counter()
    made = read_curves(io.BytesIO(text), 0)
    assert time.perf_counter() - started < 10
    assert made.next == 100_000 and all(len(points) <= MOST_POINTS for points in made.series.values())


def test_files_that_vanish_while_one_looks_are_no_fault(folder: Path) -> None:
    found = Runs(folder)
    id = named(found, "nano").id
    (folder / "nano" / "pretrain" / "log.jsonl").unlink()
    assert found.curves(id, "pretrain", 2) == Curves(0, True, {})
    (folder / "nano" / "report.html").unlink()
    with pytest.raises(NoSuchRun, match="no report yet"):
        found.report(id)
    stage(folder / "nano" / "report", report="<p>inside</p>")
    assert found.report(id) == b"<p>inside</p>"
    for file in (folder / "nano").rglob("*"):
        if file.is_file():
            file.unlink()
    with pytest.raises(NoSuchRun):
        found.curves(id, "pretrain")
    assert [run.name for run in found.all()] == ["ev/base"]


# The routes


def test_the_routes_go_together(client: TestClient, folder: Path) -> None:
    found = {run["name"]: run for run in client.get("/api/runs").json()["runs"]}
    nano = found["nano"]
    assert set(nano) == {"id", "name", "kind", "state", "updated", "report", "stages"}
    assert nano["stages"][1] == {"name": "pretrain", "state": "done", "report": False, "series": True}
    path = f"/api/runs/{nano['id']}/curves"
    made = client.get(path, params={"stage": "pretrain"}).json()
    assert made == {"stage": "pretrain", "next": 2, "reset": True, "series": {"loss": [[0, 3.0], [1, 2.5]]}}
    RunLog(folder / "nano" / "pretrain" / "log.jsonl").append({"step": 2, "loss": math.nan})
    made = client.get(path, params={"stage": "pretrain", "after": 2}).json()
    assert made == {"stage": "pretrain", "next": 3, "reset": False, "series": {"loss": [[2, None]]}}
    assert client.get(path, params={"stage": "none"}).json()["error"]["code"] == "run_not_found"
    assert client.get(path).json()["error"]["param"] == "stage"
    assert client.get("/api/runs/nano/curves?stage=x").status_code == 400


def test_a_report_is_served_as_it_is_into_a_sandbox(client: TestClient) -> None:
    (id,) = [run["id"] for run in client.get("/api/runs").json()["runs"] if run["name"] == "ev/base"]
    response = client.get(f"/runs/{id}/report")
    assert response.content == b"<p>results</p>"
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = {rule.split()[0]: rule.split()[1:] for rule in response.headers["content-security-policy"].split("; ")}
    assert policy["sandbox"] == ["allow-scripts"]  # no origin of its own, no windows, no forms
    assert policy["default-src"] == ["'none'"] and "connect-src" not in policy
    assert policy["frame-ancestors"] == ["'self'"]
    etag = response.headers["etag"]
    assert client.get(f"/runs/{id}/report", headers={"if-none-match": etag}).status_code == 304
    assert client.get(f"/runs/{'0' * 24}/report").status_code == 404


def test_a_server_without_runs_says_so() -> None:
    response = client_for(None).get("/api/runs")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "no_runs")
