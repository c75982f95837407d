"""CoT-decoding against a model whose every probability is written down: one token is one character."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from thinkling.core.types import Capabilities, Message, Sample, Sampled, Sampling, TokenSeq, TopToken, Usage
from thinkling.reasoning.cot_decoding import margins, span_tokens
from thinkling.reasoning.spec import strategy
from thinkling.reasoning.strategy import Setting, as_policy
from thinkling.rollout.driver import Failure, drive
from thinkling.tasks.answers import answer_kind
from thinkling.tokenizer.chat import TAGS

SETTING = Setting(answer_kind("number"), Capabilities(logprobs=True, fork=True))

# First characters with their probabilities, and how each path goes on: (text, probability of each character).
# The greedy path answers at once and wrongly, unsure of its digit; "d" and "b" reason, and are sure.
FIRST = {"a": 0.5, "b": 0.3, "d": 0.15, "c": 0.05}
PATHS = {
    "a": ("a: the answer is 7", {"7": 0.4}),
    "b": ("b so 3 and 2: the answer is 15", {"1": 0.9, "5": 0.8}),
    "c": ("c: the answer is 7", {"7": 0.95}),
    "d": ("d hm: the answer is 15", {"1": 0.7, "5": 0.6}),
}


class CharacterModel:
    """Serves greedy samples with two candidates per character; the runner-up has half of what is left."""

    name = "characters"
    capabilities = SETTING.capabilities

    def __init__(self) -> None:
        self.asked: list[Sample] = []
        self._due: list[tuple[int, list[Sampled]]] = []

    def submit(self, effect: Sample) -> int:
        self.asked.append(effect)
        self._due.append((len(self.asked), [self._sample(effect)]))
        return len(self.asked)

    def poll(self) -> list[tuple[int, list[Sampled]]]:
        done, self._due = self._due, []
        return done

    def cancel(self, ticket: int) -> None:
        self._due = [item for item in self._due if item[0] != ticket]

    def _sample(self, effect: Sample) -> Sampled:
        begun = "".join(map(chr, effect.forced)) or max(FIRST, key=lambda first: FIRST[first])
        text, sure = PATHS[begun]
        text = text[: effect.sampling.max_tokens + len(effect.forced)]
        top = tuple(_top(character, place, sure)[: effect.top_logprobs] for place, character in enumerate(text))
        usage = Usage(len(effect.forced), len(text), 0, 1)
        return Sampled(Message.assistant(text), TokenSeq((), (), ()), "stop", usage, top=top, pieces=tuple(text))


def _top(character: str, place: int, sure: Mapping[str, float]) -> tuple[TopToken, ...]:
    if place == 0:
        table = FIRST
    else:
        likely = sure.get(character, 1.0 - 2e-9)
        table = {character: likely, "?": (1 - likely) / 2}
    return tuple(TopToken(ord(name), math.log(p), name) for name, p in table.items())


def decode(spec: str, think: bool | None = None) -> tuple[Sampled, CharacterModel]:
    model = CharacterModel()
    asked = Sample((), Sampling(temperature=1.0, max_tokens=50), 1, prefix="Q: 3*5?\nA:", think=think)
    (made,) = drive([as_policy(strategy(spec), spec, SETTING).respond(asked)], model)  # type: ignore[arg-type]
    assert not isinstance(made, Failure), made
    return made[0], model


def gap(likely: float) -> float:
    return likely - (1 - likely) / 2


def test_it_branches_on_the_first_token_alone_and_goes_on_greedily() -> None:
    _, model = decode("cot-decoding:k=3")
    look, *branches = model.asked
    assert (look.sampling.max_tokens, look.top_logprobs, look.forced) == (1, 3, ())
    assert [branch.forced for branch in branches] == [(ord("a"),), (ord("b"),), (ord("d"),)]
    assert all(effect.sampling.temperature == 0.0 and effect.top_logprobs == 2 for effect in branches)


def test_no_branch_thinks_where_that_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """The likeliest tokens are told from the raw logits, in which nothing is forbidden yet."""
    monkeypatch.setitem(TAGS, "think", ("b", "/"))
    for think, first in ((None, "abd"), (True, "abd"), (False, "adc")):
        _, model = decode("cot-decoding:k=3", think)
        assert [chr(branch.forced[0]) for branch in model.asked[1:]] == list(first)


def test_delta_is_the_mean_margin_over_the_tokens_of_the_answer_alone() -> None:
    made, _ = decode("cot-decoding:k=4")
    assert made.trace is not None
    weights = {candidate.message.text[0]: candidate.weight for candidate in made.trace.candidates}
    assert weights["a"] == pytest.approx(gap(0.4), abs=1e-6)
    assert weights["b"] == pytest.approx((gap(0.9) + gap(0.8)) / 2, abs=1e-6)
    assert weights["d"] == pytest.approx((gap(0.7) + gap(0.6)) / 2, abs=1e-6)


def test_sum_adds_the_paths_of_an_answer_and_max_takes_the_surest_path() -> None:
    """15 has two paths (0.775 + 0.475), 7 the single surest one (0.925) beside a weak one (0.1)."""
    added, _ = decode("cot-decoding:k=4")
    assert added.trace is not None and dict(added.trace.tally) == {
        "15": pytest.approx(0.775 + 0.475, abs=1e-6),
        "7": pytest.approx(0.1 + 0.925, abs=1e-6),
    }
    assert added.message.text.endswith("15")
    best, _ = decode("cot-decoding:k=4,pick=max")
    assert best.message.text == "c: the answer is 7"
    few, _ = decode("cot-decoding:k=1")
    assert few.message.text == "a: the answer is 7", "with one branch it is greedy decoding"


def test_the_span_of_an_answer_is_the_tokens_that_touch_it() -> None:
    pieces = ("", "The", " answer", " is", " 1", "5", ".")
    assert span_tokens(pieces, 14, 16) == [4, 5]
    assert span_tokens(pieces, 15, 16) == [4, 5][1:]
    assert span_tokens(("", "1", "", "5"), 0, 2) == [1, 3], "a special token spells nothing"


def test_a_margin_is_a_difference_of_probabilities() -> None:
    made = CharacterModel()._sample(Sample((), Sampling(temperature=0.0), 1, top_logprobs=2))
    assert margins(made)[0] == pytest.approx(0.2)
    single = replace(made, top=(made.top[0][:1],))
    assert margins(single) == [pytest.approx(0.5)]
