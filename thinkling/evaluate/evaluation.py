"""An evaluation: one model, some tasks, some strategies, one folder that can be cut off, resumed and regraded.

The folder holds ``eval.json`` (what was asked for), the pool of attempts, and, made from these two alone,
``results.json``, ``scores.json`` (each problem's score, for `compare`) and ``report.html``. Running the same
command again samples only what is missing, and grades everything anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from thinkling.core.errors import UserError
from thinkling.core.lock import locked
from thinkling.core.types import Sampling
from thinkling.evaluate.attempts import Pool
from thinkling.evaluate.browse.page import write_page
from thinkling.evaluate.failing import mistakes
from thinkling.evaluate.outcomes import Outcome, Reader
from thinkling.evaluate.perturbing import Perturbed, perturb_all, recite_table
from thinkling.evaluate.plan import Plan, plan
from thinkling.evaluate.power import detectable_difference
from thinkling.evaluate.results import Table, scores, tabulate, total
from thinkling.evaluate.sampling import Asking, check_plans, fill, judge, unjudged, wanted
from thinkling.evaluate.seen import check_data, overlap_table
from thinkling.evaluate.tasks import Task, open_task
from thinkling.rollout.backend import Backend
from thinkling.tasks.benchmarks import Fields

EVAL, RESULTS, SCORES, REPORT = "eval.json", "results.json", "scores.json", "report.html"
ASSUMED_DISCORDANCE = 0.3  # of two strategies, before anything is known: they differ on three problems in ten


@dataclass(frozen=True, slots=True)
class Settings:
    """What an evaluation asks for. ``model_id`` identifies the weights, whatever their folder is called."""

    model: str
    model_id: str
    tasks: tuple[str, ...]
    strategies: tuple[str, ...]
    problems: int = 0
    split: str = "test"
    seed: int = 0
    temperature: float = 0.0
    repeats: int = 1
    max_tokens: int = 512
    think: bool | None = None
    text: bool = False
    exemplars: str = ""
    facts: str = ""
    question_field: str = ""
    answer_field: str = ""
    choices_field: str = ""
    stop: tuple[str, ...] = ()
    perturb: tuple[str, ...] = ()
    trained_on: str = ""

    @property
    def asking(self) -> Asking:
        sampling = Sampling(max_tokens=self.max_tokens, stop=self.stop)
        return Asking(self.model_id, sampling, self.seed, self.think, self.text)

    @property
    def fields(self) -> Fields | None:
        """The fields of a file in a form of its own, where they are named."""
        if bool(self.question_field) != bool(self.answer_field):
            raise UserError("name both fields of a file in a form of its own: the question's and the answer's")
        if not self.question_field:
            return None
        return Fields(self.question_field, self.answer_field, self.choices_field)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A finished evaluation: its settings, tasks and plans, every outcome, and the table of results."""

    settings: Settings
    tasks: list[Task]
    plans: list[Plan]
    outcomes: Mapping[str, Mapping[str, list[Outcome]]]
    table: Table
    folder: Path
    sampled: int = field(default=0)


def evaluate(settings: Settings, folder: Path, open_backend: Callable[[], Backend]) -> Evaluation:
    """Sample what is missing in ``folder``'s pool, then grade, count and write the results.

    ``open_backend`` is called only if something is missing. Raises UserError for an unknown task or strategy
    and for a strategy that the backend cannot serve, before a token is spent.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: expected the folder of an evaluation, or a name that is free; it is a file")
    tasks, plans = prepare(settings)
    changed = perturb_all(tasks, settings.perturb, settings.seed)
    with locked(folder), Pool(folder) as pool:
        (folder / EVAL).write_text(json.dumps(asdict(settings), indent=1) + "\n", encoding="utf-8")
        everything = [*tasks, *(child for one in changed for child in one.children)]
        made = _sample(pool, everything, plans, settings, open_backend)
        return _finish(pool, tasks, plans, changed, settings, folder, made)


def read(folder: Path) -> Evaluation:
    """The evaluation in ``folder``, graded anew from its pool, without sampling."""
    settings = read_settings(folder)
    tasks, plans = prepare(settings)
    changed = perturb_all(tasks, settings.perturb, settings.seed)
    with locked(folder), Pool(folder) as pool:
        return _finish(pool, tasks, plans, changed, settings, folder, 0)


def read_settings(folder: Path) -> Settings:
    """Raises UserError where ``folder`` holds no evaluation."""
    try:
        row: dict[str, Any] = json.loads((folder / EVAL).read_text(encoding="utf-8"))
        lists = {name: tuple(row[name]) for name in ("tasks", "strategies", "stop", "perturb")}
        return Settings(**{**row, **lists})
    except FileNotFoundError:
        raise UserError(
            f"{folder}: expected the folder of an evaluation (with {EVAL}); make one with `thinkling eval`"
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{folder / EVAL}: cannot be read ({error}); run the evaluation again") from None


def prepare(settings: Settings) -> tuple[list[Task], list[Plan]]:
    """The tasks and plans, all names checked."""
    if settings.trained_on:
        check_data(Path(settings.trained_on))
    plans = list(
        {
            made.spec: made
            for made in (plan(spec, settings.temperature, settings.repeats) for spec in settings.strategies)
        }.values()
    )
    exemplars = Path(settings.exemplars) if settings.exemplars else None
    fields = settings.fields
    context = {"facts": settings.facts} if settings.facts else {}
    tasks = [
        open_task(
            spec,
            n=settings.problems,
            seed=settings.seed,
            split=settings.split,
            exemplars=exemplars,
            fields=fields,
            **context,
        )
        for spec in settings.tasks
    ]
    names = [task.name for task in tasks]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UserError(f"two tasks are called {', '.join(sorted(twice))}; evaluate them into folders of their own")
    empty = [task.name for task in tasks if not task.problems]
    if empty:
        raise UserError(f"the task {empty[0]} has no problems")
    return tasks, plans


def smallest_difference(problems: int) -> str:
    """A sentence on what so many problems can show, before they are asked."""
    lead = f"two strategies on the same {problems:,} problems"
    try:
        least = detectable_difference(problems, ASSUMED_DISCORDANCE)
    except UserError:
        return f"{lead} will hardly show any difference (power 80%); ask more problems"
    return (
        f"{lead} can show a difference of {100 * least:.1f} points or more "
        f"(power 80%, alpha 0.05, if they differ on {ASSUMED_DISCORDANCE:.0%} of them)"
    )


def _sample(
    pool: Pool, tasks: list[Task], plans: list[Plan], settings: Settings, open_backend: Callable[[], Backend]
) -> int:
    asking = settings.asking
    missing = any(one.key not in pool.attempts for one in wanted(tasks, plans, asking))
    if not missing and not unjudged(tasks, plans, asking, pool):
        return 0
    backend = open_backend()
    check_plans(tasks, plans, backend, settings.text)
    made = fill(pool, tasks, plans, asking, backend)
    failed = [attempt for attempt in pool.attempts.values() if attempt.error]
    if failed and all(pool.attempts[one.key].error for one in wanted(tasks, plans, asking)):
        raise UserError(f"none of the {made:,} answers could be sampled; the first one failed with: {failed[0].error}")
    judge(pool, tasks, plans, asking, backend)
    return made


def _finish(
    pool: Pool,
    tasks: list[Task],
    plans: list[Plan],
    changed: list[Perturbed],
    settings: Settings,
    folder: Path,
    sampled: int,
) -> Evaluation:
    reader = Reader(pool, settings.asking)
    outcomes = {made.spec: {task.name: reader.outcomes(task, made) for task in tasks} for made in plans}
    table = tabulate(tasks, plans, outcomes, settings.seed)
    table["settings"] = asdict(settings)
    table["mistakes"] = mistakes(tasks, plans, outcomes)
    if settings.trained_on:
        table["overlap"] = overlap_table(Path(settings.trained_on), tasks, plans, reader, settings.seed)
    if changed:
        table["recite"] = recite_table(changed, plans, reader, settings.seed)
    _write(folder / RESULTS, table)
    costs = {
        name: {task: {one.problem.key: total(one) for one in made} for task, made in by_task.items()}
        for name, by_task in outcomes.items()
    }
    _write(folder / SCORES, {"scores": scores(outcomes), "tokens": costs})
    write_page(folder / REPORT, tasks, plans, outcomes, table)
    return Evaluation(settings, tasks, plans, outcomes, table, folder, sampled)


def _write(path: Path, content: Any) -> None:
    """Written beside and moved over, so that a full disk leaves the earlier one whole."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    fresh.replace(path)
