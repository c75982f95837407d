"""The engine behind the interface that rollouts use: messages in, parsed turns out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

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
    Usage,
)
from thinkling.engine.engine import Engine, scoring_request
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import END_OF_TEXT, TAGS, parse, prompt_ids, stop_ids

PATIENCE = 16  # steps after which poll returns even if nothing has finished


@dataclass(eq=False, slots=True)
class _Ticket:
    effect: Sample | Score
    prompt: tuple[int, ...]
    handles: list[int]
    done: dict[int, Completion] = field(default_factory=dict)
    value: float | None = None


class LocalBackend:
    """Serves ``Sample`` and ``Score`` effects from one engine.

    The samples of a group are separate requests that share their prompt's computation. Sample i
    of several draws with the seed ``derive(seed, i)``, a single one with ``seed`` itself. An
    assistant prefix (and an opened ``<think>``) are forced tokens, with their plain logprob, and do not
    count towards ``max_tokens``. Plain text (no messages) is continued as a document from its
    beginning, after ``<|endoftext|>``. A ``Score`` covers its text's tokens, without an end of turn.
    """

    def __init__(self, engine: Engine, tokenizer: Tokenizer, name: str = "") -> None:
        self.engine, self.tokenizer = engine, tokenizer
        engine.tokenizer = tokenizer
        self.name = name or engine.weights_id
        self._tickets: dict[int, _Ticket] = {}
        self._ticket_of: dict[int, int] = {}
        self._next = 0

    @property
    def capabilities(self) -> Capabilities:
        value = self.engine.has_value_head
        return Capabilities(prefix=True, logprobs=True, scoring=True, mask=True, fork=True, value=value)

    def submit(self, effect: Sample | Score) -> int:
        """Queue an effect; returns its ticket. Raises UserError if its prompt does not fit the engine."""
        prompt, requests = self._score(effect) if isinstance(effect, Score) else self._sample(effect)
        number = self._next
        ticket = _Ticket(effect, prompt, [self.engine.submit(request, stream=False) for request in requests])
        self._next += 1
        self._tickets[number] = ticket
        self._ticket_of.update(dict.fromkeys(ticket.handles, number))
        return number

    def poll(self) -> list[tuple[int, list[Sampled] | Scored]]:
        """Step the engine until an effect finishes, or a few times; returns the finished effects."""
        finished: list[tuple[int, list[Sampled] | Scored]] = []
        for _ in range(PATIENCE):
            if finished or not self._tickets:
                break
            for event in self.engine.step():
                number = self._ticket_of.pop(event.handle, None)
                if number is None or event.completion is None:
                    continue
                ticket = self._tickets[number]
                ticket.done[event.handle], ticket.value = event.completion, event.value
                if len(ticket.done) == len(ticket.handles):
                    del self._tickets[number]
                    finished.append((number, self._result(ticket)))
        return finished

    def cancel(self, number: int) -> None:
        """Forget a ticket and stop its work; an unknown or finished one is ignored."""
        ticket = self._tickets.pop(number, None)
        for handle in ticket.handles if ticket else ():
            self._ticket_of.pop(handle, None)
            self.engine.cancel(handle)

    def _score(self, effect: Score) -> tuple[tuple[int, ...], list[Request]]:
        prompt = tuple(prompt_ids(self.tokenizer, effect.messages))
        text = self.tokenizer.encode(effect.text)
        if not text:
            raise UserError("score: the text is empty; expected at least one token to score")
        return prompt, [scoring_request((*prompt, *text), len(prompt))]

    def _sample(self, effect: Sample) -> tuple[tuple[int, ...], list[Request]]:
        tokenizer = self.tokenizer
        think = tokenizer.special.get(TAGS["think"][0])
        if effect.messages:
            whole = prompt_ids(tokenizer, effect.messages, effect.prefix, effect.think)
            prompt = tuple(prompt_ids(tokenizer, effect.messages))
            forced = tuple(whole[len(prompt) :])
        else:
            prompt = (tokenizer.special_id(END_OF_TEXT), *tokenizer.encode(effect.prefix))
            forced = ()
        request = Request(
            prompt,
            replace(effect.sampling, max_tokens=effect.sampling.max_tokens + len(forced)),
            effect.seed,
            stop_ids(tokenizer),
            effect.top_logprobs,
            forced,
            (think,) if effect.think is False and think is not None else (),
        )
        if effect.n == 1:
            return prompt, [request]
        return prompt, [replace(request, seed=derive(effect.seed, i)) for i in range(effect.n)]

    def _result(self, ticket: _Ticket) -> list[Sampled] | Scored:
        completions = [ticket.done[handle] for handle in ticket.handles]
        if isinstance(ticket.effect, Sample):
            return [self._sampled(ticket.effect, ticket.prompt, completion) for completion in completions]
        size = len(ticket.prompt) + sum(len(completion.tokens) for completion in completions)
        return Scored(completions[0].logprobs, ticket.value, Usage(prompt=size, calls=1))

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
            text = self.tokenizer.decode([token for token in said if token not in ends])
            message = cut(Message.assistant(text), surplus)
        usage = Usage(len(prompt) + forced, len(said), self._thinking(completion.tokens, forced), 1)
        return Sampled(message, tokens, completion.finish, usage, completion.weights_id, completion.top)

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


def cut(message: Message, surplus: int) -> Message:
    """The message without the last ``surplus`` characters of its last part's text."""
    if not surplus or not message.parts:
        return message
    last = message.parts[-1]
    return Message(message.role, (*message.parts[:-1], Part(last.kind, last.text[:-surplus])))
