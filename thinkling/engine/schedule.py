"""Who runs when: waiting requests, prompts being computed, and the slots and KV blocks they hold.

A request takes all the blocks it can ever need when it gets its slot, so that no running
sequence is ever short of one. Requests whose prompts are equal share one ``Prompt``: it is
computed once, then each begins with its whole blocks and a copy of the last, partial one.
"""

from __future__ import annotations

from collections import Counter, deque

import numpy as np

from thinkling.engine.blocks import Blocks, blocks_for
from thinkling.engine.jobs import Job, Key, Prompt
from thinkling.engine.slots import Slots
from thinkling.engine.vectors import BLOCK


class Schedule:
    """The state of every request in flight (``jobs``, by handle)."""

    def __init__(self, slots: Slots, cache: Blocks, max_len: int) -> None:
        self.slots, self.cache, self.max_len = slots, cache, max_len
        self.jobs: dict[int, Job] = {}
        self.prompts: dict[Key, Prompt] = {}
        self.running: dict[int, Job] = {}  # by slot, in order of start
        self.watched: dict[int, Job] = {}  # the running ones that need a look at each token
        self._waiting: deque[Job] = deque()
        self._demand: Counter[Key] = Counter()  # waiting requests per prompt
        self._prompt_rows = list(range(2 * slots.total - 1, slots.total - 1, -1))
        self._active: np.ndarray | None = None

    @property
    def active(self) -> np.ndarray:
        """Slots of the running sequences [R], int32."""
        if self._active is None:
            self._active = np.fromiter(self.running, np.int32, len(self.running))
        return self._active

    def limit(self, job: Job) -> int:
        """Tokens that the completion may have, given ones included."""
        return min(job.request.sampling.max_tokens, self.max_len - len(job.request.tokens))

    def blocks_of(self, job: Job) -> int:
        """Blocks of the sequence at its longest."""
        return blocks_for(len(job.request.tokens) + max(self.limit(job), len(job.given)))

    def queue(self, job: Job) -> None:
        self.jobs[job.handle] = job
        self._waiting.append(job)
        self._demand[job.key] += 1

    def admit(self) -> None:
        """Give free slots to waiting requests in order, as far as the cache reaches."""
        while self._waiting and self.slots.free:
            job = self._waiting[0]
            length = len(job.key[0])
            prompt = self.prompts.get(job.key)
            own = self.blocks_of(job) - length // BLOCK
            need = own + (0 if prompt else blocks_for(length))
            rowless = prompt is None and not self._prompt_rows
            if need > self.cache.free or rowless:  # prompts that nobody with a slot needs give way
                for idle in [p for p in self.prompts.values() if not p.members and p is not prompt]:
                    self._forget(idle)
            if need > self.cache.free:
                return
            if prompt is None:
                prompt = Prompt(job.key, self.cache.take(blocks_for(length)), self._prompt_rows.pop())
                self.slots.tables[prompt.row, : len(prompt.blocks)] = prompt.blocks
                self.prompts[job.key] = prompt
            self._waiting.popleft()
            self._demand[job.key] -= 1
            job.slot, job.blocks, job.prompt = self.slots.take(), self.cache.take(own), prompt
            prompt.members.append(job)

    def start_ready(self) -> list[tuple[Job, Prompt]]:
        """Turn the members of computed prompts into running sequences; returns them."""
        started: list[tuple[Job, Prompt]] = []
        sources: list[int] = []
        targets: list[int] = []
        for prompt in [p for p in self.prompts.values() if p.ready]:
            whole, part = divmod(len(prompt.tokens), BLOCK)
            for job in prompt.members:
                if part:
                    sources.append(prompt.blocks[whole])
                    targets.append(job.blocks[0])
                self.cache.share(prompt.blocks[:whole])
                job.blocks = prompt.blocks[:whole] + job.blocks
                job.take_over(prompt, self.limit(job))
                self._start(job, len(prompt.tokens), len(job.given), self.limit(job))
                started.append((job, prompt))
            prompt.members.clear()
            if not self._demand[prompt.key]:
                del self._demand[prompt.key]
                self._forget(prompt)
        self.cache.copy(sources, targets)
        return started

    def fork(self, origin: Job, job: Job) -> None:
        """Let ``job`` go on from where the running ``origin`` is: at once, sharing its cache, if there
        is a free slot; else it queues, and what is there will be computed again."""
        slots, parent = self.slots, origin.slot
        length = int(slots.length[parent])
        whole, part = divmod(length, BLOCK)
        need = self.blocks_of(job) - whole
        if not slots.free or self.cache.free < need:
            self.queue(job)
            return
        self.jobs[job.handle] = job
        own = self.cache.take(need)
        self.cache.share(origin.blocks[:whole])
        if part:
            self.cache.copy([origin.blocks[whole]], [own[0]])
        job.slot, job.blocks = slots.take(), origin.blocks[:whole] + own
        self._start(job, length, int(slots.count[parent]), int(slots.limit[parent]))
        slots.last[job.slot] = slots.last[parent]

    def release(self, job: Job) -> None:
        """Free all that the job holds, wherever on its way it is."""
        del self.jobs[job.handle]
        if job.slot < 0:
            self._waiting.remove(job)
            self._demand[job.key] -= 1
            if not self._demand[job.key]:
                del self._demand[job.key]
            return
        prompt = job.prompt
        if prompt is not None:
            prompt.members.remove(job)
            if not prompt.members and not self._demand[job.key]:
                del self._demand[job.key]
                self._forget(prompt)
        self.cache.release(job.blocks)
        self.slots.release(job.slot)
        if self.running.pop(job.slot, None):
            self.watched.pop(job.slot, None)
            self._active = None

    def so_far(self, job: Job) -> tuple[list[int], list[float]]:
        """Tokens and logprobs of the completion up to now."""
        if not job.running:
            return [], []
        count = self.slots.count[job.slot]
        return self.slots.tokens[job.slot, :count].tolist(), self.slots.logprobs[job.slot, :count].tolist()

    def _start(self, job: Job, length: int, count: int, limit: int) -> None:
        """Fill in the slot of a job whose first ``length`` positions are cached, and run it."""
        slots, slot, request = self.slots, job.slot, job.request
        slots.tables[slot, : len(job.blocks)] = job.blocks
        slots.length[slot], slots.count[slot], slots.limit[slot] = length, count, limit
        slots.tokens[slot, :count] = job.given
        slots.logprobs[slot, :count] = job.logprobs
        slots.set_up(slot, request.sampling, request.seed, request.stop_ids, request.banned)
        job.running = True
        self.running[slot] = job
        if job.watched:
            self.watched[slot] = job
        self._active = None

    def _forget(self, prompt: Prompt) -> None:
        del self.prompts[prompt.key]
        self.cache.release(prompt.blocks)
        self._prompt_rows.append(prompt.row)
