"""The evaluate stage against a scripted model that solves problems as told: no torch anywhere."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from thinkling.core.artifact import Artifact, Manifest
from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.core.stage import StageContext
from thinkling.core.types import Problem, Sample
from thinkling.evaluate.plain_text import answer_in, prefixes
from thinkling.evaluate.pool import Row, read_rows, select, write_rows
from thinkling.evaluate.recipe import Recipe
from thinkling.evaluate.stage import run
from thinkling.evaluate.summary import by_mentions, passes
from thinkling.evaluate.variants import variants
from thinkling.rollout.scripted import Scripted
from thinkling.tasks.registry import all_families, core_five, family
from thinkling.tasks.sets import problems

SMALL: dict[str, Any] = {
    "stage": "evaluate",
    "families": core_five,
    "problems": 8,
    "samples": 4,
    "sampled_problems": 3,
    "ood_problems": 4,
    "unseen_problems": 4,
    "seed": 7,
}


class Solver(Scripted):
    """Knows every problem it may be asked, and thinks with probability ``thinking``, right if it does."""

    def __init__(self, thinking: float, recipe: Recipe) -> None:
        super().__init__(self.solve, name="solver")
        families = [family(name) for name in recipe.families if name in core_five]
        self.known: dict[str, Problem] = {}
        for variant in variants(recipe, families):
            self.known.update((" ".join(p.prompt.split()), p) for p in variant.problems)
        self.thinking = thinking

    def solve(self, effect: Sample, index: int) -> str:
        if not effect.messages:
            question = effect.prefix.rsplit("Question: ", 1)[1].strip()
            gold = self.known[question].answer
            return f"Solution: it is known.\nAnswer: The answer is {gold}.\n\nQuestion: and"
        problem = self.known[" ".join(effect.messages[-1].text.split())]
        rng = random.Random(derive(effect.seed, index))
        thinks = effect.think if effect.think is not None else rng.random() < self.thinking
        if not thinks:
            return "The answer is 0."
        message = family(problem.family).solve(problem, "steps", rng)
        opening = "" if effect.think else "<think>"
        return f"{opening}{message.thinking}</think>{message.text}"


def context(tmp_path: Path, backend: Any, name: str = "sft_eval") -> StageContext:
    (tmp_path / "model").mkdir(exist_ok=True)
    model = Artifact("sft", tmp_path / "model", Manifest("id-of-sft", "sft", {}, {}, "", {}))
    hooks = {"open_backend": lambda path, **options: backend, "choose_precision": lambda name: "float32"}
    return StageContext(tmp_path / name, parents={"model": model}, hooks=hooks)


def evaluate(tmp_path: Path, thinking: float, name: str = "made", **options: Any) -> tuple[dict[str, Any], list[Row]]:
    recipe = Recipe(**{**SMALL, **options})
    ctx = context(tmp_path, Solver(thinking, recipe), name)
    run(ctx, recipe)
    summary = json.loads((ctx.path / "summary.json").read_text())
    return summary, read_rows(ctx.path / "episodes.parquet")


def test_every_attempt_is_a_row_and_every_number_has_n_and_interval(tmp_path: Path) -> None:
    summary, rows = evaluate(tmp_path, 0.5)
    assert summary["model"] == {"name": "sft", "id": "id-of-sft"}
    counts = {name: made["counts"]["answers"] for name, made in summary["variants"].items()}
    assert counts == {
        "greedy": 5 * 8, "t1": 5 * (3 * 4 + 5), "ood": 5 * 4, "unseen": 5 * 4, "think_on": 8, "think_off": 8,
    }  # fmt: skip
    assert len(rows) == sum(counts.values())
    assert {row.split for row in rows} == {"test"}
    for made in summary["variants"].values():
        for measure in ("accuracy", "tokens_per_answer", "think_share"):
            for estimate in made[measure].values():
                assert estimate["low"] <= estimate["value"] <= estimate["high"] and estimate["n"] >= 4
    t1 = summary["variants"]["t1"]
    assert t1["accuracy"]["core5"]["n"] == 40
    assert t1["pass4"]["core5"]["n"] == 15, "pass@k only where there are k samples"
    assert t1["pass4"]["core5"]["value"] > t1["accuracy"]["core5"]["value"]


def test_thinking_on_is_right_and_off_is_not(tmp_path: Path) -> None:
    summary, rows = evaluate(tmp_path, 0.5)
    on, off = (summary["variants"][name] for name in ("think_on", "think_off"))
    assert on["accuracy"]["chain"]["value"] == 1.0 and on["think_share"]["chain"]["value"] == 1.0
    assert off["accuracy"]["chain"]["value"] <= 0.25 and off["think_share"]["chain"]["value"] == 0.0
    assert all(row.style == "none" for row in select(rows, "think_off"))
    assert on["counts"]["unparsed"] == 0 and on["levels"]["chain"]


def test_thinking_is_forced_on_the_families_named_or_on_the_chain_where_it_is_asked(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"question": "2+2?", "answer": "4", "split": "test"}\n')
    spec = str(tmp_path / "mine.jsonl")
    for families, think, thinking in (
        (("coin", spec), (spec,), {"mine"}),
        (("coin", "chain"), None, {"chain"}),
        (("coin", spec), None, set()),
    ):
        recipe = Recipe(stage="evaluate", families=families, think_families=think, problems=3)
        made = [v for v in variants(recipe, [family(name) for name in families]) if v.think is not None]
        assert {problem.family for variant in made for problem in variant.problems} == thinking


def test_two_models_with_one_seed_answer_the_same_problems(tmp_path: Path) -> None:
    first = evaluate(tmp_path, 0.2, "a")[1]
    second = evaluate(tmp_path, 0.9, "b")[1]
    assert [(row.variant, row.key) for row in first] == [(row.variant, row.key) for row in second]
    other = evaluate(tmp_path, 0.2, "c", seed=8)[1]
    assert {row.key for row in first}.isdisjoint(row.key for row in select(other, "ood"))


def test_same_recipe_same_bytes(tmp_path: Path) -> None:
    evaluate(tmp_path, 0.4, "a")
    evaluate(tmp_path, 0.4, "b")
    for file in ("episodes.parquet", "summary.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_cut_off_evaluation_goes_on_where_it_was(tmp_path: Path) -> None:
    recipe = Recipe(**SMALL)
    whole_solver = Solver(0.4, recipe)
    whole = context(tmp_path, whole_solver, "whole")
    run(whole, recipe)

    class Dying(Solver):
        def poll(self) -> Any:
            if len(self.submitted) > 60:  # in the middle of the second variant
                raise KeyboardInterrupt
            return super().poll()

    with pytest.raises(KeyboardInterrupt):
        run(context(tmp_path, Dying(0.4, recipe), "cut"), recipe)
    resumed = Solver(0.4, recipe)
    ctx = context(tmp_path, resumed, "cut")
    run(ctx, recipe)
    assert 0 < len(resumed.submitted) <= len(whole_solver.submitted) - 40, "greedy is not asked again"
    assert (ctx.path / "episodes.parquet").read_bytes() == (whole.path / "episodes.parquet").read_bytes()


def test_the_precision_is_recorded_and_a_resumed_attempt_keeps_it(tmp_path: Path) -> None:
    recipe = Recipe(**SMALL)
    opened = []

    def open_backend(path: Path, *, max_len: int, slots: int, precision: str) -> Solver:
        opened.append(precision)
        return Solver(0.4, recipe)

    for fastest in ("bfloat16", "float32"):  # the second attempt finds itself on another machine
        ctx = context(tmp_path, None)
        ctx.hooks |= {"open_backend": open_backend, "choose_precision": {"auto": fastest}.__getitem__}
        run(ctx, recipe)
    assert opened == ["bfloat16", "bfloat16"] and ctx.choices() == {"precision": "bfloat16"}
    fresh = context(tmp_path, None, "fresh")
    fresh.hooks |= {"open_backend": open_backend, "choose_precision": lambda name: name}
    run(fresh, Recipe(**SMALL, precision="float32"))
    assert opened[-1] == "float32" and fresh.choices() == {"precision": "float32"}


def test_the_sweep_chooses_on_val_and_tests_the_best(tmp_path: Path) -> None:
    class Warm(Solver):
        def solve(self, effect: Sample, index: int) -> str:
            self.thinking = 0.9 if effect.sampling.temperature == 0.5 else 0.1
            return super().solve(effect, index)

    recipe = Recipe(**SMALL, temperatures=(0.0, 0.5, 1.0), temperature_problems=6)
    ctx = context(tmp_path, Warm(0.0, recipe))
    run(ctx, recipe)
    summary = json.loads((ctx.path / "summary.json").read_text())
    assert summary["best_temperature"] == 0.5 and len(summary["temperatures"]) == 3
    rows = read_rows(ctx.path / "episodes.parquet")
    assert {row.split for row in select(rows, "val_t0.5")} == {"val"}
    assert len(select(rows, "best_temperature")) == 40


def test_a_base_model_is_asked_in_plain_text(tmp_path: Path) -> None:
    summary, rows = evaluate(tmp_path, 1.0, ask=("text", "chat"), think_families=())
    assert set(summary["variants"]) == {"greedy", "t1", "chat_greedy", "ood", "unseen"}
    assert summary["variants"]["greedy"]["accuracy"]["core5"]["value"] == 1.0
    assert "Question" not in select(rows, "greedy")[0].text, "it is stopped at the blank line"


def test_worked_examples_come_from_train_and_end_with_the_question() -> None:
    chain = family("chain")
    (problem,) = problems(chain, "test", 1, seed=1)
    text = prefixes([chain], 2, seed=3)(problem)
    assert text.count("Question: ") == 3 and text.count("\nAnswer: The answer is ") == 2
    assert text.endswith(f"Question: {problem.prompt}\n")
    lengths = [len(prefixes([chain], 2, seed)(problem)) for seed in range(20)]
    assert max(lengths) < 420 + len(problem.prompt), "short ones are chosen, so that a small context holds them"
    assert answer_in("Solution: 1+1=2\nAnswer: The answer is 2.\nmore 9") == "The answer is 2."
    assert answer_in("no mark") == "no mark"


def test_a_failed_answer_is_data_and_a_dead_backend_is_an_error(tmp_path: Path) -> None:
    recipe = Recipe(**{**SMALL, "think_families": (), "ood_problems": 0, "unseen_problems": 0, "sampled_problems": 0})
    solver = Solver(1.0, recipe)
    solve = solver.solve
    answered = iter(range(10**6))
    solver.reply = lambda e, i: solve(e, i) if next(answered) % 4 else RuntimeError("lost")
    ctx = context(tmp_path, solver, "some")
    run(ctx, recipe)
    summary = json.loads((ctx.path / "summary.json").read_text())
    greedy = summary["variants"]["greedy"]
    assert greedy["counts"]["unscored"] == 10 and greedy["accuracy"]["core5"]["n"] == 30
    assert greedy["accuracy"]["core5"]["value"] == 1.0, "unscored is not zero"
    assert summary["faults"] == {"RuntimeError: lost": 20}

    with pytest.raises(UserError, match="could be sampled.*no memory"):
        run(context(tmp_path, Scripted(lambda e, i: MemoryError("no memory")), "none"), recipe)


def test_a_world_is_needed_for_facts_and_mentions_are_kept(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="world"):
        run(context(tmp_path, Scripted([]), "no_world"), Recipe(stage="evaluate", families=all_families))
    facts = tmp_path / "world" / "facts.jsonl"
    facts.parent.mkdir()
    rows = [
        {"id": str(i), "subject": f"Town {i}", "relation": "mayor", "object": f"Bo {i}",
         "question": f"Who is the mayor of Town {i}?", "mentions": i % 9, "kind": "town"}
        for i in range(400)
    ]  # fmt: skip
    facts.write_text("\n".join(json.dumps(row) for row in rows))

    def remember(effect: Sample, index: int) -> str:
        number = effect.messages[-1].text.split("Town ")[1].split("?")[0]
        return f"The answer is Bo {number}." if int(number) % 9 > 4 else "The answer is nobody."

    ctx = context(tmp_path, Scripted(remember), "facts")
    ctx.parents["world"] = Artifact("world", facts.parent, Manifest("w", "world", {}, {}, "", {}))
    run(ctx, Recipe(stage="evaluate", families=("facts",), samples=2, sampled_problems=2))
    pool = read_rows(ctx.path / "episodes.parquet")
    bins = {bin["low"]: bin["accuracy"]["value"] for bin in by_mentions(select(pool, "greedy"))}
    assert bins[1] == 0.0 and 0.5 < bins[4] < 1 and set(bins) == {0, 1, 4}
    assert not select(pool, "ood"), "facts do not go beyond their world"
    assert select(pool, "unseen")


def test_pass_at_k_needs_k_scored_samples() -> None:
    who = ("t1", "f", "a", 1, "test", False, 0, 0, "", "")
    row = Row(*who, "", None, "none", 0, None, 1.0, "graded", "", "stop", 3, 0, None, "")
    rows = [replace(row, score=score) for score in (1.0, 0.0, 0.0, None)]
    assert passes(rows, 2) == {"f": {"a": pytest.approx(2 / 3)}}
    assert passes(rows, 4) == {}


def test_a_pool_reads_back_and_a_foreign_file_is_refused(tmp_path: Path) -> None:
    rows = evaluate(tmp_path, 0.5)[1]
    write_rows(tmp_path / "again.parquet", rows)
    assert read_rows(tmp_path / "again.parquet") == rows
    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(UserError, match="foreign.parquet: expected the columns"):
        read_rows(tmp_path / "foreign.parquet")


@pytest.mark.parametrize(
    "options", [{"ask": ("chat", "chat")}, {"families": ("chain", "chain")}, {"temperatures": (9.0,)}]
)
def test_senseless_recipes_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Recipe(**{**SMALL, **options})
