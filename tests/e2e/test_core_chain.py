"""Chains of toy stages: skipped, made again, cut off, resumed, refused."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from thinkling.core import build as building
from thinkling.core.artifact import Artifact
from thinkling.core.build import StageFailed
from thinkling.core.chain import run_recipes, run_stage
from thinkling.core.errors import UserError
from thinkling.core.memory import maxrss_bytes

KEPT = {"manifest.json", "timing.json", "log.jsonl", "out.json"}
REPOSITORY = Path(__file__).resolve().parents[2]

# Draws one number per step; its state is the step and the numbers, so a resumed run must equal a whole one.
TOY = """
import json, os, signal, subprocess, sys, time
from pydantic import Field
from thinkling.core.recipe import StageRecipe
from thinkling.core.seeds import stream

class Recipe(StageRecipe):
    steps: int = Field(default=4, ge=1)
    pause: float = 0.0
    die_at: int = -1      # kill -9 itself before this step, the first time
    fail: str = ""
    inputs: tuple[str, ...] = ()

def run(ctx, recipe):
    if recipe.fail == "disk":
        with open("/dev/full", "w") as file:
            file.write("x" * 100000)
    if recipe.fail == "crash":
        raise ValueError("a bug")
    if recipe.fail == "role":
        ctx.parents["model"]
    if recipe.fail == "helper":
        code = "x = bytearray(b'x') * (200 << 20); import time; time.sleep(60)"
        helper = subprocess.Popen([sys.executable, "-c", code])
        ctx.log(helper=helper.pid)
        time.sleep(3)
        return {}
    precision = ctx.choose("precision", lambda: os.environ.get("TOY_PRECISION", "float32"))
    state = ctx.scratch / "state.json"
    drawn = json.loads(state.read_text()) if state.exists() else []
    ctx.truncate_log(len(drawn))
    for step in range(len(drawn), recipe.steps):
        marker = ctx.scratch / "died"
        if step == recipe.die_at and not marker.exists() and "TOY_LIVES" not in os.environ:
            marker.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(recipe.pause)
        drawn.append(stream(recipe.seed, "toy", step).random())
        ctx.log(step=step, value=drawn[-1])
        state.with_suffix(".draft").write_text(json.dumps(drawn))
        state.with_suffix(".draft").replace(state)
    parents = [(role, (a.path / "out.json").read_text()) for role, a in sorted(ctx.parents.items())]
    (ctx.path / "out.json").write_text(json.dumps([drawn, precision, parents]))
    return {"mean": sum(drawn) / len(drawn)}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the toy stage, and recipes a -> b -> c, and a -> d; the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "recipes").mkdir()
    for name, parent in {"c": "b", "b": "a", "a": "", "d": "a"}.items():
        recipe(tmp_path, name, parent=parent)
    return tmp_path


def recipe(place: Path, name: str, *, parent: str = "", **settings: object) -> None:
    lines = ['stage = "toy.py"', *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
    if parent:
        lines += ["[parents]", f'before = "{parent}"']
    (place / "recipes" / f"{name}.toml").write_text("\n".join(lines))


def run(place: Path, out: str = "out", **options: object) -> dict[str, Artifact]:
    return run_recipes(place / "recipes", place / out, **options)  # type: ignore[arg-type]


def done(text: str) -> dict[str, str]:
    """name -> what the chain said of it."""
    lines = [line.split("] ", 1)[1] for line in text.splitlines() if line.startswith("[")]
    return {name: what for name, what in (line.split(": ", 1) for line in lines) if not what.startswith("done")}


def test_a_chain_skips_what_is_up_to_date_and_makes_again_what_is_not(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "words.txt").write_text("one")
    recipe(place, "d", parent="a", inputs=["./words.txt"])

    first = run(place)
    assert list(first) == ["a", "b", "c", "d"]
    assert set(done(capfd.readouterr().err).values()) == {"making"}
    assert {path.name for path in first["a"].path.iterdir()} == KEPT
    stamps = {name: (artifact.path / "manifest.json").stat().st_mtime_ns for name, artifact in first.items()}

    (place / "toy.py").write_text(TOY + "# a comment\n")
    second = run(place)
    assert set(done(capfd.readouterr().err).values()) == {"up to date"}
    assert {n: (a.path / "manifest.json").stat().st_mtime_ns for n, a in second.items()} == stamps

    recipe(place, "b", parent="a", steps=5)
    (place / "words.txt").write_text("two")
    run(place)
    assert done(capfd.readouterr().err) == {
        "a": "up to date",
        "b": "making again (recipe: steps 4 -> 5)",
        "c": "making again (parent before)",
        "d": "making again (input ./words.txt)",
    }

    (place / "out" / "b" / "out.json").unlink()
    run(place, only=["b"])
    assert done(capfd.readouterr().err) == {"b": "making again (missing: out.json)"}

    (place / "toy.py").write_text(TOY.replace('"mean"', '"average"'))
    run(place, until="a")
    assert done(capfd.readouterr().err)["a"] == "making again (code: toy.py)"


def test_the_same_recipes_give_the_same_ids_elsewhere(place: Path) -> None:
    one, other = run(place, until="b"), run(place, "other", until="b")
    assert {n: a.manifest.id for n, a in one.items()} == {n: a.manifest.id for n, a in other.items()}
    assert one["a"].manifest.id != one["b"].manifest.id


def test_only_until_and_force(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="does not exist"):
        run(place, only=["b"])
    assert list(run(place, until="a")) == ["a"]
    assert list(run(place, only=["d"])) == ["d"]
    capfd.readouterr()
    run(place, until="b", force=["a"])
    assert done(capfd.readouterr().err) == {"a": "making again (forced)", "b": "making"}
    with pytest.raises(UserError, match=r"no recipe named 'bb'; did you mean 'b'\?"):
        run(place, force=["bb"])


def test_a_damaged_parent_stops_its_child_with_both_hashes(place: Path) -> None:
    run(place, until="a")
    (place / "out" / "a" / "out.json").write_text("forged")
    with pytest.raises(UserError, match="a/out.json: expected sha256 [0-9a-f]{64}, found [0-9a-f]{64}"):
        run(place, until="b")


def test_kill_9_of_a_stage_and_resume_equals_uninterrupted(
    place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe(place, "b", parent="a", die_at=2)
    monkeypatch.setenv("TOY_PRECISION", "bfloat16")
    with pytest.raises(StageFailed, match="b: its process was killed by SIGKILL"):
        run(place)
    with pytest.raises(UserError, match="unfinished"):
        Artifact.open(place / "out" / "b")
    assert (place / "out" / "a" / "manifest.json").exists() and not (place / "out" / "c").exists()
    monkeypatch.setenv("TOY_PRECISION", "float32")  # the probe would answer otherwise now
    resumed = run(place, until="b")["b"]
    assert "going on from the attempt that was cut off" in capfd.readouterr().err
    assert resumed.manifest.choices == {"precision": "bfloat16"}
    assert [row["step"] for row in resumed.log()] == [0, 1, 2, 3]

    monkeypatch.setenv("TOY_PRECISION", "bfloat16")
    monkeypatch.setenv("TOY_LIVES", "1")
    whole = run(place, "whole", until="b")["b"]
    assert whole.manifest.id == resumed.manifest.id


def test_scratch_of_another_recipe_is_discarded(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe(place, "a", die_at=3)
    with pytest.raises(StageFailed):
        run(place, until="a")
    recipe(place, "a", seed=7)
    capfd.readouterr()
    artifact = run(place, until="a")["a"]
    said = capfd.readouterr().err
    assert "discarding the attempt that was cut off: recipe: die_at 3 -> -1; recipe: seed 0 -> 7" in said
    assert run(place, "fresh", until="a")["a"].manifest.id == artifact.manifest.id


def start_in_background(place: Path) -> subprocess.Popen[bytes]:
    recipe(place, "a", steps=40, pause=0.05)
    command = [sys.executable, "-m", "thinkling", "run", "recipes", "--out", "out", "--until", "a"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    child = subprocess.Popen(command, cwd=place, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not (place / "out" / "a" / "log.jsonl").exists():
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    return child


def lock_is_free(folder: Path) -> bool:
    with (folder / ".lock").open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_a_second_run_is_told_who_holds_the_folder_and_kill_9_of_the_run_frees_it(place: Path) -> None:
    child = start_in_background(place)
    with pytest.raises(UserError, match=f"another run holds this folder: process {child.pid} on .*, since 20"):
        run(place)
    child.send_signal(signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + 10
    while not lock_is_free(place / "out"):  # the stage's process shares the lock, and must end as well
        assert time.monotonic() < deadline
        time.sleep(0.02)
    rows = len((place / "out" / "a" / "log.jsonl").read_text().splitlines())
    time.sleep(0.2)
    assert len((place / "out" / "a" / "log.jsonl").read_text().splitlines()) == rows < 40
    artifact = run(place, until="a")["a"]
    assert [row["step"] for row in artifact.log()] == list(range(40))
    assert run(place, "whole", until="a")["a"].manifest.id == artifact.manifest.id


def test_a_full_disk_in_a_stage_is_told_and_earlier_artifacts_are_intact(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe(place, "b", parent="a", fail="disk")
    with pytest.raises(StageFailed) as caught:
        run(place, until="b")
    assert caught.value.status == 2
    said = capfd.readouterr().err
    assert "error: the disk is full" in said and "Traceback" not in said
    Artifact.open(place / "out" / "a").verify()
    recipe(place, "b", parent="a")
    assert list(run(place, until="b")) == ["a", "b"]


def test_a_full_disk_while_the_manifest_is_written_leaves_no_artifact(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, manifest: object) -> None:
        with open("/dev/full", "w") as file:
            file.write("x")

    with monkeypatch.context() as patch:
        patch.setattr(building, "write_manifest", full)
        with pytest.raises(UserError, match="the disk is full"):
            run(place, until="a")
    with pytest.raises(UserError, match="unfinished"):
        Artifact.open(place / "out" / "a")
    run(place, until="a")["a"].verify()


def test_a_crash_and_a_missing_role_are_told_apart(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe(place, "a", fail="crash")
    with pytest.raises(StageFailed, match="a: crashed") as caught:
        run(place)
    assert caught.value.status == 1 and "ValueError: a bug" in capfd.readouterr().err
    recipe(place, "a", fail="role")
    with pytest.raises(StageFailed) as caught:
        run(place)
    assert caught.value.status == 2
    assert "needs a parent in the role 'model'; given: none" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a", 'stage = "toy.py"\nstep = 3', "unknown key 'step'; did you mean 'steps'?"),
        ("a", 'stage = "pretrian"', "unknown stage 'pretrian'; did you mean 'pretrain'?"),
        ("a", 'stage = "mine.py"', "stage 'mine.py': no such file"),
        ("a", "steps = 3", "key 'stage' is missing"),
        ("b", 'stage = "toy.py"\n[parents]\nbefore = "aa"', "parent before = 'aa' has no recipe"),
        ("a", 'stage = "toy.py"\n[parents]\nbefore = "c"', "the parents form a ring: a -> c -> b -> a"),
        ("a", 'stage = "toy.py"\nparents = ["b"]', "[parents] maps roles to names"),
    ],
)
def test_a_bad_recipe_stops_everything_before_it_starts(
    place: Path, capfd: pytest.CaptureFixture[str], name: str, text: str, words: str
) -> None:
    (place / "recipes" / f"{name}.toml").write_text(text)
    with pytest.raises((UserError, StageFailed)) as caught:
        run(place)
    assert words in str(caught.value) + capfd.readouterr().err
    assert not any((place / "out").glob("*/manifest.json"))


def test_a_folder_with_somebody_elses_files_is_not_overwritten(place: Path) -> None:
    (place / "out" / "a").mkdir(parents=True)
    (place / "out" / "a" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="no artifact to overwrite"):
        run(place, force=["a"])
    assert (place / "out" / "a" / "thesis.txt").read_text() == "years of work"


def test_one_stage_alone_with_a_parent_from_elsewhere(place: Path) -> None:
    run(place, until="a")
    here = run_stage(place / "recipes" / "b.toml", place / "out")
    elsewhere = run_stage(place / "recipes" / "b.toml", place / "other", parents={"before": place / "out" / "a"})
    assert elsewhere.path == place / "other" / "b" and elsewhere.manifest.id == here.manifest.id
    assert run(place, until="b")["b"].manifest.id == here.manifest.id


def test_helpers_of_a_stage_count_towards_its_memory_and_do_not_outlive_it(place: Path) -> None:
    recipe(place, "a", fail="helper")
    artifact = run(place, until="a")["a"]
    # Linux keeps a process's high-water mark across exec: a child starts with that of whoever forked it, here
    # with that of this test session, whatever it has loaded by now.
    inherited = maxrss_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert 200e6 < artifact.timing()["peak_rss_bytes"] < max(600e6, 1.05 * inherited)
    helper = artifact.log()[0]["helper"]
    deadline = time.monotonic() + 10
    while psutil.pid_exists(helper) and psutil.Process(helper).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the helper is still running"
        time.sleep(0.02)


def test_time_and_memory_are_written_beside_the_hashes(place: Path) -> None:
    recipe(place, "a", pause=0.1)
    artifact = run(place, until="a")["a"]
    timing = artifact.timing()
    assert 0.4 <= timing["seconds"] < 30 and timing["attempts"] == 1
    inherited = maxrss_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # see above
    assert 10e6 < timing["peak_rss_bytes"] < max(1e9, 1.05 * inherited)
    summary = json.loads((place / "out" / "run.json").read_text())
    assert summary["wall_seconds"] >= timing["seconds"]
    assert summary["peak_rss_bytes"] > timing["peak_rss_bytes"]
    assert summary["stages"]["a"] == {"id": artifact.manifest.id, **timing}
