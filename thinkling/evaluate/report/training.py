"""Sections on how the models came about: RL's curves, pretraining, samples over time, data, costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any

from thinkling.core.progress import clock
from thinkling.evaluate.axis import number
from thinkling.evaluate.plots import Layer, Line, area_chart, data_table, line_chart, thinned
from thinkling.evaluate.report.page import Section, absent, grid, heading, paragraph, section
from thinkling.evaluate.report.sources import MODELS, STAGES, Sources
from thinkling.evaluate.statistics import Estimate, share_of_means

Rows = list[dict[str, Any]]
RUNS = (("rl_model", "RL", "rl", False), ("control_shuffled_model", "shuffled rewards", "shuffled", True))


def curve(rows: Rows, key: str, name: str, color: str, *, dashed: bool = False) -> Line:
    """A logged value against steps done; ``held_out.mean`` looks inside a table. Rows without it are skipped."""
    points = []
    for row in rows:
        value: Any = row
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, int | float) and "step" in row:
            points.append((row["step"] + 1, float(value)))
    return Line(name, color, [x for x, _ in points], [y for _, y in points], dashed=dashed)


def r1_figure(sources: Sources) -> str:
    """Accuracy and length against RL steps, the shuffled-reward control beside them."""
    if "rl_model" not in sources.stages:
        return absent("reinforcement learning")
    return grid(
        _held_out_chart(sources),
        _rl_chart(sources, "Length of answers over RL", "length", "tokens per answer"),
    )


def _held_out_chart(sources: Sources) -> str:
    """Accuracy on held-out problems, with bands where the log allows."""
    lines, counts = [], []
    for role, name, color, dashed in RUNS:
        rows = [row for row in sources.log(role) if "mean" in row.get("held_out", {})]
        line = curve(rows, "held_out.mean", name, color, dashed=dashed)
        made = [estimate for estimate in map(_held_out, rows) if estimate]
        if made and len(made) == len(rows):
            counts += [estimate.n for estimate in made]
            line = replace(line, low=[estimate.low for estimate in made], high=[estimate.high for estimate in made])
        lines.append(line)
    n = " to ".join(str(count) for count in sorted({min(counts), max(counts)})) if counts else ""
    return line_chart(
        "Accuracy over RL", lines, x_label="RL step", y_label="held-out accuracy", percent=True,
        note=f"Greedy, mean over families. Bands: 95% intervals, n = {n} problems." if n else "",
    )  # fmt: skip


def _held_out(row: dict[str, Any]) -> Estimate | None:
    """The row's accuracy; None without the number of problems, or where a user's scores are no shares."""
    means = {name: mean for name, mean in row["held_out"].items() if name != "mean"}
    if "held_out_n" not in row or not all(0 <= mean <= 1 for mean in means.values()):
        return None
    return share_of_means(means, row["held_out_n"])


def _rl_chart(sources: Sources, title: str, key: str, label: str, *, percent: bool = False, note: str = "") -> str:
    lines = [curve(sources.log(role), key, name, color, dashed=dashed) for role, name, color, dashed in RUNS]
    return line_chart(
        title, [line for line in lines if line.x], x_label="RL step", y_label=label, percent=percent, note=note
    )


def reinforcement(sources: Sources) -> Section:
    """All of RL's curves."""
    title = "Reinforcement learning"
    if "rl_model" not in sources.stages:
        return section("RL", title, absent("reinforcement learning"))
    charts = [
        _rl_chart(sources, "Reward", "reward", "mean reward", percent=True,
                  note="Of samples at the training temperature; the control's before shuffling."),
        _rl_chart(sources, "Answers that think", "think_share", "share of answers", percent=True),
        _rl_chart(sources, "Second thoughts", "wait_per_answer", '"wait" or "check" per answer'),
        _rl_chart(sources, "Entropy", "entropy", "nats per token"),
        _rl_chart(sources, "Groups without variance, skipped", "groups_skipped", "groups per step"),
        _outcomes(sources),
        _by_family(sources),
    ]  # fmt: skip
    if curve(sources.log("rl_model"), "kl", "", "rl").y and any(curve(sources.log("rl_model"), "kl", "", "rl").y):
        charts.append(_rl_chart(sources, "Divergence from SFT", "kl", "KL, nats per token"))
    control = "" if "control_shuffled_model" in sources.stages else absent("RL with shuffled rewards, the control")
    return section(
        "RL",
        title,
        grid(*charts),
        control,
        lead="The only reward is a right, readable answer. Nothing pays for length, for thinking or for a "
        "format. The dashed control gets the same rewards dealt out at random: what it does, RL's machinery "
        "does by itself.",
    )


def _outcomes(sources: Sources) -> str:
    """Right, wrong and unreadable answers over RL, stacked."""
    rows = [row for row in sources.log("rl_model") if "reward" in row and "unparsed_share" in row]
    steps = [row["step"] + 1 for row in rows]
    parts = [
        thinned(Line("", "", steps, values))
        for values in (
            [row["reward"] for row in rows],
            [max(0.0, 1 - row["reward"] - row["unparsed_share"]) for row in rows],
            [row["unparsed_share"] for row in rows],
        )
    ]
    if not rows:
        return ""
    names = (("right", "direct"), ("wrong", "check"), ("unreadable", "none"))
    layers = [Layer(name, color, part.y) for (name, color), part in zip(names, parts, strict=True)]
    return area_chart(
        "What becomes of the samples", list(parts[0].x), layers, x_label="RL step", y_label="share of answers"
    )


def _by_family(sources: Sources) -> str:
    rows = [row for row in sources.log("rl_model") if row.get("held_out")]
    if not rows:
        return ""
    colors = ("sft", "rl", "direct", "shuffled", "check", "equation", "base", "none")
    names = [name for name in rows[-1]["held_out"] if name != "mean"]
    lines = [curve(rows, f"held_out.{name}", name, colors[i % len(colors)]) for i, name in enumerate(names)]
    counts = rows[-1].get("held_out_n", {})
    note = f"Problems: {', '.join(f'{name} {n}' for name, n in counts.items())}." if counts else ""
    return line_chart(
        "Held-out accuracy by family, greedy", lines, x_label="RL step", y_label="accuracy", percent=True, note=note
    )


def pretraining(sources: Sources) -> Section:
    """The loss curve, bits per byte, and what the model writes as it learns."""
    title = "Pretraining and fine-tuning"
    if "pretrain" not in sources.stages:
        return section("Pretraining", title, absent("pretraining"))
    rows = sources.log("pretrain")
    metrics = sources.stages["pretrain"].manifest.metrics
    charts = [
        line_chart("Training loss", [curve(rows, "loss", "pretraining", "base")], x_label="step",
                   y_label="nats per token", from_zero=False),
        line_chart("Bits per byte on held-out text", [curve(rows, "val_bpb", "held-out text", "base")], x_label="step",
                   y_label="bits per byte", from_zero=False),
    ]  # fmt: skip
    tuned = [
        curve(sources.log(role), "loss", name, color)
        for role, name, color in (("sft_model", "SFT", "sft"), ("control_direct_model", "direct only", "direct"))
    ]
    if any(line.x for line in tuned):
        charts.append(
            line_chart("Fine-tuning loss", [line for line in tuned if line.x], x_label="step", y_label="nats per token")
        )
    charts.append(
        line_chart("Training speed", [curve(rows, "tokens_per_second", "pretraining", "base")], x_label="step",
                   y_label="tokens per second")
    )  # fmt: skip
    facts = [
        f"{name}: {number(float(metrics[key]))}"
        for key, name in (("parameters", "parameters"), ("tokens", "tokens read"), ("passes", "passes over the text"),
                          ("val_bpb", "final bits per byte"))
        if isinstance(metrics.get(key), int | float)
    ]  # fmt: skip
    used = next((row["flop_utilization"] for row in reversed(rows) if "flop_utilization" in row), None)
    facts += [f"FLOP utilization: {number(used, True)}"] if used is not None else []
    return section(
        "Pretraining",
        title,
        paragraph("; ".join(facts) + "." if facts else ""),
        grid(*charts),
        heading("What it writes as it learns"),
        samples_over_time(rows),
    )


def samples_over_time(rows: Rows, most: int = 8) -> str:
    """Samples logged during pretraining, gibberish first; at most ``most`` moments, the first and last among them."""
    told = [row for row in rows if row.get("samples")]
    if not told:
        return absent("samples during pretraining")
    chosen = sorted({round(i * (len(told) - 1) / max(1, most - 1)) for i in range(most)}) if len(told) > 1 else [0]
    items = []
    for index in chosen:
        row = told[index]
        texts = "".join(f"<p>{escape(_clipped(text))}</p>" for text in row["samples"])
        items.append(f'<li><span class="when">step {row["step"] + 1:,}</span><div>{texts}</div></li>')
    return f'<ul class="samples">{"".join(items)}</ul>'


def _clipped(text: str, most: int = 400) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[:most] + " …"


def funnel(sources: Sources) -> Section:
    """What each step of the data pipeline took, and how right it was where the truth is known."""
    title = "From pages to text"
    rows = sources.table("data", "funnel.json")
    if rows is None:
        return section("Data", title, absent("the data stage"))
    table = data_table(
        ["step", "in", "taken out", "kept", "most common reason"],
        [
            [row["step"].replace("_", " "), *(f"{row[key]:,}" for key in ("in", "rejected", "kept")), _reason(row)]
            for row in rows
        ],
        text=(4,),
    )
    return section(
        "Data",
        title,
        table,
        _scores(sources.table("data", "scores.json")),
        lead="Each page goes through the steps in order; the first one that objects takes it, and its reason is kept.",
    )


def _reason(row: dict[str, Any]) -> str:
    reasons = row.get("reasons") or {}
    if not reasons:
        return "–"
    name, count = next(iter(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))))
    return f"{name} ({count:,})"


def _scores(scores: dict[str, Any] | None) -> str:
    if scores is None:
        return absent("precision and recall: the crawl came without its truth")

    def cell(value: float | None) -> str:
        return "–" if value is None else number(value, True)

    rows = []
    for name, made in [("pages kept", scores["overall"]), *scores["steps"].items()]:
        counts = [f"{made['should']:,}", f"{made['did']:,}"]
        rows.append([name.replace("_", " "), *counts, cell(made["precision"]), cell(made["recall"])])
    table = data_table(["step", "should take", "took", "precision", "recall"], rows)
    extra = []
    if scores["extraction"]["pages"]:
        e = scores["extraction"]
        extra.append(f"Main text found: precision {cell(e['precision'])}, recall {cell(e['recall'])} (word 4-grams).")
    if scores["pii"]["pages"]:
        p = scores["pii"]
        extra.append(f"Pages with personal data found: precision {cell(p['precision'])}, recall {cell(p['recall'])}.")
    return heading("Against the world's ground truth") + table + "".join(paragraph(text) for text in extra)


def costs(sources: Sources) -> Section:
    """Seconds, tokens and peak memory per stage."""
    rows = []
    for role, artifact in sources.artifacts.items():
        timing = artifact.timing()
        what = STAGES.get(role) or f"evaluate {MODELS[role][0]}"
        seconds, peak = timing.get("seconds"), timing.get("peak_rss_bytes")
        tokens = _tokens(sources, role)
        rows.append(
            [
                artifact.name,
                what,
                "–" if seconds is None else f"{seconds:,.1f}",
                "–" if not tokens else f"{tokens:,}",
                "–" if peak is None else f"{peak / 1e6:,.0f}",
            ]
        )
    if not rows:
        return section("Cost", "What it cost", absent("any stage"))
    total = sum(artifact.timing().get("seconds", 0.0) for artifact in sources.artifacts.values())
    table = data_table(["artifact", "what", "seconds", "tokens", "peak memory, MB"], rows, text=(1,))
    return section(
        "Cost",
        "What it cost",
        table,
        paragraph(f"Together {clock(total)} (minutes and seconds), stages one after another."),
        paragraph(
            "Tokens: read by pretraining and fine-tuning, sampled in RL and evaluation. Timings are this "
            "machine's and lie outside the artifacts' hashes.",
            "note",
        ),
    )


def _tokens(sources: Sources, role: str) -> int:
    if role in MODELS:
        variants: Sequence[dict[str, Any]] = list(sources.evaluations[role].summary["variants"].values())
        return sum(variant["counts"]["tokens"] for variant in variants)
    rows = sources.log(role)
    return sum(int(row.get("sampled_tokens", row.get("tokens", 0)) or 0) for row in rows)
