"""Two scripted backends behind one: who is asked what, whose tickets are whose, what can be done."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from thinkling.core.errors import UserError
from thinkling.core.types import Message, Sample, Sampled, Sampling, Score, Scored, Usage
from thinkling.rollout.driver import drive
from thinkling.rollout.routed import Routed
from thinkling.rollout.scripted import Scripted

ASK = (Message.user("q"),)


def judged(effect: Score) -> Scored:
    return Scored((), len(effect.turn.text) / 10, Usage(prompt=7, calls=1))


def sample(text: str) -> Sample:
    return Sample((Message.user(text),), Sampling(), 0)


def score(text: str, verifier: str = "v") -> Score:
    return Score(ASK, Message.assistant(text), verifier=verifier)


def test_samples_and_plain_scores_go_to_the_policy_and_judgements_to_the_scorer() -> None:
    policy = Scripted(["one", "two"], score=judged, name="far away")
    scorer = Scripted([], score=judged, patience=lambda ticket: 3)
    routed = Routed(policy, scorer)
    effects = [score("abc"), sample("x"), score("abcd", verifier=""), sample("y"), score("ab")]
    tickets = [routed.submit(effect) for effect in effects]
    assert len(set(tickets)) == 5 and routed.name == "far away"
    assert policy.submitted == [effects[1], effects[2], effects[3]] and scorer.submitted == [effects[0], effects[4]]

    done = [result for _ in range(5) for result in routed.poll()]
    assert [ticket for ticket, _ in done] == [tickets[1], tickets[2], tickets[3], tickets[0], tickets[4]]
    results = {ticket: result for ticket, result in done}
    said = results[tickets[3]]
    assert isinstance(said, list) and said[0].message.text == "two"
    values = [results[tickets[i]] for i in (0, 2, 4)]
    assert [scored.value for scored in values if isinstance(scored, Scored)] == [0.3, 0.4, 0.2]
    polls = policy.polls, scorer.polls
    assert routed.poll() == [] and (policy.polls, scorer.polls) == polls, "nobody with nothing to do is polled"


def test_a_cancelled_ticket_reaches_its_own_backend_alone() -> None:
    policy, scorer = Scripted(["one"]), Scripted([], score=judged)
    routed = Routed(policy, scorer)
    asked, scored = routed.submit(sample("x")), routed.submit(score("abc"))
    routed.cancel(scored)
    routed.cancel(99)
    assert [ticket for ticket, _ in routed.poll()] == [asked]
    assert (policy.cancelled, scorer.cancelled) == ([], [0])


def test_it_can_do_what_the_policy_can_and_judge_if_the_scorer_can() -> None:
    policy, mute, judge = Scripted([]), Scripted([]), Scripted([], score=judged)
    assert Routed(policy, judge).capabilities == replace(policy.capabilities, value=True)
    assert Routed(judge, mute).capabilities == replace(judge.capabilities, value=False)
    with pytest.raises(UserError, match="does not score"):
        Routed(policy, mute).submit(score("a"))


def test_best_of_two_from_a_far_policy_by_a_near_verifier() -> None:
    def best() -> Generator[Any, Any, str]:
        samples: list[Sampled] = yield replace(sample("x"), n=2)
        scored: tuple[Scored, ...] = yield tuple(score(one.message.text) for one in samples)
        values = [one.value or 0.0 for one in scored]
        return samples[values.index(max(values))].message.text

    backend = Routed(Scripted(["short", "the longer one"]), Scripted([], score=judged))
    usage: list[Usage] = []
    assert drive([best()], backend, on_done=lambda _i, _outcome, spent: usage.append(spent)) == ["the longer one"]
    assert usage[0].calls == 4 and usage[0].prompt >= 14, "what the verifier read is on the bill"
