"""The report over a small synthetic run: self-contained, complete, and clear about what was not run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.synthetic_run import HABITS, artifact, log, whole_run
from thinkling.core.artifact import Artifact
from thinkling.core.errors import UserError
from thinkling.core.stage import StageContext
from thinkling.evaluate import report_stage
from thinkling.evaluate.plots import BOTTOM, HEIGHT, TOP
from thinkling.evaluate.report.metrics import thinking as numbers_of_thinking
from thinkling.evaluate.report.sources import gather
from thinkling.evaluate.report.thinking import longer
from thinkling.evaluate.statistics import wilson
from thinkling.tasks.registry import all_families, core_five


def report(folder: Path, parents: Mapping[str, Artifact]) -> tuple[str, dict[str, Any]]:
    report_stage.run(StageContext(folder, parents=parents), report_stage.Recipe(stage="report"))
    return (folder / "report.html").read_text(), json.loads((folder / "metrics.json").read_text())


class Checker(HTMLParser):
    """Collects what a page may not have, and whether its tags balance."""

    VOID = frozenset({"meta", "link", "img", "br", "circle", "line", "path", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data") or (name == "href" and not (value or "").startswith("#")):
                self.faults.append(f"{tag} {name}={value}")
            if name == "id":
                self.ids.append(value or "")
            if name == "href":
                self.links.append((value or "")[1:])
            if value and "nan" in value.lower().split():
                self.faults.append(f"{tag} {name}={value}")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> does not close what is open")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any], dict[str, Artifact]]:
    root = tmp_path_factory.mktemp("run")
    parents = whole_run(root, 12)
    html, metrics = report(root / "report", parents)
    return html, metrics, parents


Made = tuple[str, dict[str, Any], dict[str, Artifact]]


def test_the_page_is_self_contained_and_well_formed(made: Made) -> None:
    html = made[0]
    page = Checker(html)
    assert page.faults == [] and page.open == []
    assert "script" not in page.tags and "link" not in page.tags and "img" not in page.tags
    assert "url(" not in html and "@import" not in html
    assert "http" not in html.replace("http-equiv", ""), "no address at all, so no request either"
    assert len(page.ids) == len(set(page.ids)) and set(page.links) <= set(page.ids)
    assert "prefers-color-scheme: dark" in html and 'name="viewport"' in html
    assert page.tags.count("svg") >= 15
    assert "NaN" not in html and "nan" not in html.replace("finance", "")


def test_every_part_is_there_and_none_says_not_run(made: Made) -> None:
    html = made[0]
    for heading in (
        "In short", "The models side by side", "Does thinking help?", "Why answers grew longer",
        "Reinforcement learning", "Beyond the training range", "Examples", "Memory", "Pretraining",
        "From pages to text", "What it cost", "How the numbers are made",
    ):  # fmt: skip
        assert heading in html
    assert "Not run" not in html and "Not shown" not in html
    assert html.count('class="example"') >= 10
    assert "&lt;b&gt;" in html and "ﬂ�x <b>" not in html, "what a model wrote is escaped"


def test_metrics_have_their_stable_names(made: Made) -> None:
    metrics, parents = made[1], made[2]
    assert metrics["wall_seconds"] == pytest.approx(sum(a.timing()["seconds"] for a in parents.values()))
    assert metrics["peak_rss_bytes"] == max(a.timing()["peak_rss_bytes"] for a in parents.values())
    for role in HABITS:
        for measure in ("accuracy", "tokens_per_answer", "think_share"):
            for asked in ("greedy", "t1"):
                for name in (*all_families, "core5"):
                    assert set(metrics[role][measure][asked][name]) == {"value", "low", "high", "n"}
        assert metrics[role]["pass16"]["core5"]["n"] == 10
    gain = metrics["difference"]["rl-sft"]["accuracy"]["t1"]["core5"]
    direct = [metrics[role]["accuracy"]["t1"]["core5"]["value"] for role in ("rl", "sft")]
    assert gain["value"] == pytest.approx(direct[0] - direct[1]) and gain["low"] > 0
    shuffled = metrics["difference"]["control_shuffled-sft"]["accuracy"]["t1"]["core5"]
    assert shuffled["low"] <= 0 <= shuffled["high"]
    chain = metrics["thinking"]["chain"]
    best = max(chain["off"]["value"], chain["direct"]["value"])
    assert chain["ratio"] == pytest.approx(chain["on"]["value"] / best)
    assert chain["ratio_low"] < chain["ratio"] and (chain["ratio_high"] is None or chain["ratio"] < chain["ratio_high"])


def test_the_ratio_is_told_with_its_interval(made: Made) -> None:
    html, metrics, parents = made
    told = re.search(r"thinking on gives ([\d.]+) \[([\d.]+), ([\d.]+|no upper end)\] times", html)
    chain = metrics["thinking"]["chain"]
    assert told and told[1] == f"{chain['ratio']:.2f}" and told[2] == f"{chain['ratio_low']:.2f}"
    sources = gather(parents)
    for role in ("rl", "control_direct"):  # nobody without thinking is ever right: no ratio, and no crash
        model = sources.evaluations[role]
        rows = [row if row.variant == "think_on" else replace(row, score=0.0) for row in model.rows]
        sources.evaluations[role] = replace(model, rows=rows)
    bare = numbers_of_thinking(sources)["chain"]
    assert [bare[name] for name in ("ratio", "ratio_low", "ratio_high")] == [None, None, None]


def test_the_same_parents_give_the_same_bytes(made: Made, tmp_path: Path) -> None:
    html, metrics, parents = made
    assert report(tmp_path / "again", dict(reversed(parents.items()))) == (html, metrics)


def test_without_the_controls_the_report_says_so(made: Made, tmp_path: Path) -> None:
    parents = {role: a for role, a in made[2].items() if not role.startswith("control")}
    html, metrics = report(tmp_path / "report", parents)
    page = Checker(html)
    assert page.faults == [] and "control_direct" not in metrics
    for missing in (
        "Not run: evaluation of direct only, shuffled rewards",
        "Not run: the control fine-tuned on direct answers only",
        "Not run: RL with shuffled rewards, the control",
    ):
        assert missing in html
    assert "direct" not in metrics["thinking"]["chain"] and metrics["thinking"]["chain"]["ratio"] > 0


@pytest.mark.parametrize("kept", [{"sft"}, {"pretrain"}, {"rl", "rl_model"}, {"data"}, {"base", "control_direct"}])
def test_any_part_alone_still_makes_a_report(made: Made, tmp_path: Path, kept: set[str]) -> None:
    html, _ = report(tmp_path / "report", {role: made[2][role] for role in sorted(kept)})
    page = Checker(html)
    assert page.faults == [] and page.open == [] and "Not run" in html


def test_models_that_answered_different_families_are_not_decomposed(made: Made) -> None:
    sources = gather(made[2])
    for role, name in (("sft", "sort"), ("rl", "chain")):
        model = sources.evaluations[role]
        sources.evaluations[role] = replace(model, rows=[row for row in model.rows if row.family == name])
    assert "did not both answer a core family" in longer(sources).body


def test_answers_without_a_score_are_told(made: Made, tmp_path: Path) -> None:
    sft = made[2]["sft"]
    folder = tmp_path / "sft"
    shutil.copytree(sft.path, folder)
    summary = json.loads((folder / "summary.json").read_text())
    summary["faults"] = {"UserError: the prompt does not fit": 7, "other": 2}
    (folder / "summary.json").write_text(json.dumps(summary))
    html, _ = report(tmp_path / "report", {"sft": replace(sft, path=folder)})
    assert "answers have no score" in html and "7 of them: UserError: the prompt does not fit" in html
    assert "SFT: 9 of" in html


def test_wrong_roles_are_refused_by_name(made: Made, tmp_path: Path) -> None:
    sft, model = made[2]["sft"], made[2]["rl_model"]
    for parents, message in (
        ({"stf": sft}, "unknown role 'stf'.*did you mean 'sft'"),
        ({"rl": model}, "takes an evaluation.*rl_model"),
        ({}, "no parents"),
    ):
        with pytest.raises(UserError, match=message):
            report(tmp_path / "report", parents)


def figure(html: str, title: str) -> str:
    return html.split(f"<figcaption>{title}</figcaption>", 1)[1].split("</figure>")[0]


def test_the_held_out_curves_have_bands_and_n(made: Made, tmp_path: Path) -> None:
    chart = figure(made[0], "Accuracy over RL")
    assert chart.count('class="band"') == 2 and "Bands: 95% intervals, n = 100 problems." in chart
    assert f"{core_five[0]} 20, " in figure(made[0], "Held-out accuracy by family, greedy")
    rl = artifact(tmp_path / "rl", "rl", "rl")
    rows = [{"step": step, "held_out": {"mean": 0.2, "coin": 0.2}, "held_out_n": {"coin": 5 * step}} for step in (1, 2)]
    log(rl.path, rows)
    html, _ = report(tmp_path / "report", {"rl_model": rl})
    chart = figure(html, "Accuracy over RL")
    low, high = wilson(1, 5), wilson(2, 10)
    assert chart.count('class="band"') == 1 and "n = 5 to 10 problems" in chart
    points = re.search(r'class="band" d="M([^"]+)Z"', chart)
    assert points is not None
    heights = [float(point.split()[1]) for point in points[1].split("L")]
    unit = (HEIGHT - BOTTOM - TOP) / 1.0
    expected = [HEIGHT - BOTTOM - unit * bound for bound in (low.high, high.high, high.low, low.low)]
    assert heights == pytest.approx(expected, abs=0.1)
    log(rl.path, [*rows, {"step": 3, "held_out": {"mean": 3.0, "mine": 3.0}, "held_out_n": {"mine": 5}}])
    html, _ = report(tmp_path / "report", {"rl_model": rl})
    assert "band" not in figure(html, "Accuracy over RL"), "scores that are no shares have no such interval"


def test_logs_of_a_run_that_was_cut_short_do_not_break_the_charts(made: Made, tmp_path: Path) -> None:
    rl = artifact(tmp_path / "rl", "rl", "rl")
    log(rl.path, [{"step": -1, "held_out": {"mean": 0.0}}, {"step": 0, "reward": 0.0, "length": 3.0}])
    pretrain = artifact(tmp_path / "pretrain", "pretrain", "pretrain")
    log(pretrain.path, [])
    html, _ = report(tmp_path / "report", {"rl_model": rl, "pretrain": pretrain})
    assert Checker(html).faults == [] and "Not shown: no values were logged" in html
