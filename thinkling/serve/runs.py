"""The runs in a folder: what was trained or evaluated, what is being trained now, their curves and reports.

What a run leaves is written by `thinkling.core.chain` and `thinkling.evaluate.evaluation`; here it is only looked at.
Clients name a run by an id that tells nothing of paths. Symbolic links are not followed, wherever they lead.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thinkling.core.artifact import MANIFEST
from thinkling.core.build import MAKING, SPENT
from thinkling.core.errors import UserError
from thinkling.serve.curves import Curves, read_curves
from thinkling.serve.inside import open_inside

State = Literal["running", "done", "stopped"]
LOG, LOCK, SUMMARY, REPORT = "log.jsonl", ".lock", "run.json", "report.html"
# As `thinkling.evaluate` names them, whose import takes seconds.
EVAL, RESULTS, ATTEMPTS = "eval.json", "results.json", "attempts.jsonl"
DEPTH = 3  # levels of folders below the given one
MOST_FOLDERS = 5_000
MOST_REPORT_BYTES = 256 * 2**20
FRESH = 60.0  # seconds since something was written, for a run on another machine to count as running

Parts = tuple[str, ...]
Times = Mapping[str, float]  # the regular files of a folder, and when each was last written


class NoSuchRun(Exception):
    """There is no such run, stage or report (any more)."""


@dataclass(frozen=True, slots=True)
class Stage:
    """``series``: it has curves; ``report``: its folder holds a report."""

    name: str
    state: State
    report: bool
    series: bool


@dataclass(frozen=True, slots=True)
class Run:
    """``name`` is the path below the folder of runs, ``updated`` seconds since 1970, ``report`` whether it has one."""

    id: str
    name: str
    kind: Literal["training", "evaluation"]
    state: State
    updated: float
    report: bool
    stages: tuple[Stage, ...]


class Runs:
    """The runs below ``folder``, looked for anew each time. Calls block. Raises UserError where it is no folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UserError(f"{folder}: no such folder; expected the one with the runs, such as runs")
        self._known: dict[str, Parts] = {}

    def all(self) -> list[Run]:
        """All runs, the last changed first."""
        found = {parts: run for parts, times in self._folders() if (run := self._run(parts, times)) is not None}
        self._known = {run.id: parts for parts, run in found.items()}
        return sorted(found.values(), key=lambda run: run.updated, reverse=True)

    def curves(self, id: str, stage: str, after: int = 0) -> Curves:
        """A stage's curves from line ``after`` of its log on; empty where it has no log yet.

        Raises NoSuchRun for a run or stage that is not there.
        """
        parts = self._parts(id)
        if stage not in (name for name, times in self._children(parts) if _is_stage(times)):
            raise NoSuchRun(f"this run has no stage {stage!r}")
        try:
            with open_inside(self.folder, (*parts, stage, LOG)) as file:
                return read_curves(file, after)
        except FileNotFoundError:
            return Curves(0, True, {})

    def report(self, id: str) -> bytes:
        """The run's report: the page beside its stages, else the newest in one of them. Raises NoSuchRun."""
        parts = self._parts(id)
        inside = sorted(
            (times[REPORT], name) for name, times in self._children(parts) if REPORT in times and _is_stage(times)
        )
        for place in [parts, *((*parts, name) for _, name in reversed(inside))]:
            try:
                with open_inside(self.folder, (*place, REPORT)) as file:
                    size = os.fstat(file.fileno()).st_size
                    if size > MOST_REPORT_BYTES:
                        raise NoSuchRun(f"its report has {size / 1e6:,.0f} MB, too many to show; open the file itself")
                    return file.read()
            except FileNotFoundError:
                continue
        raise NoSuchRun("this run has no report yet; an evaluation has one when it is done, a run by its report stage")

    def _parts(self, id: str) -> Parts:
        if id not in self._known:
            self.all()
        if id not in self._known:
            raise NoSuchRun(f"there is no run {id!r} here (any more)")
        return self._known[id]

    def _folders(self) -> Iterator[tuple[Parts, Times]]:
        """Folders that may be runs, with their files: the given one, and those below it that are no stages."""
        waiting: list[Parts] = [()]
        for _ in range(MOST_FOLDERS):
            if not waiting:
                return
            parts = waiting.pop(0)
            folders, times = self._scan(parts)
            if not _is_stage(times) or not parts:
                yield parts, times
                if EVAL not in times and len(parts) < DEPTH:
                    waiting += [(*parts, name) for name in folders]

    def _children(self, parts: Parts) -> Iterator[tuple[str, Times]]:
        for name in self._scan(parts)[0]:
            yield name, self._scan((*parts, name))[1]

    def _scan(self, parts: Parts) -> tuple[list[str], Times]:
        """Names of the visible folders, and the regular files with their times; nothing for what cannot be read."""
        folders: list[str] = []
        times: dict[str, float] = {}
        try:
            with os.scandir(self.folder.joinpath(*parts)) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                        folders.append(entry.name)
                    elif entry.is_file(follow_symlinks=False):
                        times[entry.name] = entry.stat(follow_symlinks=False).st_mtime
        except OSError:  # it went away meanwhile, or is not ours to read
            return [], {}
        return sorted(folders), times

    def _run(self, parts: Parts, times: Times) -> Run | None:
        """What a folder is, if it is an evaluation or a run."""
        if EVAL in times:
            return self._evaluation(parts, times)
        inside = [child for _, child in self._children(parts) if _is_stage(child)]
        if not inside and SUMMARY not in times:
            return None
        updated = max([times.get(SUMMARY, 0.0), *map(_written, inside)])
        running = self._is_held(parts, updated)
        stages = self._stages(parts, running)
        done = all(stage.state == "done" for stage in stages)
        state: State = "running" if running else "done" if done else "stopped"
        report = REPORT in times or any(stage.report for stage in stages)
        return Run(_id(parts), self._name(parts), "training", state, updated, report, stages)

    def _evaluation(self, parts: Parts, times: Times) -> Run:
        updated, report = max(times.values()), REPORT in times
        running = self._is_held(parts, updated)
        state: State = "running" if running else "done" if _is_evaluated(times) else "stopped"
        stages = (Stage("evaluation", state, report, series=False),)
        return Run(_id(parts), self._name(parts), "evaluation", state, updated, report, stages)

    def _name(self, parts: Parts) -> str:
        return _shown(parts) or self.folder.resolve().name

    def _stages(self, parts: Parts, running: bool) -> tuple[Stage, ...]:
        """A run's stages in the order in which they were made; of the unfinished ones, the last written to runs."""
        found = [(name, times) for name, times in self._children(parts) if _is_stage(times)]
        found.sort(key=lambda each: (MANIFEST not in each[1], each[1].get(MANIFEST, _written(each[1]))))
        return tuple(
            Stage(
                name=_shown((name,)),
                state="done" if MANIFEST in times else "running" if running and i == len(found) - 1 else "stopped",
                report=REPORT in times,
                series=self._has_series((*parts, name, LOG)) if LOG in times else False,
            )
            for i, (name, times) in enumerate(found)
        )

    def _has_series(self, log: Parts) -> bool:
        """Whether the first rows of a log hold numbers over steps."""
        try:
            with open_inside(self.folder, log) as file:
                rows = [file.readline(100_000) for _ in range(4)]
        except FileNotFoundError:
            return False
        return any(b'"step"' in row for row in rows)

    def _is_held(self, parts: Parts, updated: float) -> bool:
        """Whether a process works in this folder (`thinkling.core.lock`).

        The lock is tried only where its holder seems to be alive, because a run that wants to start at that very
        moment would find it taken.
        """
        try:
            with open_inside(self.folder, (*parts, LOCK)) as file:
                about = json.loads(file.read(10_000))
                if about["host"] != socket.gethostname():
                    return time.time() - updated < FRESH
                if not _is_alive(about["pid"]):
                    return False
                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back when the file is closed
                return False
        except BlockingIOError:
            return True
        except (OSError, ValueError, TypeError, KeyError):
            return False


def _id(parts: Parts) -> str:
    return hashlib.sha256(b"/".join(os.fsencode(part) for part in parts)).hexdigest()[:24]


def _shown(parts: Parts) -> str:
    """A path for people; a name that is no text (bytes that are not UTF-8) shows where."""
    return os.fsencode("/".join(parts)).decode("utf-8", "replace")


def _is_stage(times: Times) -> bool:
    return MANIFEST in times or MAKING in times


def _is_evaluated(times: Times) -> bool:
    """Whether the results are no older than what they were made from: else it was begun again, and cut off."""
    return RESULTS in times and times[RESULTS] >= max(times[EVAL], times.get(ATTEMPTS, 0.0))


def _written(times: Times) -> float:
    """When a stage was last worked on."""
    return max(times.get(name, 0.0) for name in (MANIFEST, MAKING, SPENT, LOG))


def _is_alive(pid: int) -> bool:
    if not 0 < pid < 2**31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
