"""`thinkling`: the commands and their help. Everything heavy is imported inside the commands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thinkling.cli import measure
from thinkling.cli.bulls_and_cows import app as bulls_and_cows
from thinkling.cli.grade import grade
from thinkling.cli.serving import serve
from thinkling.core.errors import UserError
from thinkling.core.stages import STAGES

if TYPE_CHECKING:
    from thinkling.api import LocalModel

HOOKS = {name: f"thinkling.cli.hooks:{name}" for name in ("choose_precision", "open_backend")}

OVERVIEW = """Build, ask and measure small models that think.

From web pages to a reasoning model, each arrow a stage with a recipe of its own:

    world -> data -> tokenizer -> shards -> pretrain -> sft -> rl -> evaluate -> report

Make all of it on a laptop, in minutes, and talk to the result:

    thinkling run recipes/nano --out runs/nano
    thinkling chat runs/nano/rl
"""

app = typer.Typer(
    help=OVERVIEW.replace("\n    ", "\n\n    "),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

Text = Annotated[
    list[str] | None,
    typer.Option("--text", help="Plain text or JSONL (file or folder) instead of the crawl, for the data stage."),
]
Out = Annotated[Path, typer.Option("--out", help="Folder of the run: one subfolder per artifact.")]
Model = Annotated[
    str, typer.Argument(help='Folder of a model (runs/nano/rl, or a Qwen or Llama-3 checkpoint), or "nano".')
]
AnyModel = Annotated[str, typer.Argument(help='Folder of a model, "nano", or openai:MODEL@BASE_URL.')]
Temperature = Annotated[float, typer.Option(min=0.0, help="0 is greedy; 1 is the model's own distribution.")]
Think = Annotated[
    bool | None,
    typer.Option("--think/--no-think", help="Make the model think first, or forbid it. Neither: it chooses."),
]
MaxTokens = Annotated[int | None, typer.Option(min=1, help="Longest answer; without it, as long as fits.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed draws the same tokens.")]


@app.command(rich_help_panel="Build")
def run(
    recipes: Annotated[Path, typer.Argument(help="Folder with one TOML recipe per stage.")],
    out: Out,
    only: Annotated[list[str] | None, typer.Option(help="Only these artifacts (repeatable).")] = None,
    until: Annotated[str | None, typer.Option(help="Only this artifact and what it needs.")] = None,
    force: Annotated[list[str] | None, typer.Option(help="Make these again, from nothing (repeatable).")] = None,
    text: Text = None,
) -> None:
    """Make every artifact of a recipe folder, parents first.

    What is up to date is skipped: a stage runs again only if its recipe, its parents, its code or a file
    it reads has changed. What was cut off goes on where it was, even after kill -9.
    """
    from thinkling.cli.recipes import publish_report
    from thinkling.core.chain import run_recipes

    artifacts = run_recipes(recipes, out, only=only or (), until=until, force=force or (), text=text or (), hooks=HOOKS)
    for artifact in artifacts.values():
        if artifact.manifest.kind == "report":
            publish_report(artifact, out)
            typer.echo(f"report: {out / 'report.html'}")


def _stage_command(stage: str) -> Callable[..., None]:
    def command(
        recipe: Annotated[Path | None, typer.Argument(help="TOML recipe; its file stem names the artifact.")] = None,
        out: Annotated[
            Path | None, typer.Option("--out", help="Folder of the run: one subfolder per artifact.")
        ] = None,
        parent: Annotated[
            list[str] | None,
            typer.Option(help="ROLE=PATH: an artifact from elsewhere (others: from --out, by the recipe's names)."),
        ] = None,
        force: Annotated[bool, typer.Option("--force", help="Make it again, from nothing.")] = False,
        settings: Annotated[bool, typer.Option("--settings", help="List the recipe's keys, and stop.")] = False,
        text: Text = None,
    ) -> None:
        from thinkling.cli.recipes import settings_table
        from thinkling.core.chain import read_planned, run_stage

        if settings:
            typer.echo(settings_table(stage))
            return
        if stage == "report" and recipe is not None and recipe.is_dir():
            from thinkling.cli.evaluation import report

            report(recipe)
            return
        if recipe is None or out is None:
            raise UserError(f"expected: thinkling {stage} RECIPE.toml --out RUN_FOLDER (or --settings)")
        kind = read_planned(recipe).table["stage"]
        if kind != stage:
            raise UserError(f"{recipe}: is a recipe of stage {kind!r}, not {stage!r}")
        artifact = run_stage(recipe, out, parents=_roles(parent or []), force=force, text=text or (), hooks=HOOKS)
        typer.echo(f"{artifact.path}  {artifact.manifest.id}")

    also = (
        "\n\nGiven the folder of an evaluation (`thinkling eval`), its report, graded anew."
        if stage == "report"
        else ""
    )
    command.__doc__ = f"{STAGES[stage].does}{also}\n\nThe keys of its recipe: `thinkling {stage} --settings`."
    return command


def _roles(parents: list[str]) -> dict[str, Path]:
    roles = {}
    for parent in parents:
        role, equals, path = parent.partition("=")
        if not (role and equals and path):
            raise UserError(f"--parent takes ROLE=PATH, for example model=runs/nano/sft; came {parent!r}")
        roles[role] = Path(path)
    return roles


for _name in STAGES:
    app.command(_name, rich_help_panel="Stages, in order")(_stage_command(_name))


@app.command(rich_help_panel="Ask")
def chat(
    model: Annotated[str, typer.Argument(help="Folder of a model; without one, the packaged nano model.")] = "nano",
    temperature: Temperature = 0.0,
    think: Think = None,
    system: Annotated[str, typer.Option(help="What the model is told before the conversation.")] = "",
    max_tokens: MaxTokens = None,
    seed: Seed = 0,
) -> None:
    """Talk to a model; its thinking is shown dimmed. /help lists the commands inside."""
    from thinkling.cli.chat import Chat, converse, typed_lines

    conversation = Chat(
        _load(model),
        sys.stdout,
        think=think,
        temperature=temperature,
        max_tokens=max_tokens,
        system=system,
        seed=seed,
    )
    typer.echo(f"{conversation.model.folder.name}: ask away; /help lists the commands, /quit leaves.")
    converse(conversation, typed_lines(sys.stdout))


@app.command(rich_help_panel="Ask")
def ask(
    model: AnyModel,
    question: str,
    strategy: Annotated[
        str | None, typer.Option(help="Ask through a strategy: cot, sc:n=16, ... (see `thinkling strategies`).")
    ] = None,
    kind: Annotated[
        str, typer.Option(help="What answers a strategy reads: number, yes-no, choice:A-E, letters, text, math.")
    ] = "text",
    exemplars: Annotated[Path | None, typer.Option(help="File of worked examples, for few-shot and cot.")] = None,
    text: Annotated[bool, typer.Option("--text", help="Ask in plain text (Q: ... A:), as a base model needs.")] = False,
    temperature: Temperature = 0.0,
    think: Think = None,
    max_tokens: MaxTokens = None,
    seed: Seed = 0,
) -> None:
    """Ask one question: thinking (dimmed) and answer go to the terminal, only the answer into a pipe.

    With a strategy, its candidates, its vote and its cost are shown as well.
    """
    if strategy is not None or model.startswith("openai:") or text:
        from thinkling.cli.asking import Question, ask

        chosen = strategy or "plain"
        ask(model, Question(question, chosen, kind, exemplars, text, think, temperature, max_tokens or 512, seed))
        return
    from thinkling.cli.chat import Chat
    from thinkling.core.types import Sampling

    loaded = _load(model)
    if sys.stdout.isatty():
        conversation = Chat(loaded, sys.stdout, think=think, temperature=temperature, seed=seed)
        conversation.max_tokens = max_tokens
        conversation.say(question)
        return
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens or loaded.max_len)
    typer.echo(loaded.ask(question, think=think, sampling=sampling, seed=seed).text)


@app.command(rich_help_panel="Ask")
def complete(
    model: Model,
    prompt: str,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.8,
    max_tokens: Annotated[int, typer.Option(min=1, help="How many tokens to continue at most.")] = 100,
    seed: Seed = 0,
) -> None:
    """Let a base model continue a text: no questions, no answers, just the likeliest next tokens."""
    from thinkling.core.types import Sampling
    from thinkling.tokenizer.stream import TextStream

    loaded = _load(model)
    stream = TextStream(loaded.tokenizer)
    typer.echo(prompt, nl=False)
    loaded.complete(
        prompt,
        sampling=Sampling(temperature=temperature, max_tokens=max_tokens),
        seed=seed,
        on_token=lambda token: typer.echo(stream.push(token), nl=False),
    )
    typer.echo(stream.flush())


measure.register(app)
app.command(rich_help_panel="Ask")(serve)
app.command(rich_help_panel=measure.PANEL)(grade)
app.add_typer(bulls_and_cows, name="bulls-and-cows", rich_help_panel=measure.PANEL)


@app.command(rich_help_panel="Look")
def tokens(model: Annotated[str, typer.Argument(help='Folder with a tokenizer, or "nano".')], text: str) -> None:
    """Show how a model's tokenizer cuts a text, and the id of each piece."""
    from thinkling.cli.terminal import striped
    from thinkling.core.locate import PACKAGED
    from thinkling.tokenizer.bpe import Tokenizer

    tokenizer = Tokenizer.load(PACKAGED if model == "nano" else Path(model))
    ids = tokenizer.encode(text)
    typer.echo(striped(tokenizer, ids, sys.stdout))
    typer.echo(" ".join(str(number) for number in ids))
    typer.echo(f"{len(ids)} tokens for {len(text.encode())} bytes")


@app.command(rich_help_panel="Look")
def verify(path: Annotated[Path, typer.Argument(help="Folder of an artifact, or of a whole run.")]) -> None:
    """Check every file of an artifact (or of all artifacts in a run) against its recorded hash."""
    from thinkling.cli.recipes import artifacts_in

    faults = []
    for artifact in artifacts_in(path):
        try:
            artifact.verify()
            typer.echo(f"{artifact.path}: {len(artifact.manifest.files)} files as recorded")
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join(faults))


def _load(model: str) -> LocalModel:
    from thinkling.core.locate import find_model

    folder = find_model(model)  # before torch is imported, so that a wrong name is told at once
    from thinkling.api import LocalModel

    return LocalModel(folder)


def main() -> None:
    """Entry point: errors that the user can mend are printed without a traceback, status 2."""
    from thinkling.core.build import StageFailed
    from thinkling.core.disk import disk_full_message, is_disk_full

    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except StageFailed as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if error.status == 2 else 1)
    except OSError as error:
        if not is_disk_full(error):
            raise
        file = error.filename2 or error.filename
        print(f"error: {disk_full_message(Path(file).parent if file else None)} ({error})", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
