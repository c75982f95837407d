"""Counting games: the numbers, their intervals and where records lie; and the commands that show them."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from thinkling.cli.bulls_and_cows import app, play_games
from thinkling.cli.hooks import open_backend
from thinkling.core.errors import UserError
from thinkling.core.locate import PACKAGED
from thinkling.core.types import Sampling
from thinkling.evaluate.bulls_and_cows import baselines, disagreements, standings, with_declarations
from thinkling.evaluate.statistics import wilson
from thinkling.rollout.episodes import PLAIN
from thinkling.rollout.scripted import Scripted
from thinkling.tasks.bulls_and_cows.record import GameRecord, read_declarations, read_games
from thinkling.tasks.bulls_and_cows.rules import Feedback, codes, feedback
from thinkling.tasks.bulls_and_cows.taxonomy import Outcome

SHARED = os.environ.get("THINKLING_SHARED_DATA")
real = pytest.mark.skipif(
    SHARED is None, reason="set THINKLING_SHARED_DATA to a folder with games/bulls_and_cows_*.jsonl.gz to run this"
)


def game(
    *guesses: str, secret: str = "4723", illegal: int = 0, outcome: Outcome | None = None, **more: str
) -> GameRecord:
    history = tuple((guess, feedback(secret, guess)) for guess in guesses)
    ending = outcome or ("solved" if secret in guesses else "round_limit")
    return GameRecord(more.get("model", "m"), 4, secret, history, len(guesses) + illegal, illegal, ending)


def written(path: Path, *games: GameRecord) -> Path:
    path.write_text("".join(json.dumps(one.as_json()) + "\n" for one in games))
    return path


# --- counting ----------------------------------------------------------------------------------------


def test_a_standing_counts_what_happened() -> None:
    """By hand, secret 4723: 0123 leaves 180 secrets (2 bulls); 4723 fits; 0123 again tells nothing; 4444 is illegal."""
    games = [game("0123", "4723"), game("0123", "0123", "4444", illegal=2), game(illegal=3, outcome="illegal")]
    (one,) = standings([*games, game("0123", outcome="error")])
    assert (one.games, one.errors) == (3, 1)
    assert one.solved == wilson(1, 3) and one.rounds is not None and (one.rounds.value, one.rounds.n) == (2.0, 1)
    assert one.consistent and one.repeated and one.illegal and one.bits and one.expected_bits
    assert one.consistent.value == pytest.approx(1 / 3), "4723, of the three guesses that followed an answer"
    assert one.repeated.value == pytest.approx(1 / 5)
    assert one.illegal.value == pytest.approx((2 + 1 + 3) / (2 + 5 + 3))
    left = sum(feedback(s, "0123") == Feedback(2, 0) and feedback(s, "4444") == Feedback(1, 0) for s in codes(4).names)
    assert one.bits.value == pytest.approx((math.log2(5040) + math.log2(5040 / left)) / 5)
    assert one.outcomes == {"solved": 1, "round_limit": 1, "illegal": 1, "error": 1}


def test_shares_of_guesses_have_the_interval_of_whole_games() -> None:
    """A hundred games, half all consistent, half all not: the guesses are not a thousand independent ones."""
    good = game("0123", "4823", "4923", "4523", "4623")  # each fits the answers before
    bad = game("0123", "4567", "5678", "6789", "7890")
    (one,) = standings([good] * 50 + [bad] * 50)
    assert one.consistent is not None and one.consistent.value == 0.5
    width = one.consistent.high - one.consistent.low
    assert width == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 100), rel=0.15)


def test_a_share_that_never_varied_does_not_claim_to_be_exact() -> None:
    (one,) = standings([game("0123", "4723")] * 20)
    assert one.illegal == wilson(0, 20) and one.consistent == wilson(20, 20)


def test_models_digits_and_runs_are_told_apart_and_the_best_come_first() -> None:
    games = [game("0123"), game("0123", "4723", model="better"), game("4723", model="best")]
    assert [one.model for one in standings(games)] == ["best", "better", "m"]
    three = GameRecord("m", 3, "472", (("472", Feedback(3, 0)),), 1, 0, "solved", run="a")
    other = GameRecord("m", 3, "472", (("471", Feedback(2, 0)),), 1, 0, "round_limit", run="b")
    found = standings([*games, three, other], by_run=True)
    assert [(one.digits, one.run) for one in found[:2]] == [(3, "a"), (3, "b")]
    (merged,) = standings([three, other])
    assert (merged.games, merged.run) == (2, "")
    (only_errors,) = standings([game("0123", outcome="error")])
    assert only_errors.solved is None and only_errors.bits is None and only_errors.games == 0


def test_a_false_answer_or_outcome_is_named_with_its_place(tmp_path: Path) -> None:
    lie = GameRecord("m", 4, "4723", (("0123", Feedback(2, 0)), ("4321", Feedback(0, 4))), 2, 0, "solved")
    (read,) = read_games(written(tmp_path / "g.jsonl", lie))
    first, second = disagreements([read, game("0123", "4723")])
    assert first == (f"{tmp_path}/g.jsonl:1: guess 2, 4321 against 4723 is bulls:2 cows:1, recorded is bulls:0 cows:4")
    assert second.endswith("recorded as solved, but 4723 was not named")
    assert disagreements([game("4723", outcome="gave_up")])[0].endswith("recorded as gave_up, but 4723 was named")


def test_declarations_change_how_a_lost_game_ended_but_no_won_one() -> None:
    lost, won = game("0123"), game("4723")
    assert [one.outcome for one in with_declarations([lost, won], {("", 0): "gave_up"})] == ["gave_up", "solved"]
    assert with_declarations([lost], {("", 0): None}) == [lost]


def test_baselines_stand_in_the_same_table() -> None:
    games = baselines(["472", "036", "915"], 50, seed=1)
    found = {one.model: one for one in standings(games)}
    assert set(found) == {"random legal", "random consistent", "most information"}
    assert found["random consistent"].consistent == wilson(3, 3)
    assert found["most information"].solved == wilson(3, 3)
    assert disagreements(games) == [] and games == baselines(["472", "036", "915"], 50, seed=1)


# --- the commands ------------------------------------------------------------------------------------


def test_analyse_tells_counts_and_writes(tmp_path: Path) -> None:
    path = written(tmp_path / "g.jsonl", game("0123", "4723"), game("0123", model="other"))
    result = CliRunner().invoke(app, ["analyse", str(path), "--out", str(tmp_path / "s" / "standings.json")])
    assert result.exit_code == 0 and "2 games with 3 guesses; 0 disagree" in result.output
    assert "50.0%" not in result.output and "100.0%" in result.output and "[21, 100]" in result.output
    table = json.loads((tmp_path / "s" / "standings.json").read_text())
    assert table["guesses"] == 3 and table["disagreements"] == []
    assert table["standings"][0]["solved"] == {"value": 1.0, "low": wilson(1, 1).low, "high": 1.0, "n": 1}
    CliRunner().invoke(app, ["analyse", str(path), "--out", str(tmp_path / "standings.csv")])
    with (tmp_path / "standings.csv").open(newline="") as file:
        best, worst = csv.DictReader(file)
    assert float(best["solved"]) == 1.0 and best["outcomes_solved"] == "1" and worst["rounds"] == ""


def test_analyse_ends_with_status_1_where_a_record_lies(tmp_path: Path) -> None:
    path = written(
        tmp_path / "g.jsonl", GameRecord("m", 4, "4723", (("0123", Feedback(0, 2)),) * 30, 30, 0, "round_limit")
    )
    result = CliRunner().invoke(app, ["analyse", str(path)])
    assert result.exit_code == 1
    assert "30 disagree" in result.output and f"{path}:1: guess 1, 0123" in result.output and "10 more" in result.output


def test_analyse_refuses_before_it_works(tmp_path: Path) -> None:
    path = written(tmp_path / "g.jsonl", game("0123"))
    for words, message in (
        (["analyse", str(path), "--out", "table.txt"], "ends in .json or .csv"),
        (["baselines", "--secrets", "random:x"], "random:N with N from 1 to 5040"),
        (["play", "nano", "--secrets", "4724"], "4 different digits"),
        (["play", "nano", "--out", str(path)], "there is such a file already"),
        (["play", str(tmp_path / "nowhere")], "no such folder"),
    ):
        result = CliRunner().invoke(app, words)
        assert isinstance(result.exception, UserError) and message in str(result.exception), words


def test_baselines_command_shows_players_and_their_rounds() -> None:
    result = CliRunner().invoke(app, ["baselines", "--digits", "3", "--rounds", "20", "--secrets", "random:30"])
    assert result.exit_code == 0
    assert "most information, solved in: " in result.output and "random legal" in result.output


def test_help_stays_light() -> None:
    code = (
        "import sys; from thinkling.cli.bulls_and_cows import app\n"
        "heavy = {'torch', 'numpy', 'scipy', 'numba'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_games_are_logged_live_written_as_they_end_and_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    replies = ["guess: 0123", "4567?", "guess: 4723", "no idea", "guess: 0123", ConnectionError("gone")]
    out = tmp_path / "new" / "games.jsonl"
    records = play_games(
        Scripted(replies), ["4723", "0861"], rounds=9, sampling=Sampling(max_tokens=99), seed=0, policy=PLAIN, out=out
    )
    log = screen.getvalue()
    assert "game   1  round  1  0123  bulls:2 cows:0  consistent, 180 secrets left" in log
    assert "round  2  no legal guess: no guess" in log and "not consistent" in log
    assert "game   1  4723: solved after 2 rounds" in log or "game   1  4723: solved after 3 rounds" in log
    assert "error after" in log and "ConnectionError: gone" in log
    read = {one.secret: one for one in read_games(out)}
    assert [one.outcome for one in records] == ["solved", "error"]
    for record in records:
        back = read[record.secret]
        assert (back.history, back.turns, back.illegal, back.outcome) == (
            record.history, record.turns, record.illegal, record.outcome,
        )  # fmt: skip
    row = next(row for row in map(json.loads, out.read_text().splitlines()) if row["secret"] == "0861")
    assert row["error"] == "ConnectionError: gone" and row["policy"] == "plain" and row["usage"]["calls"] > 0
    assert row["messages"][0]["role"] == "user" and disagreements(list(read.values())) == []


def test_the_packaged_model_plays_to_a_named_end(tmp_path: Path) -> None:
    out = tmp_path / "games.jsonl"
    words = ["play", "nano", "--digits", "3", "--rounds", "4", "--secrets", "472,036", "--out", str(out)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.exception
    assert "nano" in result.output and "random consistent" in result.output and str(out) in result.output
    assert all(one.outcome in ("illegal", "round_limit", "solved") for one in read_games(out))
    assert CliRunner().invoke(app, ["analyse", str(out)]).exit_code == 0


@pytest.mark.parametrize("room", [64, 150])
def test_a_conversation_that_outgrows_the_context_ends_as_context_full(room: int) -> None:
    """The engine's own words for it, at 64 tokens for the opening, at 150 in the middle of a turn or game."""
    backend = open_backend(PACKAGED, max_len=room, slots=1)
    (record,) = play_games(backend, ["4723"], rounds=50, sampling=Sampling(0.0, max_tokens=room), seed=0)
    assert record.outcome == "context_full" and "error" not in record.outcome
    assert record.turns == 0 or room > 64
    (one,) = standings([record])
    assert one.solved == wilson(0, 1)


@real
def test_the_real_games_are_counted_as_their_benchmark_published_them() -> None:
    """All 47,549 answers agree; solved games, intervals and rounds are those of its results table (4 digits)."""
    assert SHARED is not None
    games = read_games(Path(SHARED) / "games" / "bulls_and_cows_games.jsonl.gz")
    assert len(games) == 3875 and sum(len(one.history) for one in games) == 47_549
    assert disagreements(games) == []
    found = {one.run: one for one in standings(games, by_run=True)}
    for run, solved, low, high, rounds in (
        ("benchmark_o1mini-500-4d", 52.8, 48.4, 57.1, 8.4),
        ("benchmark_4o-500-temp0-4d", 30.6, 26.7, 34.8, 9.9),
        ("benchmark_dsr1-50-4d", 32.0, 20.8, 45.8, 7.0),
        ("benchmark_4o-mini-500-4d", 17.0, 14.0, 20.5, 10.8),
        ("benchmark_flash15-002-4d", 2.0, 0.4, 10.5, 8.0),
    ):
        share, mean = found[run].solved, found[run].rounds
        assert share is not None and mean is not None
        assert [round(100 * x, 1) for x in (share.value, share.low, share.high)] == [solved, low, high]
        assert round(mean.value, 1) == rounds
    assert found["benchmark_haiku35-4d"].solved == wilson(0, 50)
    said, homeless = read_declarations(Path(SHARED) / "games" / "bulls_and_cows_transcripts.jsonl.gz", games)
    assert (len(said), homeless) == (1320, 38)
    kinds = list(said.values())
    assert (kinds.count("gave_up"), kinds.count("claimed_victory")) == (8, 7)
