"""What reinforcement learning adds to fine-tuning, over several training seeds, with intervals.

Takes a finished run, repeats its `rl` stage (and `control_shuffled`) under other seeds, lets every model answer the
same fresh problems (of the test split, and of val where that has too few), and prints paired differences to the
fine-tuned model: greedy, temperature 1, pass@16, tokens per answer and share of answers that think (both at
temperature 1). Intervals resample problems; a problem's number is its mean over seeds.

Run: python bench/rl_gain.py runs/nano
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from thinkling.cli.hooks import open_backend
from thinkling.core.chain import run_stage
from thinkling.core.types import Episode, Problem, Sampling
from thinkling.evaluate.statistics import Estimate, paired_difference, pass_at_k, share
from thinkling.rollout.episodes import episodes
from thinkling.tasks import registry
from thinkling.tasks.family import Family
from thinkling.tasks.sets import problems

MAX_TOKENS = 160
# metric -> family -> problem key -> value
Table = dict[str, dict[str, dict[str, float]]]


def trained(run: Path, recipe: Path, seed: int) -> Path:
    """The stage of ``recipe`` under a seed: the run's own where it is that seed, else made in a folder of its own."""
    text = recipe.read_text(encoding="utf-8")
    if f"seed = {seed}" in text.splitlines():
        return run / recipe.stem
    lines = [f"seed = {seed}" if line.startswith("seed =") else line for line in text.splitlines()]
    folder = run.parent / f"{run.name}_seeds"
    folder.mkdir(exist_ok=True)
    changed = folder / f"{recipe.stem}_{seed}.toml"
    changed.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return run_stage(changed, folder, parents={"model": run / "sft"}).path


def fresh(family: Family, count: int, taken: list[Problem]) -> list[Problem]:
    """Test problems; where a family has too few of them, val problems too, which nothing was trained on either."""
    made = problems(family, "test", count, 2024, at_most=True)
    if len(made) < count:
        keys = {problem.key for problem in taken}
        more = problems(family, "val", count, 2025, at_most=True)
        made += [problem for problem in more if problem.key not in keys][: count - len(made)]
    return made


def temperature_of_best(model: Path, asked: Mapping[str, list[Problem]], choices: list[float]) -> float:
    """The sampling temperature at which the model solves most of ``asked``."""
    means = {t: np.mean([np.mean(list(row.values())) for row in scores(model, asked, t, 1).values()]) for t in choices}
    return max(means, key=lambda t: means[t])


def attempts(
    model: Path, asked: Mapping[str, list[Problem]], temperature: float, n: int
) -> dict[str, list[list[Episode]]]:
    backend = open_backend(model, max_len=512, slots=256)
    sampling = Sampling(temperature=temperature, max_tokens=MAX_TOKENS)
    made = {}
    for name, listed in asked.items():
        family = registry.family(name)
        grade: Callable[[Problem], object] = lambda problem, family=family: family  # noqa: E731
        made[name] = episodes(listed, backend, family_of=grade, sampling=sampling, seed=11, n=n)  # type: ignore[arg-type]
    return made


def scores(model: Path, asked: Mapping[str, list[Problem]], temperature: float, n: int) -> dict[str, dict[str, float]]:
    made = attempts(model, asked, temperature, n)
    return {
        name: {group[0].problem.key: float(np.mean([e.verdict.score or 0.0 for e in group])) for group in groups}
        for name, groups in made.items()
    }


def measure(model: Path, asked: Mapping[str, list[Problem]], pooled: int) -> Table:
    """Every metric of one model; pass@16 on the first ``pooled`` problems of each family."""
    table: Table = {name: {} for name in ("greedy", "t1", "pass16", "tokens", "think")}
    table["greedy"] = scores(model, asked, 0.0, 1)
    for name, groups in attempts(model, asked, 1.0, 1).items():
        keys = [group[0].problem.key for group in groups]
        answers = [group[0] for group in groups]
        table["t1"][name] = dict(zip(keys, [e.verdict.score or 0.0 for e in answers], strict=True))
        table["tokens"][name] = dict(zip(keys, [float(e.usage.completion) for e in answers], strict=True))
        thought = [float(e.messages[-1].thinking is not None) for e in answers]
        table["think"][name] = dict(zip(keys, thought, strict=True))
    few = {name: listed[:pooled] for name, listed in asked.items()}
    for name, groups in attempts(model, few, 1.0, 16).items():
        right = [sum((e.verdict.score or 0.0) > 0 for e in group) for group in groups]
        keys = [group[0].problem.key for group in groups]
        table["pass16"][name] = {key: pass_at_k(16, c, 16) for key, c in zip(keys, right, strict=True)}
    return table


def mean_over(tables: list[Table]) -> Table:
    """Problem by problem, the mean over training seeds."""
    return {
        metric: {
            name: {key: float(np.mean([t[metric][name][key] for t in tables])) for key in row}
            for name, row in tables[0][metric].items()
        }
        for metric in tables[0]
    }


def shown(estimate: Estimate, unit: str = "") -> str:
    return f"{estimate.value:+.3f}{unit} [{estimate.low:+.3f}, {estimate.high:+.3f}] n={estimate.n}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run of recipes/nano")
    parser.add_argument("--recipes", type=Path, default=Path("recipes/nano"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--shuffled-seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--problems", type=int, default=500, help="fresh test problems per family")
    parser.add_argument("--pooled", type=int, default=100, help="of these, how many get 16 samples")
    options = parser.parse_args()
    families = {name: registry.family(name) for name in registry.core_five}
    few = {name: problems(f, "val", 60, 2024) for name, f in families.items()}
    asked = {name: fresh(f, options.problems, few[name]) for name, f in families.items()}
    sft = measure(options.run / "sft", asked, options.pooled)
    best = temperature_of_best(options.run / "sft", few, [0.0, 0.3, 0.6, 1.0])
    at_best = scores(options.run / "sft", asked, best, 1)
    for label, name, seeds in (("rl", "rl", options.seeds), ("shuffled", "control_shuffled", options.shuffled_seeds)):
        models = [trained(options.run, options.recipes / f"{name}.toml", seed) for seed in seeds]
        if not models:
            continue
        tables = [measure(model, asked, options.pooled) for model in models]
        together = mean_over(tables)
        print(f"\n{label}: {len(seeds)} seeds, problems: {', '.join(f'{k} {len(v)}' for k, v in asked.items())}")
        for metric in ("greedy", "t1", "pass16", "tokens", "think"):
            before = share({k: list(v.values()) for k, v in sft[metric].items()}) if metric != "tokens" else None
            each = [float(np.mean([np.mean(list(row.values())) for row in t[metric].values()])) for t in tables]
            base = float(np.mean([np.mean(list(row.values())) for row in sft[metric].values()]))
            difference = paired_difference(together[metric], sft[metric])
            interval = f" [{before.low:.3f}, {before.high:.3f}]" if before else ""
            print(
                f"  {metric:7s} sft {base:.3f}{interval} -> {', '.join(f'{x:.3f}' for x in each)}: {shown(difference)}"
            )
        against = paired_difference(together["t1"], at_best)
        print(f"  t1 against sft at its best temperature {best}: {shown(against)}")
        for name, row in together["greedy"].items():
            value = share({name: list(row.values())})
            print(f"  greedy {name:9s} {value.value:.3f} [{value.low:.3f}, {value.high:.3f}]")


if __name__ == "__main__":
    main()
