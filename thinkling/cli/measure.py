"""The commands that measure: ``eval``, ``compare``. Everything heavy is imported inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PANEL = "Measure"

Tasks = Annotated[
    list[str],
    typer.Option(
        "--task",
        help="A family (chain, coin, ...), a file of problems (GSM8K, MATH-500, ... as published, or any JSONL), "
        "FILE.py:NAME or gym:NAME (repeatable).",
    ),
]
Strategies = Annotated[
    list[str],
    typer.Option("--strategy", help="cot, sc:n=16, sc:n=8(zs-cot), ... (repeatable; see `thinkling strategies`)."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("eval", rich_help_panel=PANEL)(evaluate)
    app.command("compare", rich_help_panel=PANEL)(compare)
    app.command("strategies", rich_help_panel=PANEL)(strategies)


def evaluate(
    model: Annotated[str, typer.Argument(help='Folder of a model, "nano", or openai:MODEL@BASE_URL.')],
    task: Tasks,
    out: Annotated[Path, typer.Option("--out", help="Folder of the evaluation; the same command resumes it.")],
    strategy: Strategies = ["plain"],  # noqa: B006 (typer copies it)
    problems: Annotated[int, typer.Option(min=0, help="Problems per task; 0: all of a file, 500 of a family.")] = 0,
    split: Annotated[str, typer.Option(help="Split of our own families to draw from: test, or val for choosing.")] = (
        "test"
    ),
    temperature: Annotated[float, typer.Option(min=0.0, help="Of strategies that ask once; votes have their own.")] = (
        0.0
    ),
    repeats: Annotated[int, typer.Option(min=1, help="Attempts of strategies that ask once, at that temperature.")] = 1,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, thinking included.")] = 512,
    think: Annotated[bool | None, typer.Option("--think/--no-think", help="Make it think first, or forbid it.")] = None,
    text: Annotated[bool, typer.Option("--text", help="Ask in plain text (Q: ... A:), as a base model needs.")] = False,
    exemplars: Annotated[Path | None, typer.Option(help="File of worked examples for few-shot and cot.")] = None,
    world: Annotated[Path | None, typer.Option(help="Folder of the world, for the family facts.")] = None,
    perturb: Annotated[
        list[str] | None,
        typer.Option(
            help="Ask every problem again, changed: renamed, renumbered, 'irrelevant clause', 'one more step' "
            "(repeatable): does it reason, or recite?"
        ),
    ] = None,
    trained_on: Annotated[
        Path | None,
        typer.Option(help="Data artifact that the model learned from (runs/nano/data): which problems has it seen?"),
    ] = None,
    stop: Annotated[
        list[str] | None, typer.Option(help="Text that ends an answer, \\\\n for a line break (repeatable).")
    ] = None,
    question_field: Annotated[str, typer.Option(help="Of a file in a form of its own.")] = "",
    answer_field: Annotated[str, typer.Option(help="Of a file in a form of its own.")] = "",
    choices_field: Annotated[str, typer.Option(help="Of a file in a form of its own, where there are choices.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Draws the problems and the samples.")] = 0,
    slots: Annotated[int, typer.Option(min=1, help="Answers that a local model samples side by side.")] = 256,
    max_len: Annotated[int, typer.Option(min=2, help="Most tokens of prompt and answer together.")] = 4096,
) -> None:
    """Ask a model through one or more strategies, and tell how right they are, how sure that is, and what it costs.

    All strategies answer the same problems and share one pool of samples, so that their differences are
    paired. The pool is kept in the folder: cut off at any moment, the same command goes on at the sample, and
    run again it only grades anew. Writes results.json, scores.json and report.html.
    """
    from thinkling.cli.evaluation import run
    from thinkling.evaluate.evaluation import Settings

    run(
        Settings(
            model=model,
            model_id="",
            tasks=tuple(task),
            strategies=tuple(strategy),
            problems=problems,
            split=split,
            seed=seed,
            temperature=temperature,
            repeats=repeats,
            max_tokens=max_tokens,
            think=think,
            text=text,
            exemplars=str(exemplars or ""),
            facts=str(world / "facts.jsonl") if world else "",
            perturb=tuple(perturb or ()),
            trained_on=str(trained_on or ""),
            question_field=question_field,
            answer_field=answer_field,
            choices_field=choices_field,
            stop=tuple(text.replace("\\n", "\n") for text in stop or ()),
        ),
        out,
        max_len=max_len,
        slots=slots,
    )


def compare(
    folders: Annotated[list[Path], typer.Argument(help="Folders of evaluations.")],
) -> None:
    """Compare strategies or models pair by pair over the problems that they share, corrected for many comparisons."""
    from thinkling.cli.evaluation import compare as show

    show(folders)


def strategies() -> None:
    """List the strategies with their options."""
    from thinkling.reasoning.spec import describe

    typer.echo(describe())
