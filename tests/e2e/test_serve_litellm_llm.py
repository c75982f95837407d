"""The server under two clients that many people have: LiteLLM, and the ``llm`` command line."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.serving import TOKENIZER, Serving, loopback_alone, loopback_environment
from thinkling.serve.source import Ask

pytestmark = [  # LiteLLM's own, about its types
    pytest.mark.filterwarnings("ignore:.*TypedDict class:UserWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning"),
]
THOUGHT = "say <think>one plus one</think>It is two."
KEY = "the-key"


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    with loopback_alone():
        yield


@pytest.fixture(scope="module")
def serving(quiet: None) -> Iterator[Serving]:
    with Serving(key=KEY) as serving:
        yield serving


@pytest.fixture(scope="module")
def litellm(quiet: None) -> ModuleType:
    module: ModuleType = pytest.importorskip("litellm", reason="needs litellm: pip install -e '.[dev]'")
    module.telemetry = False  # type: ignore[attr-defined]
    return module


@pytest.fixture
def options(serving: Serving) -> dict[str, Any]:
    return {"model": "openai/scripted", "api_base": serving.api, "api_key": KEY, "max_retries": 0}


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_litellm_in_one_piece(litellm: Any, options: dict[str, Any]) -> None:
    reply = litellm.completion(messages=said(THOUGHT), **options)
    message = reply.choices[0].message
    assert (message.content, message.reasoning_content) == ("It is two.", "one plus one")
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.completion_tokens_details.reasoning_tokens == len(TOKENIZER.encode("one plus one"))
    reply = litellm.completion(messages=said("count"), n=2, logprobs=True, top_logprobs=2, **options)
    assert [choice.message.content for choice in reply.choices] == ["number 0", "number 1"]
    assert "".join(entry.token for entry in reply.choices[1].logprobs.content) == "number 1"
    reply = litellm.text_completion(
        prompt="say one two", **{**options, "model": "text-completion-openai/scripted"}, max_tokens=8
    )
    assert reply.choices[0].text == "one two"


def test_litellm_streams(litellm: Any, options: dict[str, Any]) -> None:
    chunks = list(
        litellm.completion(messages=said(THOUGHT), stream=True, stream_options={"include_usage": True}, **options)
    )
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "It is two."
    built = litellm.stream_chunk_builder(chunks)
    whole = litellm.completion(messages=said(THOUGHT), **options)
    assert built.choices[0].message.content == whole.choices[0].message.content
    assert built.choices[0].message.reasoning_content == whole.choices[0].message.reasoning_content
    assert built.choices[0].finish_reason == "stop"
    assert (built.usage.prompt_tokens, built.usage.completion_tokens) == (
        whole.usage.prompt_tokens, whole.usage.completion_tokens,
    )  # fmt: skip


async def test_litellm_asynchronously(litellm: Any, options: dict[str, Any]) -> None:
    replies = await asyncio.gather(
        *(litellm.acompletion(messages=said(f"say answer {i}"), **options) for i in range(8))
    )
    assert [reply.choices[0].message.content for reply in replies] == [f"answer {i}" for i in range(8)]
    stream = await litellm.acompletion(messages=said("say one two"), stream=True, **options)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "one two"


def test_litellm_names_a_strategy(litellm: Any, options: dict[str, Any], serving: Serving) -> None:
    strategy = {**options, "model": "openai/scripted+sc:n=5"}
    reply = litellm.completion(messages=said("say 7"), extra_body={"answer_kind": "number"}, seed=4, **strategy)
    job = serving.source.asked[-1]
    assert isinstance(job, Ask)
    assert (reply.choices[0].message.content, job.strategy, job.kind, job.sample.seed) == ("7", "sc:n=5", "number", 4)


def test_litellm_tells_errors_apart(litellm: Any, options: dict[str, Any]) -> None:
    cases: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (litellm.AuthenticationError, "hi", {"api_key": "wrong"}),
        (litellm.NotFoundError, "hi", {"model": "openai/gpt-x"}),
        (litellm.BadRequestError, "hi", {"temperature": 3}),
        (litellm.ContextWindowExceededError, "word " * 900, {}),
        (litellm.InternalServerError, "break", {}),
    ]
    for expected, text, changed in cases:
        with pytest.raises(expected):
            litellm.completion(messages=said(text), **{**options, **changed})


@pytest.fixture
def llm(serving: Serving, tmp_path: Path) -> Callable[..., str]:
    """Runs the command line with our models in its configuration; returns what it prints."""
    pytest.importorskip("llm", reason="needs llm: pip install -e '.[dev]'")
    lines = [
        line
        for name, more in (("scripted", ""), ("scripted+sc:n=3", ""), ("scripted", "  completion: true\n"))
        for line in (
            f"- model_id: {'text-' if more else ''}{name}\n  model_name: {name}\n  api_base: {serving.api}\n",
            f"  api_key_name: thinkling\n{more}",
        )
    ]
    (tmp_path / "extra-openai-models.yaml").write_text("".join(lines))
    (tmp_path / "keys.json").write_text(json.dumps({"thinkling": KEY}))

    def run(*words: str, status: int = 0) -> str:
        environment = {**loopback_environment(), "LLM_USER_PATH": str(tmp_path), "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(
            [sys.executable, "-m", "llm", *words], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr

    return run


def test_the_llm_command(llm: Callable[..., str], serving: Serving) -> None:
    text = "Grüße, 你好 und 🦔"
    for more in ([], ["--no-stream"]):
        assert llm("-m", "scripted", f"say {text}", "-s", "Be short.", "-o", "temperature", "0", *more) == f"{text}\n"
        job = serving.source.asked[-1]
        assert isinstance(job, Ask)
        assert [message.role for message in job.sample.messages] == ["system", "user"]
        assert (job.sample.sampling.temperature, job.watch) == (0, not more)
    logged = json.loads(llm("logs", "-n", "1", "--json"))[0]
    assert (logged["response"], logged["output_tokens"]) == (text, len(TOKENIZER.encode(text)) + 1)


def test_the_llm_command_and_a_strategy_a_document_and_an_error(llm: Callable[..., str], serving: Serving) -> None:
    assert llm("-m", "scripted+sc:n=3", THOUGHT).endswith("It is two.\n")
    job = serving.source.asked[-1]
    assert isinstance(job, Ask) and job.strategy == "sc:n=3"
    assert llm("-m", "text-scripted", "say one two") == "one two\n"
    assert "512" in llm("-m", "scripted", "word " * 900, status=1)


def test_the_llm_command_without_configuration(llm: Callable[..., str], serving: Serving) -> None:
    endpoint = ("openai", "endpoint", serving.api, "--key", KEY)
    assert llm(*endpoint, "say one two", "-m", "scripted", "-R") == "one two\n"
