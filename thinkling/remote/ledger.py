"""What a remote model cost: requests, retries, tokens, money, time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from thinkling.core.progress import clock
from thinkling.remote.bills import Bill

MILLION = 1_000_000


@dataclass(slots=True)
class Ledger:
    """A running account, kept by one thread and read by any.

    ``requests`` counts everything that was sent, ``retries`` those of them that repeat an earlier one, ``failed``
    the requests that were given up and ``cancelled`` those that nobody waited for any more: what an endpoint
    charges for these two is not known, unless it said so in a reply. Replies that had to be asked for again count
    with their tokens. ``price_in`` and ``price_out`` are dollars per million tokens; tokens of reasoning are
    tokens out.
    """

    price_in: float | None = None
    price_out: float | None = None
    now: Callable[[], float] = time.monotonic
    requests: int = 0
    replies: int = 0
    retries: int = 0
    failed: int = 0
    cancelled: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_reasoning: int = 0
    estimated: int = 0
    reasoning_estimated: int = 0
    _first: float | None = field(default=None, repr=False)
    _last: float = field(default=0.0, repr=False)

    def send(self, again: bool) -> None:
        """A request goes out; ``again``: it repeats one that went wrong."""
        self.requests += 1
        self.retries += again
        self._touch()

    def receive(self, bill: Bill, good: bool) -> None:
        """A reply came with a bill; ``good``: it is kept, not asked for again."""
        self.replies += good
        self.tokens_in += bill.usage.prompt
        self.tokens_out += bill.usage.completion
        self.tokens_reasoning += bill.usage.thinking
        self.estimated += bill.estimated
        self.reasoning_estimated += bill.thinking_estimated
        self._touch()

    def give_up(self) -> None:
        self.failed += 1
        self._touch()

    def cancel(self) -> None:
        self.cancelled += 1
        self._touch()

    def _touch(self) -> None:
        self._last = self.now()
        if self._first is None:
            self._first = self._last

    @property
    def seconds(self) -> float:
        """From the first request to the latest thing that happened to one."""
        return 0.0 if self._first is None else self._last - self._first

    @property
    def cost(self) -> float | None:
        """Dollars; None without prices."""
        if self.price_in is None or self.price_out is None:
            return None
        return (self.tokens_in * self.price_in + self.tokens_out * self.price_out) / MILLION

    def as_dict(self) -> dict[str, Any]:
        """Everything, for a report: counts, tokens, dollars (None without prices), seconds."""
        names = (
            "requests replies retries failed cancelled tokens_in tokens_out tokens_reasoning estimated "
            "reasoning_estimated price_in price_out"
        )
        return {name: getattr(self, name) for name in names.split()} | {"cost": self.cost, "seconds": self.seconds}

    def summary(self) -> str:
        """One line for people."""
        counts = {"retries": self.retries, "failed": self.failed, "cancelled": self.cancelled}
        aside = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        reasoning = f" ({self.tokens_reasoning:,} of reasoning)" if self.tokens_reasoning else ""
        parts = [
            f"{self.requests:,} requests" + (f" ({aside})" if aside else ""),
            f"{self.tokens_in:,} tokens in, {self.tokens_out:,} out{reasoning}",
        ]
        if self.estimated:
            parts.append(f"estimated for {self.estimated:,} replies")
        if self.reasoning_estimated:
            parts.append(f"reasoning estimated for {self.reasoning_estimated:,}")
        if self.cost is not None:
            parts.append(f"${self.cost:,.4f}")
        return "; ".join([*parts, clock(self.seconds)])
