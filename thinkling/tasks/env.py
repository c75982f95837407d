"""Single-use environments: what a policy acts in; an environment serves one attempt and is thrown away."""

from __future__ import annotations

from typing import Protocol

from thinkling.core.types import Message, Problem, Step
from thinkling.tasks.family import Family


class Env(Protocol):
    """One attempt at one problem."""

    def observe(self) -> list[Message]:
        """The conversation so far, for the policy to continue."""

    def step(self, message: Message) -> Step:
        """The policy's turn; answers with the next observation, or with the verdict at the end."""


class SingleTurn:
    """A question and one answer. Only the answer part is graded: thinking earns and costs nothing."""

    def __init__(self, problem: Problem, family: Family) -> None:
        self.problem = problem
        self.family = family
        self._done = False

    def observe(self) -> list[Message]:
        if self._done:
            raise RuntimeError("this environment has been used; make a new one for every attempt")
        return [Message.user(self.problem.prompt)]

    def step(self, message: Message) -> Step:
        if self._done:
            raise RuntimeError("this environment has been used; make a new one for every attempt")
        if message.role != "assistant":
            raise ValueError(f"expected an assistant message; got one of role {message.role!r}")
        self._done = True
        return Step(None, True, self.family.grade(self.problem, message.text))
