"""Making one artifact: prepare its folder, run the stage in a process of its own, commit the manifest.

In the folder while the stage runs: ``.making.json`` (what from), ``.scratch/`` (the stage's resume
state), ``.choices.json``, ``.spent.json`` (seconds of earlier attempts). All go when it is done.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import thinkling
from thinkling.core.artifact import (
    MANIFEST,
    Artifact,
    Manifest,
    canonical,
    hash_files,
    identity,
    list_files,
    write_atomically,
    write_manifest,
)
from thinkling.core.code import PACKAGE
from thinkling.core.disk import disk_full_message, is_disk_full
from thinkling.core.errors import UserError
from thinkling.core.ingredients import Ingredients
from thinkling.core.memory import maxrss_bytes, tree_bytes
from thinkling.core.worker import RESULT, USER_ERROR

MAKING = ".making.json"
SPENT = ".spent.json"
JOB = ".job.json"
# GNU OpenMP's idle threads spin for milliseconds before they sleep. On a machine that does anything else beside the
# stage, they then burn the very core that the thread they wait for needs.
SLEEP_SOON = {"GOMP_SPINCOUNT": "2000"}


class StageFailed(Exception):
    """A stage ended without an artifact; why has been printed where it happened."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Cost:
    """What a child process took: wall-clock seconds, and peak memory with its helpers in bytes."""

    seconds: float
    peak_rss_bytes: int


def build(
    name: str,
    folder: Path,
    ingredients: Ingredients,
    parents: dict[str, Artifact],
    *,
    lock: int,
    hooks: Mapping[str, str] | None = None,
    fresh: bool = False,
) -> Artifact:
    """Run a stage into ``folder`` and return its artifact.

    Goes on from the scratch of an attempt that was cut off if that was made from the same
    ingredients and ``fresh`` is not set. Raises UserError for a full disk or a folder that is no
    artifact, StageFailed where the stage reported an error itself or crashed. ``hooks``: name ->
    "module:function", lent to the stage (see StageContext.hook).
    """
    try:
        note = _prepare(folder, ingredients, fresh)
        if note:
            print(f"  {note}", file=sys.stderr)
        job = {
            "do": "run",
            "name": name,
            "folder": str(folder),
            "recipe": ingredients.recipe,
            "hooks": dict(hooks or {}),
            "parents": {role: (parent.name, str(parent.path)) for role, parent in parents.items()},
        }
        spent = _read(folder / SPENT) or {"seconds": 0.0, "peak_rss_bytes": 0, "attempts": 0}
        cost = run_worker(job, folder / JOB, lock=lock, spent=(folder / SPENT, spent))
        return _commit(name, folder, ingredients, _total(spent, cost))
    except OSError as error:
        if is_disk_full(error, folder):
            raise UserError(f"{disk_full_message(folder)} ({error})") from error
        raise


def run_worker(
    job: dict[str, Any],
    job_file: Path,
    *,
    lock: int | None = None,
    spent: tuple[Path, dict[str, Any]] | None = None,
) -> Cost:
    """Run ``thinkling.core.worker`` on a job to its end; raises StageFailed unless it succeeds.

    The child shares the lock, leads a process group of its own and dies with this process. ``spent``
    is a file to keep up to date with the cost so far, on top of earlier attempts', for the case that
    this process is killed too.
    """
    lifeline, held = os.pipe()
    start = time.monotonic()
    try:
        write_atomically(job_file, json.dumps({**job, "lifeline": lifeline}))
        child = subprocess.Popen(
            [sys.executable, "-m", "thinkling.core.worker", str(job_file)],
            stdin=subprocess.DEVNULL,
            pass_fds=[lifeline, *([] if lock is None else [lock])],
            process_group=0,
            env={**SLEEP_SOON, **os.environ, "PYTHONPATH": _search_path()},
        )
        try:
            status, peak = _watch(child, start, spent)
        finally:
            _end_group(child)
    finally:
        os.close(held)
        os.close(lifeline)
        job_file.unlink(missing_ok=True)
    if status != 0:
        raise StageFailed(_death(job, status), status)
    return Cost(time.monotonic() - start, peak)


def _watch(child: subprocess.Popen[bytes], start: float, spent: tuple[Path, dict[str, Any]] | None) -> tuple[int, int]:
    """Wait for the child; ``(exit status, peak bytes)``. Negative status: the signal that killed it."""
    peak, sampled = 0, start
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return child.returncode, max(peak, maxrss_bytes(usage.ru_maxrss))
        now = time.monotonic()
        if now - sampled >= 1.0:
            sampled = now
            peak = max(peak, tree_bytes(child.pid))
            if spent is not None:
                write_atomically(spent[0], json.dumps(_total(spent[1], Cost(now - start, peak))))
        time.sleep(0.02)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of the child and its helpers: nobody writes into the folder after this."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
        pass
    if child.returncode is None:
        child.wait()


def _search_path() -> str:
    """The child finds the very package that this process runs, also from a checkout that is not installed."""
    return os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]))


def _death(job: dict[str, Any], status: int) -> str:
    what = job.get("name", "checking the recipes")
    if status == USER_ERROR:
        return f"{what}: stopped at the error above"
    if status < 0:
        name = signal.Signals(-status).name
        why = ", often because memory ran out" if -status == signal.SIGKILL else ""
        return f"{what}: its process was killed by {name}{why}. Run the same command again to go on"
    return f"{what}: crashed (exit status {status}); the traceback above says where"


def _prepare(folder: Path, ingredients: Ingredients, fresh: bool) -> str:
    """Empty the folder except for what a cut-off attempt left to go on from; returns what to tell."""
    making = folder / MAKING
    before = _read(making)
    foreign = before is None and not (folder / MANIFEST).exists()
    if foreign and folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UserError(
            f"{folder}: has files but no manifest.json, so it is no artifact to overwrite; empty it "
            "or choose another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / ".scratch"
    if before and scratch.is_dir() and any(scratch.iterdir()):
        change = "forced" if fresh else ingredients.difference(Ingredients(**before))
        if not change:
            (folder / MANIFEST).unlink(missing_ok=True)
            for file in [*list_files(folder), RESULT]:  # outputs are written anew; scratch, log, choices stay
                (folder / file).unlink(missing_ok=True)
            return "going on from the attempt that was cut off"
        note = f"discarding the attempt that was cut off: {change}"
    else:
        note = ""
    write_atomically(making, "{}")  # from here on the folder is ours, and holds nothing to go on from
    (folder / MANIFEST).unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.name != MAKING:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    write_atomically(making, canonical(ingredients.as_dict()))
    return note


def _commit(name: str, folder: Path, ingredients: Ingredients, timing: dict[str, Any]) -> Artifact:
    result = json.loads((folder / RESULT).read_text())
    draft = Manifest(
        id="",
        kind=ingredients.kind,
        parents=ingredients.parents,
        recipe=ingredients.recipe,
        code=ingredients.code,
        files=hash_files(folder),
        sources=ingredients.sources,
        inputs=ingredients.inputs,
        metrics=result["metrics"],
        choices=result["choices"],
        environment=_environment(),
    )
    fields = {field: getattr(draft, field) for field in draft.__dataclass_fields__}
    manifest = Manifest(**{**fields, "id": identity(draft)})
    write_atomically(folder / "timing.json", json.dumps(timing, indent=1) + "\n")
    write_manifest(folder, manifest)
    sweep(folder)  # only now: before the manifest stands, a crash would lose the resume state for nothing
    return Artifact(name, folder, manifest)


def sweep(folder: Path) -> None:
    """Remove what the making of a finished artifact left behind."""
    shutil.rmtree(folder / ".scratch", ignore_errors=True)
    for leftover in (MAKING, SPENT, RESULT, ".choices.json"):
        (folder / leftover).unlink(missing_ok=True)


def _total(spent: dict[str, Any], cost: Cost) -> dict[str, Any]:
    return {
        "seconds": round(spent["seconds"] + cost.seconds, 3),
        "peak_rss_bytes": max(spent["peak_rss_bytes"], cost.peak_rss_bytes),
        "attempts": spent["attempts"] + 1,
    }


def _read(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def _environment() -> dict[str, str]:
    facts = {
        "thinkling": thinkling.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    for package in ("torch", "numpy"):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:  # a torch-free installation can still prepare data
            continue
    return facts
