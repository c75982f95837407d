"""The types that flow between rooms: plain frozen dataclasses, no behaviour beyond small views.

They live here rather than in the room that makes them, so that a room can speak of another
room's values without importing it (the engine never imports the driver, nor the driver torch).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

PartKind = Literal["text", "think", "call", "result"]
Role = Literal["system", "user", "assistant", "tool"]
Finish = Literal["stop", "length", "tool", "abort"]
Origin = Literal["prompt", "sampled", "forced"]
Status = Literal["graded", "unparsed", "unscored", "error"]


@dataclass(frozen=True, slots=True)
class Document:
    """One page on its way from the crawl to the token shards.

    ``decisions`` holds one ``(stage, keep, reason)`` per filter that looked at it.
    """

    id: str
    url: str
    text: str
    lang: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    decisions: tuple[tuple[str, bool, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    kind: PartKind
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; an assistant turn may think before it speaks."""

    role: Role
    parts: tuple[Part, ...]

    @staticmethod
    def system(text: str) -> Message:
        return Message("system", (Part("text", text),))

    @staticmethod
    def user(text: str) -> Message:
        return Message("user", (Part("text", text),))

    @staticmethod
    def assistant(text: str, think: str | None = None) -> Message:
        thought = () if think is None else (Part("think", think),)
        return Message("assistant", (*thought, Part("text", text)))

    @property
    def text(self) -> str:
        """What the turn says, without its thinking."""
        return "".join(part.text for part in self.parts if part.kind == "text")

    @property
    def thinking(self) -> str | None:
        """What the turn thought, or None where it did not think."""
        thoughts = [part.text for part in self.parts if part.kind == "think"]
        return "".join(thoughts) if thoughts else None


BIASED = 100.0  # bounds what may be added to a logit


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw tokens. ``temperature`` 0 is greedy; 0 in ``top_k`` and 1.0 in ``top_p`` are off.

    ``logit_bias`` adds to the logits of ids; the penalties lower the logit of an id that the completion has
    already: ``frequency_penalty`` once for each time, ``presence_penalty`` once (OpenAI's API reference).
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        checks = {
            "temperature": self.temperature >= 0.0,
            "top_k": self.top_k >= 0,
            "top_p": 0.0 < self.top_p <= 1.0,
            "min_p": 0.0 <= self.min_p <= 1.0,
            "max_tokens": self.max_tokens >= 1,
            "presence_penalty": abs(self.presence_penalty) <= BIASED,
            "frequency_penalty": abs(self.frequency_penalty) <= BIASED,
            "logit_bias": all(abs(bias) <= BIASED for _, bias in self.logit_bias),
        }
        bad = [name for name, fine in checks.items() if not fine]
        if bad:
            raise ValueError(f"sampling: {bad[0]}={getattr(self, bad[0])!r} is out of range")


# (tokens generated so far) -> ids that may come next, or None for "anything".
LogitMask = Callable[[list[int]], "list[int] | None"]
# (text sampled since the last special token) -> whether the completion ends here.
Until = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Request:
    """Work for an engine. ``tokens`` is the whole prompt (an assistant prefix included).

    ``forced`` tokens are appended after the prompt as if generated, without being sampled;
    ``banned`` ids are never sampled; ``stop_ids`` end the completion (and are part of it).
    """

    tokens: tuple[int, ...]
    sampling: Sampling
    seed: int
    stop_ids: tuple[int, ...] = ()
    top_logprobs: int = 0
    forced: tuple[int, ...] = ()
    banned: tuple[int, ...] = ()
    mask: LogitMask | None = None
    until: Until | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine made of a Request. Lists run parallel to ``tokens``.

    ``logprobs`` are under the very distribution that was sampled (temperature, top-k and all;
    greedy: under the plain softmax); ``forced`` tokens carry their plain logprob. ``top`` holds, per
    token, the ``top_logprobs`` likeliest ``(id, logprob)`` from the raw logits, and after them the token
    itself where it is none of these.
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    origins: tuple[Origin, ...]
    finish: Finish
    weights_id: str
    top: tuple[tuple[tuple[int, float], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class TokenSeq:
    """A prompt and what followed it, token by token, as training sees it."""

    ids: tuple[int, ...]
    origins: tuple[Origin, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with a verifiable answer. ``key`` hashes the canonical content, and decides ``split``."""

    key: str
    split: str
    family: str
    prompt: str
    answer: str
    level: int = 0
    seed: int = 0
    meta: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A grade. ``unparsed`` scores 0; ``unscored`` and ``error`` have no score and never count as 0."""

    score: float | None
    status: Status
    extracted: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens spent, everything included (pruned branches and judges too)."""

    prompt: int = 0
    completion: int = 0
    thinking: int = 0
    calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.thinking + other.thinking,
            self.calls + other.calls,
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """Effect: continue ``messages`` ``n`` times. Result: ``list[Sampled]`` of length ``n``.

    ``prefix`` is text that the assistant turn already begins with (tokens marked forced).
    ``think`` False forbids ``<think>``, True opens the turn with it, None lets the model choose.
    Sample i uses the seed derived from ``(seed, i)``.

    ``thought`` is a finished think part that the turn has already, before ``prefix``. ``forced`` are token ids
    that follow the prefix, as if sampled: a branch taken from another sample's ``top``. ``until`` ends a
    sample where no stop string can; what it ends on stays in the text.

    Without messages there is no chat markup at all: ``prefix`` is a text to continue (its tokens
    marked prompt, ``<|endoftext|>`` or a stop string ends it), and the result's message is the
    continuation alone, as one text part. That is how a base model is asked.
    """

    messages: tuple[Message, ...]
    sampling: Sampling
    seed: int
    n: int = 1
    prefix: str = ""
    think: bool | None = None
    top_logprobs: int = 0
    thought: str | None = None
    forced: tuple[int, ...] = ()
    until: Until | None = None


@dataclass(frozen=True, slots=True)
class TopToken:
    """A likely next token: its id (-1 where a backend tells none), logprob from the raw logits, and text."""

    id: int
    logprob: float
    text: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer, or one step towards an answer, that a strategy looked at.

    ``answer`` is its canonical answer (None: not parsed), ``weight`` what it counted for: 1 for a vote, a
    verifier's value, CoT-decoding's mean margin. ``parent`` is the index of the candidate that it continues
    (-1: none), ``kept`` False marks a pruned branch, ``margins`` the text pieces with their p(top1) - p(top2).
    """

    message: Message
    answer: str | None = None
    weight: float = 1.0
    usage: Usage = field(default_factory=Usage)
    finish: Finish = "stop"
    role: str = "answer"
    parent: int = -1
    kept: bool = True
    margins: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """How a strategy came to its answer: the candidates, and the weight of each answer, highest first.

    ``tied`` holds one candidate per answer that shares the highest weight: each counts 1/m in a score. The
    sample that the strategy returns is one of them, drawn by its seed, never by order.
    """

    strategy: str
    candidates: tuple[Candidate, ...] = ()
    tally: tuple[tuple[str, float], ...] = ()
    tied: tuple[int, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One continuation: the parsed turn, its tokens (prompt included), how it ended, what it cost.

    Where ``top_logprobs`` were asked for, ``top`` and ``pieces`` hold, per token of the turn (its forced
    ones too), the likeliest tokens at its place (as in ``Completion``) and the text that it completes: the
    pieces spell thinking and text, one after the other; a special token's is "". ``trace`` is there where a
    strategy made it.
    """

    message: Message
    tokens: TokenSeq
    finish: Finish
    usage: Usage
    weights_id: str = ""
    top: tuple[tuple[TopToken, ...], ...] = ()
    pieces: tuple[str, ...] = ()
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Effect: judge ``turn``, an assistant's turn after ``messages``. Result: ``Scored``.

    ``verifier`` names the artifact whose scalar head judges ("" the backend's own model, for
    log-probabilities). ``marks`` are character counts into the turn's thinking and text, written one after
    the other: a value is wanted after each. Without messages the turn continues the plain text ``prefix``.
    """

    messages: tuple[Message, ...]
    turn: Message
    verifier: str = ""
    marks: tuple[int, ...] = ()
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Scored:
    """``logprobs`` of the turn's tokens (the tags of a think part included), the scalar head's ``value`` after
    the last of them and ``values`` at the marks: None and empty without such a head."""

    logprobs: tuple[float, ...]
    value: float | None
    usage: Usage
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class RunTool:
    """Effect: run a named tool. Result: the tool's text."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do beyond plain sampling.

    ``prefix`` begin the assistant's turn with given text; ``logprobs`` tell logprobs and likeliest tokens;
    ``scoring`` judge given text; ``mask`` forbid tokens; ``fork`` continue from given token ids; ``value``
    judge by a verifier; ``think`` the protocol has a think part; ``until`` end a sample by a rule.
    """

    prefix: bool = False
    logprobs: bool = False
    scoring: bool = False
    mask: bool = False
    fork: bool = False
    value: bool = False
    think: bool = False
    until: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What an environment answers: the next observation, or the end with a verdict."""

    observation: Message | None
    done: bool
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Episode:
    """One attempt at one problem, failures included: a bad rollout is data, not a crash."""

    problem: Problem
    policy: str
    messages: tuple[Message, ...]
    sequences: tuple[TokenSeq, ...]
    verdict: Verdict
    finish: Finish
    usage: Usage
    seed: int
    weights_id: str = ""
    error: str = ""
