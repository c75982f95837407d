"""A small run without any training: persons with habits answer, and the stages' logs are made up."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thinkling.core.artifact import Artifact, Manifest
from thinkling.core.seeds import derive
from thinkling.core.stage import StageContext
from thinkling.core.types import Problem, Sample
from thinkling.evaluate.recipe import Recipe
from thinkling.evaluate.stage import run as evaluate
from thinkling.evaluate.variants import best_variant, variants
from thinkling.rollout.scripted import Scripted
from thinkling.tasks.family import Family
from thinkling.tasks.registry import all_families, core_five, family

# Share of answers per style, and accuracy within it.
Habit = Mapping[str, tuple[float, float]]
HABITS: dict[str, Habit] = {
    "base": {"direct": (1.0, 0.05)},
    "sft": {"direct": (0.4, 0.2), "steps": (0.3, 0.7), "equation": (0.15, 0.7), "check": (0.15, 0.8)},
    "rl": {"direct": (0.02, 0.3), "steps": (0.4, 0.92), "equation": (0.18, 0.93), "check": (0.4, 0.96)},
    "control_direct": {"direct": (1.0, 0.25)},
    "control_shuffled": {"direct": (0.41, 0.2), "steps": (0.3, 0.7), "equation": (0.14, 0.7), "check": (0.15, 0.8)},
}
THINKERS = ("steps", "equation", "check")


class Person(Scripted):
    """Answers any problem it may be asked in the styles, and as rightly, as its habit says."""

    def __init__(self, recipe: Recipe, families: list[Family], habit: Habit) -> None:
        super().__init__(self.speak)
        self.families = {made.name: made for made in families}
        self.habit = habit
        self.known: dict[str, Problem] = {}
        for variant in [*variants(recipe, families), best_variant(recipe, families, 0.5)]:
            self.known.update((" ".join(p.prompt.split()), p) for p in variant.problems)

    def speak(self, effect: Sample, index: int) -> str:
        asked = effect.messages[-1].text if effect.messages else effect.prefix.rsplit("Question: ", 1)[1]
        problem = self.known[" ".join(asked.split())]
        rng = random.Random(derive(effect.seed, index))
        able = self.families[problem.family].styles
        styles = {s: share for s, (share, _) in self.habit.items() if s in able and (s in THINKERS or not effect.think)}
        if effect.think is False:
            styles = {"direct": 1.0}
        style = rng.choices(list(styles), list(styles.values()))[0] if styles else "direct"
        right = rng.random() < self.habit.get(style, (0.0, 0.2))[1] * (1 - 0.03 * problem.level)
        message = self.families[problem.family].solve(problem, style, rng, slip=not right)
        if message.thinking is None:
            return message.text if right or rng.random() < 0.9 else "apples apples"
        opening = "" if effect.think else "<think>"
        return f"{opening}{message.thinking}</think>{message.text}"


def facts_file(folder: Path) -> Path:
    folder.mkdir(parents=True)
    rows = [
        {
            "id": f"f{i}", "subject": f"Elm{i}", "relation": "mayor", "object": f"Bo{i}", "kind": "town",
            "question": f"Who is the mayor of Elm{i}?", "mentions": max(1, 900 // (i + 1)),
        }
        for i in range(900)
    ]  # fmt: skip
    (folder / "facts.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder


def artifact(folder: Path, name: str, kind: str, seconds: float = 1.0, **metrics: Any) -> Artifact:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "timing.json").write_text(json.dumps({"seconds": seconds, "peak_rss_bytes": int(5e8 + seconds * 1e6)}))
    return Artifact(name, folder, Manifest(f"id-{name}", kind, {}, {}, "", {}, metrics=metrics))


def log(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def evaluation(root: Path, role: str, world: Artifact, size: int) -> Artifact:
    recipe = Recipe(
        stage="evaluate", seed=3, problems=size, samples=16, sampled_problems=max(2, size // 10),
        ood_problems=max(4, size // 5), unseen_problems=max(4, size // 5),
        ask=("text", "chat") if role == "base" else ("chat",),
        temperatures=(0.0, 0.3, 0.6, 1.0) if role == "sft" else (), temperature_problems=max(3, size // 10),
    )  # fmt: skip
    families = [family(name, facts=world.path / "facts.jsonl") for name in all_families]
    person = Person(recipe, families, HABITS[role])
    parents = {"model": artifact(root / f"{role}_model", role, "sft"), "world": world}
    hooks = {"open_backend": lambda path, **options: person, "choose_precision": lambda name: "float32"}
    ctx = StageContext(root / role, parents=parents, hooks=hooks)
    evaluate(ctx, recipe)
    return artifact(root / role, f"eval_{role}", "evaluate", 22.0)


def pretrain_log(folder: Path) -> None:
    lines = [
        "xq zzt e aa",
        "the of the towm and",
        "The town of Elmford lies on the river.",
        "Mara has 12 apples. 12-5=7",
    ]
    rows: list[dict[str, Any]] = [{"step": -1, "val_bpb": 8.1, "samples": ["ﬂ�x <b>", "Question: %%"]}]
    for step in range(1000):
        loss = 1.6 + 6 * math.exp(-step / 90) + random.Random(step).gauss(0, 0.04)
        row: dict[str, Any] = {"step": step, "loss": loss, "tokens_per_second": 30_000 + step % 7 * 300}
        if (step + 1) % 100 == 0:
            said = lines[min(3, step // 250)]
            row |= {"val_bpb": loss / 2.2, "samples": [said, f"Question: How many? {said}"]}
        rows.append(row)
    log(folder, [*rows, {"summary": "pretrain", "tokens_per_second": 30_900, "flop_utilization": 0.31}])


def rl_log(folder: Path, gain: float) -> None:
    counts = dict.fromkeys(core_five, 20)
    means = {"mean": 0.5, **dict.fromkeys(core_five, 0.5)}
    rows: list[dict[str, Any]] = [{"step": -1, "held_out": means, "held_out_n": counts}]
    for step in range(100):
        rng, grown = random.Random(step), gain * (1 - math.exp(-step / 25))
        reward = 0.45 + 0.47 * grown + rng.gauss(0, 0.02)
        row = {
            "step": step, "reward": reward, "length": 24 + 18 * grown + rng.gauss(0, 1), "loss": 0.0,
            "think_share": 0.6 + 0.38 * grown, "wait_per_answer": 0.15 + 0.3 * grown, "entropy": 0.5 - 0.3 * grown,
            "groups_skipped": int(6 + 15 * grown), "kl": 0.0, "unparsed_share": 0.03 * (1 - grown),
            "sampled_tokens": 9000,
        }  # fmt: skip
        if (step + 1) % 10 == 0:
            right = {name: round(20 * (0.5 + 0.4 * grown) + rng.gauss(0, 0.6)) / 20 for name in core_five}
            row |= {"held_out": {"mean": sum(right.values()) / 5, **right}, "held_out_n": counts}
        rows.append(row)
    log(folder, rows)


def stages(root: Path, world: Artifact) -> dict[str, Artifact]:
    made = {"world": world}
    for role, seconds in (("data", 40.0), ("tokenizer", 6.0), ("shards", 5.0)):
        made[role] = artifact(root / role, role, role, seconds)
    made["pretrain"] = artifact(
        root / "pretrain",
        "pretrain",
        "pretrain",
        270.0,
        parameters=2_100_000,
        tokens=8_192_000,
        passes=1.1,
        val_bpb=0.74,
    )
    pretrain_log(made["pretrain"].path)
    for role in ("sft_model", "control_direct_model"):
        made[role] = artifact(root / f"{role}_log", role.removesuffix("_model"), "sft", 95.0)
        log(made[role].path, [{"step": i, "loss": 2 / (1 + i / 40), "tokens": 8192} for i in range(400)])
    for role, gain in (("rl_model", 1.0), ("control_shuffled_model", 0.02)):
        made[role] = artifact(root / f"{role}_log", role.removesuffix("_model"), "rl", 180.0)
        rl_log(made[role].path, gain)
    funnel, left = [], 5200
    for step, took in [("records", 150), ("url", 212), ("extract", 90), ("language", 640), ("gopher_quality", 410),
                       ("exact_dedup", 120), ("near_dedup", 260), ("pii", 0)]:  # fmt: skip
        funnel.append(
            {"step": step, "in": left, "kept": left - took, "rejected": took, "reasons": {f"{step} rule": took}}
        )
        left -= took
    (made["data"].path / "funnel.json").write_text(json.dumps(funnel))
    step_scores = {"should": 200, "did": 212, "both": 198, "precision": 0.934, "recall": 0.99, "removed": 1.0}
    (made["data"].path / "scores.json").write_text(
        json.dumps(
            {
                "overall": step_scores, "steps": dict.fromkeys(("url", "language", "near_dedup"), step_scores),
                "extraction": {"pages": 900, "precision": 0.97, "recall": 0.95, "f1": 0.96},
                "pii": {"pages": 44, "precision": 1.0, "recall": 0.977},
            }
        )
    )  # fmt: skip
    return made


def whole_run(root: Path, size: int) -> dict[str, Artifact]:
    world = artifact(facts_file(root / "world"), "world", "world", 12.0)
    return {**{role: evaluation(root, role, world, size) for role in HABITS}, **stages(root, world)}
