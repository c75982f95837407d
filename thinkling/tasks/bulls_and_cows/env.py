"""The game as an environment: one secret, one conversation, one verdict.

A legal guess is answered with exactly ``bulls:x cows:y``. A turn without one is told why and costs a round like
any other; ``illegal_limit`` such turns in a row end the game. A turn that says that the player gives up, or that the
game is won, ends it too, unless it also makes a guess: a marked one, or a legal number not answered before.
"""

from __future__ import annotations

from dataclasses import dataclass

from thinkling.core.types import Message, Problem, Step, Verdict
from thinkling.tasks.bulls_and_cows.knowledge import Evidence, Knowledge
from thinkling.tasks.bulls_and_cows.reading import Move, read_move
from thinkling.tasks.bulls_and_cows.rules import ROUNDS, Feedback, check_secret, feedback
from thinkling.tasks.bulls_and_cows.taxonomy import OUTCOMES, Outcome, Says
from thinkling.tasks.family import Draft, pose

FAMILY = "bulls_and_cows"
ILLEGAL_LIMIT = 3


def opening(digits: int, rounds: int) -> str:
    """What a player is told before the first round."""
    return (
        f"Let us play Bulls and Cows. I have chosen a secret of {digits} different digits; it may begin with 0. "
        f"In each round you name {digits} different digits, and I answer with bulls:x cows:y. The bulls are your "
        "digits that stand in the right place, the cows those that the secret has in another place. "
        f"You win with bulls:{digits} cows:0, and have at most {rounds} rounds.\n"
        f"You may think first. End each turn with one guess, in this form:\n{_form(digits)}"
    )


def _form(digits: int) -> str:
    return f"guess: {'1234567890'[:digits]}"


@dataclass(frozen=True, slots=True)
class Turn:
    """One round as it was played. ``answer`` and ``evidence`` are None where the turn made no legal guess.

    ``repeated`` marks a guess that had been answered before; ``says`` what the turn declared beside it.
    """

    round: int
    guess: str | None
    fault: str
    says: Says | None
    answer: Feedback | None = None
    evidence: Evidence | None = None
    repeated: bool = False


class BullsAndCows:
    """One game. ``turns`` is its log, ``outcome`` how it ended (None while it goes on)."""

    def __init__(self, secret: str, *, rounds: int = ROUNDS, illegal_limit: int = ILLEGAL_LIMIT) -> None:
        """Raises UserError for a secret that is not one, ValueError for limits below 1."""
        if rounds < 1 or illegal_limit < 1:
            raise ValueError(f"rounds and illegal_limit must be at least 1, got {rounds} and {illegal_limit}")
        self.digits = len(secret)
        self.knowledge = Knowledge(self.digits)
        self.secret = check_secret(secret, self.digits)
        self.rounds, self.illegal_limit = rounds, illegal_limit
        self.turns: list[Turn] = []
        self.outcome: Outcome | None = None
        prompt = opening(self.digits, rounds)
        self.problem: Problem = pose(
            FAMILY, Draft(prompt, secret, canonical=secret, level=self.digits, meta={"rounds": rounds})
        )
        self._messages = [Message.user(prompt)]
        self._answered: set[str] = set()

    def observe(self) -> list[Message]:
        """The conversation so far. Raises RuntimeError when the game is over."""
        if self.outcome is not None:
            raise RuntimeError("this game is over; make a new one for every attempt")
        return list(self._messages)

    def step(self, message: Message) -> Step:
        """Play the assistant's turn. The last answer of a game, too, is an observation."""
        self.observe()
        if message.role != "assistant":
            raise ValueError(f"expected an assistant message; got one of role {message.role!r}")
        move = read_move(message.text, self.digits)
        self.outcome = move.ending(self._answered)
        if move.guess is None or self.outcome is not None:
            reply = self._refuse(move)
        else:
            reply = self._answer(move.guess, move.says)
        if self.outcome is None and len(self.turns) == self.rounds:
            self.outcome = "round_limit"
        observation = None if reply is None else Message.user(reply)
        self._messages += [message] if observation is None else [message, observation]
        return Step(observation, self.outcome is not None, self._verdict())

    def _answer(self, guess: str, says: Says | None) -> str:
        answer = feedback(self.secret, guess)
        repeated = guess in self._answered
        self._answered.add(guess)
        evidence = self.knowledge.hear(guess, answer)
        self.turns.append(Turn(len(self.turns) + 1, guess, "", says, answer, evidence, repeated))
        if guess == self.secret:
            self.outcome = "solved"
        return str(answer)

    def _refuse(self, move: Move) -> str | None:
        """Book a turn without a guess; returns what the player is told, if the game goes on to tell him."""
        self.turns.append(Turn(len(self.turns) + 1, None, move.fault or "no guess", move.says))
        if self.outcome is not None:
            return None
        last = self.turns[-self.illegal_limit :]
        if len(last) == self.illegal_limit and all(turn.guess is None for turn in last):
            self.outcome = "illegal"
            return None
        seen = f" ({move.found[:40]})" if move.found else ""
        return (
            f"That was no legal guess: {move.fault}{seen}. It cost a round. "
            f"Name {self.digits} different digits, in this form:\n{_form(self.digits)}"
        )

    def _verdict(self) -> Verdict | None:
        if self.outcome is None:
            return None
        guesses = [turn.guess for turn in self.turns if turn.guess is not None]
        reason = f"{self.outcome}: {OUTCOMES[self.outcome]} (round {len(self.turns)})"
        return Verdict(float(self.outcome == "solved"), "graded", guesses[-1] if guesses else None, reason)
