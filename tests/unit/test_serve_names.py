"""Strategies behind model names: who is meant, what a client may have, and what is refused before it costs anything."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from thinkling.core.types import Capabilities
from thinkling.reasoning.spec import STRATEGIES, strategy
from thinkling.serve.errors import ApiError
from thinkling.serve.names import Chosen, admit, choose, draws, split
from thinkling.serve.settings import Limits, Settings
from thinkling.serve.source import Card
from thinkling.serve.state import ServerState

ALL = Capabilities(True, True, True, True, True, True, True, True)
CARD = Card("nano", 0, 512, ALL)


def state(here: Sequence[str], elsewhere: Sequence[str] = ()) -> ServerState:
    async def has(model: str) -> bool:
        return model in elsewhere

    upstream = SimpleNamespace(has=has) if elsewhere else None
    return cast(ServerState, SimpleNamespace(sources=dict.fromkeys(here), upstream=upstream))


def read(name: str, here: Sequence[str], elsewhere: Sequence[str] = ()) -> tuple[str, str | None]:
    return asyncio.run(split(state(here, elsewhere), name))


def admitted(spec: str, *, n: int = 1, kind: str = "text", card: Card = CARD, **settings: Any) -> Chosen:
    return admit(spec, "strategy", kind, n, Settings(**settings), card)


def refused(spec: str, **more: Any) -> ApiError:
    with pytest.raises(ApiError) as raised:
        admitted(spec, **more)
    assert raised.value.status == 400
    return raised.value


def test_a_name_is_the_longest_id_that_exists() -> None:
    assert read("nano", ["nano"]) == ("nano", None)
    assert read("nano+sc:n=8", ["nano"]) == ("nano", "sc:n=8")
    assert read("a+b", ["a", "a+b"]) == ("a+b", None)
    assert read("a+b+sc", ["a", "a+b"]) == ("a+b", "sc")
    assert read("a+b+sc", ["a"]) == ("a", "b+sc")
    assert read("org/m:free+sc:n=2(zs-cot)", ["m"], ["org/m:free"]) == ("org/m:free", "sc:n=2(zs-cot)")
    assert read("nano+", ["nano"]) == ("nano", "")
    assert read("+sc", ["nano"]) == ("+sc", None)
    assert read("none+sc", ["nano"], ["other"]) == ("none+sc", None)


def test_here_comes_before_elsewhere() -> None:
    assert read("nano+sc", ["nano"], ["nano+sc"]) == ("nano", "sc")


def test_two_strategies_must_be_the_same() -> None:
    assert choose(None, None) == ("plain", "strategy")
    assert choose(None, "sc") == ("sc", "strategy")
    assert choose("sc:n=8", None) == ("sc:n=8", "model")
    assert choose("sc:n=16", "sc") == ("sc:n=16", "model")  # 16 is its default
    with pytest.raises(ApiError, match="name it once"):
        choose("sc:n=8", "sc:n=9")


def test_unknown_strategies_and_options_are_explained() -> None:
    assert "did you mean sc?" in refused("scc").message
    assert "did you mean temperature?" in refused("sc:temperatur=1").message
    assert "brackets" in refused("sc:inner=plain").message
    assert "brackets" in refused("sc(refine:inner=x)").message
    assert refused("", n=1).param == "strategy"
    assert refused("sc", kind="numbre").param == "answer_kind"
    assert refused("sc:n=nan").param == "strategy"
    assert "300 characters" in refused("sc(" * 200).message


@pytest.mark.parametrize(
    "spec", ["evil.py:run", "sc:n=2(evil.py:run)", " /tmp/evil.py:run", "sc:n=2,x=evil.py:run", "bon:verifier=a.py:b"]
)
def test_no_code_is_loaded(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a client's file was opened")

    monkeypatch.setattr("thinkling.reasoning.spec.load_object", never)
    assert "code" in refused(spec).message
    with pytest.raises(ApiError):
        choose(spec, "sc")


def test_only_listed_paths_are_named(tmp_path: Path) -> None:
    listed = {"strategy_paths": (tmp_path / "verifiers",)}
    inside = tmp_path / "verifiers" / "orm"
    assert admitted(f"bon:verifier={inside}", **listed).spec == f"bon:verifier={inside}"
    assert admitted(f"vote:n=4,verifier={tmp_path}/verifiers", **listed)
    for path in (
        "/etc",
        f"{tmp_path}/verifiers/../secret",
        f"{tmp_path}/verifiers/link/../orm",
        f"{tmp_path}/verifiers-2",
        "verifiers",
        "a\0b",
    ):
        assert "path" in refused(f"bon:verifier={path}", **listed).message
        assert "path" in refused(f"sc:n=2(bon:n=2,verifier={path})", **listed).message
    assert "path" in refused(f"beam:verifier={inside}").message


def test_samples_are_bounded() -> None:
    few = {"limits": Limits(samples=20, n=4)}
    assert admitted("sc:n=20", **few).spec == "sc:n=20"
    for spec in (
        "sc:n=21",
        "sc:n=100000",
        "sc:n=5(sc:n=5)",
        "cot-decoding:k=20",
        "refine:rounds=10",
        "sc:n=15(zs-cot)",
    ):
        assert "samples" in refused(spec, **few).message
    assert admitted("sc:n=5", n=4, **few)
    assert refused("sc:n=6", n=4, **few)
    assert admitted("plain", n=4, **few)


def test_lengths_and_temperatures_are_bounded() -> None:
    assert admitted("budget:max=512")
    assert "max of at most 512" in refused("budget:max=513").message
    assert "answer_tokens" in refused("zs-cot:answer_tokens=600").message
    assert "at most 100" in refused("budget:min=101,max=200", limits=Limits(max_tokens=100)).message
    assert "temperature" in refused("sc:temperature=2.5").message
    assert "0.5" in refused("sc:error=0.7").message


def test_what_the_model_cannot_do_is_refused_first() -> None:
    lacking = replace(CARD, capabilities=Capabilities(prefix=True))
    assert "needs think" in refused("budget:max=9", card=lacking).message
    assert "fork, logprobs" in refused("sc:n=2(cot-decoding)", card=lacking).message
    assert "worked examples" in refused("cot").message
    assert "verifier" in refused("bon").message


def test_every_strategy_has_a_bill_and_a_way_to_be_told() -> None:
    known = {name: draws(strategy(name)) for name in STRATEGIES}
    assert known == {
        "plain": 1, "direct": 1, "few-shot": 1, "cot": 1, "zs-cot": 2, "cot-decoding": 11, "sc": 16, "bon": 16,
        "vote": 16, "beam": 16, "refine": 5, "analogical": 1, "budget": 2,
    }  # fmt: skip
    assert draws(strategy("bon:n=4,by=judge(refine)")) == 24
    told = {name for name in STRATEGIES if Chosen(strategy(name), name).tells_tokens}
    assert told == {"plain", "direct", "few-shot", "cot", "analogical", "sc", "bon", "vote", "refine"}
    assert not Chosen(strategy("sc(zs-cot)"), "").tells_tokens
