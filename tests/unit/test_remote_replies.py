"""Effects to JSON and JSON to turns: what is sent, what is refused, how thinking and tokens are read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scripted_server import chat, text
from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.core.types import Message, Part, Sample, Sampled, Sampling, Score, Scored, TokenSeq, TopToken, Usage
from thinkling.remote.bills import Bill, Malformed
from thinkling.remote.bodies import calls_for
from thinkling.remote.endpoint import Endpoint
from thinkling.remote.replies import read_turn

PLAIN = Endpoint(model="m", base_url="http://h/v1")
ABLE = Endpoint(
    model="m", base_url="http://h/v1", prefix=True, logprobs=True, scoring="chatml", think_switch="enable_thinking"
)
ASK = (Message.user("2+2?"),)
SAMPLING = Sampling(temperature=0.7, max_tokens=50)


def sent(effect: Sample | Score, endpoint: Endpoint = PLAIN) -> list[tuple[str, dict[str, Any]]]:
    return [(call.route, json.loads(call.body)) for call in calls_for(endpoint, effect)]


def read(effect: Sample, reply: object, endpoint: Endpoint = ABLE) -> tuple[Sampled, Bill]:
    sampled, bill = calls_for(endpoint, effect)[0].read(reply)
    assert isinstance(sampled, Sampled)
    return sampled, bill


# ---- what is sent


def test_a_chat() -> None:
    assert sent(Sample(ASK, SAMPLING, seed=5)) == [
        (
            "/chat/completions",
            {
                "model": "m",
                "messages": [{"role": "user", "content": "2+2?"}],
                "temperature": 0.7,
                "top_p": 1.0,
                "max_tokens": 50,
                "seed": 5,
            },
        )
    ]


def test_plain_text_is_continued() -> None:
    effect = Sample((), Sampling(top_k=3, top_p=0.5, min_p=0.1, stop=("\n",)), seed=5, prefix="Q: 2+2?\nA:")
    ((route, body),) = sent(effect)
    assert route == "/completions" and body["prompt"] == "Q: 2+2?\nA:"
    assert (body["top_k"], body["top_p"], body["min_p"], body["stop"]) == (3, 0.5, 0.1, ["\n"])


@given(seed=st.integers(0, 2**63 - 1), n=st.integers(1, 5))
def test_seeds_are_those_of_the_local_backend_in_31_bits(seed: int, n: int) -> None:
    own = [derive(seed, i) for i in range(n)] if n > 1 else [seed]
    bodies = [body for _, body in sent(Sample(ASK, SAMPLING, seed, n))]
    assert [body["seed"] for body in bodies] == [one % 2**31 for one in own]
    assert all({**body, "seed": 0} == {**bodies[0], "seed": 0} for body in bodies)


def test_names_that_endpoints_call_differently() -> None:
    endpoint = Endpoint(
        model="m", base_url="http://h", seed_field="random_seed", max_tokens_field="max_completion_tokens"
    )
    ((_, body),) = sent(Sample(ASK, SAMPLING, 5), endpoint)
    assert (body["random_seed"], body["max_completion_tokens"]) == (5, 50) and not {"seed", "max_tokens"} & set(body)
    ((_, body),) = sent(Sample(ASK, SAMPLING, 5), Endpoint(model="m", base_url="http://h", seed_field=""))
    assert not {"seed", ""} & set(body)


def test_extra_fields_of_the_body() -> None:
    endpoint = Endpoint(model="m", base_url="http://h", body={"reasoning_effort": "low"})
    for effect in (Sample(ASK, SAMPLING, 5), Sample((), SAMPLING, 5, prefix="x")):
        assert sent(effect, endpoint)[0][1]["reasoning_effort"] == "low"


def test_a_servers_own_top_k_can_be_turned_off() -> None:
    endpoint = Endpoint(model="m", base_url="http://h", body={"top_k": -1})
    assert sent(Sample(ASK, SAMPLING, 5), endpoint)[0][1]["top_k"] == -1
    assert sent(Sample(ASK, Sampling(top_k=5), 5), endpoint)[0][1]["top_k"] == 5


def test_earlier_thinking_is_left_out_and_tools_are_told_as_text() -> None:
    talk = (
        Message.system("Be brief."),
        Message.user("hi"),
        Message("assistant", (Part("think", "hmm"), Part("text", "let me see"), Part("call", "1+1"))),
        Message("tool", (Part("result", "2"),)),
    )
    assert sent(Sample(talk, SAMPLING, 5))[0][1]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "let me see<tool_call>1+1</tool_call>"},
        {"role": "user", "content": "<tool_response>2</tool_response>"},
    ]


def test_a_turn_that_has_begun() -> None:
    ((_, body),) = sent(Sample(ASK, SAMPLING, 5, prefix="The answer", thought="easy"), ABLE)
    assert body["messages"][-1] == {"role": "assistant", "content": "<think>easy</think>The answer"}
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)


@pytest.mark.parametrize("think", [True, False])
def test_thinking_is_switched_by_the_chat_template(think: bool) -> None:
    endpoint = Endpoint(
        model="m", base_url="http://h", think_switch="thinking", body={"chat_template_kwargs": {"other": 1}}
    )
    ((_, body),) = sent(Sample(ASK, SAMPLING, 5, think=think), endpoint)
    assert body["chat_template_kwargs"] == {"other": 1, "thinking": think}
    ((_, body),) = sent(Sample(ASK, SAMPLING, 5), endpoint)
    assert body["chat_template_kwargs"] == {"other": 1}


def test_logprobs_are_asked_for_only_where_wanted() -> None:
    assert "logprobs" not in sent(Sample(ASK, SAMPLING, 5), ABLE)[0][1]
    ((_, body),) = sent(Sample(ASK, SAMPLING, 5, top_logprobs=3), ABLE)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 3)
    ((_, body),) = sent(Sample((), SAMPLING, 5, prefix="x", top_logprobs=3), ABLE)
    assert body["logprobs"] == 3 and "top_logprobs" not in body


@pytest.mark.parametrize(
    ("effect", "told"),
    [
        (Sample(ASK, SAMPLING, 5, prefix="x"), "option prefix=1"),
        (Sample(ASK, SAMPLING, 5, thought=""), "option prefix=1"),
        (Sample(ASK, SAMPLING, 5, think=False), "option think_switch=NAME"),
        (Sample(ASK, SAMPLING, 5, top_logprobs=1), "option logprobs=1"),
        (Sample(ASK, SAMPLING, 5, forced=(1,)), "forced token ids"),
        (Sample(ASK, SAMPLING, 5, until=lambda said: True), "ended by stop strings"),
        (Sample((), SAMPLING, 5), "prefix, which is empty"),
        (Sample(ASK, SAMPLING, 5, n=0), "at least 1"),
        (Score(ASK, Message.assistant("4")), "option scoring=chatml"),
        (Score((), Message.assistant("4"), prefix="2+2="), "option scoring=text"),
    ],
)
def test_what_the_endpoint_was_not_declared_to_do(effect: Sample | Score, told: str) -> None:
    with pytest.raises(UserError, match=told):
        calls_for(PLAIN, effect)


def test_scores_that_no_endpoint_gives() -> None:
    for effect, told in (
        (Score(ASK, Message.assistant("4"), verifier="v"), "no verifier"),
        (Score(ASK, Message.assistant("4"), marks=(1,)), "no verifier"),
        (Score(ASK, Message("assistant", ())), "turn is empty"),
        (Score((), Message.assistant("4")), "first token has no logprob"),
    ):
        with pytest.raises(UserError, match=told):
            calls_for(ABLE, effect)
    chats = Endpoint(model="m", base_url="http://h", scoring="text")
    with pytest.raises(UserError, match="scoring=chatml"):
        calls_for(chats, Score(ASK, Message.assistant("4")))


# ---- how turns are read


@pytest.mark.parametrize(
    ("opening", "thought", "content", "thinking", "said"),
    [
        ("", "", "4", None, "4"),
        ("", "easy", "4", "easy", "4"),
        ("", "easy", "", "easy", ""),
        ("", "", "<think>easy</think>4", "easy", "4"),
        ("", "", "\n<think>\neasy\n</think>\n\n4", "\neasy\n", "\n\n4"),
        ("", "", "easy</think>4", "easy", "4"),
        ("", "", "<think>never ends", "never ends", ""),
        ("", "", "A <think> tag, and </think> too", None, "A <think> tag, and </think> too"),
        ("", "", "<think></think>4", "", "4"),
        ("The answer", "", " is 4", None, "The answer is 4"),
        ("The answer", "easy", " is 4", "easy", "The answer is 4"),
        ("<think>two and", "", " two</think>4", "two and two", "4"),
        ("<think>two and", " two", "4", "two and two", "4"),
        ("<think>easy</think>The", "", " 4", "easy", "The 4"),
        ("<think>easy</think>The", " more", " 4", "easy more", "The 4"),
    ],
)
def test_thinking_is_told_in_many_ways(
    opening: str, thought: str, content: str, thinking: str | None, said: str
) -> None:
    message = read_turn(opening, thought, content)
    assert (message.role, message.thinking, message.text) == ("assistant", thinking, said)


def test_parts_have_the_form_of_the_local_protocol() -> None:
    """No two texts in a row, no empty text but alone or behind a think part that is closed."""
    assert read_turn("", "", "").parts == (Part("text", ""),)
    assert read_turn("", "", "<think>a").parts == (Part("think", "a"),)
    assert read_turn("", "", "<think>a</think>").parts == (Part("think", "a"), Part("text", ""))
    calls = "<tool_call>1+1</tool_call><tool_call>2+2</tool_call> so <tool_call>open"
    assert read_turn("", "", calls).parts == (
        Part("call", "1+1"),
        Part("call", "2+2"),
        Part("text", " so "),
        Part("call", "open"),
    )


def test_calls_that_the_endpoint_has_parsed() -> None:
    function = {"name": 'cal"c', "arguments": '{"x": 1}'}
    sampled, _ = read(Sample(ASK, SAMPLING, 5), chat(None, finish="tool_calls", tool_calls=[{"function": function}]))
    (part,) = sampled.message.parts
    assert part.kind == "call" and json.loads(part.text) == {"name": 'cal"c', "arguments": {"x": 1}}
    assert sampled.finish == "tool"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("eos_token", "stop"),
        ("length", "length"),
        ("tool_calls", "tool"),
        ("content_filter", "abort"),
        (None, "abort"),
        (["?"], "abort"),
    ],
)
def test_how_it_ended(reason: Any, finish: str) -> None:
    assert read(Sample(ASK, SAMPLING, 5), chat("4", finish=reason))[0].finish == finish
    assert read(Sample((), SAMPLING, 5, prefix="x"), text("4", finish_reason=reason))[0].finish == finish


def test_a_reply_with_its_usage() -> None:
    sampled, bill = read(Sample(ASK, SAMPLING, 5), chat("4", reasoning="easy", usage=(11, 10)))
    assert sampled.message == Message.assistant("4", think="easy")
    assert sampled.usage == bill.usage == Usage(11, 10, 8, 1), "four fifths of what was said is thinking"
    assert bill.thinking_estimated and not bill.estimated
    assert (sampled.weights_id, sampled.tokens, sampled.top) == ("served-model", TokenSeq((), (), ()), ())


def test_thinking_that_was_given_is_not_billed_as_sampled() -> None:
    effect = Sample(ASK, SAMPLING, 5, prefix="The", thought="long thought " * 20)
    assert read(effect, chat(" answer", usage=(50, 2)))[1] == Bill(Usage(50, 2, 0, 1))


def test_a_refusal_is_what_was_said() -> None:
    assert read(Sample(ASK, SAMPLING, 5), chat(None, refusal="I cannot."))[0].message.text == "I cannot."


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = ["choices", "message", "content", "reasoning", "tool_calls", "function", "name", "arguments", "text", "logprobs"]
KEYS += ["usage", "prompt_tokens", "completion_tokens", "completion_tokens_details", "tokens", "token_logprobs"]
KEYS += ["top_logprobs", "text_offset", "token", "logprob", "bytes", "finish_reason", "model", "error"]


def near_replies(depth: int = 4) -> st.SearchStrategy[Any]:
    inner = JSON if not depth else JSON | st.deferred(lambda: near_replies(depth - 1))
    return st.dictionaries(st.sampled_from(KEYS), inner | st.lists(inner, max_size=2), max_size=5) | JSON


@given(near_replies(), st.integers(0, 2), st.booleans())
def test_any_json_is_a_reply_or_malformed(reply: Any, top: int, chatting: bool) -> None:
    effect = Sample(ASK if chatting else (), SAMPLING, 5, prefix="x", top_logprobs=top)
    for call in (*calls_for(ABLE, effect), *calls_for(ABLE, Score(ASK, Message.assistant("4")))):
        for payload in (reply, {"choices": [reply]}, {"choices": [{"message": reply, "text": "x", "logprobs": reply}]}):
            try:
                call.read(payload)
            except Malformed as error:
                assert str(error)


# ---- tokens


def listed(*tokens: str, torn: tuple[bytes, ...] = ()) -> dict[str, Any]:
    """The chat route's logprobs: every token with logprob -1, and a second one with -2."""
    rows: list[dict[str, Any]] = []
    for index, token in enumerate(tokens):
        data = torn[index] if torn else token.encode()
        other = {"token": f"other{index}", "logprob": -2.0, "bytes": None}
        rows.append({"token": token, "logprob": -1.0, "bytes": list(data)})
        rows[-1]["top_logprobs"] = [other, {"token": token, "logprob": -1.0, "bytes": list(data)}]
    return {"content": rows}


def reply_with(content: str | None, logprobs: dict[str, Any], **message: Any) -> dict[str, Any]:
    reply = chat(content, **message)
    reply["choices"][0]["logprobs"] = logprobs
    return reply


def test_tokens_with_their_alternatives() -> None:
    sampled, _ = read(Sample(ASK, SAMPLING, 5, top_logprobs=2), reply_with("It is 4", listed("It", " is", " 4")))
    assert sampled.pieces == ("It", " is", " 4")
    assert sampled.top[2] == (TopToken(-1, -1.0, " 4"), TopToken(-1, -2.0, "other2")), "best first"
    assert sampled.tokens == TokenSeq((), ("sampled",) * 3, (-1.0,) * 3)


@pytest.mark.parametrize(
    ("effect", "reply", "pieces"),
    [
        # Tags and the end of the turn are tokens, but spell nothing; white space around the thinking gets lost.
        (
            {},
            reply_with(
                "4", listed("<think>", "\n", "hm", ".\n", "</think>", "\n\n", "4", "<|im_end|>"), reasoning="hm."
            ),
            ("", "", "hm", ".", "", "", "4", ""),
        ),
        ({}, reply_with("<think>hm</think>4", listed("<think>", "hm", "</think>", "4")), ("", "hm", "", "4")),
        # The reasoning is told, its tokens are not.
        ({}, reply_with("It is 4", listed("It", " is", " 4"), reasoning="hm"), ("hm", "It", " is", " 4")),
        # What the turn said already has no tokens.
        ({"prefix": "It "}, reply_with("is 4", listed("is", " 4")), ("It ", "is", " 4")),
        ({"prefix": "It", "thought": "hm"}, reply_with(" is 4", listed(" is", " 4")), ("hmIt", " is", " 4")),
        # A stop string ends in the middle of a token, or is a token of its own.
        ({}, reply_with("It is", listed("It", " is.\n", "\n")), ("It", " is", "")),
        # A character of two tokens belongs to the one that completes it.
        (
            {},
            reply_with("\u00e9t\u00e9", listed("?", "?", "t\u00e9", torn=(b"\xc3", b"\xa9", b"t\xc3\xa9"))),
            ("", "\u00e9", "t\u00e9"),
        ),
    ],
)
def test_the_pieces_spell_thinking_and_text(
    effect: dict[str, Any], reply: dict[str, Any], pieces: tuple[str, ...]
) -> None:
    sampled, _ = read(Sample(ASK, SAMPLING, 5, top_logprobs=2, **effect), reply)
    assert sampled.pieces == pieces and len(sampled.top) == len(pieces)
    assert "".join(pieces) == "".join(part.text for part in sampled.message.parts)


@given(said=st.text(min_size=1).filter(lambda said: "<" not in said), cuts=st.lists(st.integers(0, 200), max_size=20))
def test_tokens_cut_anywhere_spell_the_text(said: str, cuts: list[int]) -> None:
    data = said.encode()
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    torn = (*(data[a:b] for a, b in zip(edges, edges[1:], strict=False)), b"<|im_end|>")
    reply = reply_with(said, listed(*(part.decode("utf-8", "replace") for part in torn), torn=torn))
    sampled, _ = read(Sample(ASK, SAMPLING, 5, top_logprobs=2), reply)
    assert "".join(sampled.pieces) == sampled.message.text == said
    assert len(sampled.pieces) == len(sampled.top) == len(torn)


@pytest.mark.parametrize(
    "reply", [chat("4"), reply_with("4", listed("5")), reply_with("4", {"content": [{"token": "4"}]})]
)
def test_logprobs_that_are_missing_or_of_another_text(reply: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as caught:
        read(Sample(ASK, SAMPLING, 5, top_logprobs=2), reply)
    assert caught.value.lasting and caught.value.bill == Bill(Usage(10, 5, 0, 1))


def test_tokens_of_plain_text() -> None:
    logprobs = {
        "tokens": [" 4", "\n"],
        "token_logprobs": [-0.5, -0.25],
        "top_logprobs": [{" 5": -2.0, " 4": -0.5}, {"\n": -0.25}],
        "text_offset": [3, 5],
    }
    sampled, _ = read(Sample((), SAMPLING, 5, prefix="2+2=", top_logprobs=2), text(" 4\n", logprobs=logprobs))
    assert sampled.message == Message.assistant(" 4\n") and sampled.pieces == (" 4", "\n")
    assert [token.text for token in sampled.top[0]] == [" 4", " 5"]
    assert sampled.tokens.logprobs == (-0.5, -0.25)
    other, _ = read(Sample((), SAMPLING, 5, prefix="2+2=", top_logprobs=2), text(" 4\n", logprobs=listed(" 4", "\n")))
    assert other.pieces == (" 4", "\n"), "llama.cpp's server answers in the chat route's shape"


# ---- scores


def echo(tokens: list[str], prompt: int | None = None) -> dict[str, Any]:
    """An echo whose token i has the logprob -i; the first has none. ``prompt`` of them are stated to be the prompt."""
    logprobs = {"tokens": tokens, "token_logprobs": [None, *(-float(i) for i in range(1, len(tokens)))]}
    reply = text("".join(tokens), logprobs=logprobs)
    if prompt is None:
        del reply["usage"]
    else:
        reply["usage"] = {"prompt_tokens": prompt, "completion_tokens": len(tokens) - prompt}
    return reply


PLAIN_SCORE = Score((), Message.assistant(" is 4"), prefix="2+2")


@pytest.mark.parametrize(
    ("tokens", "logprobs"),
    [
        (["2", "+", "2", " is", " 4", " and"], (-3.0, -4.0)),
        # A token across the border is the text's: it is the first that tells anything of it.
        (["2", "+", "2 is", " 4", "."], (-2.0, -3.0)),
        # The server put a token of its own first, and does or does not spell it.
        (["<s>", "2", "+", "2", " is", " 4", "."], (-4.0, -5.0)),
        (["", "2", "+", "2", " is", " 4", "."], (-4.0, -5.0)),
        # What was sampled after the text may be anything.
        (["2", "+2", " is 4", ""], (-2.0,)),
        (["2", "+2", " is 4", " 4"], (-2.0,)),
    ],
)
def test_the_score_of_plain_text(tokens: list[str], logprobs: tuple[float, ...]) -> None:
    (call,) = calls_for(ABLE, PLAIN_SCORE)
    body = json.loads(call.body)
    assert (call.route, body["prompt"], body["echo"], body["logprobs"]) == ("/completions", "2+2 is 4", True, 1)
    scored, bill = call.read(echo(tokens, len(tokens) - 1))
    assert scored == Scored(logprobs, None, Usage(len(tokens) - 1, 1, 0, 1)) and bill == Bill(scored.usage)
    estimated, bill = call.read(echo(tokens))
    assert isinstance(estimated, Scored) and estimated.logprobs == logprobs and bill.estimated


@pytest.mark.parametrize(
    "reply",
    [
        text("2+2 is 4"),
        text("2+2 is 4", logprobs={"content": []}),
        echo(["2", "+", "2", " was", " 4", "."]),
        echo(["2+2 is", " 4"]),  # the text begins in the first token, which has no logprob
        echo(["2", "+", "2"]),
        echo(["2", "+", "", " 4"]),  # only tags and parts of characters may be untold
    ],
)
def test_an_echo_that_does_not_tell(reply: dict[str, Any]) -> None:
    (call,) = calls_for(ABLE, PLAIN_SCORE)
    with pytest.raises(Malformed) as caught:
        call.read(reply)
    assert caught.value.lasting


@pytest.mark.parametrize("torn", ["", "\ufffd"])
def test_an_echo_that_spells_neither_tags_nor_parts_of_characters(torn: str) -> None:
    """As llama-cpp-python's: special tokens and the bytes of one character are told as empty texts."""
    (call,) = calls_for(ABLE, Score(ASK, Message.assistant("caf\u00e9 ok", think="hm")))
    before = [torn, "user", "\n", "2+2?", torn, "\n", torn, "assistant", "\n"]
    turn = ["<think>", "hm", torn, "caf", torn, torn, " ok"]
    scored, _ = call.read(echo([*before, *turn, torn], len(before) + len(turn)))
    assert isinstance(scored, Scored) and scored.logprobs == tuple(-9.0 - i for i in range(7))


def test_a_border_inside_what_is_not_spelt() -> None:
    (call,) = calls_for(ABLE, Score((), Message.assistant("\u00e9!"), prefix="caf\u00e9"))
    with pytest.raises(Malformed, match="begins in a token that it does not spell"):
        call.read(echo(["caf", "", "", "!"]))
    assert call.read(echo(["caf", "\u00e9", "", "!"]))[0] == Scored((-2.0, -3.0), None, Usage(2, 0, 0, 1))


def test_a_turn_is_scored_in_chatml() -> None:
    turn = Message.assistant("4", think="easy")
    (call,) = calls_for(ABLE, Score((Message.system("Be brief."), *ASK), turn))
    assert json.loads(call.body)["prompt"] == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n"
        "<|im_start|>assistant\n<think>easy</think>4"
    )
