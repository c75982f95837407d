"""Strategies against scripted models: what they ask, how they vote, what they never do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from thinkling.core.errors import UserError
from thinkling.core.types import Capabilities, Message, Sample, Sampled, Sampling, Score, Scored, Usage
from thinkling.reasoning.budget import WAIT
from thinkling.reasoning.prompting import ask_for
from thinkling.reasoning.refine import CRITICIZE
from thinkling.reasoning.spec import spell, strategy
from thinkling.reasoning.strategy import Setting, as_policy, check
from thinkling.rollout.driver import Failure, drive
from thinkling.rollout.scripted import Scripted
from thinkling.tasks.answers import answer_kind
from thinkling.tasks.exemplars import Exemplar

NUMBER = Setting(answer_kind("number"), Capabilities(prefix=True, think=True, value=True, until=True))
BARE = replace(NUMBER, capabilities=Capabilities())


def ask(question: str = "2+2?", text: bool = False, seed: int = 3, **sampling: object) -> Sample:
    base = Sample((), Sampling(temperature=0.0, max_tokens=500, **sampling), seed)  # type: ignore[arg-type]
    return ask_for(question, base, text)


def answered(
    spec: str, backend: Scripted, effect: Sample | None = None, setting: Setting = NUMBER
) -> tuple[Sampled, Usage]:
    bills: list[Usage] = []
    policy = as_policy(strategy(spec), spec, setting)
    done = drive([policy.respond(effect or ask())], backend, on_done=lambda i, made, usage: bills.append(usage))
    assert not isinstance(done[0], Failure), done[0]
    return done[0][0], bills[0]


def numbers(*values: object) -> Scripted:
    return Scripted([f"The answer is {value}." if value is not None else "I do not know" for value in values])


def sampled_effects(backend: Scripted) -> list[Sample]:
    return [effect for effect in backend.submitted if isinstance(effect, Sample)]


# --- asking ---------------------------------------------------------------------------------------


def test_direct_forbids_thinking_and_begins_the_answer_in_plain_text() -> None:
    backend = numbers(4, 4)
    answered("direct", backend)
    (chat,) = sampled_effects(backend)
    assert chat.think is False and chat.messages == (Message.user("2+2?"),)
    backend = Scripted([" 4"])
    made, _ = answered("direct", backend, ask(text=True))
    assert sampled_effects(backend)[0].prefix == "Q: 2+2?\nA: The answer (arabic numerals) is"
    assert made.message.text == "The answer (arabic numerals) is 4"
    assert NUMBER.kind.answer(made.message.text) == "4"


def test_few_shot_shows_answers_and_chain_of_thought_their_steps_too() -> None:
    shots = tuple(Exemplar(f"{n}+1?", f"{n} and 1 is {n + 1}.", str(n + 1)) for n in range(5))
    setting = replace(NUMBER, exemplars=shots)
    for spec, said in (("few-shot:shots=2", "The answer is 1."), ("cot:shots=2", "0 and 1 is 1. The answer is 1.")):
        backend = numbers(4)
        answered(spec, backend, setting=setting)
        messages = sampled_effects(backend)[0].messages
        assert [message.role for message in messages] == ["user", "assistant", "user", "assistant", "user"]
        assert (messages[1].text, messages[-1].text) == (said, "2+2?")
        backend = Scripted([" 4"])
        answered(spec, backend, ask(text=True), setting)
        effect = sampled_effects(backend)[0]
        assert effect.prefix.startswith(f"Q: 0+1?\nA: {said}\n\nQ: 1+1?\nA:")
        assert effect.prefix.endswith("\n\nQ: 2+2?\nA:") and "\n\n" in effect.sampling.stop
    with pytest.raises(UserError, match="8 shots.*there are 5"):
        check(strategy("cot:shots=8"), "cot", setting, False, "m")


def test_zero_shot_chain_of_thought_asks_in_the_two_stages_of_the_paper() -> None:
    backend = Scripted([" Two and two make four.", " 4.\nQ: next"])
    made, _ = answered("zs-cot", backend, ask(text=True))
    first, second = sampled_effects(backend)
    assert first.prefix == "Q: 2+2?\nA: Let's think step by step."
    wanted = "Therefore, the answer (arabic numerals) is"
    assert second.prefix == f"{first.prefix} Two and two make four.\n{wanted}"
    assert (second.sampling.temperature, second.sampling.max_tokens) == (0.0, 32)
    assert made.message.text == f"Let's think step by step. Two and two make four.\n{wanted} 4."
    assert made.trace and made.trace.candidates[1].answer == "4"


@pytest.mark.parametrize("prefix", [True, False])
def test_zero_shot_chain_of_thought_in_a_chat(prefix: bool) -> None:
    """Where the turn cannot be begun for the model, both prompts are put to it as the user's words."""
    setting = NUMBER if prefix else BARE
    backend = Scripted(["Two and two make four.", " 4."])
    made, _ = answered("zs-cot", backend, setting=setting)
    first, second = sampled_effects(backend)
    if prefix:
        assert first.prefix == "Let's think step by step." and first.messages == ask().messages
        assert second.prefix.endswith("make four.\nTherefore, the answer (arabic numerals) is")
    else:
        assert first.messages[-1].text == "2+2?\n\nLet's think step by step." and not first.prefix
        assert [message.role for message in second.messages] == ["user", "assistant", "user"]
        assert second.messages[-1].text == "Therefore, the answer (arabic numerals) is"
    assert made.message.text.endswith("Therefore, the answer (arabic numerals) is 4.")


def test_a_choice_is_asked_for_by_its_letters() -> None:
    backend = Scripted(["x", " B"])
    answered("zs-cot", backend, ask(text=True), replace(NUMBER, kind=answer_kind("choice:A-D")))
    assert sampled_effects(backend)[1].prefix.endswith("Therefore, among A through D, the answer is")


# --- voting ---------------------------------------------------------------------------------------


def test_self_consistency_takes_the_commonest_parsed_answer() -> None:
    made, usage = answered("sc:n=6", numbers(5, None, 4, "4.0", None, None))
    assert made.trace is not None and NUMBER.kind.answer(made.message.text) == "4"
    assert made.trace.tally == (("4", 2), ("5", 1)) and len(made.trace.tied) == 1
    assert [candidate.answer for candidate in made.trace.candidates] == ["5", None, "4", "4", None, None]
    assert usage.calls == 6


def test_what_is_not_parsed_never_votes_even_if_it_is_most_of_all() -> None:
    made, _ = answered("sc:n=5", Scripted(["hm"] * 4 + ["The answer is 7."]))
    assert made.trace and made.trace.tally == (("7", 1),)
    nothing, _ = answered("sc:n=3", Scripted(["hm"] * 3))
    assert nothing.trace and nothing.trace.tally == () and "parsed" in nothing.trace.note


def test_ties_are_reported_and_broken_by_the_seed_not_by_order() -> None:
    winners = set()
    for seed in range(20):
        made, _ = answered("sc:n=4", numbers(1, 2, 2, 1), ask(seed=seed))
        assert made.trace is not None
        tied = {made.trace.candidates[i].answer for i in made.trace.tied}
        assert tied == {"1", "2"}
        winners.add(NUMBER.kind.answer(made.message.text))
    assert winners == {"1", "2"}


def test_adaptive_self_consistency_stops_as_soon_as_the_majority_is_stable() -> None:
    backend = numbers(*[4] * 40)
    made, usage = answered("sc:n=40,error=0.05,batch=2", backend)
    assert usage.calls == 4 and made.trace and made.trace.note == "stopped after 4 of 40"  # 1/2^5 < 0.05
    backend = numbers(*[1, 2] * 20)
    _, usage = answered("sc:n=40,error=0.05,batch=2", backend)
    assert usage.calls == 40


def test_a_vote_over_a_strategy_runs_it_for_every_vote() -> None:
    backend = Scripted(lambda effect, index: " 4." if effect.prefix.endswith("is") else " so")
    made, usage = answered("sc:n=3,temperature=0.7(zs-cot)", backend, ask(text=True))
    effects = sampled_effects(backend)
    assert usage.calls == 6 and len({effect.seed for effect in effects[:3]}) == 3
    assert {effect.sampling.temperature for effect in effects} == {0.7, 0.0}  # the second stage is greedy
    assert made.trace and made.trace.tally == (("4", 3),)


# --- judged ---------------------------------------------------------------------------------------


def by_text(table: dict[str, float]) -> Callable[[Score], Scored]:
    def score(effect: Score) -> Scored:
        value = next(value for text, value in table.items() if text in effect.turn.text)
        return Scored((value, value), value if effect.verifier else None, Usage(prompt=10, calls=1))

    return score


def test_best_of_n_takes_the_best_judged_answer_and_counts_the_judge() -> None:
    backend = numbers(1, 1, 2)
    backend.score = by_text({"is 1": 0.3, "is 2": 0.9})
    made, usage = answered("bon:n=3,verifier=v", backend)
    assert NUMBER.kind.answer(made.message.text) == "2" and usage.calls == 6
    assert {effect.verifier for effect in backend.submitted if isinstance(effect, Score)} == {"v"}
    plain, _ = answered("sc:n=3", numbers(1, 1, 2))
    assert NUMBER.kind.answer(plain.message.text) == "1"


def test_the_weighted_vote_adds_up_what_the_verifier_says() -> None:
    backend = numbers(1, 1, 2)
    backend.score = by_text({"is 1": 0.4, "is 2": 0.7})
    made, _ = answered("vote:n=3,verifier=v", backend)
    assert made.trace and made.trace.tally == (("1", pytest.approx(0.8)), ("2", 0.7))


def test_the_likelihood_is_the_mean_over_tokens() -> None:
    backend = numbers(1, 2)
    backend.score = lambda effect: Scored((-1.0,) * 9 if "1" in effect.turn.text else (-2.0,), None, Usage(calls=1))
    made, _ = answered("bon:n=2,by=likelihood", backend)
    assert NUMBER.kind.answer(made.message.text) == "1"


def test_the_model_as_a_judge_is_asked_about_each_answer_without_the_gold() -> None:
    def reply(effect: Sample, index: int) -> str:
        if "correct" not in effect.messages[-1].text:
            return f"The answer is {index}."
        return "Yes" if "is 2" in effect.messages[-2].text else "No."

    backend = Scripted(reply)
    made, usage = answered("bon:n=4,by=judge", backend)
    assert NUMBER.kind.answer(made.message.text) == "2" and usage.calls == 8


def test_a_model_that_has_no_thinking_is_not_forbidden_to_think() -> None:
    """An endpoint refuses a switch that it does not have; direct answers and judges do without."""
    for spec, replies in (("direct", ["The answer is 4."]), ("bon:n=1,by=judge", ["The answer is 4.", "Yes"])):
        backend = Scripted(replies)
        answered(spec, backend, setting=BARE)
        assert [effect.think for effect in sampled_effects(backend)] == [None] * len(replies)


# --- searching, refining, forcing -----------------------------------------------------------------

PIECES = {
    "": ("1+1=2 2+2=4", "1+1=3 3+2=5"),
    "1+1=2": (" 2+2=4</think>The answer is 4.", " 2+2=5</think>The answer is 5."),
}


def test_beam_search_follows_the_verifier_and_pays_for_what_it_prunes() -> None:
    def reply(effect: Sample, index: int) -> str:
        return PIECES[effect.prefix][index % 2]

    def score(effect: Score) -> Scored:
        wrong = "=3" in (effect.turn.thinking or "") or "=5" in (effect.turn.thinking or "")
        value = 0.1 if wrong else 0.8
        return Scored((0.0,), value, Usage(prompt=7, calls=1), (value,) * len(effect.marks))

    backend = Scripted(reply, score=score)
    made, usage = answered("beam:width=1,expand=2,verifier=v", backend)
    assert made.message == Message.assistant("The answer is 4.", "1+1=2 2+2=4")
    trace = made.trace
    assert trace is not None and [candidate.kept for candidate in trace.candidates] == [True, False, True, False]
    assert [candidate.parent for candidate in trace.candidates] == [-1, -1, 0, 0]
    assert trace.candidates[1].message.thinking == "1+1=3", "a sample that ran on is cut after its first step"
    assert usage.calls == 8  # four samples, four verdicts
    marks = [effect.marks for effect in backend.submitted if isinstance(effect, Score)]
    assert marks[0] == (5,) and marks[2] == (5, 11)


def test_in_plain_text_a_beam_is_judged_and_answered_as_a_whole() -> None:
    """There a backend gives the continuation alone."""
    steps = ("1+1=2", " 2+2=4", " The answer is 4.")

    def reply(effect: Sample, index: int) -> str:
        at = sum(step.strip() in effect.prefix for step in steps)
        return steps[at] + (" and" if at < 2 else "")

    backend = Scripted(reply, score=lambda effect: Scored((0.0,), 0.5, Usage(calls=1), (0.5,) * len(effect.marks)))
    made, _ = answered("beam:width=1,expand=1,verifier=v", backend, ask(text=True))
    assert made.message.text == "".join(steps)
    turns = [(effect.turn.text, effect.marks) for effect in backend.submitted if isinstance(effect, Score)]
    assert turns == [("1+1=2", (5,)), ("1+1=2 2+2=4", (5, 11)), ("".join(steps), (5, 11))]


@pytest.mark.parametrize(("score", "best"), [("product", "a"), ("minimum", "b"), ("last", "c")])
def test_the_three_ways_to_sum_up_steps_are_really_used(score: str, best: str) -> None:
    """Step values chosen so that each aggregation prefers another beam: .5*.5, min .4, last .9."""
    values = {"a": (0.95, 0.38), "b": (0.4, 0.6), "c": (0.1, 0.9)}

    def verdict(effect: Score) -> Scored:
        name = effect.turn.thinking[0]  # type: ignore[index]
        return Scored((0.0,), values[name][1], Usage(calls=1), values[name][:1])

    texts = [f"{name}=1</think>The answer is {i}." for i, name in enumerate(values)]
    backend = Scripted(lambda effect, index: texts[index], score=verdict)
    made, _ = answered(f"beam:width=3,expand=3,verifier=v,score={score}", backend)
    assert (made.message.thinking or "")[0] == best


def test_self_refine_stops_when_the_critic_is_content_and_never_sees_a_gold_answer() -> None:
    backend = Scripted(["The answer is 5.", "2+2 is not 5.", "The answer is 4.", "No mistakes."])
    made, usage = answered("refine:rounds=3", backend)
    assert NUMBER.kind.answer(made.message.text) == "4" and usage.calls == 4
    effects = sampled_effects(backend)
    assert effects[1].messages[-1].text == CRITICIZE
    assert made.trace and [candidate.role for candidate in made.trace.candidates] == [
        "answer",
        "critique",
        "answer",
        "critique",
    ]
    with pytest.raises(UserError, match="chat"):
        check(strategy("refine"), "refine", NUMBER, True, "model 'm'")


@pytest.mark.parametrize(
    ("critique", "calls"),
    [
        ("No mistakes.", 2),
        ("**No errors found!**", 2),
        ("There are no mistakes. The answer is 4.", 2),
        ("3*4=12 is right, and I see no mistakes.", 2),
        ("Step 1 has no mistakes. Step 2 is wrong.", 3),
        ("No mistakes in step 1.\nStep 2 is wrong.", 3),
        ("There are no mistakes but in the last step.", 3),
    ],
)
def test_a_critic_is_content_only_with_the_whole(critique: str, calls: int) -> None:
    _, usage = answered("refine:rounds=1", Scripted(["The answer is 5.", critique, "The answer is 4."]))
    assert usage.calls == calls


def test_analogical_prompting_asks_for_a_related_problem_first() -> None:
    backend = numbers(4)
    answered("analogical:problems=3", backend)
    assert "3 related, different problems" in sampled_effects(backend)[0].messages[-1].text


def test_budget_forcing_closes_the_thinking_at_the_limit_and_asks_for_the_answer() -> None:
    backend = Scripted(["thinking without end " * 9, " 4."])
    made, _ = answered("budget:max=20", backend)
    first, second = sampled_effects(backend)
    assert first.think is True and first.sampling.max_tokens == 20
    assert second.thought == "thinking without end"[:20] and second.prefix == "The answer is"
    assert made.message.text == "The answer is 4." and made.trace and "closed at the limit" in made.trace.note


def test_budget_forcing_strips_an_early_end_and_appends_wait() -> None:
    backend = Scripted(["short</think>The answer is 3.", " now longer, four.</think>The answer is 4."])
    made, usage = answered("budget:min=12,max=100", backend)
    second = sampled_effects(backend)[1]
    assert second.prefix == "short" + WAIT and second.think is True
    assert made.message == Message.assistant("The answer is 4.", f"short{WAIT} now longer, four.")
    assert usage.calls == 2 and made.trace and "1 waits" in made.trace.note
    assert second.sampling.max_tokens == 100 - 5 - 2, "what was forced counts against the limit"


# --- specs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cott", "did you mean cot"),
        ("sc:m=3", "option out of .* got 'm'"),
        ("sc:n=two", "whole number"),
        ("sc:n=0", "above 0"),
        ("sc:n=3,n=4", "twice"),
        ("sc:n", "name=value"),
        ("beam:score=mean,verifier=v", "product, minimum, last"),
        ("sc:n=3(cott)", "did you mean cot"),
        ("sc(", "such as"),
        ("nothing.py:mine", "no"),
        ("sc:inner=cot", "stands in brackets"),
        ("budget(cot)", "asks no other one"),
        ("sc:n=2000000", "below a million"),
    ],
)
def test_a_wrong_spec_is_refused_with_what_was_expected(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        strategy(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("beam", "verifier=PATH"),
        ("bon", "verifier=PATH"),
        ("vote", "verifier"),
        ("budget:min=9,max=3", "min <= max"),
        ("sc:error=0.6", "between 0 and 0.5"),
    ],
)
def test_what_a_strategy_lacks_is_said_before_a_token_is_spent(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(strategy(spec), spec, NUMBER, False, "model 'm'")


@pytest.mark.parametrize(
    ("spec", "missing"),
    [("cot-decoding", "fork, logprobs"), ("budget:min=3", "prefix, think"), ("beam:verifier=v", "until")],
)
def test_a_backend_that_cannot_serve_a_strategy_is_named(spec: str, missing: str) -> None:
    with pytest.raises(UserError, match=f"{missing}.*model 'm'"):
        check(strategy(spec), spec, BARE, False, "model 'm'")


def test_a_strategy_of_ones_own(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass, replace\n"
        "def twice(ask, setting):\n"
        "    samples = yield replace(ask, n=2)\n"
        "    return samples[1]\n"
        "@dataclass(frozen=True)\n"
        "class Last:\n"
        "    n: int = 2\n"
        "    def needs(self, setting, text):\n"
        "        return ()\n"
        "    def answer(self, ask, setting):\n"
        "        samples = yield replace(ask, n=self.n)\n"
        "        return samples[-1]\n"
    )
    made, usage = answered(f"{tmp_path}/mine.py:twice", numbers(1, 2))
    assert NUMBER.kind.answer(made.message.text) == "2" and usage.calls == 2
    made, usage = answered(f"sc:n=2({tmp_path}/mine.py:Last:n=3)", numbers(1, 1, 5, 1, 1, 5))
    assert NUMBER.kind.answer(made.message.text) == "5" and usage.calls == 6


def test_a_strategy_of_ones_own_is_spelled_so_that_it_is_found_again(tmp_path) -> None:  # type: ignore[no-untyped-def]
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from dataclasses import dataclass\n"
        "from thinkling.reasoning.self_consistency import SelfConsistency\n"
        "class Plainly:\n"
        "    def needs(self, setting, text):\n"
        "        return ('fork',)\n"
        "    def answer(self, ask, setting):\n"
        "        yield ask\n"
        "@dataclass(frozen=True)\n"
        "class Twice(Plainly):\n"
        "    a: int = 1\n"
        "    b: bool = False\n"
        "made = Twice(2)\n"
        "votes = SelfConsistency(n=3)\n"
        "number = 3\n"
    )
    for written, spelled in (
        ("Plainly", "Plainly"),
        ("Twice:a=1", "Twice"),
        ("Twice:b=true,a=3", "Twice:a=3,b=true"),
        ("made", "made"),
    ):
        chosen = strategy(f"{mine}:{written}")
        assert spell(chosen) == f"{mine}:{spelled}" == spell(strategy(spell(chosen)))
        assert chosen.needs(NUMBER, False) == ("fork",)
    assert spell(strategy(f"{mine}:votes")) == "sc:n=3"
    for written, message in (
        ("number", "is a int"),
        ("Plainly:a=1", "takes no arguments"),
        ("made:a=1", "not a class"),
    ):
        with pytest.raises(UserError, match=message):
            strategy(f"{mine}:{written}")
