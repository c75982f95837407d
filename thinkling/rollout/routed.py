"""Two backends behind one: a policy that answers, and a verifier that judges elsewhere.

A model behind an API gives text and no values. Here it keeps answering, while the verdicts of a
verifier, a model of a few million parameters, are computed on this machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from thinkling.core.types import Capabilities, Score
from thinkling.rollout.backend import Ask, Backend, Result


class Routed:
    """Sends ``Score`` effects that name a verifier to ``scorer``, everything else to ``policy``.

    It is known by the policy's name and can do what the policy can, and judge by a verifier if the scorer can.
    """

    def __init__(self, policy: Backend, scorer: Backend) -> None:
        self.policy, self.scorer = policy, scorer
        self._numbers = count()
        self._flying: dict[int, tuple[Backend, int]] = {}  # ticket -> whose, and the ticket there

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.policy.capabilities, value=self.scorer.capabilities.value)

    def submit(self, effect: Ask) -> int:
        to = self.scorer if isinstance(effect, Score) and effect.verifier else self.policy
        inner = to.submit(effect)
        number = next(self._numbers)
        self._flying[number] = (to, inner)
        return number

    def poll(self) -> Sequence[tuple[int, Result]]:
        """Move both on, the scorer first; one with nothing in flight is left in peace, for its poll may wait."""
        finished: list[tuple[int, Result]] = []
        for backend in (self.scorer, self.policy):
            ours = {inner: number for number, (owner, inner) in self._flying.items() if owner is backend}
            for inner, result in backend.poll() if ours else ():
                if inner in ours:
                    del self._flying[ours[inner]]
                    finished.append((ours[inner], result))
        return finished

    def cancel(self, ticket: int) -> None:
        if ticket in self._flying:
            backend, inner = self._flying.pop(ticket)
            backend.cancel(inner)
