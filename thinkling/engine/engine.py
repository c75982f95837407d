"""The engine: requests of any lengths share one batch, and a step serves them all.

A step is told in four lines (see ``Engine.step``): admit waiting requests to free slots; run
one token of every running sequence together with a piece of the prompts still to compute;
start the sequences whose prompt is done; draw a token for each and let the finished leave.

Float32 results do not depend on batch-mates except through the rounding of matrix products,
whose order of summation may vary with the number of rows.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

import numba
import numpy as np
import torch

from thinkling.core.errors import UserError
from thinkling.core.types import Completion, Finish, Request, Sampling
from thinkling.engine import sampler
from thinkling.engine.blocks import Blocks, blocks_for
from thinkling.engine.decoder import Decoder
from thinkling.engine.jobs import Event, Job, Key, Prompt, TokenText
from thinkling.engine.kernels import BLOCK
from thinkling.engine.precision import choose_dtype
from thinkling.engine.slots import Slots
from thinkling.model.config import ModelConfig

CHUNK = 2048  # prompt tokens computed in one step


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
        self.dtype = choose_dtype(dtype)
        self._decoder = Decoder(config, self.dtype, CHUNK + slots, slots, max_len)
        self._slots = Slots(slots, max_len, config.vocab_size)
        stored = np.dtype(np.uint16 if self.dtype == torch.bfloat16 else np.float32)
        groups, width = config.num_key_value_heads, config.head_dim
        block_bytes = 2 * config.num_hidden_layers * groups * width * BLOCK * stored.itemsize
        per_sequence = blocks_for(max_len)
        count = max(2 * per_sequence, min((slots + 1) * per_sequence, cache_bytes // block_bytes))
        self._cache = Blocks(count, config.num_hidden_layers, groups, width, stored)
        self._scratch = np.zeros((slots, config.vocab_size), np.float32)
        self._jobs: dict[int, Job] = {}
        self._waiting: deque[Job] = deque()
        self._demand: Counter[Key] = Counter()
        self._prompts: dict[Key, Prompt] = {}
        self._prompt_rows = list(range(2 * slots - 1, slots - 1, -1))
        self._running: dict[int, Job] = {}  # by slot, in order of start
        self._watched: dict[int, Job] = {}
        self._active = np.zeros(0, np.int32)
        self._pending: list[Event] = []
        self._next = 0
        self.load_weights(weights, weights_id)

    # --- what a caller does ---------------------------------------------------------------------

    def load_weights(self, weights: Mapping[str, torch.Tensor], weights_id: str) -> None:
        """Replace the weights; nothing computed with the old ones is used again.

        Raises UserError while requests are in flight, and for weights that do not fit the config.
        """
        if self._jobs:
            raise UserError(
                f"engine: {len(self._jobs)} requests are in flight under weights {self.weights_id!r}; "
                "finish or cancel them before loading others"
            )
        self._decoder.load(weights)
        self.weights_id = weights_id

    def submit(self, request: Request, *, stream: bool = True) -> int:
        """Queue a request; returns its handle. Requests with equal prompts in flight share its computation.

        With ``stream``, ``step`` reports each token, else only the completion. Raises UserError
        for a prompt that does not fit, an id outside the vocabulary, or stop strings without a tokenizer.
        """
        return self._queue(Job(self._next, request, request.forced, len(request.forced), stream))

    def cancel(self, handle: int) -> Completion | None:
        """Drop a request at once; returns what it had so far (finish "abort"), or None if it is unknown."""
        job = self._jobs.get(handle)
        return None if job is None else self._finish(job, "abort")

    def fork(self, handle: int, seed: int, *, stream: bool = True) -> int:
        """A new request that continues from what ``handle`` has so far, drawing with another seed.

        A running sequence's cache is shared if a slot is free now, else computed again when one is.
        Raises UserError if the handle is not in flight.
        """
        origin = self._jobs.get(handle)
        if origin is None:
            raise UserError(f"engine: cannot fork request {handle}: it is not in flight")
        request = _with_seed(origin.request, seed)
        if not origin.running:
            return self._queue(Job(self._next, request, origin.given, origin.forced, stream, origin.logprobs))
        tokens, logprobs = self._so_far(origin)
        job = Job(
            self._next,
            request,
            tuple(tokens),
            origin.forced,
            stream,
            tuple(logprobs),
            list(origin.top),
            tail=origin.tail,
        )
        slots, parent = self._slots, origin.slot
        need = self._blocks_of(job)
        length = int(slots.length[parent])
        whole = length // BLOCK
        if not slots.free or self._cache.free < need - whole:
            return self._queue(job)
        self._register(job)
        job.slot, job.running = slots.take(), True
        own = self._cache.take(need - whole)
        self._cache.share(origin.blocks[:whole])
        job.blocks = origin.blocks[:whole] + own
        if length % BLOCK:
            self._cache.copy([origin.blocks[whole]], [own[0]])
        self._set_up(job, length, int(slots.count[parent]), int(slots.limit[parent]))
        slots.last[job.slot] = slots.last[parent]
        self._start(job)
        return job.handle

    def run(
        self, requests: Sequence[Request], on_token: Callable[[int, Event], None] | None = None
    ) -> list[Completion]:
        """Serve all requests and return their completions in order.

        ``on_token`` is called with the request's index and each of its events as they come.
        """
        index = {self.submit(request, stream=on_token is not None): i for i, request in enumerate(requests)}
        return [event.completion for event in self._collect(index, on_token) if event.completion]

    def score(self, sequences: Sequence[Sequence[int]]) -> list[list[float]]:
        """Plain log-probability of each sequence's tokens but the first, given those before."""
        requests = [scoring_request(sequence) for sequence in sequences if len(sequence) > 1]
        completions = iter(self.run(requests))
        return [list(next(completions).logprobs) if len(sequence) > 1 else [] for sequence in sequences]

    def values(self, sequences: Sequence[Sequence[int]]) -> list[float]:
        """The scalar head at each sequence's last token. Raises UserError if the weights have none."""
        if self._decoder.value_head is None:
            raise UserError("engine: these weights have no value_head.weight; train a scalar head first")
        one = Sampling(temperature=0.0, max_tokens=1)
        requests = [Request(tuple(sequence), one, 0) for sequence in sequences]
        index = {self.submit(request, stream=False): i for i, request in enumerate(requests)}
        return [event.value for event in self._collect(index, None) if event.value is not None]

    @property
    def in_flight(self) -> int:
        """How many requests wait or run."""
        return len(self._jobs)

    @property
    def has_value_head(self) -> bool:
        return self._decoder.value_head is not None

    def step(self) -> list[Event]:
        """One round: at most one token for each running sequence, and a piece of the waiting prompts."""
        events, self._pending = self._pending, []
        numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
        with torch.inference_mode():
            self._admit()
            decoded = self._active
            hidden = self._run(decoded)
            hidden, drawn = self._start_ready(hidden, decoded, events)
            self._draw(hidden, drawn, events)
        return events

    # --- a request's way ------------------------------------------------------------------------

    def _queue(self, job: Job) -> int:
        request, vocabulary = job.request, self.config.vocab_size
        length = len(request.tokens) + len(job.given)
        if not request.tokens:
            raise UserError("engine: the prompt is empty; expected at least one token")
        if length > self.max_len or len(request.tokens) >= self.max_len:
            raise UserError(
                f"engine: the prompt has {length} tokens, but the engine holds {self.max_len} with the "
                "completion; shorten it, or raise max_len"
            )
        ids = (*request.tokens, *request.forced, *request.banned)
        if not 0 <= min(ids) <= max(ids) < vocabulary:
            raise UserError(
                f"engine: token ids must be within 0..{vocabulary - 1}, came {min(ids)}..{max(ids)}"
            )
        if request.sampling.stop and self.tokenizer is None:
            raise UserError("engine: stop strings need a tokenizer; pass Engine(..., tokenizer=...)")
        if self._blocks_of(job) + blocks_for(length) > self._cache.count:
            raise UserError(
                f"engine: a request of {length} + {request.sampling.max_tokens} tokens exceeds the KV cache "
                f"of {self._cache.count * BLOCK} positions; raise cache_bytes"
            )
        self._register(job)
        self._waiting.append(job)
        self._demand[job.key] += 1
        return job.handle

    def _register(self, job: Job) -> None:
        self._jobs[job.handle] = job
        self._next += 1

    def _limit(self, job: Job) -> int:
        return min(job.request.sampling.max_tokens, self.max_len - len(job.request.tokens))

    def _blocks_of(self, job: Job) -> int:
        """Blocks for a sequence at its longest; reserved at the start, so that none ever runs dry."""
        return blocks_for(len(job.request.tokens) + max(self._limit(job), len(job.given)))

    def _admit(self) -> None:
        """Give free slots to waiting requests in order, as far as the KV cache reaches."""
        while self._waiting and self._slots.free:
            job = self._waiting[0]
            tokens = job.key[0]
            prompt = self._prompts.get(job.key)
            own = self._blocks_of(job) - len(tokens) // BLOCK
            need = own + (0 if prompt else blocks_for(len(tokens)))
            if need > self._cache.free:
                self._forget_idle_prompts(keep=prompt)
            if need > self._cache.free:
                return
            if prompt is None:
                prompt = Prompt(job.key, self._cache.take(blocks_for(len(tokens))), self._prompt_rows.pop())
                self._slots.tables[prompt.row, : len(prompt.blocks)] = prompt.blocks
                self._prompts[job.key] = prompt
            self._waiting.popleft()
            self._demand[job.key] -= 1
            job.slot, job.blocks, job.prompt = self._slots.take(), self._cache.take(own), prompt
            prompt.members.append(job)

    def _forget_idle_prompts(self, keep: Prompt | None) -> None:
        for prompt in [p for p in self._prompts.values() if not p.members and p is not keep]:
            self._forget(prompt)

    def _forget(self, prompt: Prompt) -> None:
        del self._prompts[prompt.key]
        self._cache.release(prompt.blocks)
        self._prompt_rows.append(prompt.row)

    def _run(self, decoded: np.ndarray) -> np.ndarray:
        """Feed the last token of every running sequence, and up to CHUNK tokens of unfinished prompts.

        Returns the final hidden rows of the running sequences.
        """
        slots = self._slots
        tokens, sequences, positions = [slots.last[decoded]], [decoded], [slots.length[decoded]]
        pieces: list[tuple[Prompt, int, int]] = []  # prompt, its first row in this run, tokens
        rows = len(decoded)
        for prompt in self._prompts.values():
            count = min(len(prompt.tokens) - prompt.done, CHUNK + len(decoded) - rows)
            if count > 0:
                tokens.append(np.array(prompt.tokens[prompt.done : prompt.done + count], np.int32))
                sequences.append(np.full(count, prompt.row, np.int32))
                positions.append(np.arange(prompt.done, prompt.done + count, dtype=np.int32))
                pieces.append((prompt, rows, count))
                rows += count
        if not rows:
            return np.zeros((0, self.config.hidden_size), self._cache.keys.dtype)
        batch = (tokens, sequences, positions)
        fed = [part[0] if len(part) == 1 else np.concatenate(part) for part in batch]
        hidden = self._decoder.run(fed[0], fed[1], fed[2], slots.tables, self._cache)
        slots.length[decoded] += 1
        self._score_given(pieces)
        for prompt, first, count in pieces:
            prompt.done += count
            if prompt.ready:
                prompt.hidden = hidden[first + count - 1].copy()
                if self._decoder.value_head is not None:
                    prompt.value = float(self._decoder.values(np.array([first + count - 1]))[0])
        return hidden[: len(decoded)]

    def _score_given(self, pieces: list[tuple[Prompt, int, int]]) -> None:
        """Plain logprobs of tokens that were given rather than drawn, each from the row before it."""
        wanted: list[tuple[Prompt, int, int]] = []  # prompt, row, the token that follows the row
        for prompt, first, count in pieces:
            for at in range(
                max(prompt.done, prompt.start - 1), min(prompt.done + count, len(prompt.tokens) - 1)
            ):
                wanted.append((prompt, first + at - prompt.done, prompt.tokens[at + 1]))
        for begin in range(0, len(wanted), self._slots.total):
            part = wanted[begin : begin + self._slots.total]
            logits = self._decoder.project(self._decoder.rows(np.array([row for _, row, _ in part])))
            out = np.empty(len(part), np.float32)
            sampler.plain_logprobs(logits, np.array([token for *_, token in part], np.int32), out)
            for n, (prompt, _, _) in enumerate(part):
                prompt.logprobs.append(float(out[n]))
                prompt.top.append(self._decoder.top(n, prompt.key[2]))

    def _start_ready(
        self, hidden: np.ndarray, decoded: np.ndarray, events: list[Event]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Turn the members of computed prompts into running sequences.

        Returns the hidden rows and the slots to draw a token for.
        """
        extra: list[np.ndarray] = []
        started: list[int] = []
        sources: list[int] = []
        targets: list[int] = []
        for prompt in [p for p in self._prompts.values() if p.ready]:
            assert prompt.hidden is not None
            whole = len(prompt.tokens) // BLOCK
            for job in prompt.members:
                if len(prompt.tokens) % BLOCK:
                    sources.append(prompt.blocks[whole])
                    targets.append(job.blocks[0])
                self._cache.share(prompt.blocks[:whole])
                job.blocks = prompt.blocks[:whole] + job.blocks
                self._begin(job, prompt)
                if len(job.given) < self._limit(job):
                    extra.append(prompt.hidden)
                    started.append(job.slot)
            finished = [job for job in prompt.members if len(job.given) >= self._limit(job)]
            prompt.members.clear()
            for job in finished:
                events.append(self._ended(job, "length", None, 0.0))
        self._cache.copy(sources, targets)
        for prompt in [p for p in self._prompts.values() if p.ready and not self._demand[p.key]]:
            del self._demand[prompt.key]
            self._forget(prompt)
        if not started:
            return hidden, decoded
        return np.concatenate([hidden, np.stack(extra)]), np.concatenate(
            [decoded, np.array(started, np.int32)]
        )

    def _begin(self, job: Job, prompt: Prompt) -> None:
        limit = self._limit(job)
        job.value, job.prompt, job.running = prompt.value, None, True
        if not job.logprobs:
            job.logprobs = tuple(prompt.logprobs)
            job.top = list(prompt.top) if job.request.top_logprobs else []
        job.given, job.logprobs, job.top = job.given[:limit], job.logprobs[:limit], job.top[:limit]
        self._set_up(job, len(prompt.tokens), len(job.given), limit)
        self._start(job)

    def _set_up(self, job: Job, length: int, count: int, limit: int) -> None:
        """Fill in the slot of a job whose first ``length`` positions are cached."""
        slots, slot, request = self._slots, job.slot, job.request
        slots.tables[slot, : len(job.blocks)] = job.blocks
        slots.length[slot], slots.count[slot], slots.limit[slot] = length, count, limit
        slots.tokens[slot, :count] = job.given
        slots.logprobs[slot, :count] = job.logprobs
        slots.set_up(slot, request.sampling, request.seed, request.stop_ids, request.banned)

    def _start(self, job: Job) -> None:
        self._running[job.slot] = job
        if job.watched:
            self._watched[job.slot] = job
        self._active = np.fromiter(self._running, np.int32, len(self._running))

    # --- drawing --------------------------------------------------------------------------------

    def _draw(self, hidden: np.ndarray, drawn: np.ndarray, events: list[Event]) -> None:
        """Draw a token for each of these slots, note it, and let the finished leave."""
        if not len(drawn):
            return
        slots = self._slots
        for slot, job in self._watched.items():
            if job.request.mask is not None:
                self._apply_mask(slot, job)
        logits = self._decoder.project(hidden)
        tokens, logprobs = np.empty(len(drawn), np.int32), np.empty(len(drawn), np.float32)
        sampler.draw_rows(
            logits, drawn, slots.denies, slots.denied, slots.temperature, slots.top_k, slots.top_p, slots.min_p,
            slots.seed, slots.count, self._scratch, tokens, logprobs,
        )  # fmt: skip
        at = slots.count[drawn]
        slots.tokens[drawn, at], slots.logprobs[drawn, at] = tokens, logprobs
        slots.last[drawn] = tokens
        stuck = tokens < 0
        slots.count[drawn] = at + ~stuck
        stopped = (slots.stops[drawn] == tokens[:, None]).any(axis=1) & ~stuck
        full = slots.count[drawn] >= slots.limit[drawn]
        ended = stopped | full | stuck
        rows = np.flatnonzero(ended).tolist()
        if self._watched:
            rows = [n for n, slot in enumerate(drawn.tolist()) if ended[n] or slot in self._watched]
        for n in rows:
            finish: Finish | None = (
                "abort" if stuck[n] else "stop" if stopped[n] else "length" if full[n] else None
            )
            self._report(self._running[int(drawn[n])], n, int(tokens[n]), float(logprobs[n]), finish, events)

    def _apply_mask(self, slot: int, job: Job) -> None:
        """Ask the request's mask what may come next, and forbid all else."""
        assert job.request.mask is not None
        allowed = job.request.mask(self._so_far(job)[0])
        if allowed is None:
            self._slots.deny(slot, job.request.banned)
            return
        self._slots.deny_all_but(slot, allowed, job.request.banned)

    def _report(
        self, job: Job, row: int, token: int, logprob: float, finish: Finish | None, events: list[Event]
    ) -> None:
        if token < 0:  # the mask left nothing to say
            events.append(self._ended(job, "abort", None, 0.0))
            return
        top = self._decoder.top(row, job.request.top_logprobs)
        if top:
            job.top.append(top)
        if job.request.sampling.stop and finish != "stop":
            assert self.tokenizer is not None
            finish = "stop" if job.stops(token, self.tokenizer) else finish
        if finish:
            events.append(self._ended(job, finish, token, logprob))
        elif job.stream:
            events.append(Event(job.handle, token, logprob, top))

    def _ended(self, job: Job, finish: Finish, token: int | None, logprob: float) -> Event:
        top = job.top[-1] if job.top and token is not None else ()
        return Event(job.handle, token, logprob, top, self._finish(job, finish), job.value)

    def _so_far(self, job: Job) -> tuple[list[int], list[float]]:
        if not job.running:
            return [], []
        count = self._slots.count[job.slot]
        return self._slots.tokens[job.slot, :count].tolist(), self._slots.logprobs[job.slot, :count].tolist()

    def _finish(self, job: Job, finish: Finish) -> Completion:
        """Free all that the job holds, wherever on its way it is."""
        completion = job.complete(*self._so_far(job), finish, self.weights_id)
        del self._jobs[job.handle]
        if job.slot < 0:
            self._waiting.remove(job)
            self._demand[job.key] -= 1
        else:
            if job.prompt is not None:
                job.prompt.members.remove(job)
                if not job.prompt.members and not self._demand[job.key]:
                    self._forget(job.prompt)
            self._cache.release(job.blocks)
            self._slots.release(job.slot)
        if job.running:
            del self._running[job.slot]
            self._watched.pop(job.slot, None)
            self._active = np.fromiter(self._running, np.int32, len(self._running))
        return completion

    def _collect(self, index: dict[int, int], on_token: Callable[[int, Event], None] | None) -> list[Event]:
        """Step until every handle in ``index`` has completed; their last events, in order of index.

        News of other requests is kept for whoever calls ``step`` next.
        """
        last: dict[int, Event] = {}
        others: list[Event] = []
        while len(last) < len(index):
            for event in self.step():
                if event.handle not in index:
                    others.append(event)
                    continue
                if on_token is not None:
                    on_token(index[event.handle], event)
                if event.completion is not None:
                    last[index[event.handle]] = event
        self._pending = others + self._pending
        return [last[i] for i in range(len(index))]


def scoring_request(sequence: Sequence[int], start: int = 1) -> Request:
    """A request whose completion is ``sequence[start:]`` as given, with its plain logprobs."""
    forced = tuple(sequence[start:])
    return Request(tuple(sequence[:start]), Sampling(max_tokens=len(forced)), 0, forced=forced)


def _with_seed(request: Request, seed: int) -> Request:
    return Request(
        request.tokens, request.sampling, seed, request.stop_ids, request.top_logprobs, request.forced, request.banned,
        request.mask,
    )  # fmt: skip
