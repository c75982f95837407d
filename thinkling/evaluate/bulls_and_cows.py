"""Bulls and Cows counted: one standing per model, with intervals, beside players that reason perfectly.

The unit is the game: guesses of one game hang together, so every share of guesses or turns is resampled game by
game. What a guess was worth is computed from the true answers; where a record's answer differs, that is a
disagreement, and named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thinkling.core.seeds import stream
from thinkling.core.types import Message
from thinkling.evaluate.resampling import resampled_means
from thinkling.evaluate.statistics import Estimate, Floats, bootstrap, wilson
from thinkling.rollout.games import Played
from thinkling.tasks.bulls_and_cows.env import BullsAndCows
from thinkling.tasks.bulls_and_cows.knowledge import Knowledge
from thinkling.tasks.bulls_and_cows.players import PLAYERS, play_alone
from thinkling.tasks.bulls_and_cows.record import GameRecord
from thinkling.tasks.bulls_and_cows.rules import feedback
from thinkling.tasks.bulls_and_cows.taxonomy import OUTCOMES, Outcome, Says

BASELINE = "baseline"

# What is counted in each game, and the ratios of sums made of it: name -> (counted, per).
_COUNTS = ("turns", "illegal", "answered", "repeated", "informed", "consistent", "bits", "expected_bits")
_RATIOS = {
    "consistent": ("consistent", "informed"),
    "repeated": ("repeated", "answered"),
    "illegal": ("illegal", "turns"),
    "bits": ("bits", "answered"),
    "expected_bits": ("expected_bits", "answered"),
}
_SHARES = ("consistent", "repeated", "illegal")


@dataclass(frozen=True, slots=True)
class Standing:
    """How one model plays, over ``games`` games; ``errors`` more counts for nothing but ``outcomes``.

    ``solved``: share of games (Wilson). ``rounds``: mean of the solved ones (bootstrap). Over all games, by a
    bootstrap over games: ``consistent``, the share of guesses after the first that agree with all answers before;
    ``repeated``, the share of guesses made before; ``illegal``, the share of turns without a legal guess (repeated
    digits included); ``bits`` and ``expected_bits`` of information per guess. None where there is nothing to count.
    """

    model: str
    run: str
    digits: int
    games: int
    errors: int
    solved: Estimate | None
    rounds: Estimate | None
    consistent: Estimate | None
    repeated: Estimate | None
    illegal: Estimate | None
    bits: Estimate | None
    expected_bits: Estimate | None
    outcomes: dict[Outcome, int]

    def as_json(self) -> dict[str, Any]:
        estimates = ("solved", "rounds", *_RATIOS)
        row: dict[str, Any] = {name: getattr(self, name) for name in ("model", "run", "digits", "games", "errors")}
        for name in estimates:
            estimate: Estimate | None = getattr(self, name)
            row[name] = None if estimate is None else estimate.as_json()
        return {**row, "outcomes": dict(self.outcomes)}


def standings(games: Iterable[GameRecord], *, by_run: bool = False, seed: int = 0) -> list[Standing]:
    """One standing per number of digits and model (with ``by_run``: and run), the best first among equal digits."""
    groups: dict[tuple[int, str, str], list[GameRecord]] = {}
    for game in games:
        groups.setdefault((game.digits, game.model, game.run if by_run else ""), []).append(game)
    found = [_standing(key, members, seed) for key, members in groups.items()]
    return sorted(
        found, key=lambda s: (s.digits, -s.solved.value if s.solved else 1.0, _mean_rounds(s), s.model, s.run)
    )


def disagreements(games: Iterable[GameRecord]) -> list[str]:
    """Every recorded answer that the rules do not give, and every outcome that the guesses belie, by its place."""
    found = []
    for game in games:
        place = game.where or f"{game.model} {game.run} game {game.game}"
        for number, (guess, recorded) in enumerate(game.history, 1):
            true = feedback(game.secret, guess)
            if recorded != true:
                found.append(
                    f"{place}: guess {number}, {guess} against {game.secret} is {true}, recorded is {recorded}"
                )
        named = any(guess == game.secret for guess, _ in game.history)
        if named != (game.outcome == "solved"):
            found.append(f"{place}: recorded as {game.outcome}, but {game.secret} was {'' if named else 'not '}named")
    return found


def with_declarations(games: Iterable[GameRecord], said: Mapping[tuple[str, int], Says | None]) -> list[GameRecord]:
    """Games with the outcome that they would have had here, where a player who had not won declared the end."""
    return [
        game if game.outcome == "solved" else replace(game, outcome=said.get((game.run, game.game)) or game.outcome)
        for game in games
    ]


def baselines(
    secrets: Sequence[str], rounds: int, *, seed: int = 0, progress: Callable[[], None] = lambda: None
) -> list[GameRecord]:
    """The games of all baseline players on ``secrets``; ``progress`` is called after each."""
    made = []
    for name, player in PLAYERS.items():
        for number, secret in enumerate(secrets):
            guesses = play_alone(player, secret, rounds, stream(seed, name, secret))
            history = tuple((guess, feedback(secret, guess)) for guess in guesses)
            outcome: Outcome = "solved" if guesses[-1] == secret else "round_limit"
            made.append(
                GameRecord(name, len(secret), secret, history, len(guesses), 0, outcome, run=BASELINE, game=number)
            )
            progress()
    return made


def record_of(played: Played[BullsAndCows], *, model: str, run: str, game: int) -> GameRecord:
    """A game as played by a model here, with its transcript."""
    env, episode = played.env, played.episode
    outcome: Outcome = played.stop if played.stop != "done" else env.outcome or "error"
    answered = tuple((turn.guess, turn.answer) for turn in env.turns if turn.guess and turn.answer)
    return GameRecord(
        model=model,
        digits=env.digits,
        secret=env.secret,
        history=answered,
        turns=len(env.turns),
        illegal=len(env.turns) - len(answered),
        outcome=outcome,
        run=run,
        game=game,
        extra={
            "faults": [{"round": turn.round, "fault": turn.fault} for turn in env.turns if turn.guess is None],
            "policy": episode.policy,
            "seed": episode.seed,
            "weights_id": episode.weights_id,
            "usage": {name: getattr(episode.usage, name) for name in ("prompt", "completion", "thinking", "calls")},
            "error": episode.error,
            "messages": [_as_json(message) for message in episode.messages],
        },
    )


def _as_json(message: Message) -> dict[str, str]:
    thinking = message.thinking
    row = {"role": message.role, "content": message.text}
    return row if thinking is None else {**row, "thinking": thinking}


def _standing(key: tuple[int, str, str], games: Sequence[GameRecord], seed: int) -> Standing:
    digits, model, run = key
    scored = [game for game in games if game.outcome != "error"]
    solved = [float(game.turns) for game in scored if game.outcome == "solved"]
    counts = Counter(game.outcome for game in games)
    return Standing(
        model=model,
        run=run,
        digits=digits,
        games=len(scored),
        errors=len(games) - len(scored),
        solved=wilson(len(solved), len(scored)) if scored else None,
        rounds=bootstrap({"solved": solved}, seed=seed) if solved else None,
        **_ratios(scored, seed),
        outcomes={outcome: counts[outcome] for outcome in OUTCOMES if counts[outcome]},
    )


def _ratios(games: Sequence[GameRecord], seed: int) -> dict[str, Estimate | None]:
    """The ratios of sums over games, each with the interval of the same resampled games."""
    if not games:
        return dict.fromkeys(_RATIOS)
    counted = [_count(game) for game in games]
    table = np.array([[row[name] for name in _COUNTS] for row in counted], dtype=np.float64)
    redrawn = resampled_means({"games": table}, seed=seed)
    return {
        name: _ratio(table[:, _COUNTS.index(above)], table[:, _COUNTS.index(per)], redrawn, name)
        for name, (above, per) in _RATIOS.items()
    }


def _ratio(above: Floats, per: Floats, redrawn: Floats, name: str) -> Estimate | None:
    """The sum of ``above`` over that of ``per``, both by game; ``redrawn`` holds all counts' means in resamples.

    A share that is 0 or 1 in every game could not vary in any resample; as elsewhere, Wilson over games then
    says how little that proves.
    """
    if per.sum() == 0:
        return None
    value, games = float(above.sum() / per.sum()), int((per > 0).sum())
    if name in _SHARES and value in (0.0, 1.0):
        return wilson(round(value) * games, games)
    i, j = (_COUNTS.index(part) for part in _RATIOS[name])
    drawn = redrawn[redrawn[:, j] > 0]  # a resample without any guess has no ratio
    low, high = np.quantile(drawn[:, i] / drawn[:, j], [0.025, 0.975])
    return Estimate(value, float(low), float(high), games)


def _count(game: GameRecord) -> dict[str, float]:
    """What happened in one game, as sums."""
    knowledge = Knowledge(game.digits)
    counts = dict.fromkeys(_COUNTS, 0.0) | {"turns": game.turns, "illegal": game.illegal}
    seen: set[str] = set()
    for guess, _ in game.history:
        evidence = knowledge.hear(guess, feedback(game.secret, guess))
        counts["answered"] += 1
        counts["illegal"] += len(set(guess)) < game.digits
        counts["repeated"] += guess in seen
        counts["informed"] += bool(seen)
        counts["consistent"] += bool(seen) and evidence.consistent
        counts["bits"] += evidence.bits
        counts["expected_bits"] += evidence.expected_bits
        seen.add(guess)
    return counts


def _mean_rounds(standing: Standing) -> float:
    return standing.rounds.value if standing.rounds else float("inf")
