"""The engine: requests of any lengths share one batch, and a step serves them all.

A step is told in four lines (see ``Engine.step``): admit waiting requests to free slots; run
one token of every running sequence together with a piece of the prompts still to compute;
start the sequences whose prompt is done; draw a token for each and let the finished leave.

Float32 results do not depend on batch-mates except through the rounding of matrix products,
whose order of summation may vary with the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numba
import numpy as np
import torch

from thinkling.core.errors import ContextFull, UserError
from thinkling.core.types import Completion, Finish, Request, Sampling
from thinkling.engine import sampler
from thinkling.engine.blocks import Blocks, blocks_for
from thinkling.engine.decoder import Decoder
from thinkling.engine.jobs import Event, Job, Prompt, TokenText
from thinkling.engine.schedule import Schedule
from thinkling.engine.slots import Slots
from thinkling.engine.vectors import BLOCK
from thinkling.model.config import ModelConfig
from thinkling.model.precision import NAMES, choose

CHUNK = 2048  # prompt tokens computed in one step
NO_HEAD = "engine: these weights have no value_head.weight; train a scalar head first"


class Engine:
    """Batched sampling from one model.

    ``slots`` bounds the sequences that run at once, ``max_len`` (tokens) each one's length with
    its prompt, ``cache_bytes`` the KV cache. ``dtype`` None lets the machine choose. Stop
    strings need ``tokenizer``. Raises UserError for weights that do not fit ``config``.
    """

    def __init__(
        self,
        weights: Mapping[str, torch.Tensor],
        config: ModelConfig,
        *,
        slots: int = 256,
        max_len: int = 1024,
        dtype: torch.dtype | str | None = None,
        weights_id: str = "",
        tokenizer: TokenText | None = None,
        cache_bytes: int = 2 << 30,
    ) -> None:
        self.config, self.max_len, self.tokenizer = config, max_len, tokenizer
        self.dtype = dtype if isinstance(dtype, torch.dtype) else choose(dtype or "auto")
        if self.dtype not in NAMES.values():
            raise UserError(f"engine: expected dtype {' or '.join(NAMES)}, came {self.dtype}")
        self._decoder = Decoder(config, self.dtype, CHUNK + slots, slots, max_len)
        stored = np.dtype(np.uint16 if self.dtype == torch.bfloat16 else np.float32)
        groups, width = config.num_key_value_heads, config.head_dim
        block_bytes = 2 * config.num_hidden_layers * groups * width * BLOCK * stored.itemsize
        per_sequence = blocks_for(max_len)
        # a longest sequence and its prompt always fit, so every request can be served some time
        count = max(2 * per_sequence, min((slots + 1) * per_sequence, cache_bytes // block_bytes))
        self._cache = Blocks(count, config.num_hidden_layers, groups, width, stored)
        self._slots = Slots(slots, max_len, config.vocab_size)
        self._schedule = Schedule(self._slots, self._cache, max_len)
        self._scratch = np.zeros((slots, config.vocab_size), np.float32)
        self._pending: list[Event] = []
        self._next = 0
        self.drawn = 0  # tokens, since the beginning
        self.weights_id = ""
        self.load_weights(weights, weights_id)

    # --- what a caller does ---------------------------------------------------------------------

    def load_weights(self, weights: Mapping[str, torch.Tensor], weights_id: str) -> None:
        """Replace the weights; nothing computed with the old ones is used again.

        Raises UserError while requests are in flight, and for weights that do not fit the config.
        """
        if self.in_flight:
            raise UserError(
                f"engine: {self.in_flight} requests are in flight under weights {self.weights_id!r}; "
                "finish or cancel them before loading others"
            )
        self._decoder.load(weights)
        self.weights_id = weights_id

    def submit(self, request: Request, *, stream: bool = True, places: Sequence[int] = ()) -> int:
        """Queue a request; returns its handle. Requests with equal prompts in flight share its computation.

        With ``stream``, ``step`` reports each token, else only the completion. ``places`` are positions in the
        prompt and forced tokens after which the scalar head's values are wanted (``Event.values``). Raises
        UserError for a prompt that does not fit, an id outside the vocabulary, stop strings without a
        tokenizer, or places that cannot have a value.
        """
        job = Job(self._next, request, request.forced, len(request.forced), stream, places=tuple(places))
        self._check(job)
        return self._taken(job)

    def watch(self, handle: int) -> None:
        """Let ``step`` report each token of a request from now on; one that is unknown or done is ignored."""
        job = self._schedule.jobs.get(handle)
        if job is not None:
            job.stream = True
            if job.running:
                self._schedule.watched[job.slot] = job

    def cancel(self, handle: int) -> Completion | None:
        """Drop a request at once; returns what it had so far (finish "abort"), or None if it is unknown."""
        job = self._schedule.jobs.get(handle)
        return None if job is None else self._finish(job, "abort")

    def fork(self, handle: int, seed: int, *, stream: bool = True) -> int:
        """A new request that continues from what ``handle`` has so far, drawing with another seed.

        A running sequence's cache is shared if a slot is free now, else computed again when one is.
        Raises UserError if the handle is not in flight.
        """
        origin = self._schedule.jobs.get(handle)
        if origin is None:
            raise UserError(f"engine: cannot fork request {handle}: it is not in flight")
        request = replace(origin.request, seed=seed)
        if not origin.running:
            again = Job(
                self._next, request, origin.given, origin.forced, stream, origin.logprobs, places=origin.places
            )  # fmt: skip
            again.top, again.tail, again.said = list(origin.top), origin.tail, origin.said
            return self._taken(again)
        tokens, logprobs = self._schedule.so_far(origin)
        job = Job(self._next, request, tuple(tokens), origin.forced, stream, tuple(logprobs))
        job.top, job.tail, job.said = list(origin.top), origin.tail, origin.said
        job.value, job.values = origin.value, origin.values
        return self._taken(job, origin)

    def run(
        self, requests: Sequence[Request], on_token: Callable[[int, Event], None] | None = None
    ) -> list[Completion]:
        """Serve all requests and return their completions in order.

        ``on_token`` is called with the request's index and each of its events as they come.
        """
        events = self._serve(requests, on_token)
        return [event.completion for event in events if event.completion is not None]

    def score(self, sequences: Sequence[Sequence[int]]) -> list[list[float]]:
        """Plain log-probability of each sequence's tokens but the first, given those before."""
        requests = [scoring_request(sequence) for sequence in sequences if len(sequence) > 1]
        completions = iter(self.run(requests))
        return [list(next(completions).logprobs) if len(sequence) > 1 else [] for sequence in sequences]

    def values(self, sequences: Sequence[Sequence[int]]) -> list[float]:
        """The scalar head at each sequence's last token. Raises UserError if the weights have none."""
        if not self.has_value_head:
            raise UserError(NO_HEAD)
        one = Sampling(temperature=0.0, max_tokens=1)
        events = self._serve([Request(tuple(sequence), one, 0) for sequence in sequences], None)
        return [event.value for event in events if event.value is not None]

    @property
    def in_flight(self) -> int:
        """How many requests wait or run."""
        return len(self._schedule.jobs)

    @property
    def running(self) -> int:
        """How many are drawing tokens."""
        return len(self._schedule.running)

    @property
    def slots(self) -> int:
        """How many can draw at once."""
        return self._slots.total

    @property
    def has_value_head(self) -> bool:
        return self._decoder.value_head is not None

    def step(self) -> list[Event]:
        """One round: at most one token for each running sequence, and a piece of the waiting prompts."""
        events, self._pending = self._pending, []
        numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
        with torch.inference_mode():
            self._schedule.admit()
            decoded, hidden = self._run()
            drawn, hidden = self._start(decoded, hidden, events)
            self._draw(drawn, hidden, events)
        return events

    # --- the parts of a step --------------------------------------------------------------------

    def _run(self) -> tuple[np.ndarray, np.ndarray]:
        """Feed the last token of every running sequence, and up to CHUNK tokens of unfinished prompts.

        Returns the slots of the running sequences and their final hidden rows.
        """
        slots, decoded = self._slots, self._schedule.active
        tokens, sequences, positions = [slots.last[decoded]], [decoded], [slots.length[decoded]]
        pieces: list[tuple[Prompt, int, int]] = []  # prompt, its first row in this run, tokens
        rows = len(decoded)
        for prompt in self._schedule.prompts.values():
            count = min(len(prompt.tokens) - prompt.done, CHUNK + len(decoded) - rows)
            if count > 0:
                tokens.append(np.array(prompt.tokens[prompt.done : prompt.done + count], np.int32))
                sequences.append(np.full(count, prompt.row, np.int32))
                positions.append(np.arange(prompt.done, prompt.done + count, dtype=np.int32))
                pieces.append((prompt, rows, count))
                rows += count
        if not rows:
            return decoded, np.zeros((0, self.config.hidden_size), self._cache.keys.dtype)
        fed = [part[0] if len(part) == 1 else np.concatenate(part) for part in (tokens, sequences, positions)]
        hidden = self._decoder.run(fed[0], fed[1], fed[2], slots.tables, self._cache)
        slots.length[decoded] += 1
        self._score_given(pieces)
        self._judge(pieces)
        for prompt, first, count in pieces:
            prompt.done += count
            if prompt.ready:
                prompt.hidden = hidden[first + count - 1].copy()
        return decoded, hidden[: len(decoded)]

    def _judge(self, pieces: list[tuple[Prompt, int, int]]) -> None:
        """The scalar head's value at each prompt's last token and at the places that its requests want."""
        if not self.has_value_head:
            return
        found = [
            (prompt, place, first + place - prompt.done)
            for prompt, first, count in pieces
            for place in prompt.places
            if prompt.done <= place < prompt.done + count
        ]
        values = self._decoder.values(np.array([row for *_, row in found], np.int64))
        for (prompt, place, _), value in zip(found, values.tolist(), strict=True):
            prompt.values[place] = value

    def _score_given(self, pieces: list[tuple[Prompt, int, int]]) -> None:
        """Plain logprobs of tokens that were given rather than drawn, each from the row before it."""
        wanted: list[tuple[Prompt, int, int]] = []  # prompt, row, the token that follows the row
        for prompt, first, count in pieces:
            end = min(prompt.done + count, len(prompt.tokens) - 1)
            for at in range(max(prompt.done, prompt.start - 1), end):
                wanted.append((prompt, first + at - prompt.done, prompt.tokens[at + 1]))
        for begin in range(0, len(wanted), self._slots.total):
            part = wanted[begin : begin + self._slots.total]
            logits = self._decoder.project(self._decoder.rows(np.array([row for _, row, _ in part])))
            out = np.empty(len(part), np.float32)
            sampler.plain_logprobs(logits, np.array([token for *_, token in part], np.int32), out)
            for n, (prompt, _, _) in enumerate(part):
                prompt.logprobs.append(float(out[n]))
                prompt.top.append(self._decoder.top(n, prompt.key[2], part[n][2]))

    def _start(self, decoded: np.ndarray, hidden: np.ndarray, events: list[Event]) -> tuple[np.ndarray, np.ndarray]:
        """Start the sequences whose prompt is done; those that were given all they may have end here.

        Returns the slots to draw a token for, and their hidden rows.
        """
        rows, drawn = [hidden], [decoded]
        for job, prompt in self._schedule.start_ready():
            assert prompt.hidden is not None
            if len(job.given) < self._schedule.limit(job):
                rows.append(prompt.hidden[None])
                drawn.append(np.array([job.slot], np.int32))
            else:
                events.append(self._ended(job, "length", None, 0.0))
        return (decoded, hidden) if len(rows) == 1 else (np.concatenate(drawn), np.concatenate(rows))

    def _draw(self, drawn: np.ndarray, hidden: np.ndarray, events: list[Event]) -> None:
        """Draw a token for each of these slots, note it, and let the finished leave."""
        if not len(drawn):
            return
        slots, watched = self._slots, self._schedule.watched
        for slot, job in watched.items():
            if job.request.mask is not None:
                allowed = job.request.mask(self._schedule.so_far(job)[0])
                slots.permit(slot, allowed, job.request.banned)
        logits = self._decoder.project(hidden)
        tokens, logprobs = np.empty(len(drawn), np.int32), np.empty(len(drawn), np.float32)
        sampler.draw_rows(
            logits, drawn, slots.denies, slots.denied, slots.leans, slots.bias, slots.temperature, slots.top_k,
            slots.top_p, slots.min_p, slots.seed, slots.count, self._scratch, tokens, logprobs,
        )  # fmt: skip
        stuck = tokens < 0  # a mask left nothing to say
        stopped, full = slots.note(drawn, tokens, logprobs)
        self.drawn += len(drawn)
        ended = stopped | full | stuck
        rows = np.flatnonzero(ended).tolist()
        if watched:
            rows = [n for n, slot in enumerate(drawn.tolist()) if ended[n] or slot in watched]
        for n in rows:
            finish: Finish | None = "stop" if stopped[n] else "length" if full[n] else None
            job = self._schedule.running[int(drawn[n])]
            if stuck[n]:
                events.append(self._ended(job, "abort", None, 0.0))
            else:
                self._report(job, n, int(tokens[n]), float(logprobs[n]), finish, events)

    def _report(
        self, job: Job, row: int, token: int, logprob: float, finish: Finish | None, events: list[Event]
    ) -> None:
        top = self._decoder.top(row, job.request.top_logprobs, token)
        if top:
            job.top.append(top)
        if (job.request.sampling.stop or job.request.until) and finish != "stop":
            assert self.tokenizer is not None
            finish = "stop" if job.stops(token, self.tokenizer) else finish
        if finish:
            events.append(self._ended(job, finish, token, logprob))
        elif job.stream:
            events.append(Event(job.handle, token, logprob, top))

    # --- a request's beginning and end ----------------------------------------------------------

    def _check(self, job: Job) -> None:
        """Refuse a request that could never be served, saying why."""
        request, vocabulary = job.request, self.config.vocab_size
        length = len(request.tokens) + len(job.given)
        if not request.tokens:
            raise UserError("engine: the prompt is empty; expected at least one token")
        if length > self.max_len or len(request.tokens) >= self.max_len:
            raise ContextFull(
                f"engine: the prompt has {length} tokens, but the engine holds {self.max_len} with the "
                "completion; shorten it, or raise max_len",
                length,
                self.max_len,
            )
        ids = (*request.tokens, *request.forced, *request.banned, *(at for at, _ in request.sampling.logit_bias))
        if not 0 <= min(ids) <= max(ids) < vocabulary:
            raise UserError(f"engine: ids must be within 0..{vocabulary - 1}, came {min(ids)}..{max(ids)}")
        if (request.sampling.stop or request.until) and self.tokenizer is None:
            raise UserError("engine: stop strings and until need a tokenizer; pass Engine(..., tokenizer=...)")
        if job.places and not self.has_value_head:
            raise UserError(NO_HEAD)
        if job.places and not 0 <= min(job.places) <= max(job.places) < length:
            raise UserError(f"engine: places must be within 0..{length - 1}, came {min(job.places)}..{max(job.places)}")

    def _taken(self, job: Job, origin: Job | None = None) -> int:
        self._next += 1
        if origin is None:
            self._schedule.queue(job)
        else:
            self._schedule.fork(origin, job)
        return job.handle

    def _ended(self, job: Job, finish: Finish, token: int | None, logprob: float) -> Event:
        top = job.top[-1] if job.top and token is not None else ()
        return Event(job.handle, token, logprob, top, self._finish(job, finish), job.value, job.values)

    def _finish(self, job: Job, finish: Finish) -> Completion:
        completion = job.complete(*self._schedule.so_far(job), finish, self.weights_id)
        self._schedule.release(job)
        return completion

    def _serve(self, requests: Sequence[Request], on_token: Callable[[int, Event], None] | None) -> list[Event]:
        """Serve the requests; their last events, in order. If one is refused, none is left in flight.

        News of other requests is kept for whoever calls ``step`` next.
        """
        index: dict[int, int] = {}
        last: dict[int, Event] = {}
        others: list[Event] = []
        try:
            for i, request in enumerate(requests):
                index[self.submit(request, stream=on_token is not None)] = i
            while len(last) < len(index):
                for event in self.step():
                    if event.handle not in index:
                        others.append(event)
                        continue
                    if on_token is not None:
                        on_token(index[event.handle], event)
                    if event.completion is not None:
                        last[index[event.handle]] = event
        finally:
            self._pending = others + self._pending
            for handle in index:
                self.cancel(handle)
        return [last[i] for i in range(len(index))]


def scoring_request(sequence: Sequence[int], start: int = 1) -> Request:
    """A request whose completion is ``sequence[start:]`` as given, with its plain logprobs."""
    forced = tuple(sequence[start:])
    return Request(tuple(sequence[:start]), Sampling(max_tokens=len(forced)), 0, forced=forced)
