"""Players to measure a model against, from a floor to nearly the best there is.

For 4 digits the best average possible is known: 26,274 / 5,040 = 5.213 rounds, and no secret then needs more than
seven (Tanaka 1996, "An optimal MOO strategy").
"""

from __future__ import annotations

import random
from collections.abc import Callable

from thinkling.tasks.bulls_and_cows.knowledge import Knowledge
from thinkling.tasks.bulls_and_cows.rules import feedback
from thinkling.tasks.bulls_and_cows.tree import entropy_tree

Player = Callable[[Knowledge, random.Random], str]


def random_legal(knowledge: Knowledge, rng: random.Random) -> str:
    """Any code, whatever has been answered: the floor."""
    return rng.choice(knowledge.codes.names)


def random_consistent(knowledge: Knowledge, rng: random.Random) -> str:
    """Any code that agrees with every answer so far: sound deduction without a plan."""
    return knowledge.codes.names[rng.choice(knowledge.left_S)]


def most_information(knowledge: Knowledge, rng: random.Random) -> str:
    """The guess with the most expected information, as ``tree.py`` finds it. Expects to have played so far itself."""
    node = entropy_tree(knowledge.codes.digits)
    for _, answer in knowledge.heard:
        node = node.children[knowledge.codes.pack(answer)]
    return knowledge.codes.names[node.guess]


PLAYERS: dict[str, Player] = {
    "random legal": random_legal,
    "random consistent": random_consistent,
    "most information": most_information,
}


def play_alone(player: Player, secret: str, rounds: int, rng: random.Random) -> list[str]:
    """The guesses of a game, up to the secret or ``rounds``."""
    knowledge = Knowledge(len(secret))
    guesses: list[str] = []
    while len(guesses) < rounds and secret not in guesses[-1:]:
        guesses.append(player(knowledge, rng))
        knowledge.hear(guesses[-1], feedback(secret, guesses[-1]))
    return guesses
