"""Evaluations that go wrong, or oddly: what they refuse, what they survive, and how they count all the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from thinkling.cli.asking import Question, ask
from thinkling.cli.evaluation import report, run
from thinkling.core.errors import UserError
from thinkling.core.seeds import derive, stream
from thinkling.core.types import Sample, Score, Scored, Usage
from thinkling.evaluate.attempts import ATTEMPTS
from thinkling.evaluate.comparing import compare_folders
from thinkling.evaluate.evaluation import Evaluation, Settings, evaluate, read
from thinkling.evaluate.voting import maj_at_k
from thinkling.rollout.scripted import Reply, Scripted


def asked(tasks: Sequence[Path], *strategies: str, **more: object) -> Settings:
    return Settings("m", "m", tuple(map(str, tasks)), strategies, max_tokens=100, **more)  # type: ignore[arg-type]


def sums(folder: Path, count: int = 6, name: str = "sums") -> Path:
    path = folder / f"{name}.jsonl"
    rows = [{"question": f"{name} {n} + {n}?", "answer": str(2 * n)} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def truth(effect: Sample) -> int:
    return 2 * int(effect.messages[0].text.split()[1])


def right(effect: Sample, index: int) -> str:
    return f"The answer is {truth(effect)}."


def even(effect: Sample, index: int) -> str:
    luck = stream(derive(effect.seed, index), "luck").random()
    return f"The answer is {truth(effect) + (luck < 0.5)}."


def evaluated(folder: Path, settings: Settings, reply: Reply) -> Evaluation:
    return evaluate(settings, folder / "e", lambda: Scripted(reply))


# --- counting -------------------------------------------------------------------------------------


def test_a_vote_over_votes_counts_the_answers_that_were_given(tmp_path: Path) -> None:
    """An inner vote that tied is worth half where it stands alone; as a ballot it is the answer that it drew."""
    made = evaluated(tmp_path, asked([sums(tmp_path, 20)], "sc:n=3(sc:n=2)"), even)
    (outcomes,) = made.outcomes["sc:n=3(sc:n=2)"].values()
    assert any(read.attempt.tied for one in outcomes for read in one.reads)
    for one in outcomes:
        answers = [read.answer for read in one.reads]
        for k in (1, 3):
            assert one.curve[k - 1] == pytest.approx(maj_at_k(answers, {one.problem.answer: 1.0}, k))


def test_a_problem_that_a_file_holds_twice_is_asked_once(tmp_path: Path) -> None:
    path = tmp_path / "twice.jsonl"
    path.write_text(json.dumps({"q": "sums 1 + 1?", "a": 2}) + "\n" + json.dumps({"q": "sums 1  + 1?", "a": 2}) + "\n")
    made = evaluated(tmp_path, asked([path], "sc:n=4", question_field="q", answer_field="a"), right)
    assert made.sampled == 4 and made.table["strategies"]["sc:n=4"]["accuracy"]["n"] == 1


def test_tasks_count_the_same_in_accuracy_in_cost_and_on_the_frontier(tmp_path: Path) -> None:
    """Plain solves the large task alone; the dearer strategy all of the small one and half of the large."""

    def reply(effect: Sample, index: int) -> str:
        text = effect.messages[0].text
        small, dear = text.startswith("small"), "recall" in text
        solved = small or truth(effect) < 60 if dear else not small
        return f"The answer is {truth(effect) if solved else -1}."

    tasks = [sums(tmp_path, 60, "large"), sums(tmp_path, 6, "small")]
    table = evaluated(tmp_path, asked(tasks, "plain", "analogical"), reply).table
    points = {point["name"]: point for point in table["frontier"]}
    for name, value in (("plain", 0.5), ("analogical", 0.75)):
        row = table["strategies"][name]
        assert row["accuracy"]["value"] == pytest.approx(points[name]["accuracy"]["value"]) == pytest.approx(value)
        assert row["tokens"]["total"] == pytest.approx(points[name]["tokens"]["value"], abs=1e-3)
        assert points[name]["on_frontier"]


def test_an_unscored_task_spoils_no_other_ones_curve(tmp_path: Path) -> None:
    for name, gold in (("none", None), ("some", 2)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"q": "sums 1 + 1?", "a": gold}) + "\n")
    tasks = [tmp_path / "none.jsonl", tmp_path / "some.jsonl"]
    made = evaluated(tmp_path, asked(tasks, "sc:n=2", question_field="q", answer_field="a"), right)
    row = made.table["strategies"]["sc:n=2"]
    assert row["accuracy"]["n"] == 1 and row["unscored"] == 1 and len(row["curve"]) == 2


# --- what fails -----------------------------------------------------------------------------------


def test_one_answer_that_can_never_be_sampled_holds_nothing_up(tmp_path: Path) -> None:
    def reply(effect: Sample, index: int) -> str | Exception:
        return ValueError("too long") if truth(effect) == 4 else right(effect, index)

    settings = asked([sums(tmp_path)], "plain")
    for _ in range(2):
        row = evaluated(tmp_path, settings, reply).table["strategies"]["plain"]
        assert row["accuracy"]["n"] == 5 and row["unscored"] == 1 and "too long" in row["error"]


def test_strategies_without_a_common_problem_are_still_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def reply(effect: Sample, index: int) -> str | Exception:
        text = effect.messages[0].text
        return ValueError("no") if text.startswith("a") == ("recall" in text) else right(effect, index)

    made = evaluated(tmp_path, asked([sums(tmp_path, 3, "a"), sums(tmp_path, 3, "b")], "plain", "analogical"), reply)
    assert made.table["comparisons"] == made.table["frontier"] == []
    assert [row["accuracy"]["n"] for row in made.table["strategies"].values()] == [3, 3]
    report(tmp_path / "e")
    assert "no problem in common" in capsys.readouterr().out.replace("\n", " ")


def test_a_turn_in_which_nothing_was_said_is_worth_nothing_to_a_judge(tmp_path: Path) -> None:
    def score(effect: Score) -> Scored:
        assert effect.turn.text
        return Scored((-1.0,), None, Usage(calls=1))

    def reply(effect: Sample, index: int) -> str:
        return "" if stream(effect.seed, "luck").random() < 0.3 else right(effect, index)

    made = evaluate(
        asked([sums(tmp_path)], "bon:n=4,by=likelihood"), tmp_path / "e", lambda: Scripted(reply, score=score)
    )
    (outcomes,) = made.outcomes["bon:n=4,by=likelihood"].values()
    values = [(read.attempt.text, read.judged.value) for one in outcomes for read in one.reads if read.judged]
    assert len(values) == 24 and all((value == 0.0) == (text == "") for text, value in values)
    assert "" in dict(values)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("bon:n=4", "verifier=PATH"),
        ("vote:n=4", "needs a verifier"),
        ("bon:n=4,by=likelihood", "needs scoring"),
        ("sc:n=4,error=0.6", "between 0 and 0.5"),
    ],
)
def test_what_cannot_judge_is_refused_before_a_token_is_spent(tmp_path: Path, spec: str, message: str) -> None:
    model = Scripted(right)
    with pytest.raises(UserError, match=message):
        evaluate(asked([sums(tmp_path)], spec), tmp_path / "e", lambda: model)
    assert not model.submitted


@pytest.mark.parametrize("spec", ["bon:n=4", "vote:n=4"])
def test_a_judge_that_is_not_named_is_refused_even_where_nothing_is_to_be_sampled(tmp_path: Path, spec: str) -> None:
    evaluated(tmp_path, asked([sums(tmp_path)], "sc:n=4"), right)
    with pytest.raises(UserError, match="verifier=PATH"):
        evaluated(tmp_path, asked([sums(tmp_path)], spec), right)


def test_names_that_lead_nowhere_are_told_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thinkling.cli.evaluation.model_id", lambda model: model)
    monkeypatch.setattr("thinkling.cli.evaluation.open_model", lambda *args, **named: Scripted(right))
    task, nowhere = sums(tmp_path), tmp_path / "nowhere"
    for settings in (asked([task], trained_on=str(nowhere)), asked([task], f"bon:n=2,verifier={nowhere}")):
        with pytest.raises(UserError, match="nowhere: "):
            run(settings, tmp_path / "e", max_len=64, slots=1)
        assert not (tmp_path / "e").exists()
    (tmp_path / "e").touch()
    with pytest.raises(UserError, match="it is a file"):
        evaluated(tmp_path, asked([task], "plain"), right)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{}, {"question_field": "question", "answer_field": "answer"}])
def test_half_a_character_is_named_by_its_line(tmp_path: Path, fields: dict[str, str]) -> None:
    path = tmp_path / "torn.jsonl"
    whole, half = ({"question": f"{text}?", "answer": "1"} for text in ("\U0001f600", "\ud83d"))
    path.write_text("".join(json.dumps(row) + "\n" for row in (whole, half)))
    with pytest.raises(UserError, match=r"torn.jsonl:2: expected whole characters; got \\ud83d"):
        evaluated(tmp_path, asked([path], "plain", **fields), right)


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    task = sums(tmp_path)
    for parent, reply in (("x", right), ("y", lambda effect, index: "The answer is -1.")):
        evaluate(asked([task], "plain"), tmp_path / parent / "ev", lambda reply=reply: Scripted(reply))
    (pair,) = compare_folders([tmp_path / "x" / "ev", tmp_path / "y" / "ev"])
    assert (pair.left, pair.right, pair.wins) == ("x/ev: plain", "y/ev: plain", 6)


def test_a_changed_class_is_another_strategy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user's own class says is hashed like a function's file, and is found again by its name."""
    own = tmp_path / "own.py"
    body = "class Mine:\n    def needs(self, *_):\n        return ()\n    def answer(self, ask, setting):\n"
    own.write_text(f"{body}        samples = yield ask\n        return samples[0]\n")
    settings = asked([sums(tmp_path)], f"{own}:Mine")
    assert evaluated(tmp_path, settings, right).sampled == 6
    assert evaluated(tmp_path, settings, right).sampled == 0
    own.write_text(own.read_text() + "# changed\n")
    assert evaluated(tmp_path, settings, right).sampled == 6


def test_what_stands_in_brackets_is_printed_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "odd.jsonl"
    odd.write_text(json.dumps({"question": "[/b] \u2028?", "answer": "[a]:smile:"}) + "\n")
    model = Scripted(lambda effect, index: "The answer is [/a]:smile:.")
    monkeypatch.setattr("thinkling.cli.asking.open_model", lambda *args, **named: model)
    ask("[m]", Question("?", "sc:n=2"))
    assert "[/a]:smile:" in capsys.readouterr().err
    evaluate(asked([odd], "plain", "sc:n=2"), tmp_path / "[e]", lambda: model)
    assert read(tmp_path / "[e]").table["strategies"]["plain"]["statuses"] == {"wrong": 1}
    assert (tmp_path / "[e]" / ATTEMPTS).read_bytes().count(b"\n") == 3
