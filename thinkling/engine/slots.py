"""What the engine keeps for each running sequence, as arrays over slots, so that kernels can read it.

Legend: S slots, V vocabulary, T positions.
"""

from __future__ import annotations

import numpy as np

from thinkling.core.types import Sampling
from thinkling.engine.blocks import blocks_for


class Slots:
    """S places in the batch. A slot's row in every array is meaningless while the slot is free.

    ``length`` counts the tokens whose keys are cached, ``count`` those after the prompt (so it is
    also the position of the next random number), ``limit`` bounds ``count``; ``tokens`` and
    ``logprobs`` [S, T] hold what came after the prompt. ``tables`` has 2 S rows: the second half
    serves prompts that are still being computed.
    """

    def __init__(self, slots: int, max_len: int, vocabulary: int) -> None:
        self.total = slots
        self.length = np.zeros(slots, np.int32)
        self.count = np.zeros(slots, np.int32)
        self.limit = np.zeros(slots, np.int32)
        self.last = np.zeros(slots, np.int32)
        self.tokens = np.zeros((slots, max_len), np.int32)
        self.logprobs = np.zeros((slots, max_len), np.float32)
        self.temperature = np.zeros(slots, np.float32)
        self.top_k = np.zeros(slots, np.int32)
        self.top_p = np.zeros(slots, np.float32)
        self.min_p = np.zeros(slots, np.float32)
        self.seed = np.zeros(slots, np.uint64)
        self.stops = np.full((slots, 1), -1, np.int32)
        self.denies = np.zeros(slots, np.uint8)
        # np.zeros takes memory only for rows that are written: most engines never deny or bias anything
        self.denied = np.zeros((slots, vocabulary), np.uint8)
        self.leans = np.zeros(slots, np.uint8)
        self.bias = np.zeros((slots, vocabulary), np.float32)
        self.frequency = np.zeros(slots, np.float32)
        self.presence = np.zeros(slots, np.float32)
        self.tables = np.zeros((2 * slots, blocks_for(max_len)), np.int32)
        self._free = list(range(slots - 1, -1, -1))

    @property
    def free(self) -> int:
        return len(self._free)

    def take(self) -> int:
        return self._free.pop()

    def release(self, slot: int) -> None:
        self._free.append(slot)

    def set_up(
        self, slot: int, sampling: Sampling, seed: int, stop_ids: tuple[int, ...], denied: tuple[int, ...]
    ) -> None:
        """Write a request's settings into its slot."""
        self.temperature[slot] = sampling.temperature
        self.top_k[slot] = sampling.top_k
        self.top_p[slot] = sampling.top_p
        self.min_p[slot] = sampling.min_p
        self.seed[slot] = seed & 0xFFFFFFFFFFFFFFFF
        missing = len(stop_ids) - self.stops.shape[1]
        if missing > 0:
            self.stops = np.pad(self.stops, ((0, 0), (0, missing)), constant_values=-1)
        self.stops[slot] = -1
        self.stops[slot, : len(stop_ids)] = stop_ids
        self.deny(slot, denied)
        self.lean(slot, sampling)

    def lean(self, slot: int, sampling: Sampling) -> None:
        """Write what is added to the logits of the slot, for the tokens that it has already."""
        self.frequency[slot], self.presence[slot] = sampling.frequency_penalty, sampling.presence_penalty
        self.leans[slot] = bool(sampling.logit_bias or sampling.frequency_penalty or sampling.presence_penalty)
        if self.leans[slot]:
            self.bias[slot] = 0.0
            for number, amount in sampling.logit_bias:
                self.bias[slot, number] += np.float32(amount)
            times = np.bincount(self.tokens[slot, : self.count[slot]], minlength=self.bias.shape[1])
            self.bias[slot] -= self.frequency[slot] * times + self.presence[slot] * (times > 0)

    def deny(self, slot: int, ids: tuple[int, ...]) -> None:
        """Forbid these ids, and only these, as the slot's next token."""
        if self.denies[slot] or ids:
            self.denied[slot] = 0
            self.denied[slot, list(ids)] = 1
        self.denies[slot] = bool(ids)

    def permit(self, slot: int, allowed: list[int] | None, banned: tuple[int, ...]) -> None:
        """Forbid every id but those allowed (None: all) and not banned."""
        self.deny(slot, banned)
        if allowed is not None:
            permitted = np.ones(self.denied.shape[1], np.uint8)
            permitted[allowed] = 0
            self.denied[slot] |= permitted
            self.denies[slot] = True

    def note(self, drawn: np.ndarray, tokens: np.ndarray, logprobs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Append a token to each of the slots ``drawn``; -1 appends nothing.

        Returns which of them now end with a stop id, and which have reached their limit.
        """
        at = self.count[drawn]
        for n in np.flatnonzero(self.leans[drawn] & (tokens >= 0)):
            slot, token = drawn[n], tokens[n]
            new = token not in self.tokens[slot, : self.count[slot]]
            self.bias[slot, token] -= self.frequency[slot] + (self.presence[slot] if new else 0.0)
        self.tokens[drawn, at], self.logprobs[drawn, at] = tokens, logprobs
        self.last[drawn] = tokens
        self.count[drawn] = at + (tokens >= 0)
        stopped = ((self.stops[drawn] == tokens[:, None]) & (tokens[:, None] >= 0)).any(axis=1)
        return stopped, self.count[drawn] >= self.limit[drawn]
