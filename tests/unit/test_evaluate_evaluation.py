"""An evaluation end to end over a scripted model: one pool, resumed at the sample, regraded without sampling."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scripted_server import Asked, Reaction, ScriptedServer, chat, refusal
from thinkling.core.errors import UserError
from thinkling.core.seeds import derive, stream
from thinkling.core.types import Sample, Score, Scored, Usage
from thinkling.data.documents import DOCUMENTS
from thinkling.evaluate.attempts import ATTEMPTS, JUDGEMENTS, Pool
from thinkling.evaluate.comparing import compare_folders
from thinkling.evaluate.evaluation import RESULTS, SCORES, Settings, evaluate, prepare, read, smallest_difference
from thinkling.evaluate.perturbing import perturb_all
from thinkling.evaluate.voting import maj_at_k
from thinkling.rollout.backend import Backend
from thinkling.rollout.scripted import Scripted

PROBLEMS = 12


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "sums.jsonl"
    rows = [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(PROBLEMS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def settings(task: Path, *strategies: str, **more: object) -> Settings:
    return Settings("m", "m", (str(task),), strategies, max_tokens=100, **more)  # type: ignore[arg-type]


def unsteady(effect: Sample, index: int) -> str:
    """Right three times in five by the sample's seed, else off by one, or no number at all."""
    n = int(effect.messages[0].text.split()[2])
    luck = stream(derive(effect.seed, index), "luck").random()
    if luck < 0.1:
        return "I do not know"
    return f"The answer is {2 * n if luck < 0.7 else 2 * n + 1}."


def judged(effect: Score) -> Scored:
    value = 0.9 if int(effect.turn.text.strip(".").split()[-1].replace("know", "0")) % 2 == 0 else 0.2
    return Scored((-1.0,), value, Usage(prompt=5, calls=1))


def scripted() -> Scripted:
    return Scripted(unsteady, score=judged)


def never() -> Backend:
    raise AssertionError("the backend was opened, though nothing is missing")


SPECS = ("plain", "sc:n=8", "sc:n=4", "bon:n=8,verifier=v", "vote:n=4,verifier=v", "sc:n=8,error=0.2,batch=2")


def test_strategies_that_vote_share_one_pool(tmp_path: Path, questions: Path) -> None:
    model = scripted()
    made = evaluate(settings(questions, *SPECS), tmp_path / "e", lambda: model)
    samples = [effect for effect in model.submitted if isinstance(effect, Sample)]
    assert len(samples) == PROBLEMS * (1 + 8) == made.sampled
    assert len({effect.seed for effect in samples}) == len(samples)
    assert len(model.submitted) - len(samples) == PROBLEMS * 8, "each sample is judged once"
    lines = (
        (tmp_path / "e" / ATTEMPTS).read_bytes().count(b"\n"),
        (tmp_path / "e" / JUDGEMENTS).read_bytes().count(b"\n"),
    )
    assert lines == (PROBLEMS * 9, PROBLEMS * 8)


def test_scores_and_costs_are_those_counted_by_hand(tmp_path: Path, questions: Path) -> None:
    made = evaluate(settings(questions, *SPECS), tmp_path / "e", scripted)
    four = made.outcomes["sc:n=4"]["sums"]
    eight = made.outcomes["sc:n=8"]["sums"]
    for small, large in zip(four, eight, strict=True):
        assert large.reads[:4] == small.reads, "the smaller vote takes the first of the same samples"
        answers = [one.answer for one in large.reads]
        assert large.score == pytest.approx(maj_at_k(answers, {large.problem.answer: 1.0}, 8))
        assert large.curve[3] == pytest.approx(maj_at_k(answers, {large.problem.answer: 1.0}, 4))
        assert large.cost.completion == sum(one.attempt.usage.completion for one in large.reads)
    for one in made.outcomes["vote:n=4,verifier=v"]["sums"]:
        assert one.cost.prompt == sum(read.attempt.usage.prompt + 5 for read in one.reads), "verifiers are paid for"
    row = made.table["strategies"]["sc:n=8"]
    assert row["accuracy"]["value"] == pytest.approx(sum(one.score or 0 for one in eight) / PROBLEMS)
    assert sum(row["statuses"].values()) == PROBLEMS * 8 and row["statuses"]["unparsed"] > 0
    adaptive = made.table["strategies"]["sc:error=0.2,n=8,batch=2".replace("error=0.2,n=8", "n=8,error=0.2")]
    assert adaptive["attempts"] < 8
    assert {point["name"] for point in made.table["frontier"]} == set(made.table["strategies"])


class Breaking(Scripted):
    """Ends the program after so many samples, as kill -9 does."""

    left = 37

    def submit(self, effect: Sample | Score) -> int:
        self.left -= isinstance(effect, Sample)
        if self.left < 0:
            raise KeyboardInterrupt
        return super().submit(effect)


def test_a_run_that_was_cut_off_goes_on_at_the_sample(tmp_path: Path, questions: Path) -> None:
    asked = settings(questions, "plain", "sc:n=8")
    whole = evaluate(asked, tmp_path / "whole", scripted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(asked, tmp_path / "cut", lambda: Breaking(unsteady, patience=lambda ticket: 1 + ticket % 3))
    kept = (tmp_path / "cut" / ATTEMPTS).read_bytes()
    assert not (tmp_path / "cut" / RESULTS).exists()
    (tmp_path / "cut" / ATTEMPTS).write_bytes(kept + b'{"key": "torn')
    model = scripted()
    again = evaluate(asked, tmp_path / "cut", lambda: model)
    assert len(model.submitted) == PROBLEMS * 9 - kept.count(b"\n")
    assert again.table["strategies"] == whole.table["strategies"]
    assert (tmp_path / "cut" / SCORES).read_bytes() == (tmp_path / "whole" / SCORES).read_bytes()


def test_grading_can_be_redone_without_sampling(tmp_path: Path, questions: Path) -> None:
    asked = settings(questions, "plain", "sc:n=4")
    first = evaluate(asked, tmp_path / "e", scripted)
    assert evaluate(asked, tmp_path / "e", never).table == first.table
    assert read(tmp_path / "e").table == first.table
    more = evaluate(settings(questions, "plain", "sc:n=4", "sc:n=3"), tmp_path / "e", never)
    assert "sc:n=3" in more.table["strategies"]


@pytest.mark.parametrize("change", [{"seed": 1}, {"max_tokens": 50}, {"think": True}, {"model_id": "other"}])
def test_whatever_decides_a_sample_is_part_of_its_key(
    tmp_path: Path, questions: Path, change: dict[str, object]
) -> None:
    from dataclasses import replace

    asked = settings(questions, "plain")
    evaluate(asked, tmp_path / "e", scripted)
    model = scripted()
    evaluate(replace(asked, **change), tmp_path / "e", lambda: model)  # type: ignore[arg-type]
    assert len(model.submitted) == PROBLEMS


def test_a_strategys_file_and_a_verifiers_folder_count_by_what_they_hold(tmp_path: Path, questions: Path) -> None:
    own, verifier = tmp_path / "own.py", tmp_path / "v"
    verifier.mkdir()
    own.write_text("def ask(ask, setting):\n    (made,) = yield ask\n    return made\n")
    (verifier / "model.safetensors").write_bytes(b"first")
    asked = settings(questions, f"{own}:ask", f"bon:n=2,verifier={verifier}")
    evaluate(asked, tmp_path / "e", scripted)
    evaluate(asked, tmp_path / "e", never)
    own.write_text(own.read_text() + "# another\n")
    model = scripted()
    evaluate(asked, tmp_path / "e", lambda: model)
    assert len(model.submitted) == PROBLEMS and all(isinstance(effect, Sample) for effect in model.submitted)
    (verifier / "model.safetensors").write_bytes(b"second")
    model = scripted()
    evaluate(asked, tmp_path / "e", lambda: model)
    assert len(model.submitted) == 2 * PROBLEMS and all(isinstance(effect, Score) for effect in model.submitted)


def failing(share: float) -> Callable[[Sample, int], str | Exception]:
    def reply(effect: Sample, index: int) -> str | Exception:
        broken = stream(effect.seed, "fault").random() < share
        return ConnectionError("gone") if broken else unsteady(effect, index)

    return reply


def test_failed_attempts_never_vote_are_counted_and_are_tried_again(tmp_path: Path, questions: Path) -> None:
    asked = settings(questions, "sc:n=8")
    made = evaluate(asked, tmp_path / "e", lambda: Scripted(failing(0.3)))
    errors = made.table["strategies"]["sc:n=8"]["statuses"]["error"]
    assert 0 < errors < PROBLEMS * 8
    model = scripted()
    whole = evaluate(asked, tmp_path / "e", lambda: model)
    assert len(model.submitted) == errors and "error" not in whole.table["strategies"]["sc:n=8"]["statuses"]
    with pytest.raises(UserError, match="none of the 96 answers.*ConnectionError: gone"):
        evaluate(asked, tmp_path / "dead", lambda: Scripted(failing(1.0)))


def test_a_strategy_that_always_fails_is_named_and_spoils_nothing(tmp_path: Path, questions: Path) -> None:
    def reply(effect: Sample, index: int) -> str | Exception:
        return ValueError("no steps") if "step by step" in effect.prefix else unsteady(effect, index)

    asked = settings(questions, "plain", "zs-cot", "direct")
    made = evaluate(asked, tmp_path / "e", lambda: Scripted(reply))
    row = made.table["strategies"]["zs-cot"]
    assert row["accuracy"] is None and row["unscored"] == PROBLEMS == row["statuses"]["error"]
    assert [(pair["left"], pair["right"]) for pair in made.table["comparisons"]] == [("plain", "direct")]
    again = read(tmp_path / "e")
    assert again.table["strategies"]["zs-cot"]["statuses"] == row["statuses"], "failures are counted when read again"


def test_a_problem_asked_again_with_something_changed_is_paired_with_its_parent(tmp_path: Path) -> None:
    """A model that knows the first problems by heart is caught; one that adds up is not."""
    asked = Settings("m", "m", ("chain",), ("plain",), problems=40, max_tokens=100, perturb=("renumbered", "renamed"))
    golds: dict[str, str] = {}

    def reasons(effect: Sample, index: int) -> str:
        return f"The answer is {golds[effect.messages[0].text]}."

    tasks, _ = prepare(asked)
    changed = perturb_all(tasks, asked.perturb, asked.seed)
    children = [problem for task in changed[0].children for problem in task.problems]
    by_key = {problem.key: problem for problem in tasks[0].problems}
    golds = {problem.prompt: problem.answer for problem in (*tasks[0].problems, *children)}
    honest = evaluate(asked, tmp_path / "honest", lambda: Scripted(reasons))
    assert {task.name for task in changed[0].children} == {"chain, renumbered", "chain, renamed"}
    assert honest.table["recite"]["strategies"]["plain"]["chain"]["renumbered"]["verdict"] == "reasons"
    assert set(honest.table["tasks"]) == {"chain"}, "children do not count in the accuracy"

    page = (tmp_path / "honest" / "report.html").read_text()
    assert "Does it reason, or recite?" in page and "renumbered: reasons." in page

    golds = {child.prompt: by_key[child.meta["parent"]].answer for child in children} | {
        problem.prompt: problem.answer for problem in tasks[0].problems
    }
    recited = evaluate(asked, tmp_path / "recited", lambda: Scripted(reasons))
    found = recited.table["recite"]["strategies"]["plain"]["chain"]["renumbered"]
    assert found["verdict"] == "recites" and found["recited"]["value"] == 1.0


def test_wrong_answers_are_told_apart_by_their_first_mistake(tmp_path: Path) -> None:
    """Worked solutions with one false sum each: the table names them, and right ones are right."""
    asked = Settings("m", "m", ("equation",), ("plain", "sc:n=2"), problems=20, max_tokens=200)
    tasks, _ = prepare(asked)
    by_prompt = {problem.prompt: problem for problem in tasks[0].problems}
    slips = set(list(by_prompt)[:7])

    def reply(effect: Sample, index: int) -> str:
        problem = by_prompt[effect.messages[0].text]
        turn = tasks[0].grader.solve(problem, "steps", stream(1, problem.key), problem.prompt in slips)
        return f"<think>{turn.thinking}</think>{turn.text}"

    made = evaluate(asked, tmp_path / "e", lambda: Scripted(reply))
    counts = made.table["mistakes"]["plain"]["equation"]
    assert counts["right"] == 13 and sum(counts.values()) == 20 and "other" not in counts
    assert "sc:n=2" not in made.table["mistakes"]
    assert "What goes wrong first" in (tmp_path / "e" / "report.html").read_text()


def test_problems_that_the_training_text_holds_are_counted_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that only solves what it has read: all the difference lies between seen and unseen problems."""
    (tmp_path / DOCUMENTS).touch()
    asked = Settings("m", "m", ("chain",), ("plain",), problems=200, max_tokens=100, trained_on=str(tmp_path))
    tasks, _ = prepare(asked)
    seen = {problem.prompt: problem.answer for problem in tasks[0].problems[::2]}
    monkeypatch.setattr("thinkling.evaluate.seen.training_texts", lambda data: [f"Once. {text} End." for text in seen])
    made = evaluate(
        asked,
        tmp_path / "e",
        lambda: Scripted(lambda effect, index: f"The answer is {seen.get(effect.messages[0].text, '-1')}."),
    )
    row = made.table["overlap"]["sizes"]["13"]
    assert row["problems"] >= len(seen) and row["strategies"]["plain"]["difference"]["low"] > 0.5


def test_a_remote_model_is_evaluated_from_the_command_line(tmp_path: Path, questions: Path) -> None:
    """As a user does it: an endpoint that fails now and then, a folder, a table; and again without a request."""
    asked: list[str] = []

    def rule(request: Asked) -> Reaction:
        asked.append(request.text)
        if len(asked) % 5 == 0:
            return refusal(503, "busy", {"retry-after": "0"})
        return Reaction(chat(f"The answer is {2 * int(request.text.split()[2])}."))

    with ScriptedServer(rule) as server:
        model = f"openai:served@{server.base_url}?concurrency=4"
        command = [
            *(sys.executable, "-m", "thinkling", "eval", model, "--task", str(questions), "--out", str(tmp_path / "e")),
            *("--strategy", "plain", "--strategy", "sc:n=3", "--max-tokens", "50"),
        ]
        run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OPENAI_API_KEY": "secret"})
        assert run.returncode == 0, run.stderr
        sent = len(asked)
        again = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OPENAI_API_KEY": "secret"})
        assert again.returncode == 0 and len(asked) == sent > PROBLEMS * 4
    made = json.loads((tmp_path / "e" / RESULTS).read_text())
    assert made["strategies"]["plain"]["accuracy"]["value"] == made["strategies"]["sc:n=3"]["accuracy"]["value"] == 1.0
    assert not any(b"secret" in path.read_bytes() for path in (tmp_path / "e").iterdir() if path.is_file())


def test_what_cannot_be_served_is_refused_before_a_token_is_spent(tmp_path: Path, questions: Path) -> None:
    model = Scripted(unsteady)
    with pytest.raises(UserError, match="beam.*needs until, value.*'scripted'"):
        evaluate(settings(questions, "plain", "beam:verifier=v"), tmp_path / "e", lambda: model)
    assert not model.submitted


def test_a_line_that_is_no_attempt_is_named(tmp_path: Path, questions: Path) -> None:
    evaluate(settings(questions, "plain"), tmp_path / "e", scripted)
    with open(tmp_path / "e" / ATTEMPTS, "a") as file:
        file.write("[]\nnonsense\n")
    with pytest.raises(UserError, match=f"{ATTEMPTS}:13"):
        Pool(tmp_path / "e")


def test_models_are_compared_over_the_problems_they_share(tmp_path: Path, questions: Path) -> None:
    evaluate(settings(questions, "plain"), tmp_path / "a", lambda: Scripted(lambda effect, index: "The answer is 0."))
    evaluate(settings(questions, "plain"), tmp_path / "b", scripted)
    (pair,) = compare_folders([tmp_path / "a", tmp_path / "b"])
    assert (pair.left, pair.right) == ("a: plain", "b: plain") and pair.difference.n == PROBLEMS
    assert pair.difference.value < 0 and pair.wins + pair.losses + pair.ties == PROBLEMS
    with pytest.raises(UserError, match="two strategies"):
        compare_folders([tmp_path / "a"])


def test_what_a_run_can_show_is_said_before_it_starts() -> None:
    assert "can show a difference of" in smallest_difference(500)
    assert "hardly" in smallest_difference(3)
