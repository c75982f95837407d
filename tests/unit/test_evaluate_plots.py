"""Charts: ticks, scales, tables beside them, and text that cannot break out."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.evaluate.axis import Axis, change, interval, nice_step, number, rounded_up
from thinkling.evaluate.plots import Bars, Layer, Line, area_chart, bar_chart, line_chart, thinned
from thinkling.evaluate.statistics import Estimate

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@settings(deadline=None)
@given(st.floats(1e-6, 1e9))
def test_steps_are_round_and_just_large_enough(rough: float) -> None:
    step = nice_step(rough)
    assert rough * (1 - 1e-6) <= step <= rough * 5 * (1 + 1e-6)
    assert round(step / 10 ** len(str(int(step))) * 10, 9) or step < 1
    mantissa = float(f"{step:e}".split("e")[0])
    assert mantissa in (1.0, 2.0, 5.0)


@settings(deadline=None)
@given(FINITE, st.floats(1e-3, 1e6))
def test_ticks_lie_inside_and_are_few(low: float, width: float) -> None:
    ticks = Axis(low, low + width, 0, 100).ticks()
    assert 1 <= len(ticks) <= 7 and ticks == sorted(ticks)
    slack = width * 1e-6 + 1e-9 * abs(low)
    assert all(low - slack <= tick <= low + width + slack for tick in ticks)


def test_axes_map_ends_to_ends_linear_and_log() -> None:
    assert Axis(0, 10, 200, 20).at(0) == 200 and Axis(0, 10, 200, 20).at(10) == 20
    log = Axis(1, 100, 0, 100, log=True)
    assert log.at(10) == pytest.approx(50) and log.ticks() == [1, 3, 10, 30, 100]
    assert rounded_up(43) == 50 and rounded_up(0) == 1.0


@pytest.mark.parametrize(
    ("value", "percent", "text"),
    [(0.5, True, "50%"), (0.1234, True, "12.3%"), (0, False, "0"), (1234.5, False, "1,234"), (2.1e6, False, "2.1M"),
     (30_000, False, "30k"),
     (0.01234, False, "0.0123")],
)  # fmt: skip
def test_numbers_for_people(value: float, percent: bool, text: str) -> None:
    assert number(value, percent) == text


def test_intervals_for_people() -> None:
    assert interval(Estimate(0.612, 0.58, 0.643, 10), percent=True) == "61.2% [58.0, 64.3]"
    assert change(Estimate(3.0, -2.5, 3.5, 10)) == "+3.0 [−2.5, +3.5]"
    assert change(Estimate(0.031, 0.02, 0.042, 10), percent=True) == "+3.1 pt [+2.0, +4.2]"


@settings(deadline=None)
@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=30), st.booleans())
def test_any_finite_curve_can_be_drawn_inside_its_frame(points: list[tuple[float, float]], from_zero: bool) -> None:
    points = sorted(points)
    line = Line("a", "sft", [x for x, _ in points], [abs(y) for _, y in points])
    svg = line_chart("t", [line], x_label="x", y_label="y", from_zero=from_zero)
    assert "nan" not in svg and "inf" not in svg
    heights = [float(y) for y in re.findall(r'cy="([-\d.]+)"', svg)]
    assert all(0 <= y <= 270 for y in heights)


def test_long_curves_are_averaged_not_cut() -> None:
    line = thinned(Line("a", "sft", list(range(1000)), [1.0] * 500 + [3.0] * 500))
    assert len(line.x) <= 160 and sum(line.y) / len(line.y) == pytest.approx(2.0, abs=0.05)
    assert line.y[0] == 1.0 and line.y[-1] == 3.0 and line.x[-1] > 990


def test_bars_show_each_value_its_interval_and_n() -> None:
    values = {"chain": Estimate(0.5, 0.4, 0.6, 80), "coin": Estimate(1.0, 0.95, 1.0, 80)}
    html = bar_chart(
        "Accuracy", ["chain", "coin", "sort"], [Bars("RL", "rl", values)], y_label="accuracy", percent=True
    )
    assert html.count("<rect") == 2 and html.count('class="error"') == 2
    assert "50.0% [40.0, 60.0] n=80" in html and "<td>–</td>" in html
    assert "var(--rl)" in html and 'role="img"' in html and "<details>" in html


def test_areas_are_stacked() -> None:
    html = area_chart("Mix", [0, 1, 2], [Layer("a", "sft", [0.2, 0.5, 1.0]), Layer("b", "rl", [0.8, 0.5, 0.0])],
                      x_label="step", y_label="share")  # fmt: skip
    first, second = re.findall(r'd="M([^"]+)Z"', html)
    top = first.split("L")[:3]
    assert [point for point in reversed(second.split("L")[3:])] == top, "one layer's top is the next one's base"
    assert "a: 20% → 100%" in html


def test_nothing_to_draw_is_said_and_markup_is_escaped() -> None:
    assert "Not shown" in line_chart("t", [], x_label="x", y_label="y")
    assert "Not shown" in bar_chart("t", ["a"], [Bars("x", "rl", {})], y_label="y")
    assert "Not shown" in area_chart("t", [1], [], x_label="x", y_label="y")
    html = line_chart('<script>"', [Line("<b>&", "sft", [0, 1], [0, 1])], x_label="<x>", y_label="<y>")
    assert "<script>" not in html and "<b>" not in html and "<x>" not in html
