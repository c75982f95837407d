"""What an evaluation asks: a family of ours, a user's problems, a published benchmark, or a reasoning-gym set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.core.types import Problem, Verdict
from thinkling.tasks import benchmarks, gym
from thinkling.tasks.answers import AnswerKind, answer_kind, kind_of
from thinkling.tasks.benchmarks import Fields
from thinkling.tasks.exemplars import Exemplar, exemplars_of, read_exemplars
from thinkling.tasks.family import Family, pose
from thinkling.tasks.perturb.children import Children, perturbations
from thinkling.tasks.questions import Questions
from thinkling.tasks.registry import all_families, family
from thinkling.tasks.rows import read_rows
from thinkling.tasks.sets import problems


@dataclass(frozen=True, slots=True)
class Task:
    """Problems to ask, how each one's answer is read, how it is graded, and worked examples to show first.

    ``grader`` is what grades: the family, or the benchmark, by which problems can be perturbed.
    """

    name: str
    problems: tuple[Problem, ...]
    kind: Callable[[Problem], AnswerKind]
    grade: Callable[[Problem, str], Verdict]
    exemplars: tuple[Exemplar, ...] = ()
    grader: Any = None


def open_task(
    spec: str,
    *,
    n: int = 0,
    seed: int = 0,
    split: str = "test",
    exemplars: Path | None = None,
    fields: Fields | None = None,
    **context: object,
) -> Task:
    """The task that ``spec`` names: a family, ``FILE.py:NAME``, a file of problems, or ``gym:NAME``.

    ``n`` problems (0: all of a file; 500 of a family that has no end), drawn by ``seed``, the same for every
    model. ``exemplars`` is a file of worked examples; our families bring their own, from their train split.
    ``fields`` names the fields of a file in a form of its own.
    Raises UserError for what cannot be found or read.
    """
    shown = read_exemplars(exemplars) if exemplars else ()
    if spec in all_families or ".py:" in spec:
        return _family_task(family(spec, **context), n or 500, seed, split, shown)
    if spec.startswith("gym:"):
        made = gym.load(spec.removeprefix("gym:"), n or 100, seed)
        return Task(made.name, made.problems, lambda problem: answer_kind("text"), made.grade, shown, made)
    path, part = spec, ""
    if not Path(spec).is_file():
        path, _, part = spec.rpartition("#")
    if not Path(path).is_file():
        raise UserError(
            f"expected a task: {', '.join(all_families)}, FILE.py:NAME, gym:NAME, or a file of problems (FILE#TASK "
            f"where it holds several); {spec!r} is none of these"
        )
    if fields is None and _in_our_form(Path(path)):
        own = Questions(path)
        mine = tuple(pose(own.name, draft) for draft in own.rows)
        return Task(own.name, _chosen(mine, n, seed), lambda problem: kind_of(own, problem), own.grade, shown, own)
    bench = benchmarks.load(Path(path), fields=fields, task=part or None)
    chosen = _chosen(bench.problems, n, seed)
    return Task(bench.name, chosen, bench.kind_of, bench.grade, shown, bench)


def perturbed(task: Task, kinds: Sequence[str], seed: int) -> tuple[list[Task], Children]:
    """A task for each kind of perturbation, with its children of the task's problems; and what was refused, and why."""
    children = perturbations(task.problems, {problem.family: task.grader for problem in task.problems}, kinds, seed)
    made = []
    for kind in kinds:
        some = tuple(problem for problem in children.problems if problem.meta["perturbation"] == kind)
        if some:
            made.append(replace(task, name=f"{task.name}, {kind}", problems=some))
    return made, children


def _in_our_form(path: Path) -> bool:
    """Whether a file's first row has the fields of `Questions` and no others, and no benchmark's mark."""
    if path.suffix != ".jsonl":
        return False
    first = next((row for _, row in read_rows(path)), {})
    known = {"prompt", "question", "answer", "solution", "think", "split", "level", "family"}
    return bool(first) and set(first) <= known and "answer" in first and "####" not in str(first["answer"])


def _family_task(made: Family, n: int, seed: int, split: str, shown: tuple[Exemplar, ...]) -> Task:
    drawn = tuple(problems(made, split, n, derive(seed, "evaluate"), at_most=True))
    shown = shown or exemplars_of(made, 8, derive(seed, "exemplars"))
    return Task(made.name, drawn, lambda problem: kind_of(made, problem), made.grade, shown, made)


def _chosen(everything: tuple[Problem, ...], n: int, seed: int) -> tuple[Problem, ...]:
    """``n`` of a file's problems, in its order; which ones depends on the seed and each problem alone."""
    if not n or n >= len(everything):
        return everything
    ranked = sorted(range(len(everything)), key=lambda i: derive(seed, "chosen", everything[i].key))
    return tuple(everything[i] for i in sorted(ranked[:n]))
