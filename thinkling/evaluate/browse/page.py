"""The page of an evaluation as one file: results above, and below them a browser of every problem and answer.

Nothing is fetched, and nothing can be: the page's own policy (Content-Security-Policy) allows no address at all, and no
script but the one whose hash it names. What models said travels as compressed data (``data.py``) and is shown as
text alone, so that no answer can become markup.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from thinkling.evaluate.browse import evidence, overview, reasons
from thinkling.evaluate.browse.data import packed
from thinkling.evaluate.plan import Plan
from thinkling.evaluate.report.page import STYLE, Section, section
from thinkling.evaluate.results import Outcomes, Table
from thinkling.evaluate.tasks import Task

HERE = Path(__file__).parent
SCRIPTS = ("unpack.js", "text.js", "traces.js", "problem.js", "list.js", "tables.js")


def write_page(path: Path, tasks: Sequence[Task], plans: Sequence[Plan], outcomes: Outcomes, table: Table) -> None:
    """Write the page beside ``path`` and move it there, so that a full disk leaves the earlier one whole."""
    fresh = path.with_suffix(".new")
    # A name from the file system may hold what no UTF-8 can (surrogates): a reference takes its place.
    fresh.write_bytes(page(tasks, plans, outcomes, table).encode("utf-8", "xmlcharrefreplace"))
    fresh.replace(path)


def page(tasks: Sequence[Task], plans: Sequence[Plan], outcomes: Outcomes, table: Table) -> str:
    """The whole document; ``table`` is what ``tabulate`` made of the same outcomes, with its ``settings``."""
    made = packed(tasks, plans, outcomes)
    parts = [
        overview.strategies(table),
        overview.cost(table),
        evidence.differences(table),
        evidence.confidence(table),
        evidence.levels(table),
        reasons.mistakes(table),
        reasons.recite(table),
        _problems(),
        _method(),
    ]
    shown = [part for part in parts if part]
    script = _script()
    links = "".join(f'<li><a href="#{part.anchor}">{escape(part.name)}</a></li>' for part in shown)
    bodies = "".join(
        f'<section id="{part.anchor}"><h2>{escape(part.title)}</h2>{part.body}</section>' for part in shown
    )
    blocks = "".join(
        f'<script type="text/plain" id="block-{i}">{block}</script>' for i, block in enumerate(made.blocks)
    )
    settings = table["settings"]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_policy(script))}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(settings['model'])}: evaluation</title><style>{_style()}</style></head>"
        f"<body><header>{_head(settings, table, plans)}</header>"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav><main>{bodies}</main>'
        f'<script type="text/plain" id="index">{made.index}</script><script>{script}</script>{blocks}</body></html>\n'
    )


def _head(settings: dict[str, Any], table: Table, plans: Sequence[Plan]) -> str:
    problems = sum(task["problems"] for task in table["tasks"].values())
    asked = sum({(plan.leaf, plan.temperature): plan.n for plan in sorted(plans, key=lambda plan: plan.n)}.values())
    thinking = {None: "as the model likes", True: "always", False: "never"}[settings["think"]]
    facts = {
        "tasks": ", ".join(f"{name} ({task['problems']:,})" for name, task in table["tasks"].items()),
        "problems": f"{problems:,}, with {asked:,} attempt{'s' if asked > 1 else ''} at each",
        "asked": "in plain text (Q: … A:)" if settings["text"] else "as a chat",
        "longest answer": f"{settings['max_tokens']:,} tokens",
        "thinking": thinking,
        "seed": str(settings["seed"]),
    }
    if settings["exemplars"]:
        facts["worked examples"] = settings["exemplars"]
    temperatures = sorted({plan.temperature for plan in plans})
    facts["temperature"] = ", ".join(f"{value:g}" for value in temperatures)
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd><bdi>{escape(value)}</bdi></dd></div>" for name, value in facts.items()
    )
    return f'<p class="kind">Evaluation</p><h1><bdi>{escape(settings["model"])}</bdi></h1><dl class="facts">{rows}</dl>'


def _problems() -> Section:
    return section(
        "Problems",
        "Every problem, every answer",
        '<noscript><p class="absent">The list of problems needs JavaScript; all above does not.</p></noscript>',
        '<div id="browser" hidden><div class="finder"><form id="filters" role="search"></form>'
        '<p id="count" role="status"></p><ol id="rows"></ol><div id="pages"></div></div>'
        '<article id="problem" tabindex="-1" aria-label="The selected problem"></article></div>',
        lead="Search and filter the list; the arrow keys, or j and k, go through it.",
    )


def _method() -> Section:
    texts = (
        "n counts problems. Single yes-or-no answers carry Wilson intervals; where a problem's score is a fraction "
        "(several attempts, a tied vote, which counts 1/m), problems are resampled (bootstrap). Several tasks count "
        "the same, and their limits are combined after Zou and Donner (2008). All are 95% intervals.",
        "A vote over k of n samples is its expectation over all choices of k. An answer that cannot be read counts "
        "as wrong, and never votes. An attempt that failed, or a problem without a known answer, has no score and "
        "is left out of n.",
        "Pairs are tested by McNemar's exact test where every problem is a yes or no, else by flipping signs "
        "(Fisher 1935), and corrected after Holm (1979).",
        "Long texts are shortened in the middle here; attempts.jsonl, beside this page, holds them whole.",
    )
    return section("Method", "How the numbers are made", *(f"<p>{escape(text)}</p>" for text in texts))


def _style() -> str:
    return STYLE.read_text(encoding="utf-8") + (HERE / "browse.css").read_text(encoding="utf-8")


def _script() -> str:
    parts = [(HERE / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"


def _policy(script: str) -> str:
    """Nothing may be fetched, and no other script may run."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; base-uri 'none'; "
        "form-action 'none'"
    )
