"""The engine behind the interface that rollouts use: messages in, parsed turns out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.core.types import (
    Capabilities,
    Completion,
    Message,
    Origin,
    Part,
    Request,
    Sample,
    Sampled,
    Score,
    Scored,
    TokenSeq,
    TopToken,
    Usage,
)
from thinkling.engine.engine import Engine, scoring_request
from thinkling.engine.jobs import Event
from thinkling.engine.scoring import judged
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import TAGS, opening_ids, parse, prompt_ids, spelled, stop_ids

PATIENCE = 16  # steps after which poll returns even if nothing has finished

Finished = tuple[int, "list[Sampled] | Scored | Completion"]
# (sample of the effect, its news): see `LocalBackend.watch`.
OnToken = Callable[[int, Event], None]
# The folder of a verifier -> an engine of its own, and the tokenizer that it reads with.
Opener = Callable[[str], tuple[Engine, Tokenizer]]


@dataclass(eq=False, slots=True)
class _Ticket:
    effect: Sample | Score | Request
    prompt: tuple[int, ...]
    requests: list[Request]
    handles: list[int]
    done: dict[int, Completion] = field(default_factory=dict)
    value: float | None = None
    values: tuple[float, ...] = ()
    on_token: OnToken | None = None


class LocalBackend:
    """Serves all effects on a model from one engine, and what names a verifier from that one's own.

    The samples of a group are separate requests that share their prompt's computation. Sample i
    of several draws with the seed ``derive(seed, i)``, a single one with ``seed`` itself. An
    assistant prefix (and an opened ``<think>``) are forced tokens, with their plain logprob, and do not
    count towards ``max_tokens``. Plain text (no messages) is continued as a document from its
    beginning, after ``<|endoftext|>``. A ``Score`` covers its turn's tokens, without the end of turn; the
    scalar head's output is read as log-odds, so a value is a probability. ``verifiers`` opens the folder
    that a ``Score`` names, once, when it is first named; ``numbers`` are the tickets to hand out;
    ``patience``: steps after which ``poll`` returns even if nothing has finished.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        name: str = "",
        *,
        patience: int = PATIENCE,
        verifiers: Opener | None = None,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.engine, self.tokenizer = engine, tokenizer
        engine.tokenizer = tokenizer
        self.name = name or engine.weights_id
        self.patience = patience
        self._tickets: dict[int, _Ticket] = {}
        self._ticket_of: dict[int, int] = {}
        self._numbers = numbers or count()
        self.verifiers = VerifierBackend(verifiers, self._numbers) if verifiers else None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            prefix=True,
            logprobs=True,
            scoring=True,
            mask=True,
            fork=True,
            value=self.verifiers is not None,
            think=TAGS["think"][0] in self.tokenizer.special,
            until=True,
        )

    def submit(self, effect: Sample | Score | Request) -> int:
        """Queue an effect; returns its ticket. Raises UserError if its prompt does not fit the engine."""
        places: tuple[int, ...] = ()
        if isinstance(effect, Sample):
            prompt, requests = self._sample(effect)
        elif isinstance(effect, Request):
            prompt, requests = effect.tokens, [effect]
        elif not effect.verifier:
            turn = judged(self.tokenizer, effect)
            prompt, requests, places = turn.prompt, [scoring_request(turn.ids, len(turn.prompt))], turn.places
        elif self.verifiers is not None:
            return self.verifiers.submit(effect)
        else:
            raise UserError(f"backend {self.name!r} opens no verifiers, so it cannot judge by {effect.verifier!r}")
        handles = [self.engine.submit(request, stream=False, places=places) for request in requests]
        number, ticket = next(self._numbers), _Ticket(effect, prompt, requests, handles)
        self._tickets[number] = ticket
        self._ticket_of.update(dict.fromkeys(ticket.handles, number))
        return number

    def watch(self, number: int, on_token: OnToken) -> tuple[tuple[int, ...], ...]:
        """Let ``poll`` call ``on_token`` for every token that an effect in flight draws from now on.

        Returns, for each of its samples, the ids that it begins with without drawing them: they are not told.
        """
        ticket = self._tickets[number]
        ticket.on_token = on_token
        for handle in ticket.handles:
            self.engine.watch(handle)
        return tuple(request.forced for request in ticket.requests)

    def poll(self) -> list[Finished]:
        """Step the engine until an effect finishes, or a few times; returns the finished effects."""
        judgements = self.verifiers.poll() if self.verifiers is not None else []
        finished: list[Finished] = []
        for _ in range(self.patience):
            if finished or not self._tickets:
                break
            for event in self.engine.step():
                number = self._ticket_of.get(event.handle)
                if number is None:
                    continue
                ticket = self._tickets[number]
                if ticket.on_token is not None and event.token_id is not None:
                    ticket.on_token(ticket.handles.index(event.handle), event)
                if event.completion is None:
                    continue
                del self._ticket_of[event.handle]
                ticket.done[event.handle] = event.completion
                ticket.value, ticket.values = event.value, event.values
                if len(ticket.done) == len(ticket.handles):
                    del self._tickets[number]
                    finished.append((number, self._result(ticket)))
        return judgements + finished

    def cancel(self, number: int) -> None:
        """Forget a ticket and stop its work; an unknown or finished one is ignored."""
        ticket = self._tickets.pop(number, None)
        for handle in ticket.handles if ticket else ():
            self._ticket_of.pop(handle, None)
            self.engine.cancel(handle)
        if self.verifiers is not None:
            self.verifiers.cancel(number)

    def _sample(self, effect: Sample) -> tuple[tuple[int, ...], list[Request]]:
        tokenizer = self.tokenizer
        think = tokenizer.special.get(TAGS["think"][0])
        if effect.messages:
            whole = prompt_ids(tokenizer, effect.messages, effect.prefix, effect.think, effect.thought)
            prompt = tuple(prompt_ids(tokenizer, effect.messages))
            forced = tuple(whole[len(prompt) :]) + effect.forced
        else:
            prompt = (*opening_ids(tokenizer), *tokenizer.encode(effect.prefix))
            forced = effect.forced
        request = Request(
            prompt,
            replace(effect.sampling, max_tokens=effect.sampling.max_tokens + len(forced)),
            effect.seed,
            stop_ids(tokenizer),
            effect.top_logprobs,
            forced,
            (think,) if effect.think is False and think is not None else (),
            until=effect.until,
        )
        if effect.n == 1:
            return prompt, [request]
        return prompt, [replace(request, seed=derive(effect.seed, i)) for i in range(effect.n)]

    def _result(self, ticket: _Ticket) -> list[Sampled] | Scored | Completion:
        completions = [ticket.done[handle] for handle in ticket.handles]
        if isinstance(ticket.effect, Request):
            return completions[0]
        if isinstance(ticket.effect, Sample):
            return [self._sampled(ticket.effect, ticket.prompt, completion) for completion in completions]
        size = len(ticket.prompt) + sum(len(completion.tokens) for completion in completions)
        value = None if ticket.value is None else probability(ticket.value)
        values = tuple(probability(value) for value in ticket.values)
        return Scored(completions[0].logprobs, value, Usage(prompt=size, calls=1), values)

    def _sampled(self, effect: Sample, prompt: tuple[int, ...], completion: Completion) -> Sampled:
        forced = completion.origins.count("forced")
        origins: list[Origin] = ["prompt"] * len(prompt)
        tokens = TokenSeq(
            prompt + completion.tokens,
            (*origins, *completion.origins),
            (0.0,) * len(prompt) + completion.logprobs,
        )
        said = completion.tokens[forced:]
        surplus = self._after_stop(said, effect.sampling.stop) if completion.finish == "stop" else 0
        if effect.messages:
            message = cut(parse(self.tokenizer, completion.tokens), surplus)
        else:
            ends = stop_ids(self.tokenizer)
            text = self.tokenizer.decode([token for token in completion.tokens if token not in ends])
            message = cut(Message.assistant(text), surplus)
        usage = Usage(len(prompt) + forced, len(said), self._thinking(completion.tokens, forced), 1)
        top, pieces = self._shown(completion) if effect.top_logprobs else ((), ())
        return Sampled(message, tokens, completion.finish, usage, completion.weights_id, top, pieces)

    def _shown(self, completion: Completion) -> tuple[tuple[tuple[TopToken, ...], ...], tuple[str, ...]]:
        """The likeliest tokens at each place, with their texts, and the text that each token completes."""
        decode = self.tokenizer.decode
        top = tuple(tuple(TopToken(at, logprob, decode([at])) for at, logprob in place) for place in completion.top)
        return top, tuple(spelled(self.tokenizer, completion.tokens))

    def _after_stop(self, said: Sequence[int], stops: tuple[str, ...]) -> int:
        """Characters of the text at the end of ``said`` from the first stop string on; 0 if there is none."""
        special = set(self.tokenizer.special.values())
        start = next((i + 1 for i in range(len(said) - 1, -1, -1) if said[i] in special), 0)
        text = self.tokenizer.decode_bytes(said[start:])
        found = [at for at in (text.find(stop.encode()) for stop in stops) if at >= 0]
        kept = text[: min(found)] if found else text
        return len(text.decode("utf-8", "replace")) - len(kept.decode("utf-8", "replace"))

    def _thinking(self, tokens: Sequence[int], forced: int) -> int:
        """How many sampled tokens lie inside a think part, tags excluded."""
        opened, closed = (self.tokenizer.special.get(tag) for tag in TAGS["think"])
        if opened not in tokens:
            return 0
        start = tokens.index(opened) + 1
        end = tokens.index(closed, start) if closed in tokens[start:] else len(tokens)
        ends = set(stop_ids(self.tokenizer))
        return sum(token not in ends for token in tokens[max(start, forced) : end])


class VerifierBackend:
    """Serves the ``Score`` effects that name a verifier, each from an engine of its own.

    ``opener`` is called when a folder is first named; what it opens stays open. ``numbers`` as for
    ``LocalBackend``. Beside a remote policy, this is the half that runs here.
    """

    name = "verifiers"
    capabilities = Capabilities(scoring=True, value=True)

    def __init__(self, opener: Opener, numbers: Iterator[int] | None = None) -> None:
        self.opener, self._numbers = opener, numbers or count()
        self._open: dict[str, LocalBackend] = {}

    def open(self, verifier: str) -> LocalBackend:
        """The named verifier, ready to judge; call it early, to hear what is wrong with it before tokens are spent.

        Raises UserError where it is none.
        """
        if verifier not in self._open:
            engine, tokenizer = self.opener(verifier)
            if not engine.has_value_head:
                raise UserError(
                    f"{verifier}: its weights have no scalar head (value_head.weight), so it judges nothing"
                )
            self._open[verifier] = LocalBackend(engine, tokenizer, verifier, numbers=self._numbers)
        return self._open[verifier]

    def submit(self, effect: Sample | Score | Request) -> int:
        if not isinstance(effect, Score) or not effect.verifier:
            raise UserError("this backend only judges: expected a Score that names a verifier's folder")
        return self.open(effect.verifier).submit(replace(effect, verifier=""))

    def poll(self) -> list[Finished]:
        return [done for backend in self._open.values() for done in backend.poll()]

    def cancel(self, number: int) -> None:
        for backend in self._open.values():
            backend.cancel(number)


def probability(logit: float) -> float:
    """The logistic function of a scalar head's output."""
    return 0.5 * (1.0 + math.tanh(0.5 * logit))


def cut(message: Message, surplus: int) -> Message:
    """The message without the last ``surplus`` characters of its last part's text."""
    if not surplus or not message.parts:
        return message
    last = message.parts[-1]
    return Message(message.role, (*message.parts[:-1], Part(last.kind, last.text[:-surplus])))
