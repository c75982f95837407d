"""Sections on thinking: does it help, why did answers grow longer, and what do the thoughts look like?"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from thinkling.evaluate.axis import change, number
from thinkling.evaluate.decompose import STYLES, by_level, by_style, decompose
from thinkling.evaluate.plots import Bars, Line, bar_chart, data_table, line_chart
from thinkling.evaluate.pool import Row
from thinkling.evaluate.report.page import Section, absent, grid, heading, paragraph, section
from thinkling.evaluate.report.sources import Evaluation, Sources
from thinkling.evaluate.statistics import Estimate, share
from thinkling.evaluate.summary import accuracy, per_problem
from thinkling.tasks.registry import core_five

STYLE_NAMES = {
    "none": "answers at once",
    "steps": "step by step",
    "equation": "plan first",
    "check": "with a check",
}


def on_and_off(sources: Sources, metrics: Mapping[str, Any]) -> Section:
    """Thinking opened for the model, left to it, forbidden; and the control that never learned to think."""
    asked = [m for role in ("sft", "rl") if (m := sources.evaluations.get(role)) and m.of("think_on")]
    title = "Does thinking help?"
    if not asked:
        return section("Thinking", title, absent("no evaluation asked with thinking forced on and forbidden"))
    families = [name for name in sources.families() if name in asked[-1].estimates("think_on", "accuracy")]
    parts = []
    for family in families:
        parts.append(grid(_on_off_bars(sources, asked, family), _by_level(sources, asked[-1], family)))
        made = metrics["thinking"].get(family)
        if made and made["ratio"]:
            better = max(("off", "direct"), key=lambda name: made.get(name, {"value": -1.0})["value"])
            names = {"off": "thinking off", "direct": "the direct-only control"}
            high = "no upper end" if made["ratio_high"] is None else f"{made['ratio_high']:.2f}"
            parts.append(
                paragraph(
                    f"On {family}, thinking on gives {made['ratio']:.2f} [{made['ratio_low']:.2f}, {high}] times the "
                    f"accuracy of {names[better]}, the better of the two without thinking."
                )
            )
    if "control_direct" not in sources.evaluations:
        parts.append(absent("the control fine-tuned on direct answers only"))
    return section(
        "Thinking",
        title,
        *parts,
        lead="One model, the same problems, greedy: with its think part opened for it (on), left to choose "
        "(auto), and with <think> masked out (off). Off asks a model that leans on thinking to do without; "
        "the control was trained on direct answers alone, and shows what that training can reach.",
    )


def _on_off_bars(sources: Sources, asked: list[Evaluation], family: str) -> str:
    kinds = {"on": ("think_on", "check"), "auto": ("greedy", "steps"), "off": ("think_off", "none")}
    bars = []
    for name, (variant, color) in kinds.items():
        made = {m.name: e for m in asked if (e := m.estimates(variant, "accuracy").get(family))}
        bars.append(Bars(f"thinking {name}", color, made))
    groups = [model.name for model in asked]
    control = sources.evaluations.get("control_direct")
    direct = control.estimates("greedy", "accuracy").get(family) if control else None
    if control and direct:
        bars.append(Bars("trained on direct answers", "direct", {control.name: direct}))
        groups.append(control.name)
    return bar_chart(f"{family}: thinking on, auto, off", groups, bars, y_label="accuracy", percent=True, wide=False)


def _by_level(sources: Sources, model: Evaluation, family: str) -> str:
    curves = [
        _level_line(f"{model.name}, on", "check", model.of("think_on"), family),
        _level_line(f"{model.name}, off", "none", model.of("think_off"), family),
    ]
    control = sources.evaluations.get("control_direct")
    if control:
        curves.append(_level_line(control.name, "direct", control.of("greedy"), family))
    lines = [line for line in curves if line]
    return line_chart(
        f"{family}: accuracy against difficulty", lines, x_label="level", y_label="accuracy", percent=True
    )


def _level_line(name: str, color: str, rows: list[Row], family: str) -> Line | None:
    rows = [row for row in rows if row.family == family]
    levels = sorted({row.level for row in rows if row.score is not None})
    if not levels:
        return None
    made = [
        share({family: list(per_problem([r for r in rows if r.level == level], accuracy)[family].values())})
        for level in levels
    ]
    return Line(name, color, levels, [e.value for e in made], [e.low for e in made], [e.high for e in made])


def longer(sources: Sources) -> Section:
    """The length growth from SFT to RL, decomposed: selection of styles, or more within a style."""
    title = "Why answers grew longer"
    before, after = sources.evaluations.get("sft"), sources.evaluations.get("rl")
    sides = [_core_answers(model) for model in (before, after) if model]
    shared = set.intersection(*({answer.family for answer in side} for side in sides)) if sides else set()
    if before is None or after is None or not shared:
        return section("Length", title, absent("SFT and RL did not both answer a core family at temperature 1"))
    table = [_style_row(style, by_style(sides[0])[style], by_style(sides[1])[style]) for style in STYLES]
    header = ["style", "share SFT", "share RL", "tokens SFT", "tokens RL", "accuracy SFT", "accuracy RL"]
    parts = [grid(_style_bars(sides), _length_by_level(before, after)), data_table(header, table)]
    rows = []
    for quantity, name in (("tokens", "tokens per answer"), ("score", "accuracy")):
        made = decompose(sides[0], sides[1], quantity)
        percent = quantity == "score"
        rows.append([name, *(change(e, percent) for e in (made.total, made.selection, made.within))])
    split = data_table(["from SFT to RL", "change", "of it selection of styles", "of it within styles"], rows)
    parts += [heading("Call selection selection"), split]
    made = decompose(sides[0], sides[1])
    parts.append(paragraph(_reading(made.total, made.selection)))
    return section(
        "Length",
        title,
        *parts,
        lead="SFT taught several styles of answering, some of them longer and more often right. RL can make "
        "answers longer by choosing those more often (selection), or by writing more within a style. The mean "
        "is split by Kitagawa's decomposition (1955), exact and symmetric, inside each family; families weigh "
        "the same. Answers at temperature 1, core five.",
    )


def _core_answers(model: Evaluation) -> list[Any]:
    return [row.answer for row in model.of("t1") if row.family in core_five and not row.error]


def _style_row(style: str, before: Any, after: Any) -> list[str]:
    def cell(value: float | None, percent: bool) -> str:
        return "–" if value is None else number(value, percent)

    sides = (before, after)
    return [
        STYLE_NAMES[style],
        *(cell(side.share, True) for side in sides),
        *(cell(side.tokens, False) for side in sides),
        *(cell(side.accuracy, True) for side in sides),
    ]


def _style_bars(sides: list[list[Any]]) -> str:
    """Style shares of both models; the intervals are over families' problems as in all shares."""
    bars = []
    for name, color, answers in zip(("SFT", "RL"), ("sft", "rl"), sides, strict=True):
        values: dict[str, Estimate] = {}
        for style in STYLES:
            used: dict[str, dict[str, list[float]]] = {}
            for answer in answers:
                used.setdefault(answer.family, {}).setdefault(answer.key, []).append(float(answer.style == style))
            strata = {f: [sum(v) / len(v) for v in problems.values()] for f, problems in used.items()}
            values[STYLE_NAMES[style]] = share(strata)
        bars.append(Bars(name, color, values))
    groups = [STYLE_NAMES[style] for style in STYLES]
    return bar_chart("Which style answers take", groups, bars, y_label="share of answers", percent=True, wide=False)


def _length_by_level(before: Evaluation, after: Evaluation) -> str:
    """Length against difficulty on the chain, whose levels are its number of steps."""
    lines = []
    for model in (before, after):
        answers = [row.answer for row in model.of("t1") if row.family == "chain" and not row.error]
        levels = by_level(answers)
        lines.append(Line(model.name, model.color, list(levels), [mean for mean, _ in levels.values()]))
    return line_chart(
        "Chained arithmetic: length against difficulty", lines, x_label="steps in the problem", y_label="tokens"
    )


def _reading(total: Estimate, selection: Estimate) -> str:
    if total.low <= 0:
        return "The change in length is not clear of 0, so there is no growth to explain."
    part = selection.value / total.value
    rest = "the rest is longer (or shorter) writing within a style"
    return f"Selection of styles accounts for {number(part, True)} of the growth; {rest}."


def examples(sources: Sources, count: int) -> Section:
    """Answers with their thinking: RL beside SFT on the same problem, right ones and wrong ones."""
    title = "Examples"
    model = sources.evaluations.get("rl") or sources.evaluations.get("sft")
    if model is None:
        return section("Examples", title, absent("neither RL nor SFT was evaluated"))
    other = sources.evaluations.get("sft") if model.role == "rl" else None
    shown = []
    for family in model.summary["families"]:
        for right in (True, False):
            rows = _picked(model, other, family, right)[:count]
            shown += [_example(row, model, other) for row in rows]
    return section(
        "Examples",
        title,
        *shown,
        lead="Greedy answers to test problems, per family right and wrong ones, the first by problem key: "
        "nothing was picked by hand. Where SFT differs in the verdict, that problem comes first.",
    )


def _answers(model: Evaluation | None, family: str) -> dict[str, Row]:
    rows = model.of("greedy") if model else []
    return {row.key: row for row in rows if row.family == family and row.sample == 0}


def _picked(model: Evaluation, other: Evaluation | None, family: str, right: bool) -> list[Row]:
    before = _answers(other, family)
    rows = [row for row in _answers(model, family).values() if row.score is not None and (row.score >= 1) == right]

    def order(row: Row) -> tuple[bool, str]:
        earlier = before.get(row.key)
        return (earlier is None or earlier.score == row.score, row.key)

    return sorted(rows, key=order)


def _example(row: Row, model: Evaluation, other: Evaluation | None) -> str:
    both = [(other, _answers(other, row.family).get(row.key)), (model, row)]
    answers = "".join(_answer(m.name, r) for m, r in both if m is not None and r is not None)
    return (
        f'<article class="example"><p class="meta">{escape(row.family)}, level {row.level}, '
        f"answer {escape(row.gold)}</p>"
        f'<p class="asked">{escape(row.prompt)}</p><div class="answers">{answers}</div></article>'
    )


def _answer(name: str, row: Row) -> str:
    right = row.score is not None and row.score >= 1
    verdict = "right" if right else "wrong" if row.status == "graded" else row.status
    thought = f'<span class="thought">{escape(row.thinking)}</span>\n' if row.thinking else ""
    cut = ", cut off" if row.finish == "length" else ""
    return (
        f'<div class="answer {"right" if right else "wrong"}"><p class="who"><b>{escape(name)}</b> '
        f'<span class="mark">{"✓" if right else "✗"} {escape(verdict)}</span>, {row.tokens} tokens{cut}</p>'
        f'<p class="said">{thought}{escape(row.text)}</p></div>'
    )
