"""What the server asks of a model, wherever that runs: jobs go in, news comes out.

A source answers jobs side by side. Behind it is a process with an engine (`worker`), or a script in tests;
the routes know only this. All of it is plain data, because it crosses between processes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from thinkling.core.types import Capabilities, Completion, Request, Sample, Sampled, Usage
from thinkling.tokenizer.bpe import Tokenizer

State = Literal["loading", "ready", "broken", "closed"]


@dataclass(frozen=True, slots=True)
class Card:
    """What a client may know of a model. ``context`` bounds prompt and answer together, in tokens (0: unknown);
    ``weights`` identifies them (the API's ``system_fingerprint``); ``local``: one can look inside it."""

    id: str
    created: int
    context: int
    capabilities: Capabilities
    weights: str = ""
    local: bool = True


@dataclass(frozen=True, slots=True)
class Ask:
    """A chat: ``sample.n`` answers to ``sample.messages`` by a strategy.

    ``kind`` names how answers are read where they are voted on (`tasks.answers.answer_kind`). With ``watch``
    there are ``Tokens`` news as tokens are drawn, else only the end.
    """

    sample: Sample
    strategy: str = "plain"
    kind: str = "text"
    watch: bool = False


@dataclass(frozen=True, slots=True)
class Complete:
    """Token ids to continue as they are, one completion per request (they may share their prompt)."""

    requests: tuple[Request, ...]
    watch: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """A look inside a local model: ``what`` names a function of `glass`, with its arguments."""

    what: str
    arguments: dict[str, Any]


Job = Ask | Complete | Look


@dataclass(frozen=True, slots=True)
class Started:
    """A strategy's effect ``effect`` (0, 1, ... in a job) has begun: ``n`` samples, each after the assistant's
    ``thought`` (None: none) and ``prefix``, of which the ids ``given`` come back as no ``Tokens``.
    ``thinking``: the samples begin inside a think part."""

    effect: int
    n: int
    thinking: bool = False
    thought: str | None = None
    prefix: str = ""
    given: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Tokens:
    """Ids that sample ``sample`` of effect ``effect`` has drawn since the last such news (for ``Complete`` the
    effect is 0 and the sample the request's index). ``logprobs`` and ``top`` run parallel, from the raw logits;
    empty unless ``top_logprobs`` were asked for."""

    effect: int
    sample: int
    ids: tuple[int, ...]
    logprobs: tuple[float, ...] = ()
    top: tuple[tuple[tuple[int, float], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """The end of an ``Ask``: ``n`` answers, with their traces, and all tokens that they cost."""

    samples: tuple[Sampled, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Completed:
    """The end of a ``Complete``, in the order of its requests."""

    completions: tuple[Completion, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """The end of a ``Look``: what JSON can hold."""

    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of a job that went wrong. ``kind``: "user" for what the caller can mend (``message`` says how),
    "context" for a prompt that is too long, "broken" for a fault of ours or of a server behind us."""

    kind: Literal["user", "context", "broken"]
    message: str
    usage: Usage = field(default_factory=Usage)


News = Started | Tokens | Answered | Completed | Seen | Failed


class Source(Protocol):
    """A model that takes jobs. ``tokenizer`` is None where the model runs elsewhere."""

    @property
    def card(self) -> Card: ...

    @property
    def state(self) -> State: ...

    @property
    def tokenizer(self) -> Tokenizer | None: ...

    @property
    def load(self) -> dict[str, int]:
        """Gauges by name: ``running`` and ``waiting`` sequences, ``slots``, and the counter ``tokens`` drawn."""
        ...

    def ask(self, job: Job) -> AsyncIterator[News]:
        """The job's news, the last of them its end. Closing the iterator early cancels the job at once.

        Never raises for what goes wrong with the job (that is ``Failed``)."""
        ...
