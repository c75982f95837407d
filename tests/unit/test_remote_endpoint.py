"""The spec of an endpoint: what is read, what is refused, and that a key shows itself nowhere."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.remote.endpoint import Endpoint, Key, options, parse_endpoint

BASE = "http://localhost:8000/v1"
SECRET = "sk-proj-very-secret-123"


def test_a_plain_spec() -> None:
    endpoint = parse_endpoint(f"openai:qwen3-8b@{BASE}")
    assert (endpoint.model, endpoint.base_url, endpoint.name) == ("qwen3-8b", BASE, f"openai:qwen3-8b@{BASE}")
    assert (endpoint.concurrency, endpoint.key_env, endpoint.prefix, endpoint.body) == (32, "OPENAI_API_KEY", False, {})


def test_an_endpoint_is_told_apart_by_what_it_is_sent() -> None:
    """Answers under one identity may stand for each other: what is sent counts, how hard it is driven does not."""
    plain = parse_endpoint(f"openai:m@{BASE}").identity
    assert plain == f"openai:m@{BASE}"
    for same in ("concurrency=4&timeout=3&price_in=1&price_out=2", "key_env=&logprobs=1&scoring=text"):
        assert parse_endpoint(f"openai:m@{BASE}?{same}").identity == plain
    others = ("body.effort=low", "body.effort=high", "body.top_k=-1", "prefix=1", "think_switch=t", "seed_field=")
    assert len({plain, *(parse_endpoint(f"openai:m@{BASE}?{other}").identity for other in others)}) == 7
    one, two = (parse_endpoint(f"openai:m@{BASE}?{q}").identity for q in ("body.a=1&body.b=2", "body.b=2&body.a=1"))
    assert one == two


def test_options_are_read_by_their_types_and_leave_the_url() -> None:
    query = "concurrency=8&timeout=2.5&prefix=1&logprobs=true&scoring=chatml&price_in=0.15&price_out=0.6&key_env=MY_KEY"
    endpoint = parse_endpoint(f"openai:m@{BASE}/?{query}")
    assert endpoint == Endpoint(
        model="m",
        base_url=BASE,
        concurrency=8,
        timeout=2.5,
        prefix=True,
        logprobs=True,
        scoring="chatml",
        price_in=0.15,
        price_out=0.6,
        key_env="MY_KEY",
    )


def test_fields_of_the_body_are_json_or_text() -> None:
    spec = f"openai:m@{BASE}?body.top_a=-1&body.reasoning_effort=low&body.x=%7B%22deep%22:[1,null]%7D"
    assert parse_endpoint(spec).body == {"top_a": -1, "reasoning_effort": "low", "x": {"deep": [1, None]}}


@pytest.mark.parametrize("model", ["@cf/meta/llama-3-8b", "claude@20250101", "org/name:free", "a b?c", "m@http"])
def test_names_of_models_hold_many_things(model: str) -> None:
    assert parse_endpoint(f"openai:{model}@https://host/v1?retries=0").model == model


@given(st.text(min_size=1).filter(lambda name: "@http" not in name), st.integers(1, 10**6), st.booleans())
def test_what_is_written_is_read(model: str, concurrency: int, prefix: bool) -> None:
    endpoint = parse_endpoint(f"openai:{model}@{BASE}?concurrency={concurrency}&prefix={int(prefix)}")
    assert (endpoint.model, endpoint.concurrency, endpoint.prefix) == (model, concurrency, prefix)


def test_overrides_go_before_the_spec_and_are_checked_alike() -> None:
    assert parse_endpoint(f"openai:m@{BASE}?concurrency=8", concurrency=2, body={"a": 1}).concurrency == 2
    with pytest.raises(UserError, match="concurrency takes a whole number of at least 1, came 0"):
        parse_endpoint(f"openai:m@{BASE}", concurrency=0)
    with pytest.raises(UserError, match="unknown option 'concurency'; did you mean 'concurrency'"):
        parse_endpoint(f"openai:m@{BASE}", concurency=3)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("opena:m@http://h/v1", "does not begin 'openai:'"),
        ("openai:m", "without MODEL@http"),
        ("openai:@http://h/v1", "without MODEL@http"),
        ("openai:m@localhost:8000/v1", "without MODEL@http"),
        ("openai:m@http://", "expected a base URL"),
        ("openai:m@http://h:99999/v1", "expected a base URL"),
        ("openai:m@http://h/v1#x", "expected a base URL"),
        ("openai:m@http://h/v1/chat/completions", "without the route '/chat/completions'"),
        ("openai:m@http://h/v1?concurrncy=8", "did you mean 'concurrency'"),
        ("openai:m@http://h/v1?nonsense=8", "known: key_env, concurrency"),
        ("openai:m@http://h/v1?body=8", "unknown option 'body'"),
        ("openai:m@http://h/v1?rpm=1&rpm=2", "'rpm' is given twice"),
        ("openai:m@http://h/v1?concurrency=eight", "whole number of at least 1, came 'eight'"),
        ("openai:m@http://h/v1?concurrency=1.5", "whole number of at least 1, came '1.5'"),
        ("openai:m@http://h/v1?prefix=yes", "prefix takes 1 or 0, came 'yes'"),
        ("openai:m@http://h/v1?timeout=0", "timeout takes seconds above 0, came 0.0"),
        ("openai:m@http://h/v1?timeout=nan", "timeout takes seconds above 0"),
        ("openai:m@http://h/v1?timeout=inf", "timeout takes seconds above 0"),
        ("openai:m@http://h/v1?scoring=1", "one of '', 'text', 'chatml', came '1'"),
        ("openai:m@http://h/v1?price_in=1", "given together"),
        ("openai:m@http://h/v1?body.temperature=1", "body.temperature is set by the program"),
        ("openai:m@http://h/v1?seed_field=random_seed&body.random_seed=1", "body.random_seed is set by the program"),
        ("openai:m@http://h/v1?body.chat_template_kwargs=x", "takes a table"),
    ],
)
def test_what_is_refused(spec: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_endpoint(spec)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    [
        f"openai:m@http://me:{SECRET}@h/v1",
        f"openai:m@http://h/v1?api_key={SECRET}",
        f"openai:m@http://h/v1?key_env={SECRET}",
        f"openai:m@http://h:0/v1?key_env={SECRET}",
        f"openai:m@http:///v1?key_env={SECRET}",
        f"openai:m@http://h/v1/completions?api_key={SECRET}",
        f"opena:m@http://h/v1?api_key={SECRET}",
        f"openai:m@h/v1?api_key={SECRET}",
    ],
)
def test_a_key_in_the_wrong_place_is_refused_and_not_shown(spec: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_endpoint(spec)
    assert SECRET not in str(caught.value)


def test_a_body_that_is_not_json() -> None:
    for body in ({"a": object()}, {"a": float("nan")}, [1]):
        with pytest.raises(UserError, match="body takes a table of JSON fields"):
            parse_endpoint(f"openai:m@{BASE}", body=body)


def test_a_key_comes_from_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", SECRET)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    key = Key.read("MY_KEY")
    assert key and key.headers() == {"Authorization": f"Bearer {SECRET}"}
    assert not Key.read("OPENAI_API_KEY") and Key.read("").headers() == {}, "many local servers want no key"
    with pytest.raises(UserError, match="key_env names is not set") as caught:
        Key.read("gsk_put_here_by_mistake")
    assert "gsk_put" not in str(caught.value)


def test_a_key_shows_itself_nowhere() -> None:
    key = Key("MY_KEY", SECRET)
    assert SECRET not in f"{key!r} {key!s} {key} {[key]}"
    assert key.redact(f"bad key {SECRET}!") == "bad key [key]!"
    assert Key("", "").redact("as it is") == "as it is"
    with pytest.raises(TypeError):
        pickle.dumps(key)


@pytest.mark.parametrize("value", [f"{SECRET}\n", f" {SECRET}", f"{SECRET}\r\nX-Header: 1", f"{SECRET}\u00e9"])
def test_a_key_that_no_header_can_hold(value: str) -> None:
    with pytest.raises(UserError, match="the key in MY_KEY has spaces, line breaks") as caught:
        Key("MY_KEY", value)
    assert SECRET not in str(caught.value)


def test_every_option_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "remote.md").read_text(encoding="utf-8")
    for option in options():
        name = "body.NAME" if option.name == "body" else option.name
        assert f"`{name}`" in page, f"docs/remote.md says nothing of {name}"
        assert option.metadata["about"]


def test_defaults_are_within_their_own_ranges() -> None:
    settings: dict[str, Any] = {
        option.name: getattr(Endpoint(model="m", base_url=BASE), option.name) for option in options()
    }
    assert Endpoint(model="m", base_url=BASE, **settings) == Endpoint(model="m", base_url=BASE)
