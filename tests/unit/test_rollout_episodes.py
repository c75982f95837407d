"""Episodes: exactly one per attempt, failures included; groups share a prompt; seeds by key."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.types import (
    Episode,
    Problem,
    Sample,
    Sampled,
    Sampling,
    Usage,
    Verdict,
)
from thinkling.rollout.episodes import PLAIN, Policy, episodes
from thinkling.rollout.scripted import Scripted

SAMPLING = Sampling(max_tokens=50)


class Sums:
    """A tiny family: the answer must equal the problem's."""

    def grade(self, problem: Problem, text: str) -> Verdict:
        if text == "crash":
            raise RuntimeError("grader crashed")
        if not text.isdigit():
            return Verdict(0.0, "unparsed", reason="no number")
        return Verdict(float(text == problem.answer), "graded", text)


def problem(i: int) -> Problem:
    return Problem(f"key{i}", "test", "sums", f"{i}+{i}?", str(2 * i))


def run(count: int, backend: Scripted, **options: Any) -> list[list[Episode]]:
    options = {"sampling": SAMPLING, "seed": 3, **options}
    return episodes(
        [problem(i) for i in range(count)],
        backend,
        family_of=lambda p: Sums(),
        **options,
    )


OUTCOMES: dict[str, str | Exception] = {
    "right": "<think>double</think>{}",
    "wrong": "999",
    "words": "no idea",
    "crash": "crash",
    "dead": ConnectionError("gone"),
}


@settings(max_examples=60, deadline=None)
@given(
    plan=st.lists(st.lists(st.sampled_from(sorted(OUTCOMES)), min_size=3, max_size=3), max_size=6),
    grouped=st.booleans(),
    limit=st.integers(1, 5),
)
def test_exactly_one_episode_per_attempt(plan: list[list[str]], grouped: bool, limit: int) -> None:
    left = {f"{i}+{i}?": list(kinds) for i, kinds in enumerate(plan)}

    def rule(effect: Sample, index: int) -> str | Exception:
        prompt = effect.messages[-1].text
        outcome = OUTCOMES[left[prompt].pop(0)]
        return outcome.format(2 * int(prompt.split("+")[0])) if isinstance(outcome, str) else outcome

    policy = Policy("p", PLAIN.respond, grouped=grouped)
    seen: list[Episode] = []
    made = run(len(plan), Scripted(rule), n=3, policy=policy, limit=limit, progress=seen.append)

    assert [len(group) for group in made] == [3] * len(plan)
    assert len(seen) == 3 * len(plan)
    assert [g[0].problem.key for g in made] == [f"key{i}" for i in range(len(plan))]
    for group, kinds in zip(made, plan, strict=True):
        if grouped and "dead" in kinds:  # one Sample, one fate
            assert all(e.error and e.verdict.status == "error" and e.finish == "abort" for e in group)
            continue
        kinds = list(kinds)
        for episode in group:
            expected = kinds.pop(0)
            assert (episode.error != "") == (expected == "dead")
            assert (episode.verdict.score is None) == (expected in ("dead", "crash"))
            assert (episode.verdict.score == 1.0) == (expected == "right")


def test_a_group_is_one_sample_and_strategies_get_one_each() -> None:
    backend = Scripted(lambda effect, i: "0")
    run(2, backend, n=4)
    assert [effect.n for effect in backend.submitted if isinstance(effect, Sample)] == [
        4,
        4,
    ]
    backend = Scripted(lambda effect, i: "0")
    run(2, backend, n=4, policy=Policy("alone", PLAIN.respond))
    assert [effect.n for effect in backend.submitted if isinstance(effect, Sample)] == [1] * 8


def test_seeds_differ_between_attempts_and_do_not_depend_on_the_company() -> None:
    script = Scripted(lambda effect, i: "0")
    for policy in (PLAIN, Policy("alone", PLAIN.respond)):
        many = run(3, script, n=4, policy=policy)
        assert len({e.seed for group in many for e in group}) == 12
        assert [e.seed for e in run(1, script, n=4, policy=policy)[0]] == [e.seed for e in many[0]]
        assert {e.seed for e in run(3, script, n=4, seed=4, policy=policy)[0]}.isdisjoint(e.seed for e in many[0])


def test_the_answer_is_graded_without_the_thinking() -> None:
    (group,) = run(1, Scripted(["<think>maybe 999</think>0"]))
    assert group[0].verdict == Verdict(1.0, "graded", "0")
    assert [m.role for m in group[0].messages] == ["user", "assistant"]


def test_a_strategy_pays_for_all_it_sampled() -> None:
    def best_of_three(ask: Sample) -> Generator[Any, Any, list[Sampled]]:
        kept: list[Sampled] = []
        for _ in range(3):
            kept += yield ask
        return [max(kept, key=lambda sampled: len(sampled.message.text))]

    ((episode,),) = run(1, Scripted(["1", "222", "33"]), policy=Policy("best", best_of_three))
    assert episode.messages[-1].text == "222" and episode.policy == "best"
    assert episode.usage == Usage(prompt=3 * 11, completion=2 + 4 + 3, thinking=0, calls=3)


def test_a_policy_that_returns_the_wrong_number_is_a_failure_not_a_short_list() -> None:
    def greedy(ask: Sample) -> Generator[Any, Any, list[Sampled]]:
        samples = yield ask
        return list(samples)[:1]

    (group,) = run(1, Scripted(lambda e, i: "0"), n=3, policy=Policy("short", greedy, grouped=True))
    assert len(group) == 3 and all("asked for 3 samples and gave 1" in e.error for e in group)
    assert group[0].usage.calls == 3 and group[1].usage == Usage(), "the bill is kept, once"


def test_posing_without_messages_continues_plain_text() -> None:
    backend = Scripted(["0"])
    (group,) = run(1, backend, pose=lambda p: (), prefix=lambda p: f"Q: {p.prompt}\nA: ")
    (effect,) = backend.submitted
    assert isinstance(effect, Sample) and effect.messages == () and effect.prefix == "Q: 0+0?\nA: "
    assert group[0].verdict.score == 1.0


def test_at_least_one_attempt() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        run(1, Scripted([]), n=0)


def test_tokens_can_be_dropped_to_save_memory() -> None:
    script = Scripted(lambda e, i: "0")
    (kept,), (light,) = run(1, script), run(1, script, keep_tokens=False)
    assert kept[0].sequences[0].ids and light[0].sequences == ()
    assert (light[0].verdict, light[0].usage) == (kept[0].verdict, kept[0].usage)
