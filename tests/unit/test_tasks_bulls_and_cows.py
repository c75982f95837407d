"""Bulls and Cows: exact answers, exact reading, every ending, and players as good as they should be."""

from __future__ import annotations

import gzip
import json
import math
import os
import random
from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.core.types import Message
from thinkling.tasks.bulls_and_cows.env import BullsAndCows
from thinkling.tasks.bulls_and_cows.knowledge import Knowledge
from thinkling.tasks.bulls_and_cows.players import PLAYERS, play_alone
from thinkling.tasks.bulls_and_cows.reading import guess_kind, read_move
from thinkling.tasks.bulls_and_cows.record import GameRecord, read_declarations, read_games
from thinkling.tasks.bulls_and_cows.rules import FIXED_SECRETS, Feedback, choose_secrets, codes, fault, feedback
from thinkling.tasks.bulls_and_cows.taxonomy import declared
from thinkling.tasks.bulls_and_cows.tree import Node, depths, entropy_tree

SHARED = os.environ.get("THINKLING_SHARED_DATA")
real = pytest.mark.skipif(
    SHARED is None, reason="set THINKLING_SHARED_DATA to a folder with games/bulls_and_cows_*.jsonl.gz to run this"
)

lengths = st.sampled_from([3, 4, 5])


@st.composite
def secrets_and_guesses(draw: st.DrawFn, repeats: bool, digits: st.SearchStrategy[int] = lengths) -> tuple[str, str]:
    size = draw(digits)
    secret = "".join(draw(st.permutations("0123456789"))[:size])
    if repeats:
        return secret, draw(st.text("0123456789", min_size=size, max_size=size))
    return secret, "".join(draw(st.permutations("0123456789"))[:size])


def crossed_off(secret: str, guess: str) -> tuple[int, int]:
    """The answer as people find it on paper: cross off the bulls in both, then pair up what is left."""
    mine, yours = list(secret), list(guess)
    bulls = 0
    for place in range(len(secret)):
        if mine[place] == yours[place]:
            bulls += 1
            mine[place], yours[place] = "", "-"
    cows = 0
    for digit in yours:
        if digit in mine:
            cows += 1
            mine[mine.index(digit)] = ""
    return bulls, cows


# --- the rules ---------------------------------------------------------------------------------------


@given(secrets_and_guesses(repeats=True))
def test_the_answer_is_the_one_found_on_paper(pair: tuple[str, str]) -> None:
    secret, guess = pair
    answer = feedback(secret, guess)
    assert (answer.bulls, answer.cows) == crossed_off(secret, guess)
    every = codes(len(secret))
    (byte,) = every.answers_to(guess, np.array([every.index[secret]]))
    assert every.unpack(int(byte)) == answer and every.pack(answer) == byte


@given(secrets_and_guesses(repeats=False), st.permutations("0123456789"), st.randoms(use_true_random=False))
def test_secret_and_guess_may_change_places_digits_their_names_and_places_their_order(
    pair: tuple[str, str], names: list[str], rng: random.Random
) -> None:
    secret, guess = pair
    order = rng.sample(range(len(secret)), len(secret))

    def disguise(code: str) -> str:
        return "".join(names[int(code[place])] for place in order)

    assert feedback(secret, guess) == feedback(guess, secret) == feedback(disguise(secret), disguise(guess))
    assert (feedback(secret, guess).bulls == len(secret)) == (secret == guess)


def test_the_answers_text_is_exact() -> None:
    assert str(feedback("4723", "4327")) == "bulls:2 cows:2"
    with pytest.raises(ValueError, match="4 digits"):
        feedback("4723", "472")


def test_the_table_counts_what_combinatorics_counts() -> None:
    """Published counts of each answer to a first guess at 4 digits; the row of every guess has the same."""
    every = codes(4)
    assert every.table_NN.shape == (5040, 5040) and every.table_NN.dtype == np.uint8
    first = Counter(str(every.unpack(int(byte))) for byte in every.table_NN[0])
    expected = {
        (0, 0): 360, (0, 1): 1440, (0, 2): 1260, (0, 3): 264, (0, 4): 9, (1, 0): 480, (1, 1): 720, (1, 2): 216,
        (1, 3): 8, (2, 0): 180, (2, 1): 72, (2, 2): 6, (3, 0): 24, (4, 0): 1,
    }  # fmt: skip
    assert first == {str(Feedback(*answer)): count for answer, count in expected.items()}
    assert (every.table_NN == every.table_NN.T).all()
    assert (np.sort(every.table_NN[17]) == np.sort(every.table_NN[0])).all()


@given(secrets_and_guesses(repeats=False))
def test_rows_made_on_demand_are_those_of_the_table(pair: tuple[str, str]) -> None:
    every = codes(len(pair[0]))
    guesses = np.array([every.index[pair[0]], every.index[pair[1]]])
    secrets = np.arange(0, len(every), 97)
    rows = every.answers(guesses, secrets)
    for row, guess in zip(rows, pair, strict=True):
        assert [every.unpack(int(byte)) for byte in row] == [feedback(every.names[s], guess) for s in secrets]


def test_codes_are_all_there_and_a_length_beyond_the_game_is_refused() -> None:
    assert [len(codes(digits)) for digits in (3, 4, 5)] == [720, 5040, 30240]
    assert codes(4).names[:2] == ("0123", "0124") and codes(4).names[-1] == "9876"
    with pytest.raises(UserError, match="expected 3, 4, 5 as the number of digits; got 6"):
        codes(6)


def test_secrets_are_chosen_by_what_was_written() -> None:
    for digits, fixed in FIXED_SECRETS.items():
        assert choose_secrets("fixed", digits, 0) == fixed and len(set(fixed)) == 10
        assert all(fault(secret, digits) is None for secret in fixed)
    assert "4723" in FIXED_SECRETS[4] and any(secret[0] == "0" for secret in FIXED_SECRETS[4])
    assert choose_secrets("4723, 0861", 4, 0) == ("4723", "0861")
    assert choose_secrets("all", 3, 0) == codes(3).names
    drawn = choose_secrets("random:50", 4, 1)
    assert len(set(drawn)) == 50 and drawn == choose_secrets("random:50", 4, 1) != choose_secrets("random:50", 4, 2)
    for wrong in ("random:0", "random:721", "random:x"):
        with pytest.raises(UserError, match="random:N with N from 1 to 720"):
            choose_secrets(wrong, 3, 0)
    for wrong in ("4723", "112", "12", "fixd"):
        with pytest.raises(UserError, match=f"3 different digits, for example 472; got '{wrong}'"):
            choose_secrets(wrong, 3, 0)


# --- what answers tell -------------------------------------------------------------------------------


@settings(max_examples=15)
@given(secrets_and_guesses(repeats=True, digits=st.sampled_from([3, 3, 4])), st.integers(0, 2**32))
def test_knowledge_is_that_of_one_who_checks_every_secret(pair: tuple[str, str], seed: int) -> None:
    secret, guess = pair
    digits, rng = len(secret), random.Random(seed)
    knowledge = Knowledge(digits)
    left = ["".join(code) for code in permutations("0123456789", digits)]
    for try_ in (rng.choice(left), guess, secret):
        answer = feedback(secret, try_)
        cells = Counter(feedback(other, try_) for other in left)
        entropy = -sum(n / len(left) * math.log2(n / len(left)) for n in cells.values())
        evidence = knowledge.hear(try_, answer)
        assert evidence.consistent == (try_ in left)
        left = [other for other in left if feedback(other, try_) == answer]
        assert knowledge.possible == left and evidence.after == len(left)
        assert evidence.bits == pytest.approx(math.log2(evidence.before / len(left)))
        assert evidence.expected_bits == pytest.approx(entropy)
    assert knowledge.possible == [secret]


def test_answers_that_contradict_each_other_are_refused() -> None:
    knowledge = Knowledge(4)
    knowledge.hear("0123", Feedback(0, 0))
    for impossible in (Feedback(1, 0), Feedback(3, 1), Feedback(0, 5), Feedback(-1, 3)):
        with pytest.raises(ValueError, match="no secret is left that answers 0123"):
            knowledge.hear("0123", impossible)
    assert len(knowledge.possible) == 360


# --- reading a turn ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("guess: 1234", "1234"),
        ("Guess:0123", "0123"),
        ("I keep the 4.\n\nMy next GUESS: 4721.", "4721"),
        ("**guess:** 5678", "5678"),
        ("**Guess: 5678**", "5678"),
        ("guess: `5678`", "5678"),
        ("guess: 1234\nNo, that repeats round 2.\nguess: 5678", "5678"),
        ("guess: 1234, as 5678 had no bulls", "1234"),
        ("guess: 1234 or, in words, one two three four", "1234"),
        ("guess: 1234 or 1234", "1234"),
        ("guess\uff1a 1234", "1234"),
        ("1234", "1234"),
        ("I try 1234. Since 1234 has a 4.", "1234"),
        ("With bulls:1 cows:2 on two places, the next is 9,then 8: (9876)", "9876"),
        ("\\boxed{0481}", "0481"),
        ("My guess is 0481!", "0481"),
        ("Guess 7: 0481", "0481"),
    ],
)
def test_a_turn_with_one_legal_guess(text: str, guess: str) -> None:
    move = read_move(text, 4)
    assert (move.guess, move.fault) == (guess, "")
    assert text[move.start : move.start + 4] == guess


@pytest.mark.parametrize(
    ("text", "fault", "found"),
    [
        ("", "no guess", ""),
        ("I have no idea.", "no guess", ""),
        ("guess:\n", "no guess", ""),
        ("bulls:1 cows:2", "no guess", ""),
        ("guess: 123", "wrong length", "123"),
        ("guess: 12345", "wrong length", "12345"),
        ("guess: 1234.5", "wrong length", "1234.5"),
        ("guess: 1,234", "wrong length", "1,234"),
        ("guess: 1234th", "wrong length", "1234th"),
        ("guess: 1 2 3 4", "wrong length", "1"),
        ("guess: 1234\nguess: 99", "wrong length", "99"),
        ("guess: 1123", "repeated digits", "1123"),
        ("guess: 1123, but rather 1234", "repeated digits", "1123"),
        ("guess: 1234 or 5678", "ambiguous", "1234 and 5678"),
        ("guess: 1234/5678", "ambiguous", "1234 and 5678"),
        ("guess: 1234 - 5678", "ambiguous", "1234 and 5678"),
        ("1234 or 5678", "ambiguous", "1234 and 5678"),
        ("1234 is out, 1123 too", "ambiguous", "1234 and 1123"),
        ("The answer is 12345.", "wrong length", "12345"),
        ("The answer is 30.", "wrong length", "30"),
        ("0.1234", "wrong length", "0.1234"),
        ("x1234 and 1234x", "no guess", ""),
        ("\uff11\uff12\uff13\uff14", "no guess", ""),
        ("1122", "repeated digits", "1122"),
    ],
)
def test_a_turn_without_a_legal_guess_keeps_the_reason(text: str, fault: str, found: str) -> None:
    move = read_move(text, 4)
    assert move.guess is None
    if text == "0.1234":  # a decimal fraction is no code, with or without its dot
        assert move.fault in ("no guess", "wrong length")
        return
    assert (move.fault, move.found) == (fault, found)


@given(st.text(st.sampled_from("01234 .,:\n*guesGUES or"), max_size=40), lengths)
def test_reading_never_invents_a_guess(text: str, digits: int) -> None:
    move = read_move(text, digits)
    assert (move.guess is None) == bool(move.fault)
    if move.guess is not None:
        assert fault(move.guess, digits) is None and text[move.start : move.start + digits] == move.guess
        if not move.marked:
            assert [run for run in "".join(c if c.isdigit() else " " for c in text).split() if len(run) == digits]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("I give up.", "gave_up"),
        ("This is hopeless, so I think I have to give up", "gave_up"),
        ("I've given up!", "gave_up"),
        ("I concede. Well played.", "gave_up"),
        ("I\u2019m unable to solve this puzzle.", "gave_up"),
        ("I am really unable to determine the secret code. Sorry.", "gave_up"),
        ("I'm lost and can't make another guess.", "gave_up"),
        ("Unfortunately, I cannot proceed.", "gave_up"),
        ("Please tell me the answer.", "gave_up"),
        ("I have won!", "claimed_victory"),
        ("Hooray, I won the game.", "claimed_victory"),
        ("GAME OVER", "claimed_victory"),
        ("The game is now over. Thank you for playing.", "claimed_victory"),
        ("I've successfully guessed the secret 4-digit number.", "claimed_victory"),
        ("I will stop here, as I have already solved the puzzle.", "claimed_victory"),
        ("The code is cracked.", "claimed_victory"),
        ("I won't give up.", None),
        ("I will not give up.", None),
        ("If I fail again I give up.", None),
        ("Perhaps I should give up.", None),
        ("Do I give up?", None),
        ("I give up on the 7. Next I look at the 3.", None),
        ("I give up. Or rather: one more try. The 4 was a bull. So it stays.", None),
        ("I have not won.", None),
        ("I could have won.", None),
        ("Once I have guessed the number the game is over.", None),
        ("Is the game over?", None),
        ("I have found the first digit.", None),
        ("I found the number of bulls.", None),
        ("I am unable to say which digit is the cow.", None),
        ("7 cannot provide a bull.", None),
        ("", None),
    ],
)
def test_only_a_plain_statement_declares_the_end(text: str, says: str | None) -> None:
    assert declared(text) == says


def test_a_guess_is_a_kind_of_answer_that_strategies_can_vote_over() -> None:
    kind = guess_kind(4)
    assert kind.answer("first I thought 5678.\nguess: 1234") == "1234"
    assert kind.answer("1234 or 5678") is None and kind.read("1234 or 5678").reason == "ambiguous"
    assert kind.grade("guess: 1234", "1234").score == 1.0 and kind.grade("guess: 1243", "1234").score == 0.0


# --- the environment ---------------------------------------------------------------------------------


def played(secret: str, *texts: str, rounds: int = 50) -> BullsAndCows:
    env = BullsAndCows(secret, rounds=rounds)
    for text in texts:
        assert env.outcome is None, f"the game was over before {text!r}"
        step = env.step(Message.assistant(text))
        assert step.done == (env.outcome is not None) == (step.verdict is not None)
    return env


def test_a_game_is_a_conversation_of_guesses_and_answers() -> None:
    env = BullsAndCows("4723")
    (opening,) = env.observe()
    assert opening.role == "user" and opening.text == env.problem.prompt and "4723" not in opening.text
    assert "guess: 1234" in opening.text and "50 rounds" in opening.text
    step = env.step(Message.assistant("guess: 4327"))
    assert step.observation == Message.user("bulls:2 cows:2") and not step.done
    assert [message.role for message in env.observe()] == ["user", "assistant", "user"]
    end = env.step(Message.assistant("guess: 4723"))
    assert end.done and end.observation == Message.user("bulls:4 cows:0")
    assert end.verdict is not None and (end.verdict.score, end.verdict.extracted) == (1.0, "4723")
    with pytest.raises(RuntimeError, match="over"):
        env.step(Message.assistant("guess: 4723"))
    with pytest.raises(RuntimeError, match="over"):
        env.observe()


@pytest.mark.parametrize(
    ("texts", "outcome", "rounds"),
    [
        (["guess: 1234", "guess: 4723"], "solved", 2),
        (["guess: 1234", "guess: 1234", "guess: 1234"], "round_limit", 3),
        (["guess: 1234", "I give up."], "gave_up", 2),
        (["guess: 4721", "I have won! Game over."], "claimed_victory", 2),
        (["guess: 4721", "The secret is 4721. I have won!"], "claimed_victory", 2),
        (["guess: 4721", "I have won: it is 4723."], "solved", 2),
        (["I have won! guess: 4721", "I give up. guess: 4732", "guess: 4723"], "solved", 3),
        (["?", "11", "1123"], "illegal", 3),
        (["I give up. guess: 1123", "I have won. guess: 12", "guess: 4723"], "solved", 3),
        (["I'm unable to determine the secret number. I try 1234", "guess: 4723"], "solved", 2),
    ],
)
def test_every_ending(texts: list[str], outcome: str, rounds: int) -> None:
    env = played("4723", *texts, rounds=3)
    assert (env.outcome, len(env.turns)) == (outcome, rounds)


def test_illegal_turns_are_explained_cost_a_round_and_end_the_game_only_in_a_row() -> None:
    env = played("4723", "guess: 1123", "1234 or 5678", "guess: 1234", "guess: 12", "hm")
    assert [turn.fault for turn in env.turns] == ["repeated digits", "ambiguous", "", "wrong length", "no guess"]
    told = [message.text for message in env.observe() if message.role == "user"]
    assert "repeated digits (1123)" in told[1] and "cost a round" in told[1] and "guess: 1234" in told[1]
    assert told[3] == "bulls:0 cows:3"
    env.step(Message.assistant("hm"))
    assert env.outcome == "illegal" and len(env.turns) == 6
    assert played("4723", "?", "?", rounds=2).outcome == "round_limit"


def test_each_guess_is_weighed() -> None:
    env = played("4723", "guess: 0123", "guess: 0123", "guess: 4567", "guess: 4723")
    first, again, against, last = env.turns
    assert first.evidence and again.evidence and against.evidence and last.evidence
    assert not first.repeated and again.repeated and not against.repeated
    assert [turn.evidence.consistent for turn in env.turns if turn.evidence] == [True, False, False, True]
    assert again.evidence.bits == again.evidence.expected_bits == 0.0
    assert sum(turn.evidence.bits for turn in env.turns if turn.evidence) == pytest.approx(math.log2(5040))


def test_thinking_is_not_read() -> None:
    env = BullsAndCows("4723")
    env.step(Message.assistant("guess: 1234", think="I give up. guess: 4723"))
    assert env.turns[0].guess == "1234" and env.outcome is None


def test_what_is_no_game_is_refused() -> None:
    with pytest.raises(UserError, match="4 different digits"):
        BullsAndCows("4724")
    with pytest.raises(ValueError, match="at least 1"):
        BullsAndCows("4723", rounds=0)
    with pytest.raises(ValueError, match="role 'user'"):
        BullsAndCows("4723").step(Message.user("guess: 4723"))
    assert BullsAndCows("4723").problem.key != BullsAndCows("4732").problem.key


# --- players -----------------------------------------------------------------------------------------


def test_the_most_informed_player_never_needs_more_than_seven_rounds() -> None:
    """All 5,040 secrets. The best possible total is 26,274 (Tanaka 1996); greed alone would need an eighth round."""
    rounds = depths(4)
    assert np.bincount(rounds).tolist() == [0, 1, 5, 62, 611, 2482, 1780, 99]
    assert rounds.sum() == 26424 and rounds.min() >= 1


def test_three_digits_take_at_most_six_rounds() -> None:
    rounds = depths(3)
    assert np.bincount(rounds).tolist() == [0, 1, 6, 28, 103, 385, 197]
    player = PLAYERS["most information"]
    for secret in codes(3).names[::23]:
        assert len(play_alone(player, secret, 50, random.Random(0))) == rounds[codes(3).index[secret]]


@pytest.mark.slow
def test_five_digits_take_at_most_eight_rounds() -> None:
    assert np.bincount(depths(5)).tolist() == [0, 1, 8, 88, 1621, 9069, 14870, 4437, 146]


def test_the_tree_asks_for_the_most_information_and_breaks_ties_as_it_says() -> None:
    """Against a slow twin, in the smaller states of the second round of 3 digits, and below the smallest."""
    every = codes(3)

    def best(left: list[str]) -> str:
        def rank(guess: str) -> tuple[float, bool, str]:
            cells = Counter(feedback(secret, guess) for secret in left).values()
            return round(sum(n * math.log2(n) for n in cells) / len(left), 9), guess not in left, guess

        return min(every.names, key=rank)

    def check(node: Node, left: list[str], deeper: int) -> None:
        assert every.names[node.guess] == best(left)
        for answer, child in node.children.items():
            rest = [secret for secret in left if every.pack(feedback(secret, every.names[node.guess])) == answer]
            if deeper and 3 < len(rest) < 10:
                check(child, rest, deeper - 1)

    root = entropy_tree(3)
    assert every.names[root.guess] == "012"
    for answer, child in root.children.items():
        left = [secret for secret in every.names if every.pack(feedback(secret, "012")) == answer]
        if 2 < len(left) < 100:
            check(child, left, deeper=int(len(left) < 40))


def test_baselines_keep_their_word() -> None:
    for secret in ("4723", "0123", "9876"):
        knowledge = Knowledge(4)
        guesses = play_alone(PLAYERS["random consistent"], secret, 50, random.Random(secret))
        assert guesses[-1] == secret
        assert all(knowledge.hear(guess, feedback(secret, guess)).consistent for guess in guesses)
    legal = play_alone(PLAYERS["random legal"], "4723", 50, random.Random(0))
    assert len(legal) == 50 and all(fault(guess, 4) is None for guess in legal)
    assert len(play_alone(PLAYERS["most information"], "4723", 2, random.Random(0))) == 2


# --- games on disk -----------------------------------------------------------------------------------

GAME = {
    "model": "m", "digits": 4, "secret": "4723", "turns": 3, "format_failures": 1, "outcome": "solved",
    "history": [{"guess": "4327", "bulls": 2, "cows": 2}, {"guess": "4723", "bulls": 4, "cows": 0}],
}  # fmt: skip


def test_a_game_survives_the_file(tmp_path: Path) -> None:
    history = (("4327", Feedback(2, 2)), ("4723", Feedback(4, 0)))
    game = GameRecord("m", 4, "4723", history, 3, 1, "solved", "r", 7, extra={"seed": 1})
    plain, packed = tmp_path / "games.jsonl", tmp_path / "games.jsonl.gz"
    plain.write_text("\n" + json.dumps(game.as_json()) + "\n")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, packed):
        (read,) = read_games(path)
        assert read == GameRecord("m", 4, "4723", history, 3, 1, "solved", "r", 7, where=f"{path}:2")


def test_the_open_benchmarks_endings_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    ends = [(True, None), (False, "max_turns_exceeded"), (False, "invalid_format_after_retries")]
    rows = [{**GAME, "success": success, "failure_reason": reason} for success, reason in ends]
    for row in rows:
        del row["outcome"]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert [game.outcome for game in read_games(path)] == ["solved", "round_limit", "illegal"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "expected one JSON object"),
        ("[]", "expected a JSON object; got list"),
        (json.dumps({**GAME, "model": None}), "expected model to be of type str"),
        (json.dumps({**GAME, "digits": True}), "expected digits to be of type int"),
        (json.dumps({**GAME, "digits": 6}), "one of 3, 4, 5; got 6"),
        (json.dumps({**GAME, "secret": "4724"}), "a secret of 4 different digits; got '4724'"),
        (json.dumps({**GAME, "turns": 2}), r"turns = 2 guesses \+ 1 format_failures; got 2"),
        (json.dumps({**GAME, "outcome": "bored"}), "an outcome out of solved, round_limit"),
        (json.dumps({**GAME, "history": ["4327"], "turns": 2}), "each entry of history as an object"),
        (json.dumps({**GAME, "history": [{"guess": "432", "bulls": 1, "cows": 1}], "turns": 2}), "guesses of 4 digits"),
        (json.dumps({**GAME, "history": [{"guess": "4327", "bulls": 1}], "turns": 2}), "cows to be of type int"),
        (json.dumps({k: v for k, v in GAME.items() if k != "outcome"}), "success \\(true or false\\)"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "games.jsonl"
    path.write_text(json.dumps(GAME) + "\n" + line + "\n")
    with pytest.raises(UserError, match=message) as error:
        read_games(path)
    assert str(error.value).startswith(f"{path}:2: ")


def test_a_file_that_is_missing_empty_or_cut_off_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is none"):
        read_games(tmp_path / "no.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UserError, match="the file is empty"):
        read_games(tmp_path / "empty.jsonl")
    whole = gzip.compress(b"".join(json.dumps({**GAME, "run": str(i)}).encode() + b"\n" for i in range(500)))
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut.jsonl.gz: cannot be read after line \d+"):
        read_games(tmp_path / "cut.jsonl.gz")


def test_transcripts_tell_who_declared_the_end(tmp_path: Path) -> None:
    path = tmp_path / "transcripts.jsonl"
    ends = ["guess: 4321. I have won!", "It was 4327. I have won!", "I give up.", "It was 4321. I have won!"]
    rows = [
        {"run": "r", "game": i, "digits": 4, "messages": [
            {"role": "user", "content": "I give up."}, {"role": "assistant", "content": end},
            {"role": "assistant", "content": "guess: 4723"}]}
        for i, end in enumerate(ends)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, [*rows, {**rows[0], "game": None}, {**rows[0], "run": "other"}])))
    games = [GameRecord("m", 4, "4723", (("4327", Feedback(2, 2)),), 1, 0, "round_limit", "r", i) for i in range(4)]
    said, homeless = read_declarations(path, games)
    assert said == {("r", 0): None, ("r", 1): "claimed_victory", ("r", 2): "gave_up", ("r", 3): None}
    assert homeless == 2


@real
def test_turns_of_real_models_are_read_as_the_benchmark_read_them() -> None:
    """Where that accepted a guess of different digits, ours is the same; it has seen nearly 15,000 of them."""
    assert SHARED is not None
    path = Path(SHARED) / "games" / "bulls_and_cows_transcripts.jsonl.gz"
    read = 0
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            for message in row["messages"]:
                last = message["content"].strip().rsplit("\n", 1)[-1]
                claimed = last.removeprefix("GUESS:").strip() if last.startswith("GUESS:") else ""
                if message["role"] == "assistant" and fault(claimed, row["digits"]) is None:
                    assert read_move(message["content"], row["digits"]).guess == claimed
                    read += 1
    assert read > 14_000
