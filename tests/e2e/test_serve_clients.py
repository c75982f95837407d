"""The server under OpenAI's own client: what that shows is what the model said, and errors are of its classes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.serving import PLAIN, TOKENIZER, Serving, loopback_alone, scripted, wait_for
from thinkling.core.types import Message
from thinkling.serve.scripted import Script
from thinkling.serve.settings import Limits
from thinkling.serve.source import Ask, Failed, Job, News, Tokens

openai = pytest.importorskip("openai", reason="needs openai: pip install -e '.[dev]'")

THOUGHT = "say <think>one plus one</think>It is two."
FOREIGN = "say Grüße, 你好, 🦔 und 👩‍👩‍👧 zum Schluß"


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    with loopback_alone():
        yield


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with Serving() as serving:
        yield serving


@pytest.fixture(scope="module")
def client(serving: Serving) -> Iterator[Any]:
    with client_of(serving) as client:
        yield client


def client_of(serving: Serving, **options: Any) -> Any:
    return openai.OpenAI(base_url=serving.api, **{"api_key": "none", "max_retries": 0, **options})


def chat(client: Any, text: str, **options: Any) -> Any:
    """The reply to a chat of one message; in the asynchronous client, what is awaited."""
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(**{"model": "scripted", "messages": messages, **options})


def asked(serving: Serving) -> Ask:
    """The job that came last."""
    job = serving.source.asked[-1]
    assert isinstance(job, Ask)
    return job


def test_a_chat(client: Any) -> None:
    reply = chat(client, "say one two three")
    (choice,) = reply.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "one two three", "stop")
    assert (reply.object, reply.model, reply.system_fingerprint) == ("chat.completion", "scripted", "script-1")
    assert reply.usage.completion_tokens == len(TOKENIZER.encode("one two three")) + 1
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert abs(reply.created - time.time()) < 60


def test_all_turns_and_settings_reach_the_model(client: Any, serving: Serving) -> None:
    messages = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}], "name": "Ann"},
        {"role": "assistant", "content": "Hi.", "reasoning_content": "a greeting"},
        {"role": "user", "content": "And?"},
    ]
    reply = client.chat.completions.create(
        model="scripted", messages=messages, temperature=0.5, top_p=0.9, seed=-3, max_completion_tokens=7,
        frequency_penalty=0.25, presence_penalty=-0.5, logit_bias={"11": 3}, stop="days", user="someone", store=False,
        metadata={"a": "b"}, service_tier="auto", extra_body={"top_k": 5, "min_p": 0.125},
    )  # fmt: skip
    assert PLAIN.startswith(reply.choices[0].message.content)
    sample = asked(serving).sample
    assert sample.messages == (
        Message.system("Be short."),
        Message.user("Hello"),
        Message.assistant("Hi.", "a greeting"),
        Message.user("And?"),
    )
    made = sample.sampling
    assert (made.temperature, made.top_p, made.top_k, made.min_p, made.max_tokens) == (0.5, 0.9, 5, 0.125, 7)
    assert (made.frequency_penalty, made.presence_penalty) == (0.25, -0.5)
    assert (made.logit_bias, made.stop, sample.seed) == (((11, 3.0),), ("days",), -3)


def test_thinking_is_its_own_field_and_counted(client: Any) -> None:
    reply = chat(client, THOUGHT)
    message = reply.choices[0].message
    assert (message.content, message.reasoning_content, message.reasoning) == (
        "It is two.", "one plus one", "one plus one",
    )  # fmt: skip
    assert reply.usage.completion_tokens_details.reasoning_tokens == len(TOKENIZER.encode("one plus one"))
    assert not hasattr(chat(client, "say no thought").choices[0].message, "reasoning_content")
    parts: dict[str, str] = {"reasoning_content": "", "reasoning": "", "content": ""}
    for chunk in chat(client, THOUGHT, stream=True):
        for name in parts:
            parts[name] += getattr(chunk.choices[0].delta, name, None) or ""
    assert list(parts.values()) == ["one plus one", "one plus one", "It is two."]


def test_several_answers_a_stop_and_a_limit(client: Any) -> None:
    reply = chat(client, "count", n=3)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert [choice.message.content for choice in reply.choices] == ["number 0", "number 1", "number 2"]
    for stop in ("three", ["nothing", "three"]):
        (choice,) = chat(client, "say one two three four", stop=stop).choices
        assert (choice.message.content, choice.finish_reason) == ("one two ", "stop")
    reply = chat(client, "say one two three four", max_tokens=2)
    assert reply.choices[0].finish_reason == "length"
    assert reply.choices[0].message.content == TOKENIZER.decode(TOKENIZER.encode("one two three four")[:2])
    assert reply.usage.completion_tokens == 2


def test_logprobs(client: Any) -> None:
    (choice,) = chat(client, FOREIGN, logprobs=True, top_logprobs=3).choices
    entries = choice.logprobs.content
    said = FOREIGN.removeprefix("say ")
    assert choice.message.content == said
    assert b"".join(bytes(entry.bytes) for entry in entries) == said.encode()
    assert {entry.logprob for entry in entries} == {-0.5}
    assert {len(entry.top_logprobs) for entry in entries} == {3}
    assert all(entry.top_logprobs[0].token == entry.token for entry in entries)
    streamed = [
        entry
        for chunk in chat(client, FOREIGN, logprobs=True, top_logprobs=3, stream=True)
        if chunk.choices[0].logprobs
        for entry in chunk.choices[0].logprobs.content
    ]
    assert streamed == entries


@pytest.mark.parametrize("text", ["say one two three", FOREIGN, "say "])
def test_a_stream_says_what_the_answer_in_one_piece_says(client: Any, text: str) -> None:
    chunks = list(chat(client, text, stream=True))
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(texts) == text.removeprefix("say ")
    assert "\ufffd" not in "".join(texts)
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert {chunk.usage for chunk in chunks} == {None}


def test_the_usage_of_a_stream_comes_where_it_is_asked_for(client: Any) -> None:
    whole = chat(client, THOUGHT)
    *chunks, last = chat(client, THOUGHT, stream=True, stream_options={"include_usage": True})
    assert {chunk.usage for chunk in chunks} == {None}
    assert (last.choices, last.usage) == ([], whole.usage)


def test_the_streaming_helper_collects_the_same_completion(client: Any) -> None:
    options = {"model": "scripted", "messages": [{"role": "user", "content": THOUGHT}], "n": 2, "logprobs": True}
    whole = client.chat.completions.create(**options)
    with client.chat.completions.stream(**options, stream_options={"include_usage": True}) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    kinds = {event.type for event in events}
    assert {"chunk", "content.delta", "content.done", "logprobs.content.delta", "logprobs.content.done"} <= kinds
    done = [event for event in events if event.type == "content.done"]
    assert [event.content for event in done] == ["It is two."] * 2
    assert final.usage == whole.usage
    for mine, theirs in zip(final.choices, whole.choices, strict=True):
        assert (mine.index, mine.finish_reason, mine.message.content) == (
            theirs.index, theirs.finish_reason, theirs.message.content,
        )  # fmt: skip
        assert mine.message.reasoning_content == theirs.message.reasoning_content
        assert mine.logprobs.content == theirs.logprobs.content


def test_the_streaming_helper_collects_our_tokens(client: Any) -> None:
    options: dict[str, Any] = {
        "model": "scripted",
        "messages": [{"role": "user", "content": THOUGHT}],
        "extra_body": {"tokens": True, "strategy_events": True, "top_logprobs": 2},
    }
    whole = client.chat.completions.create(**options).choices[0]
    with client.chat.completions.stream(**options) as stream:
        final = stream.get_final_completion().choices[0]
    told = [{name: value for name, value in token.items() if name != "index"} for token in final.message.tokens]
    assert told == whole.tokens
    assert [token["kind"] for token in told if token["kind"] != "text"][-2:] == ["mark", "mark"]


def test_a_strategy_is_part_of_a_models_name(client: Any, serving: Serving) -> None:
    reply = chat(client, "say 7", model="scripted+sc:n=5", extra_body={"answer_kind": "number"})
    assert (reply.model, reply.choices[0].message.content) == ("scripted+sc:n=5", "7")
    assert (asked(serving).strategy, asked(serving).kind) == ("sc:n=5", "number")
    text = "".join(
        chunk.choices[0].delta.content or "" for chunk in chat(client, "say 7", model="scripted+sc:n=5", stream=True)
    )
    assert text == "7"
    for name in ("scripted+nonsense", "scripted+sc:n=100000", "scripted+bon:verifier=/etc/passwd"):
        with pytest.raises(openai.BadRequestError) as raised:
            chat(client, "say 7", model=name)
        assert raised.value.param == "model"


def test_completions(client: Any) -> None:
    reply = client.completions.create(model="scripted", prompt="say one two")
    assert (reply.object, reply.choices[0].text, reply.choices[0].finish_reason) == (
        "text_completion",
        "one two",
        "stop",
    )
    reply = client.completions.create(model="scripted", prompt=["say one", "say two"], n=2, echo=True)
    assert [choice.text for choice in reply.choices] == ["say oneone"] * 2 + ["say twotwo"] * 2
    assert [choice.index for choice in reply.choices] == [0, 1, 2, 3]
    ids = TOKENIZER.encode("say one two")
    for prompt in (ids, [ids]):
        assert client.completions.create(model="scripted", prompt=prompt, stop=" two").choices[0].text == "one"
    chunks = list(
        client.completions.create(
            model="scripted", prompt="say one two", stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == "one two"
    assert (chunks[-2].choices[0].finish_reason, chunks[-1].choices) == ("stop", [])
    assert chunks[-1].usage.completion_tokens == len(TOKENIZER.encode("one two")) + 1


@pytest.mark.parametrize("as_ids", [False, True])
def test_a_text_is_scored(client: Any, as_ids: bool) -> None:
    text = "Grüße and 🦔."
    prompt: Any = TOKENIZER.encode(text) if as_ids else text
    (choice,) = client.completions.create(model="scripted", prompt=prompt, echo=True, logprobs=1, max_tokens=0).choices
    told = choice.logprobs
    assert choice.text == text
    assert len(told.tokens) == len(TOKENIZER.encode(text))
    assert [value is None for value in told.token_logprobs] == [True] + [False] * (len(told.tokens) - 1)
    assert told.top_logprobs[0] is None
    assert all(token in top for token, top in zip(told.tokens[1:], told.top_logprobs[1:], strict=True))
    assert told.text_offset == sorted(told.text_offset) and told.text_offset[0] == 0


def test_models(client: Any) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object, model.created, model.owned_by) == ("scripted", "model", 1_700_000_000, "thinkling")
    assert model.context_length == 512
    assert client.models.retrieve("scripted") == model
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("org/other")


def test_errors_are_of_the_clients_classes(client: Any) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        chat(client, "hi", model="gpt-x")
    assert (unknown.value.code, unknown.value.type) == ("model_not_found", "not_found_error")
    assert "scripted" in unknown.value.message
    for call in (lambda: chat(client, "word " * 900), lambda: chat(client, "word " * 900, stream=True)):
        with pytest.raises(openai.BadRequestError) as long:
            call()
        assert long.value.code == "context_length_exceeded"
        assert "512" in long.value.message
    with pytest.raises(openai.InternalServerError) as broken:
        chat(client, "break")
    assert "secret" not in str(broken.value)
    for part in (client.responses, client.embeddings):  # what is not here
        with pytest.raises(openai.NotFoundError):
            part.create(model="scripted", input="hi")


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("temperature", {"temperature": 3}),
        ("n", {"n": 100}),
        ("tools", {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}),
        ("response_format", {"response_format": {"type": "json_object"}}),
        ("modalities", {"modalities": ["text", "audio"]}),
        ("mirostat", {"extra_body": {"mirostat": 2}}),
        ("messages.0", {"messages": [{"role": "tool", "content": "1", "tool_call_id": "c"}]}),
        (
            "messages.0",
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(client: Any, field: str, options: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        chat(client, "hi", **options)
    assert raised.value.param.startswith(field)
    assert raised.value.type == "invalid_request_error"


def test_a_request_has_an_id(client: Any) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="scripted", messages=[{"role": "user", "content": "say one"}]
    )
    assert raw.headers["x-request-id"] == raw.request_id
    reply = raw.parse()
    assert (reply.choices[0].message.content, reply._request_id) == ("one", raw.request_id)
    with pytest.raises(openai.NotFoundError) as unknown:
        chat(client, "hi", model="gpt-x")
    assert unknown.value.request_id not in (None, raw.request_id)


def test_a_key() -> None:
    with Serving(key="the-key") as serving, client_of(serving, api_key="the-key") as client:
        for wrong in ("none", "the-ke", "the-key2"):
            other = client.with_options(api_key=wrong)
            for call in (lambda: chat(other, "say one"), lambda: other.models.list()):  # noqa: B023
                with pytest.raises(openai.AuthenticationError):
                    call()
        assert chat(client, "say one").choices[0].message.content == "one"
        assert len(serving.source.asked) == 1


def test_a_page_of_another_site_is_refused(client: Any) -> None:
    with pytest.raises(openai.PermissionDeniedError):
        chat(client, "say one", extra_headers={"Origin": "https://example.org"})


def test_too_many_are_told_when_to_come_back_and_come_back() -> None:
    slow = scripted(pause=0.05)
    with Serving(slow, limits=Limits(queue=1)) as serving, client_of(serving) as client:
        held = chat(client, "say " + "word " * 200, stream=True)
        next(held)
        with pytest.raises(openai.RateLimitError) as raised:
            chat(client, "say one")
        assert raised.value.code == "queue_full"
        seconds = int(raised.value.response.headers["retry-after"])
        threading.Timer(0.2, held.close).start()
        began = time.monotonic()
        patient = client.with_options(max_retries=1)
        assert chat(patient, "say one").choices[0].message.content == "one"
        assert time.monotonic() - began >= seconds


def test_a_closed_stream_frees_its_place() -> None:
    slow = scripted(pause=0.05)
    with Serving(slow) as serving, client_of(serving) as client:
        stream = chat(client, "say " + "word " * 200, stream=True)
        for _, _ in zip(range(3), stream, strict=False):
            pass
        assert serving.running() == 1
        stream.close()
        wait_for(lambda: serving.running() == 0, 5)
        with pytest.raises(openai.APITimeoutError):
            chat(client.with_options(timeout=0.5), "say " + "word " * 200)
        wait_for(lambda: serving.running() == 0, 5)
        assert len(slow.cancelled) == 2
        assert serving.state.gate.count("scripted") == 0


class Breaking(Script):
    """Dies after a few tokens."""

    async def _answer(self, job: Job) -> AsyncIterator[News]:
        async for news in super()._answer(job):
            yield news
            if isinstance(news, Tokens) and self.drawn > 3:
                yield Failed("broken", "the secret reason")
                return


def test_a_stream_that_fails_on_the_way_raises() -> None:
    with Serving(scripted(kind=Breaking)) as serving, client_of(serving) as client:
        said = ""
        with pytest.raises(openai.APIError) as raised:
            for chunk in chat(client, "say one two three four five six", stream=True):
                said += chunk.choices[0].delta.content or ""
        assert "one two three four five six".startswith(said) and said
        assert (raised.value.code, "secret" in str(raised.value)) == ("model_failed", False)


async def test_the_asynchronous_client(serving: Serving) -> None:
    async with openai.AsyncOpenAI(base_url=serving.api, api_key="none", max_retries=0) as client:
        assert (await chat(client, "say one two")).choices[0].message.content == "one two"
        assert [model.id async for model in client.models.list()] == ["scripted"]

        async def streamed(text: str) -> str:
            stream = await chat(client, f"say {text}", stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        texts = [f"answer {i} of many" for i in range(24)]
        assert await asyncio.gather(*map(streamed, texts)) == texts
        async with client.chat.completions.stream(
            model="scripted", messages=[{"role": "user", "content": THOUGHT}]
        ) as stream:
            final = await stream.get_final_completion()
        assert final.choices[0].message.content == "It is two."
        with pytest.raises(openai.BadRequestError):
            await chat(client, "hi", temperature=3)


async def test_a_cancelled_task_frees_its_place() -> None:
    slow = scripted(pause=0.05)
    with Serving(slow) as serving:
        async with openai.AsyncOpenAI(base_url=serving.api, api_key="none", max_retries=0) as client:
            for stream in (False, True):

                async def follow(stream: bool = stream) -> None:
                    reply = await chat(client, "say " + "word " * 200, stream=stream)
                    async for _ in reply:
                        pass

                task = asyncio.create_task(follow())
                while slow.running == 0:
                    await asyncio.sleep(0.01)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                for _ in range(500):
                    if slow.running == 0:
                        break
                    await asyncio.sleep(0.01)
                assert slow.running == 0
        assert len(slow.cancelled) == 2
