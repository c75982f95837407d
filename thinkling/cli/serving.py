"""`thinkling serve`: models behind an OpenAI-compatible API, and the page to use them and look inside."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Annotated

import typer

from thinkling.cli.models import REMOTE
from thinkling.core.errors import UserError
from thinkling.core.locate import find_model

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(help='Folders of models, "nano", or NAME=FOLDER to choose the name in the API. [default: nano]'),
    ] = None,
    upstream: Annotated[
        str, typer.Option(help="Another OpenAI-compatible server (http://HOST:PORT/v1): its models, with strategies.")
    ] = "",
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine only with a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8000,
    key_file: Annotated[
        Path | None, typer.Option(help="File with the key that clients must send (or THINKLING_API_KEY).")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Name under which other machines reach this server (repeatable).")
    ] = None,
    hide_thinking: Annotated[
        bool, typer.Option("--hide-thinking", help="Count the thinking, but keep it back.")
    ] = False,
    strategy_path: Annotated[
        list[Path] | None, typer.Option(help="Verifier or exemplars that a strategy may name (repeatable).")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder whose training runs and evaluations the page shows.")] = Path(
        "runs"
    ),
    history: Annotated[
        Path | None, typer.Option(help="File of the page's conversations. [default: in the user's data folder]")
    ] = None,
    no_history: Annotated[bool, typer.Option("--no-history", help="Keep no conversations.")] = False,
    slots: Annotated[int, typer.Option(min=1, help="Sequences that a model draws at once.")] = 64,
    max_len: Annotated[int, typer.Option(min=16, help="Tokens of prompt and answer, as far as the model goes.")] = 4096,
    queue: Annotated[
        int, typer.Option(min=1, help="Requests at one model, running and waiting; more get a 429.")
    ] = 256,
    precision: Annotated[str, typer.Option(help="auto, bfloat16 or float32.")] = "auto",
    access_log: Annotated[
        bool, typer.Option("--access-log", help="A line for every request (never its content).")
    ] = False,
) -> None:
    """Serve models to any OpenAI client, and open a page to chat with them and see them think.

    The API is at http://127.0.0.1:8000/v1, the page at http://127.0.0.1:8000. A strategy is part of the model's
    name: `nano+sc:n=8` answers by self-consistency over 8 samples. `--upstream URL` puts the strategies in
    front of the models of another server (its key: THINKLING_UPSTREAM_KEY).
    """
    from thinkling.serve.app import Server, make_state
    from thinkling.serve.process import ModelProcess
    from thinkling.serve.settings import UPSTREAM_KEY_ENV, Limits, Settings, read_key
    from thinkling.serve.source import Source
    from thinkling.serve.worker import Opening

    settings = Settings(
        host=host,
        port=port,
        key=read_key(file=key_file),
        hosts=tuple(allow_host or ()),
        show_thinking=not hide_thinking,
        limits=Limits(queue=queue),
        strategy_paths=tuple(strategy_path or ()),
        runs=runs if runs.is_dir() else None,
        history=None if no_history else history or data_folder() / "conversations.sqlite",
        upstream=upstream,
        upstream_key=read_key(UPSTREAM_KEY_ENV),
        access_log=access_log,
    )
    named = name_models(models or ([] if upstream else ["nano"]))
    sources: dict[str, Source] = {
        name: ModelProcess(Opening(name, str(folder), max_len=max_len, slots=slots, precision=precision))
        for name, folder in named.items()
    }

    def elsewhere(model: str) -> Source:
        key_env = UPSTREAM_KEY_ENV if settings.upstream_key else ""
        return ModelProcess(Opening(model, endpoint=f"{REMOTE}{model}@{upstream}?key_env={key_env}&retries=2"))

    listening = listen(host, port)
    state = make_state(settings, sources, elsewhere)
    address = f"http://{'localhost' if host in ('127.0.0.1', '::1') else host}:{listening.getsockname()[1]}"
    typer.echo(f"{', '.join(named) or upstream}: {address} (page), {address}/v1 (API); Ctrl-C ends it")
    Server(state).run(sockets=[listening])


def name_models(models: list[str]) -> dict[str, Path]:
    """Folders by the name that the API gives them. Raises UserError on two of one name, or a folder without a model."""
    named: dict[str, Path] = {}
    for written in models:
        name, equals, folder = written.partition("=")
        if written.startswith(REMOTE):
            raise UserError(f"{written}: a model elsewhere is offered with --upstream BASE_URL")
        if not equals:
            name, folder = "", written
        found = find_model(folder)
        if not name:
            resolved = Path(folder).resolve()
            in_a_run = (resolved.parent / "run.json").exists()
            name = f"{resolved.parent.name}-{resolved.name}" if in_a_run else resolved.name
        if not _ID.fullmatch(name):
            raise UserError(f"{written}: {name!r} cannot be a model's name (letters, digits, . _ -); write NAME=FOLDER")
        if name in named:
            raise UserError(f"two models are called {name!r}: {named[name]} and {found}; write NAME=FOLDER")
        named[name] = found
    return named


def data_folder() -> Path:
    """Where a person's data belong (XDG base directories)."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "thinkling"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UserError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        # Python adds the address once more, in words of its own.
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (while ")[0]
        raise UserError(f"cannot listen on {host}:{port}: {reason}; choose another with --port (0 finds one)") from None
