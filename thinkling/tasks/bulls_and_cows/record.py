"""Games on disk, one JSON object a line: those played here, and those that others recorded.

Every game has ``model``, ``digits``, ``secret`` and ``history``, the answered guesses as
``{"guess": "1234", "bulls": 1, "cows": 2}``. ``turns`` counts all rounds, ``format_failures`` those of them without
an answer. How the game ended is ``outcome`` (see ``taxonomy.py``), or, as the open benchmark
stalkermustang/llm-bulls-and-cows-benchmark writes it, ``success`` with ``failure_reason``. ``run`` and ``game`` tell
games of one model apart. What else a line has is kept for people and not read.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from thinkling.core.errors import UserError
from thinkling.tasks.bulls_and_cows.reading import read_move
from thinkling.tasks.bulls_and_cows.rules import LENGTHS, Feedback, fault
from thinkling.tasks.bulls_and_cows.taxonomy import OUTCOMES, Outcome, Says

_REASONS: dict[str, Outcome] = {"max_turns_exceeded": "round_limit", "invalid_format_after_retries": "illegal"}
_UNREADABLE = (OSError, EOFError, zlib.error)  # what a damaged .gz raises

T = TypeVar("T", str, int, list)


@dataclass(frozen=True, slots=True)
class GameRecord:
    """One finished game. ``history`` holds the answered guesses with the answers as recorded, which need not be
    true; ``turns`` all rounds, ``illegal`` those without an answer. ``where`` is the place in the file."""

    model: str
    digits: int
    secret: str
    history: tuple[tuple[str, Feedback], ...]
    turns: int
    illegal: int
    outcome: Outcome
    run: str = ""
    game: int = 0
    where: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The line of this game; ``extra`` adds keys of its own."""
        return {
            "run": self.run,
            "model": self.model,
            "game": self.game,
            "digits": self.digits,
            "secret": self.secret,
            "outcome": self.outcome,
            "turns": self.turns,
            "format_failures": self.illegal,
            "history": [{"guess": guess, "bulls": a.bulls, "cows": a.cows} for guess, a in self.history],
            **self.extra,
        }


def read_games(path: Path) -> list[GameRecord]:
    """The games of a JSONL file (or .jsonl.gz). Raises UserError that names the line where something is wrong."""
    games = [_game(where, row) for where, row in _rows(path)]
    if not games:
        raise UserError(f"{path}: expected at least one game; the file is empty")
    return games


def read_declarations(path: Path, games: Iterable[GameRecord]) -> tuple[dict[tuple[str, int], Says | None], int]:
    """What players declared in the transcripts of their games, by (run, game); and how many name no known game.

    A transcript has ``run``, ``game``, ``digits`` and ``messages``, each with ``role`` and ``content``. The first turn
    that would have ended a game played here decides.
    """
    answered = {(game.run, game.game): {guess for guess, _ in game.history} for game in games}
    found: dict[tuple[str, int], Says | None] = {}
    homeless = 0
    for where, row in _rows(path):
        run, number = _value(where, row, "run", str, ""), row.get("game")
        if not isinstance(number, int) or (run, number) not in answered:
            homeless += 1
            continue
        key = run, number
        digits, messages = _value(where, row, "digits", int), _value(where, row, "messages", list)
        said: Says | None = None
        for message in messages:
            if not isinstance(message, dict) or not isinstance(message.get("content"), str):
                raise UserError(f"{where}: expected messages with a role and a content; got {str(message)[:80]}")
            if said is None and message.get("role") == "assistant":
                said = read_move(message["content"], digits).ending(answered[key])
        found[key] = said
    return found, homeless


def _game(where: str, row: dict[str, Any]) -> GameRecord:
    digits, secret = _value(where, row, "digits", int), _value(where, row, "secret", str)
    if digits not in LENGTHS:
        raise UserError(f"{where}: expected digits to be one of {', '.join(map(str, LENGTHS))}; got {digits}")
    if fault(secret, digits) is not None:
        raise UserError(f"{where}: expected a secret of {digits} different digits; got {secret!r}")
    history = tuple(_answered(where, item, digits) for item in _value(where, row, "history", list))
    illegal = _value(where, row, "format_failures", int, 0)
    turns = _value(where, row, "turns", int, len(history) + illegal)
    if turns != len(history) + illegal:
        raise UserError(f"{where}: expected turns = {len(history)} guesses + {illegal} format_failures; got {turns}")
    return GameRecord(
        model=_value(where, row, "model", str),
        digits=digits,
        secret=secret,
        history=history,
        turns=turns,
        illegal=illegal,
        outcome=_outcome(where, row),
        run=_value(where, row, "run", str, ""),
        game=_value(where, row, "game", int, 0),
        where=where,
    )


def _outcome(where: str, row: dict[str, Any]) -> Outcome:
    if "outcome" in row:
        if row["outcome"] not in OUTCOMES:
            raise UserError(f"{where}: expected an outcome out of {', '.join(OUTCOMES)}; got {row['outcome']!r}")
        return cast(Outcome, row["outcome"])
    if row.get("success") is True:
        return "solved"
    if row.get("success") is not False or row.get("failure_reason") not in _REASONS:
        raise UserError(
            f"{where}: expected an outcome, or success (true or false) with a failure_reason out of "
            f"{', '.join(_REASONS)}; got {row.get('success')!r} and {row.get('failure_reason')!r}"
        )
    return _REASONS[row["failure_reason"]]


def _answered(where: str, item: object, digits: int) -> tuple[str, Feedback]:
    if not isinstance(item, dict):
        raise UserError(f"{where}: expected each entry of history as an object; got {str(item)[:80]}")
    guess = _value(where, item, "guess", str)
    if fault(guess, digits) == "wrong length":
        raise UserError(f"{where}: expected guesses of {digits} digits; got {guess!r}")
    return guess, Feedback(_value(where, item, "bulls", int), _value(where, item, "cows", int))


def _value(where: str, row: dict[str, Any], name: str, kind: type[T], default: T | None = None) -> T:
    value = row.get(name, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UserError(f"{where}: expected {name} to be of type {kind.__name__}; got {str(value)[:80]!r}")
    return value


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """("file:line", object) for every line that is not blank, of a plain or a gzip file."""
    if not path.is_file():
        raise UserError(f"expected a JSONL file of games at {path}; there is none")
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line.decode("utf-8-sig"))
                except ValueError as error:
                    raise UserError(f"{path}:{number}: expected one JSON object in UTF-8; {error}") from None
                if not isinstance(row, dict):
                    raise UserError(f"{path}:{number}: expected a JSON object; got {type(row).__name__}")
                yield f"{path}:{number}", row
    except _UNREADABLE as error:
        raise UserError(f"{path}: cannot be read after line {number}: {error}") from None
