"""The process that holds a model: jobs come in through a pipe, news goes out, and between them the engine steps."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from thinkling.core.errors import UserError
from thinkling.core.types import Sample, Sampling
from thinkling.rollout.backend import Backend
from thinkling.serve import garbage
from thinkling.serve.desk import Desk
from thinkling.serve.source import Card, Job, News


@dataclass(frozen=True, slots=True)
class Opening:
    """Which model the process opens: a local ``folder``, or the ``endpoint`` of a server elsewhere
    (``openai:MODEL@BASE_URL``). ``max_len`` and ``slots`` bound a local one's tokens and sequences."""

    name: str
    folder: str = ""
    endpoint: str = ""
    max_len: int = 4096
    slots: int = 64
    precision: str = "auto"


# From the server: (number, job), (number, None) to cancel it, None to end. To it: a `Batch`, or first a Card,
# or why there is none.
Order = tuple[int, Job | None] | None


@dataclass(frozen=True, slots=True)
class Batch:
    """News of several jobs, and the gauges of `Source.load`."""

    news: list[tuple[int, News]]
    load: dict[str, int]


def serve(inbox: Connection, opening: Opening) -> None:
    """The process: open the model, then serve until the server is gone or says None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which ends us when all is answered
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        desk, card, gauges = _open(opening)
    except UserError as error:
        inbox.send(str(error))
        return
    garbage.settle()
    inbox.send(card)
    try:
        _loop(inbox, desk, gauges)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the server is gone


def _loop(inbox: Connection, desk: Desk, gauges: Callable[[], dict[str, int]]) -> None:
    while True:
        while inbox.poll(0 if desk.busy or desk.news or desk.changed else None):
            order: Order = inbox.recv()
            if order is None:
                return
            desk.take(*order)
        if desk.busy:
            desk.step()
        if desk.news or desk.changed:
            news, desk.news, desk.changed = desk.news, [], False
            inbox.send(Batch(news, gauges()))


def _open(opening: Opening) -> tuple[Desk, Card, Callable[[], dict[str, int]]]:
    now = int(time.time())
    if opening.endpoint:
        from thinkling.remote.backend import open_remote

        remote = open_remote(opening.endpoint)
        remote.patience = 0.01
        card = Card(opening.name, now, 0, remote.capabilities, opening.endpoint, local=False)
        return Desk(remote), card, lambda: {"running": 0, "waiting": 0, "slots": 0, "tokens": 0}
    from thinkling.core.artifact import MANIFEST, Artifact
    from thinkling.engine.backend import LocalBackend
    from thinkling.engine.engine import Engine
    from thinkling.engine.threads import ThreadTuner
    from thinkling.engine.verifiers import open_verifier
    from thinkling.glass.look import look
    from thinkling.model.checkpoint import load_checkpoint
    from thinkling.tokenizer.bpe import Tokenizer

    folder = Path(opening.folder)
    weights_id = Artifact.open(folder).manifest.id if (folder / MANIFEST).exists() else folder.name
    config, weights = load_checkpoint(folder)
    tokenizer = Tokenizer.load(folder)
    length = min(opening.max_len, config.max_position_embeddings)
    engine = Engine(
        weights, config, slots=opening.slots, max_len=length, dtype=opening.precision, weights_id=weights_id,
        tokenizer=tokenizer,
    )  # fmt: skip
    backend = LocalBackend(engine, tokenizer, opening.name, patience=1, verifiers=open_verifier)
    _warm_up(backend)
    tuner, told = ThreadTuner(), engine.drawn

    def stepped() -> None:
        nonlocal told
        tuner.stepped(engine.drawn - told)
        told = engine.drawn

    desk = Desk(backend, watchable=backend, look=partial(look, config, weights, tokenizer), stepped=stepped)

    def gauges() -> dict[str, int]:
        return {
            "running": engine.running,
            "waiting": engine.in_flight - engine.running,
            "slots": engine.slots,
            "tokens": engine.drawn,
        }

    return desk, Card(opening.name, now, length, backend.capabilities, weights_id), gauges


def _warm_up(backend: Backend) -> None:
    """Run the kernels once, so that the first person does not wait while they are compiled."""
    backend.submit(Sample((), Sampling(max_tokens=2), seed=0, prefix="1", top_logprobs=1))
    while not backend.poll():
        pass
