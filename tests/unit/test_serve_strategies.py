"""What the page builds its forms from."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import thinkling
from thinkling.core.artifact import Manifest
from thinkling.reasoning.spec import STRATEGIES, spell, strategy
from thinkling.reasoning.strategy import Setting
from thinkling.serve import strategies_routes
from thinkling.serve.settings import Limits, Settings
from thinkling.serve.state import ServerState
from thinkling.serve.strategies_routes import Option, StrategyBody, strategies, verifiers


def artifact(folder: Path, kind: str) -> Path:
    folder.mkdir(parents=True)
    fields = {name: {} for name in ("parents", "recipe", "files")} | {"id": "i", "kind": kind, "code": "c"}
    assert Manifest(**fields)  # type: ignore[arg-type]
    (folder / "manifest.json").write_text(json.dumps(fields))
    return folder


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A folder of runs with two verifiers and a model that is none."""
    artifact(tmp_path / "runs" / "nano" / "outcome", "outcome-verifier")
    artifact(tmp_path / "runs" / "nano" / "process", "process-verifier")
    artifact(tmp_path / "runs" / "nano" / "sft", "sft")
    return tmp_path / "runs"


def by_name(settings: Settings) -> dict[str, StrategyBody]:
    return {one.name: one for one in strategies(settings)}


def test_every_strategy_that_can_work_is_there_with_its_options_as_they_are_written(trained: Path) -> None:
    found = by_name(Settings(strategy_paths=(trained,)))
    # Those that are left out ask for worked examples, of which a server has none.
    assert set(STRATEGIES) - set(found) == {"few-shot", "cot"}
    for name, one in found.items():
        assert one.summary and "`" not in one.summary and "\n" not in one.summary
        for option in one.options:
            written = "true" if option.default is True else "false" if option.default is False else option.default
            if option.default != "":
                assert spell(strategy(f"{name}:{option.name}={written}")) == name  # it is the default, of this type
        inner = f"{name}(zs-cot)" if one.inner else name
        assert spell(strategy(inner)) == inner


def test_options_have_the_types_of_the_fields(trained: Path) -> None:
    found = by_name(Settings(strategy_paths=(trained,)))
    options = {(name, option.name): option for name, one in found.items() for option in one.options}
    assert options["sc", "n"] == Option(name="n", type="int", default=16, choices=None)
    assert options["sc", "temperature"] == Option(name="temperature", type="float", default=1.0, choices=None)
    assert options["cot-decoding", "pick"] == Option(name="pick", type="choice", default="sum", choices=["sum", "max"])
    both = [str(trained / "nano" / name) for name in ("outcome", "process")]
    assert options["beam", "verifier"] == Option(name="verifier", type="choice", default="", choices=["", *both])
    assert [found[name].inner for name in ("sc", "bon", "beam", "plain")] == [True, True, False, False]


def test_without_verifiers_what_needs_one_is_left_out() -> None:
    found = by_name(Settings())
    assert {"vote", "beam"} & set(found) == set()
    assert [option.name for option in found["bon"].options] == ["n", "temperature", "by"]  # by=likelihood works


def test_every_strategy_that_is_left_out_would_be_refused(trained: Path) -> None:
    """With each of its options' choices, one by one: so none is missing that a client could use."""
    for name in set(STRATEGIES) - set(by_name(Settings())):
        with pytest.raises(Exception, match="verifier|exemplars|examples"):
            strategy(name).needs(Setting(), False)


def test_only_verifiers_below_listed_paths_are_told(trained: Path, tmp_path: Path) -> None:
    assert verifiers([]) == []
    assert verifiers([trained / "nano" / "process"]) == [str(trained / "nano" / "process")]
    assert verifiers([trained / "nano" / "sft", tmp_path / "none"]) == []
    artifact(trained / "nano" / "a,b", "outcome-verifier")
    (trained / "nano" / "broken").mkdir()
    (trained / "nano" / "broken" / "manifest.json").write_text("{")
    assert [Path(path).name for path in verifiers([trained])] == ["outcome", "process"]


def test_the_kinds_of_verifiers_are_the_engines() -> None:
    from thinkling.engine.verifiers import KINDS

    assert strategies_routes.VERIFIERS == KINDS


def test_the_routes_tell_what_clients_may_know() -> None:
    configured = Settings(key="secret-key", show_thinking=False, limits=Limits(n=3), upstream="http://inner/v1")
    state = SimpleNamespace(settings=configured, history=object(), runs=None)
    app = FastAPI()
    app.include_router(strategies_routes.router(cast(ServerState, state)))
    client = TestClient(app)
    told: dict[str, Any] = client.get("/api/settings").json()
    assert set(told) == {"show_thinking", "limits", "version", "history", "runs"}
    assert (told["show_thinking"], told["history"], told["runs"]) == (False, True, False)
    assert told["limits"]["n"] == 3 and told["version"] == thinkling.__version__
    assert "secret" not in str(told) and "inner" not in str(told)
    listed = client.get("/api/strategies").json()
    assert listed[0] == {"name": "plain", "summary": listed[0]["summary"], "options": [], "inner": False}
    assert {key for one in listed for option in one["options"] for key in option} == {
        *("name", "type", "default", "choices")
    }
