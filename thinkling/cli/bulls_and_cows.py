"""`thinkling bulls-and-cows`: play the game with a model, count recorded games, and see how well it can be played."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from thinkling.core.errors import UserError
from thinkling.core.types import Sampling
from thinkling.rollout.episodes import PLAIN, Policy

if TYPE_CHECKING:
    from rich.table import Table

    from thinkling.core.progress import Progress
    from thinkling.evaluate.bulls_and_cows import Standing
    from thinkling.evaluate.statistics import Estimate
    from thinkling.rollout.backend import Backend
    from thinkling.rollout.games import Played
    from thinkling.tasks.bulls_and_cows.env import BullsAndCows
    from thinkling.tasks.bulls_and_cows.record import GameRecord

app = typer.Typer(
    help="A game of pure deduction: play it, count it, compare with perfect reasoning.", no_args_is_help=True
)

SHOWN_DISAGREEMENTS = 20
PIPE_WIDTH = 130  # columns of a table that no terminal bounds
SLOTS = 16  # games whose turns are sampled at once

Digits = Annotated[int, typer.Option(min=3, max=5, help="Length of the secret.")]
Secrets = Annotated[str, typer.Option(help="fixed (ten for everyone), all, random:N, or a list such as 4723,0861.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds of a game at most; a turn without a legal guess costs one.")]
Seed = Annotated[int, typer.Option(min=0, help="Root of every random choice.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write the standings: FILE.json or FILE.csv.")]


@app.command()
def analyse(
    file: Annotated[
        Path, typer.Argument(help="Games as JSONL (.gz too): this command's own, or the open benchmark's.")
    ],
    transcripts: Annotated[
        Path | None, typer.Option(help="Their conversations (JSONL): tells who gave up or claimed victory.")
    ] = None,
    by_run: Annotated[bool, typer.Option("--by-run", help="One row per run, not per model.")] = False,
    out: Out = None,
    seed: Seed = 0,
) -> None:
    """Count recorded games, model by model, after checking every recorded answer against the secret.

    Ends with status 1 if an answer is not what the rules give.
    """
    from thinkling.evaluate.bulls_and_cows import disagreements, standings, with_declarations
    from thinkling.tasks.bulls_and_cows.record import read_declarations, read_games

    _check_out(out)
    games = read_games(file)
    wrong = disagreements(games)
    guesses = sum(len(game.history) for game in games)
    typer.echo(f"{len(games):,} games with {guesses:,} guesses; {len(wrong):,} disagree with the rules")
    for line in wrong[:SHOWN_DISAGREEMENTS]:
        typer.echo(f"  {line}")
    if len(wrong) > SHOWN_DISAGREEMENTS:
        typer.echo(f"  and {len(wrong) - SHOWN_DISAGREEMENTS:,} more")
    if transcripts is not None:
        said, homeless = read_declarations(transcripts, games)
        games = with_declarations(games, said)
        typer.echo(f"{len(said):,} transcripts read; {homeless:,} more belong to no game of the file")
    found = standings(games, by_run=by_run, seed=seed)
    _show(found)
    _write(out, found, {"file": str(file), "guesses": guesses, "disagreements": wrong})
    if wrong:
        raise typer.Exit(1)


@app.command()
def baselines(
    digits: Digits = 4, secrets: Secrets = "all", rounds: Rounds = 50, out: Out = None, seed: Seed = 0
) -> None:
    """How well the game can be played: at random, by sound deduction, and for the most information.

    All secrets of 5 digits take minutes; --secrets random:1000 gives nearly the same.
    """
    from thinkling.evaluate.bulls_and_cows import standings
    from thinkling.tasks.bulls_and_cows.rules import choose_secrets

    _check_out(out)
    games = _baselines(choose_secrets(secrets, digits, seed), rounds, seed)
    found = standings(games, seed=seed)
    _show(found)
    for standing in found:
        taken = Counter(game.turns for game in games if game.model == standing.model and game.outcome == "solved")
        typer.echo(f"{standing.model}, solved in: " + ", ".join(f"{n} ({taken[n]:,})" for n in sorted(taken)))
    _write(out, found, {"rounds": rounds, "secrets": secrets})


@app.command()
def play(
    model: Annotated[str, typer.Argument(help='Folder of a model, "nano", or openai:MODEL@BASE_URL.')],
    secrets: Secrets = "fixed",
    digits: Digits = 4,
    rounds: Rounds = 50,
    strategy: Annotated[str, typer.Option(help="How each turn is played: plain, sc:n=8, refine, ...")] = "plain",
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    think: Annotated[bool | None, typer.Option("--think/--no-think", help="Neither: the model chooses.")] = None,
    keep_thinking: Annotated[
        bool, typer.Option("--keep-thinking", help="Show the model its earlier thinking, too.")
    ] = False,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest turn, thinking included.")] = 2048,
    max_len: Annotated[int, typer.Option(min=64, help="Of a whole conversation, in tokens; models hold less.")] = 8192,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Write the games here (JSONL, for `analyse`).")] = None,
) -> None:
    """Let a model play, and count its games beside those of the baselines on the same secrets."""
    from thinkling.cli.models import open_model
    from thinkling.evaluate.bulls_and_cows import standings
    from thinkling.tasks.bulls_and_cows.rules import choose_secrets

    chosen = choose_secrets(secrets, digits, seed)
    if out is not None and out.exists():
        raise UserError(f"{out}: there is such a file already; name another, or remove it")
    judged = "verifier=" in strategy
    backend = open_model(model, max_len=max_len, slots=SLOTS, judged=judged)
    policy = _policy(strategy, digits, backend)
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
    games = play_games(
        backend,
        chosen,
        rounds=rounds,
        sampling=sampling,
        seed=seed,
        policy=policy,
        think=think,
        keep_thinking=keep_thinking,
        out=out,
    )
    _show(standings([*games, *_baselines(chosen, rounds, seed)], seed=seed))
    if out is not None:
        typer.echo(f"games: {out}")


def _policy(spec: str, digits: int, backend: Backend) -> Policy:
    """The strategy as a player: what it votes on are the guesses."""
    from thinkling.reasoning.spec import spell
    from thinkling.reasoning.spec import strategy as named
    from thinkling.reasoning.strategy import Setting, as_policy, check
    from thinkling.tasks.bulls_and_cows.reading import guess_kind

    chosen = named(spec)
    setting = Setting(guess_kind(digits), backend.capabilities)
    check(chosen, spec, setting, False, f"model {backend.name!r}")
    return as_policy(chosen, spell(chosen), setting)


def play_games(
    backend: Backend,
    secrets: Sequence[str],
    *,
    rounds: int,
    sampling: Sampling,
    seed: int,
    policy: Policy = PLAIN,
    think: bool | None = None,
    keep_thinking: bool = False,
    out: Path | None = None,
) -> list[GameRecord]:
    """One game per secret, side by side: logged live on a terminal, and written to ``out`` as each one ends."""
    from thinkling.core.progress import Progress
    from thinkling.evaluate.bulls_and_cows import record_of
    from thinkling.rollout import games
    from thinkling.tasks.bulls_and_cows.env import BullsAndCows

    envs = [BullsAndCows(secret, rounds=rounds) for secret in secrets]
    records: dict[int, GameRecord] = {}
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.touch(exist_ok=False)

    with Progress(len(envs), "games") as progress:
        turns = 0

        def on_turn(index: int, env: BullsAndCows) -> None:
            nonlocal turns
            turns += 1
            _log(progress, f"game {index + 1:>3}  {_turn_line(env, progress.stream)}")
            progress.update(len(records), turns=turns)

        def on_game(index: int, played: Played[BullsAndCows]) -> None:
            record = record_of(played, model=backend.name, run=policy.name, game=index)
            records[index] = record
            after = f" ({played.episode.error})" if played.episode.error else ""
            _log(progress, f"game {index + 1:>3}  {record.secret}: {record.outcome} after {record.turns} rounds{after}")
            if out is not None:
                with out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record.as_json(), ensure_ascii=False) + "\n")
            progress.update(len(records), turns=turns)

        games.play(
            envs,
            backend,
            sampling=sampling,
            seed=seed,
            policy=policy,
            think=think,
            keep_thinking=keep_thinking,
            keep_tokens=False,
            on_turn=on_turn,
            on_game=on_game,
        )
    return [records[index] for index in range(len(envs))]


def _turn_line(env: BullsAndCows, stream: TextIO) -> str:
    """The turn just played: a good guess plain, one that could not be the secret dimmed."""
    from thinkling.cli.terminal import DIM, Paint

    turn, paint = env.turns[-1], Paint(stream)
    if turn.answer is None or turn.evidence is None:
        return paint(DIM, f"round {turn.round:>2}  no legal guess: {turn.fault}{f', {turn.says}' if turn.says else ''}")
    worth = "made before" if turn.repeated else "consistent" if turn.evidence.consistent else "not consistent"
    line = f"round {turn.round:>2}  {turn.guess}  {turn.answer}  {worth}, {turn.evidence.after:,} secrets left"
    return line if turn.evidence.consistent else paint(DIM, line)


def _log(progress: Progress, line: str) -> None:
    """A line above the progress bar, where there is one: in a log file, every turn would be too much."""
    from thinkling.core.progress import CLEAR_LINE

    if progress.live:
        progress.stream.write(f"{CLEAR_LINE}{line}\n")
        progress.stream.flush()


def _baselines(secrets: Sequence[str], rounds: int, seed: int) -> list[GameRecord]:
    from thinkling.core.progress import Progress
    from thinkling.evaluate.bulls_and_cows import baselines
    from thinkling.tasks.bulls_and_cows.players import PLAYERS

    with Progress(len(secrets) * len(PLAYERS), "baseline games") as progress:
        done = 0

        def tick() -> None:
            nonlocal done
            done += 1
            progress.update(done)

        return baselines(secrets, rounds, seed=seed, progress=tick)


def _show(standings: Sequence[Standing]) -> None:
    """One table for each number of digits."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    for digits in sorted({one.digits for one in standings}):
        console.print(_table(digits, [one for one in standings if one.digits == digits]))


def _table(digits: int, standings: Iterable[Standing]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"{digits} digits",
        caption="Below each value its 95% interval. Consistent: of guesses after the first. Bits: per guess.",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    # The figures keep their lines on a narrow terminal; names and outcomes fold.
    table.add_column("model", overflow="fold", min_width=10)
    for name in ("solved", "rounds", "consistent", "repeated", "illegal", "bits"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("not solved", overflow="fold", min_width=10)
    for one in standings:
        name = f"{one.model} ({one.run})" if one.run else one.model
        others = [f"{outcome} {count:,}" for outcome, count in one.outcomes.items() if outcome != "solved"]
        table.add_row(
            f"{name}\n{one.games:,} game{'' if one.games == 1 else 's'}",
            _percent(one.solved),
            _number(one.rounds),
            _percent(one.consistent),
            _percent(one.repeated),
            _percent(one.illegal),
            _number(one.bits),
            "\n".join(others),
        )
    return table


def _percent(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    low, high = (f"{100 * end:.{0 if end >= 0.1 else 1}f}" for end in (estimate.low, estimate.high))
    return f"{100 * estimate.value:.1f}%\n\\[{low}, {high}]"  # escaped, as rich would take a bracket for markup


def _number(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    low, high = (f"{end:.{1 if end >= 10 else 2}f}" for end in (estimate.low, estimate.high))
    return f"{estimate.value:.2f}\n" + (f"\\[{low}, {high}]" if estimate.n > 1 else "one game")


def _check_out(out: Path | None) -> None:
    if out is not None and out.suffix not in (".json", ".csv"):
        raise UserError(f"--out takes a file that ends in .json or .csv; got {out}")


def _write(out: Path | None, standings: Sequence[Standing], about: dict[str, Any]) -> None:
    """The standings as JSON with what they are ``about``, or as a CSV with one column per bound."""
    if out is None:
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = [standing.as_json() for standing in standings]
    if out.suffix == ".json":
        out.write_text(json.dumps({**about, "standings": rows}, indent=2) + "\n", encoding="utf-8")
        return
    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(flat)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= {name if key == "value" else f"{name}_{key}": item for key, item in value.items()}
        elif value is not None:
            flat[name] = value
    return flat
