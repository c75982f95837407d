"""Sections on the models: the headline, the models side by side, what carries over, the facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from thinkling.core.progress import clock
from thinkling.evaluate.axis import change, interval
from thinkling.evaluate.plots import Bars, Line, bar_chart, data_table, line_chart
from thinkling.evaluate.report.page import Section, absent, grid, heading, paragraph, section
from thinkling.evaluate.report.sources import MODELS, Evaluation, Sources
from thinkling.evaluate.statistics import Estimate, clear_of_zero
from thinkling.evaluate.summary import CORE, by_mentions, estimate_of

COMPARED = ("base", "sft", "rl")
CORE_NAME = "core five"


def shown(family: str) -> str:
    return CORE_NAME if family == CORE else family


def headline(sources: Sources, metrics: Mapping[str, Any], figure: str) -> Section:
    """The claim in one sentence, the cards, and the R1 figure."""
    cards = []
    for label, variant, measure in (
        ("Greedy accuracy", "greedy", "accuracy"),
        ("Accuracy at temperature 1", "t1", "accuracy"),
        ("Tokens per answer", "t1", "tokens_per_answer"),
        ("Answers that think", "t1", "think_share"),
    ):
        cards.append(_card(sources, metrics, label, variant, measure))
    seconds, peak = metrics["wall_seconds"], metrics["peak_rss_bytes"]
    parts = len(sources.artifacts)
    cards.append(
        _plain_card(
            "The whole run",
            clock(seconds),
            f"h:min:s over {parts} stages, controls included"
            if seconds >= 3600
            else f"minutes:seconds over {parts} stages, controls included",
        )
    )
    cards.append(_plain_card("Peak memory", f"{peak / 1e9:.2f} GB", "resident, largest stage"))
    body = f'<div class="cards">{"".join(card for card in cards if card)}</div>'
    return section("In short", "In short", paragraph(_claim(sources, metrics), "lead"), body, figure)


def _claim(sources: Sources, metrics: Mapping[str, Any]) -> str:
    rl, sft = (sources.evaluations.get(role) for role in ("rl", "sft"))
    if rl is None or sft is None:
        return "RL and SFT were not both evaluated, so nothing is claimed about what reinforcement learning does."
    made = metrics["difference"].get("rl-sft", {})
    sentences = []
    for measure, name in (("accuracy", "accuracy"), ("tokens_per_answer", "tokens per answer")):
        fields = made.get(measure, {}).get("t1", {}).get(CORE)
        if fields:
            estimate = estimate_of(fields)
            percent = measure == "accuracy"
            sure = "the interval excludes 0" if clear_of_zero(estimate) else "the interval includes 0"
            sentences.append(f"{name} {change(estimate, percent)} ({sure})")
    if not sentences:
        return "The core five families were not all asked, so there is no mean over them."
    return (
        "From SFT to RL, at temperature 1, on the same fresh problems of the core five families: "
        + "; ".join(sentences)
        + ". Brackets hold 95% intervals. The first four cards are means over the core five."
    )


def _card(sources: Sources, metrics: Mapping[str, Any], label: str, variant: str, measure: str) -> str:
    """RL's core-five number large, the others small beneath."""
    percent = measure != "tokens_per_answer"
    known = {
        role: found[CORE]
        for role in COMPARED
        if role in sources.evaluations and CORE in (found := sources.evaluations[role].estimates(variant, measure))
    }
    if not known:
        return ""
    lead = list(known)[-1]
    estimate = known.pop(lead)
    value = f"{estimate.value * 100:.1f}%" if percent else f"{estimate.value:.1f}"
    low, high = ((b * 100 if percent else b) for b in (estimate.low, estimate.high))
    beside = ", ".join(
        f"{MODELS[role][0]} {e.value * 100:.1f}%" if percent else f"{MODELS[role][0]} {e.value:.1f}"
        for role, e in reversed(known.items())
    )
    more = f"{MODELS[lead][0]} [{low:.1f}, {high:.1f}] n={estimate.n:,}" + (f"; {beside}" if beside else "")
    return _plain_card(label, value, more)


def _plain_card(what: str, value: str, more: str) -> str:
    return (
        f'<div class="card"><p class="what">{escape(what)}</p><p class="value">{escape(value)}</p>'
        f'<p class="more">{escape(more)}</p></div>'
    )


def side_by_side(sources: Sources, metrics: Mapping[str, Any]) -> Section:
    """Base, SFT and RL (and the controls) per family."""
    title = "The models side by side"
    if not sources.evaluations:
        return section("Models", title, absent("no evaluation of any model is among the report's parents"))
    models = list(sources.evaluations.values())
    figures = [
        _bars("Greedy accuracy", models, sources, "greedy", "accuracy", percent=True),
        _bars("Accuracy at temperature 1", models, sources, "t1", "accuracy", percent=True),
    ]
    name = next((found for model in models if (found := model.pass_name())), None)
    if name:
        k = name.removeprefix("pass")
        note = f"At least one of {k} samples at temperature 1 is right."
        figures.append(_bars(f"pass@{k}", models, sources, "t1", name, percent=True, note=note))
    figures.append(_bars("Tokens per answer at temperature 1", models, sources, "t1", "tokens_per_answer"))
    missing = [MODELS[role][0] for role in MODELS if role not in sources.evaluations]
    return section(
        "Models",
        title,
        *figures,
        _asked_in_text(models),
        _unscored(models),
        _differences(metrics),
        _temperature(sources),
        absent("evaluation of " + ", ".join(missing)) if missing else "",
        lead="; ".join(f"{model.name}: {MODELS[model.role][2]}" for model in models) + ". "
        "Problems are of the test split, which no page, fine-tuning or RL problem comes from. Families weigh "
        "the same in the core five's mean.",
    )


def _asked_in_text(models: list[Evaluation]) -> str:
    """How a base model, which knows no chat, was asked; and what it does in the chat protocol."""
    parts = []
    for model in models:
        if model.summary["ask"][0] == "text":
            chat = model.estimates("chat_greedy", "accuracy").get(CORE)
            beside = f" Through the chat protocol, greedy, it reaches {interval(chat, True)}." if chat else ""
            parts.append(
                paragraph(f"{model.name} was asked in plain text, after a few worked examples of each family.{beside}")
            )
    return "".join(parts)


def _unscored(models: list[Evaluation]) -> str:
    """What the accuracies leave out: they are not to look better, or n larger, than they are."""
    parts = []
    for model in models:
        faults: dict[str, int] = model.summary["faults"]
        if faults:
            reason, count = next(iter(faults.items()))
            parts.append(
                paragraph(
                    f"{model.name}: {sum(faults.values()):,} of {len(model.rows):,} answers have no score and stay out "
                    f"of n; {count:,} of them: {reason}",
                    "note",
                )
            )
    return "".join(parts)


def _bars(
    title: str, models: list[Evaluation], sources: Sources, variant: str, measure: str, *,
    percent: bool = False, note: str = "",
) -> str:  # fmt: skip
    bars = [
        Bars(model.name, model.color, {shown(f): e for f, e in model.estimates(variant, measure).items()})
        for model in models
    ]
    order = [CORE_NAME, *sources.families()]
    groups = [group for group in order if any(group in bar.values for bar in bars)]
    label = "accuracy" if percent else "tokens"
    return bar_chart(title, groups, bars, y_label=label, percent=percent, note=note)


def _differences(metrics: Mapping[str, Any]) -> str:
    """Paired differences on the core five: one column per pair, each claim beside its control."""
    pairs = list(metrics["difference"])
    rows: dict[str, dict[str, str]] = {}
    for pair, made in metrics["difference"].items():
        for label, fields, percent in _core_differences(made):
            estimate = estimate_of(fields)
            star = "" if clear_of_zero(estimate) else " ∘"
            rows.setdefault(label, {})[pair] = f"{change(estimate, percent)}{star}"
    if not rows:
        return ""
    header = ["difference", *(" − ".join(MODELS[role][0] for role in pair.split("-")) for pair in pairs)]
    table = data_table(header, [[label, *(cells.get(pair, "–") for pair in pairs)] for label, cells in rows.items()])
    note = (
        "∘ marks an interval that includes 0. Paired over the problems that both models were asked; the "
        "bootstrap resamples problems, so it has no width where no problem differs."
    )
    return heading("Differences, core five") + table + paragraph(note, "note")


def _core_differences(made: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(label, estimate, whether it is of shares) of one pair's differences on the core five."""
    for measure, name in (("accuracy", "accuracy"), ("tokens_per_answer", "tokens"), ("think_share", "thinks")):
        for variant, how in (("greedy", "greedy"), ("t1", "temperature 1")):
            fields = made.get(measure, {}).get(variant, {}).get(CORE)
            if fields:
                yield f"{name}, {how}", fields, measure != "tokens_per_answer"
    for key in made:
        if key.startswith("pass") and CORE in made[key]:
            yield f"pass@{key.removeprefix('pass')}", made[key][CORE], True
    fields = made.get("t1_minus_best_temperature", {}).get(CORE)
    if fields:
        yield "accuracy: temperature 1 − the other at its best", fields, True


def _temperature(sources: Sources) -> str:
    """Accuracy against temperature on val problems, and the best one's test accuracy."""
    figures = []
    lines = []
    for model in sources.evaluations.values():
        sweep = model.summary["temperatures"]
        if sweep:
            made = [estimate_of(row["accuracy"]) for row in sweep]
            lines.append(
                Line(
                    model.name, model.color, [row["temperature"] for row in sweep], [e.value for e in made],
                    [e.low for e in made], [e.high for e in made],
                )
            )  # fmt: skip
            tested = model.estimates("best_temperature", "accuracy").get(CORE)
            if tested:
                best = model.summary["best_temperature"]
                figures.append(
                    paragraph(
                        f"{model.name} at its best temperature ({best:g}, chosen on val problems): "
                        f"{interval(tested, True)} on the core five's test problems, n={tested.n:,}."
                    )
                )
    if not lines:
        return ""
    chart = line_chart(
        "Accuracy against temperature (val problems)", lines, x_label="temperature", y_label="accuracy", percent=True
    )
    return heading("Temperature") + grid(chart) + "".join(figures)


def generalization(sources: Sources) -> Section:
    """Harder problems and unseen wordings, beside the familiar ones."""
    title = "Beyond the training range"
    parts = []
    for role in ("rl", "sft"):
        model = sources.evaluations.get(role)
        if model is None:
            continue
        kinds = [
            Bars("as trained", "base", _values(model, "greedy")),
            Bars("unseen wordings", "equation", _values(model, "unseen")),
            Bars("harder than trained", "check", _values(model, "ood")),
        ]
        groups = [shown(f) for f in [CORE, *model.summary["families"]] if any(shown(f) in k.values for k in kinds[1:])]
        if groups:
            parts.append(bar_chart(f"{model.name}, greedy", groups, kinds, y_label="accuracy", percent=True))
    return section(
        "Beyond",
        title,
        *(parts or [absent("no evaluation asked harder problems or unseen wordings")]),
        lead="Harder: more steps, names or numbers than any page or training problem has. Unseen wordings: "
        "templates that are kept out of training. A skill carries over; a recited pattern does not.",
    )


def _values(model: Evaluation, variant: str) -> dict[str, Estimate]:
    return {shown(family): e for family, e in model.estimates(variant, "accuracy").items()}


def facts(sources: Sources) -> Section:
    """Accuracy of fact questions against how often the pages state the fact."""
    lines: list[Line] = []
    cells: dict[str, dict[str, str]] = {}
    for role in COMPARED:
        model = sources.evaluations.get(role)
        bins = by_mentions(model.of("greedy")) if model else []
        if model is None or not bins:
            continue
        made = [estimate_of(bin["accuracy"]) for bin in bins]
        at = [max(0.5, bin["mean"]) for bin in bins]
        low, high = [e.low for e in made], [e.high for e in made]
        lines.append(Line(model.name, model.color, at, [e.value for e in made], low, high))
        for bin, estimate in zip(bins, made, strict=True):
            name = f"{bin['low']}–{bin['high']} (n={estimate.n})" if bin["high"] else f"0 (n={estimate.n})"
            cells.setdefault(name, {})[model.name] = interval(estimate, True)
    if not lines:
        return section("Memory", "Memory", absent("no evaluation asked questions about the world's facts"))
    chart = line_chart(
        "Facts recalled against times read",
        lines,
        x_label="times that the pages state the fact",
        y_label="accuracy",
        percent=True,
        log_x=True,
    )
    names = [line.name for line in lines]
    rows = [[bin, *(found.get(name, "–") for name in names)] for bin, found in cells.items()]
    table = data_table(["mentions", *names], rows)
    return section(
        "Memory",
        "Memory",
        grid(chart, f"<figure><figcaption>Accuracy by number of mentions, greedy</figcaption>{table}</figure>"),
        lead="These questions cannot be reasoned out. The pages mention facts by Zipf's law, some once, some "
        "often; the facts asked here were never the subject of a training question.",
    )
