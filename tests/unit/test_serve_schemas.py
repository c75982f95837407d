"""Bodies: what is accepted, what is refused by name, and that the documented schema says the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from thinkling.core.types import Message
from thinkling.serve.schemas.chat import ChatBody
from thinkling.serve.schemas.completions import CompletionBody
from thinkling.serve.schemas.tokens import NextBody, TokenizeBody

ASK = [{"role": "user", "content": "2+2?"}]
CHAT: dict[str, Any] = {"model": "nano", "messages": ASK}
TEXT: dict[str, Any] = {"model": "nano", "prompt": "the"}


def at_fault(body: type[BaseModel], fields: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as raised:
        body.model_validate(fields)
    return ".".join(map(str, raised.value.errors()[0]["loc"]))


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "u", "metadata": {"a": "b"}, "store": True, "service_tier": "auto", "parallel_tool_calls": False},
        {"safety_identifier": "x", "prompt_cache_key": "y", "prompt_cache_retention": "24h", "verbosity": "low"},
        {"tools": [], "tool_choice": "none", "functions": None, "modalities": ["text"], "response_format": None},
        {"response_format": {"type": "text"}, "audio": None, "prediction": None, "web_search_options": None},
        {"temperature": 0, "top_p": 1, "top_k": 0, "min_p": 0.0, "stop": None, "logit_bias": {"5": -100, "7": 1.5}},
        {"stop": "x", "n": 2, "seed": -1, "stream": True, "stream_options": {"include_usage": True}},
        {"max_tokens": None, "max_completion_tokens": 7, "reasoning_effort": "none", "forced_tokens": [1, 2]},
    ],
)
def test_what_clients_send_is_taken(fields: dict[str, Any]) -> None:
    ChatBody.model_validate({**CHAT, **fields})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"functions": [{}]}, "functions"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"modalities": ["audio"]}, "modalities.0"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"prediction": {"type": "content"}}, "prediction"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"repetition_penalty": 1.1}, "repetition_penalty"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": float("inf")}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": True}, "n"),
        ({"n": 10**400}, "n"),
        ({"seed": 2**63}, "seed"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"logit_bias": {"x": 1}}, "logit_bias.x.[key]"),
        ({"logit_bias": {"1": 101}}, "logit_bias.1"),
        ({"logit_bias": {str(i): 1 for i in range(1025)}}, "logit_bias"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"stop": ["\ud800"]}, "stop.0"),
        ({"strategy": "\udfff"}, "strategy"),
        ({"model": "\ud83d"}, "model"),
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "bird", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "\ud800x"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": ["text"], "text": ""}]}]}, "messages.0.content"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages.0.tool_calls"),
        ({"thinking_budget": 0}, "thinking_budget"),
        ({"forced_tokens": [-1]}, "forced_tokens.0"),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    assert at_fault(ChatBody, {**CHAT, **fields}) == param


def test_messages() -> None:
    sent = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "x"},
        {"role": "assistant", "content": None, "reasoning": "hm", "tool_calls": [], "refusal": None, "annotations": []},
        {"role": "assistant", "content": "4", "reasoning_content": "two", "reasoning": "two"},
    ]
    read = ChatBody.model_validate({**CHAT, "messages": sent}).messages
    assert [message.message(True) for message in read] == [
        Message.system("be brief"),
        Message.user("ab"),
        Message.assistant("", "hm"),
        Message.assistant("4", "two"),
    ]
    assert read[3].message(False) == Message.assistant("4")


@pytest.mark.parametrize(
    ("prompt", "read"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1], [2, 3]], [[1], [2, 3]]), ("", [""])],
)
def test_prompts(prompt: object, read: object) -> None:
    assert CompletionBody.model_validate({**TEXT, "prompt": prompt}).prompt == read


@pytest.mark.parametrize("prompt", [[], [[]], ["a", 1], [1, "a"], [True], [1.5], [-1], [2**31], None, 5, {}, [None]])
def test_other_prompts_are_refused(prompt: object) -> None:
    assert at_fault(CompletionBody, {**TEXT, "prompt": prompt}) == "prompt"


def test_completions_refuse_what_they_cannot_do() -> None:
    assert at_fault(CompletionBody, {**TEXT, "suffix": "x"}) == "suffix"
    assert at_fault(CompletionBody, {**TEXT, "best_of": 2}) == "best_of"
    assert at_fault(CompletionBody, {**TEXT, "logprobs": True}) == "logprobs"
    assert CompletionBody.model_validate({**TEXT, "best_of": 1, "max_tokens": 0, "suffix": None})


def test_one_text_is_asked_about() -> None:
    assert at_fault(TokenizeBody, {"model": "nano"}) == ""
    assert at_fault(TokenizeBody, {"model": "nano", "prompt": "", "messages": ASK}) == ""
    assert at_fault(NextBody, {"model": "nano", "prompt": "a", "tokens": [1]}) == ""
    assert NextBody.model_validate({"model": "nano", "messages": ASK, "forced_tokens": [3]}).top == 50


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("body", [ChatBody, CompletionBody, TokenizeBody, NextBody])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_no_json_breaks_the_validation(body: type[BaseModel], data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(body.model_fields)))
    fields = {**(CHAT if "messages" in body.model_fields else TEXT), field: data.draw(JSON)}
    try:
        body.model_validate(fields)
    except ValidationError as error:
        assert error.errors()[0]["msg"]


@pytest.mark.parametrize("body", [ChatBody, CompletionBody, TokenizeBody, NextBody])
def test_the_schema_states_the_bounds(body: type[BaseModel]) -> None:
    schema = body.model_json_schema()
    assert schema["additionalProperties"] is False
    if body is ChatBody:
        limits = {name: schema["properties"][name]["anyOf"][0] for name in ("temperature", "n", "seed", "logit_bias")}
        assert (limits["temperature"]["minimum"], limits["temperature"]["maximum"]) == (0, 2)
        assert (limits["n"]["minimum"], limits["n"]["maximum"]) == (1, 128)
        assert limits["seed"]["maximum"] == 2**63 - 1
        assert limits["logit_bias"]["maxProperties"] == 1024
        assert schema["properties"]["tools"]["anyOf"][1] == {"type": "array", "maxItems": 0}
    json.dumps(schema, allow_nan=False)
