"""Chaining stages: like make, over a folder with one recipe per artifact.

The file's stem is the artifact's name and its folder in the run. A stage is made again only if its
recipe, its parents, its code or a file that its recipe names has changed; one that was cut off goes on.
"""

from __future__ import annotations

import difflib
import json
import resource
import shutil
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thinkling.core.artifact import MANIFEST, Artifact, write_atomically
from thinkling.core.build import JOB, Cost, build, run_worker, sweep
from thinkling.core.errors import UserError
from thinkling.core.ingredients import gather, of_manifest
from thinkling.core.lock import locked
from thinkling.core.memory import maxrss_bytes
from thinkling.core.progress import clock
from thinkling.core.recipe import read_toml
from thinkling.core.stages import stage_file


@dataclass(frozen=True, slots=True)
class Planned:
    """One artifact to be: the recipe as written, and where it came from."""

    name: str
    origin: Path
    table: dict[str, Any]

    @property
    def parents(self) -> dict[str, str]:
        return self.table.get("parents", {})


@dataclass(slots=True)
class Run:
    """A run in progress over the folder ``out``, which this process holds locked."""

    out: Path
    lock: int
    checking: Cost
    recipes: dict[str, dict[str, Any]]
    hooks: Mapping[str, str]


def read_plan(folder: Path, text: Collection[str] = ()) -> list[Planned]:
    """The recipes in a folder, parents first.

    ``text``: files or folders of plain text or JSONL that take the crawl's place as the data
    stage's source. Raises UserError for an empty folder, a parent that no recipe makes, a cycle.
    """
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise UserError(f"{folder}: no recipes; expected a folder with one .toml file per stage")
    plan = {file.stem: read_planned(file, text) for file in files}
    for planned in plan.values():
        for role, parent in planned.parents.items():
            if parent not in plan:
                near = difflib.get_close_matches(parent, plan, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(plan)}"
                raise UserError(f"{planned.origin}: parent {role} = {parent!r} has no recipe in {folder}; {hint}")
    return [plan[name] for name in _parents_first(plan)]


def read_planned(file: Path, text: Collection[str] = ()) -> Planned:
    """One recipe file, checked as far as that goes without importing its stage."""
    table = read_toml(file)
    if not isinstance(table.get("stage"), str):
        raise UserError(f"{file}: key 'stage' is missing; expected for example stage = \"{file.stem}\"")
    try:
        stage_file(table["stage"])
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    parents = table.get("parents", {})
    if not isinstance(parents, dict) or not all(isinstance(name, str) for name in parents.values()):
        raise UserError(f"{file}: [parents] maps roles to names of artifacts, came {parents!r}")
    if text and table["stage"] == "data":
        parents = {role: name for role, name in parents.items() if role != "crawl"}
        table = {**table, "parents": parents, "text": list(text)}
    return Planned(file.stem, file, table)


def _parents_first(plan: Mapping[str, Planned]) -> list[str]:
    order: list[str] = []
    open_names: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        if name in open_names:
            ring = " -> ".join([*open_names[open_names.index(name) :], name])
            raise UserError(f"{plan[name].origin}: the parents form a ring: {ring}")
        open_names.append(name)
        for parent in plan[name].parents.values():
            visit(parent)
        open_names.pop()
        order.append(name)

    for name in plan:
        visit(name)
    return order


def run_recipes(
    recipes: Path,
    out: Path,
    *,
    only: Collection[str] = (),
    until: str | None = None,
    force: Collection[str] = (),
    text: Collection[str] = (),
    hooks: Mapping[str, str] | None = None,
) -> dict[str, Artifact]:
    """Make every artifact of a recipe folder in ``out`` that is not up to date.

    ``only``: just these, from parents that are there already; ``until``: one and what it needs;
    ``force``: make these anew, from nothing; ``hooks``: functions lent to the stages, as
    "module:function". Returns name -> artifact. Writes ``run.json``.
    Raises UserError, or StageFailed where a stage fails.
    """
    plan = read_plan(recipes, text)
    names = {planned.name for planned in plan}
    for name in [*only, *force, *([until] if until else [])]:
        if name not in names:
            near = difflib.get_close_matches(name, sorted(names), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(names))}"
            raise UserError(f"{recipes}: no recipe named {name!r}; {hint}")
    chosen = set(only) or names
    if until:
        chosen &= _ancestors(plan, until)
    with locked(out) as lock:
        checking, complete = _check(plan, out)
        run = Run(out, lock, checking, complete, hooks or {})
        artifacts: dict[str, Artifact] = {}
        todo = [planned for planned in plan if planned.name in chosen]
        for number, planned in enumerate(todo, 1):
            parents = {
                role: artifacts.get(name) or Artifact.open(out / name, name) for role, name in planned.parents.items()
            }
            label = f"[{number}/{len(todo)}] {planned.name}"
            artifacts[planned.name] = _bring_up_to_date(run, planned.name, parents, label, planned.name in force)
            _write_summary(run, [planned.name for planned in plan])
        return artifacts


def run_stage(
    recipe: Path,
    out: Path,
    *,
    parents: Mapping[str, Path] | None = None,
    force: bool = False,
    text: Collection[str] = (),
    hooks: Mapping[str, str] | None = None,
) -> Artifact:
    """Make one recipe's artifact in the run folder ``out``, under the recipe's file stem.

    ``parents``: role -> folder of an artifact; other roles are the artifacts in ``out`` that the
    recipe names.
    """
    planned = read_planned(recipe, text)
    given = {role: path.resolve() for role, path in (parents or {}).items()}
    roles = {**planned.parents, **{role: path.name for role, path in given.items()}}
    planned = replace(planned, table={**planned.table, "parents": roles})
    with locked(out) as lock:
        checking, complete = _check([planned], out)
        opened = {
            role: Artifact.open(given[role] if role in given else out / name, name) for role, name in roles.items()
        }
        run = Run(out, lock, checking, complete, hooks or {})
        return _bring_up_to_date(run, planned.name, opened, planned.name, force)


def _check(plan: Collection[Planned], out: Path) -> tuple[Cost, dict[str, dict[str, Any]]]:
    """Let every stage check its recipe and fill in its defaults, before the first one starts.

    In a child process: the stages' modules may load torch, which this process would then keep for
    the whole run. They talk through files in ``out``, since there is no temporary folder on a full disk.
    """
    folder = out / ".check"
    folder.mkdir(exist_ok=True)
    try:
        answer = folder / "answer.json"
        recipes = {planned.name: (str(planned.origin), planned.table) for planned in plan}
        cost = run_worker({"do": "check", "recipes": recipes, "answer": str(answer)}, folder / JOB)
        complete: dict[str, dict[str, Any]] = json.loads(answer.read_text())
        return cost, complete
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bring_up_to_date(run: Run, name: str, parents: dict[str, Artifact], label: str, force: bool) -> Artifact:
    folder = run.out / name
    ingredients = gather(run.recipes[name], parents, run.hooks)
    why = "forced"
    if not force:
        if (folder / MANIFEST).exists():
            artifact = Artifact.open(folder, name)
            gone = [file for file in artifact.manifest.files if not (folder / file).is_file()]
            why = ingredients.difference(of_manifest(artifact.manifest)) or ("missing: " + gone[0] if gone else "")
            if not why:
                sweep(folder)
                print(f"{label}: up to date", file=sys.stderr)
                return artifact
        else:
            why = ""
    print(f"{label}: {f'making again ({why})' if why else 'making'}", file=sys.stderr, flush=True)
    for parent in parents.values():
        parent.verify()
    start = time.monotonic()
    artifact = build(name, folder, ingredients, parents, lock=run.lock, hooks=run.hooks, fresh=force)
    peak = artifact.timing()["peak_rss_bytes"] / 1e6
    seconds = time.monotonic() - start
    print(f"{label}: done in {clock(seconds)}, peak memory {peak:,.0f} MB", file=sys.stderr, flush=True)
    return artifact


def _write_summary(run: Run, names: list[str]) -> None:
    """``run.json``: what the artifacts now in the folder took to make, whichever run made them.

    ``wall_seconds`` is the sum over the stages (cut-off attempts included) and this run's start-up.
    ``peak_rss_bytes`` is the most that was resident at once: stages run one at a time, each beside
    this process.
    """
    stages = {}
    for name in names:
        if (run.out / name / MANIFEST).exists():
            artifact = Artifact.open(run.out / name, name)
            stages[name] = {"id": artifact.manifest.id, **artifact.timing()}
    own = maxrss_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    peaks = [run.checking.peak_rss_bytes, *(stage.get("peak_rss_bytes", 0) for stage in stages.values())]
    summary = {
        "wall_seconds": round(run.checking.seconds + sum(s.get("seconds", 0.0) for s in stages.values()), 3),
        "peak_rss_bytes": own + max(peaks),
        "stages": stages,
    }
    write_atomically(run.out / "run.json", json.dumps(summary, indent=1) + "\n")


def _ancestors(plan: Collection[Planned], name: str) -> set[str]:
    parents = {planned.name: list(planned.parents.values()) for planned in plan}
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting.extend(parents[current])
    return found
