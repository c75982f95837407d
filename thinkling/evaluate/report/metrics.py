"""metrics.json: the run's numbers under names that stay.

Per model (``base``, ``sft``, ``rl``, ``control_direct``, ``control_shuffled``, where evaluated):
``accuracy.{greedy,t1,best_temperature}.{family}``, ``pass16.{family}``,
``tokens_per_answer.{greedy,t1}.{family}``, ``think_share.{greedy,t1}.{family}``; each is ``{value, low, high, n}``, and
next to the families stands ``core5``, their mean. ``difference.{after}-{before}`` holds paired differences of the
same measures, ``thinking`` the chain with thinking on, off and by the direct-only control, and the ratio of the
accuracies with the interval ``ratio_low`` to ``ratio_high``.

``wall_seconds`` and ``peak_rss_bytes`` in the artifact are those of the report's parents. The copy that `thinkling run`
puts beside the artifacts has those of run.json instead: the report itself, the start-up and the process that runs the
stages count too.
"""

from __future__ import annotations

import math
from typing import Any

from thinkling.evaluate.report.sources import Evaluation, Sources
from thinkling.evaluate.statistics import Estimate, paired_difference, ratio
from thinkling.evaluate.summary import CORE, PerProblem, accuracy, passes, per_problem, thinks, tokens
from thinkling.tasks.registry import core_five

ASKED = ("greedy", "t1", "best_temperature", "ood", "unseen")
PAIRS = (("sft", "base"), ("rl", "sft"), ("control_shuffled", "sft"), ("rl", "control_direct"))
MEASURES = {"accuracy": accuracy, "tokens_per_answer": tokens, "think_share": thinks}


def metrics(sources: Sources) -> dict[str, Any]:
    """All of metrics.json."""
    timings = [artifact.timing() for artifact in sources.artifacts.values()]
    made: dict[str, Any] = {
        "wall_seconds": round(sum(timing.get("seconds", 0.0) for timing in timings), 3),
        "peak_rss_bytes": max((timing.get("peak_rss_bytes", 0) for timing in timings), default=0),
    }
    for role, evaluation in sources.evaluations.items():
        made[role] = model_metrics(evaluation)
    made["difference"] = {
        f"{after}-{before}": difference(sources.evaluations[after], sources.evaluations[before])
        for after, before in PAIRS
        if after in sources.evaluations and before in sources.evaluations
    }
    made["thinking"] = thinking(sources)
    return made


def model_metrics(evaluation: Evaluation) -> dict[str, Any]:
    """The numbers of one model."""
    variants = evaluation.summary["variants"]
    made: dict[str, Any] = {
        measure: {name: variants[name][measure] for name in ASKED if name in variants} for measure in MEASURES
    }
    name = evaluation.pass_name()
    if name:
        made[name] = variants["t1"][name]
    made["best_temperature"] = evaluation.summary["best_temperature"]
    return made


def difference(after: Evaluation, before: Evaluation) -> dict[str, Any]:
    """Paired differences over the problems that both models were asked."""
    made: dict[str, Any] = {}
    for measure, value in MEASURES.items():
        for variant in ("greedy", "t1"):
            pair = (per_problem(e.of(variant), value) for e in (after, before))
            made.setdefault(measure, {})[variant] = _by_family(*pair)
    k = _shared_k(after, before)
    if k:
        made[f"pass{k}"] = _by_family(passes(after.of("t1"), k), passes(before.of("t1"), k))
    best = before.of("best_temperature")
    if best:
        made["t1_minus_best_temperature"] = _by_family(
            per_problem(after.of("t1"), accuracy), per_problem(best, accuracy)
        )
    return made


def thinking(sources: Sources) -> dict[str, Any]:
    """Thinking on against the better of thinking off and the direct-only control, per family asked so.

    ``on``, ``off``: the RL model (the SFT model where there is none) with the think part opened for
    it and forbidden; ``direct``: the control. ``ratio`` divides on by the better of the other two, and
    ``ratio_low`` to ``ratio_high`` is its interval (no upper end where the better may as well be 0; all
    three are null where it is 0).
    """
    model = sources.evaluations.get("rl") or sources.evaluations.get("sft")
    if model is None:
        return {}
    on, off = (model.estimates(name, "accuracy") for name in ("think_on", "think_off"))
    control = sources.evaluations.get("control_direct")
    direct = control.estimates("greedy", "accuracy") if control else {}
    asked = {name: per_problem(model.of(f"think_{name}"), accuracy) for name in ("on", "off")}
    asked["direct"] = per_problem(control.of("greedy"), accuracy) if control else {}
    made: dict[str, Any] = {}
    for family in on:
        if family == CORE:
            continue
        without = {"off": off.get(family), "direct": direct.get(family)}
        known = {name: estimate for name, estimate in without.items() if estimate}
        divided = _ratio(asked["on"][family], [asked[name][family] for name in known])
        made[family] = {
            "model": model.role,
            "on": on[family].as_json(),
            **{name: estimate.as_json() for name, estimate in known.items()},
            **divided,
        }
    return made


def _ratio(on: dict[str, float], without: list[dict[str, float]]) -> dict[str, float | None]:
    """The ratio with its ends; JSON has no infinity, so what is unbounded is null."""
    made = ratio(on, without) if without else None
    if made is None or not math.isfinite(made.value):
        return {"ratio": None, "ratio_low": None, "ratio_high": None}
    return {"ratio": made.value, "ratio_low": made.low, "ratio_high": made.high if math.isfinite(made.high) else None}


def _shared_k(*evaluations: Evaluation) -> int | None:
    names = {evaluation.pass_name() for evaluation in evaluations}
    name = names.pop()
    return int(name.removeprefix("pass")) if not names and name else None


def _by_family(after: PerProblem, before: PerProblem) -> dict[str, Any]:
    """Paired difference per family, and of the core five together where both have them."""
    made: dict[str, Estimate] = {}
    for family in after:
        if set(after[family]) & set(before.get(family, {})):
            made[family] = paired_difference({family: after[family]}, {family: before[family]})
    if set(core_five) <= set(made):
        core = ({f: side[f] for f in core_five} for side in (after, before))
        made[CORE] = paired_difference(*core)
    return {family: estimate.as_json() for family, estimate in made.items()}
