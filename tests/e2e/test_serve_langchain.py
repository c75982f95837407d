"""LangChain's own standard tests of a chat model, with its OpenAI client in front of this server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from tests.serving import PLAIN, TOKENIZER, Serving, loopback_alone, named
from thinkling.serve.source import Ask

reason = "needs langchain-openai and langchain-tests: pip install -e '.[dev]'"
openai = pytest.importorskip("openai", reason=reason)
langchain_openai = pytest.importorskip("langchain_openai", reason=reason)
unit_tests = pytest.importorskip("langchain_tests.unit_tests", reason=reason)
integration_tests = pytest.importorskip("langchain_tests.integration_tests", reason=reason)


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    with loopback_alone():
        yield


@pytest.fixture(autouse=True, scope="module")
def serving(quiet: None) -> Iterator[Serving]:
    with Serving(named("nano")) as serving:
        Tested.api = serving.api
        yield serving


class Tested:
    """What the standard tests are told. What is off is what the server refuses, by name and with a 400
    (test_serve_clients pins that), or what its models do not have."""

    api = ""

    @property
    def chat_model_class(self) -> Any:
        return langchain_openai.ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": "nano",
            "base_url": self.api,
            "api_key": "none",
            "stream_usage": True,  # by itself it asks OpenAI's own server alone for a stream's usage
            # All its models share one, which belongs to the event loop of the test that came first.
            "http_async_client": openai.DefaultAsyncHttpxClient(verify=False),
        }

    @property
    def has_tool_calling(self) -> bool:
        return False  # the models here were never taught to call tools

    @property
    def has_tool_choice(self) -> bool:
        return False  # no tools, so none to choose

    @property
    def has_structured_output(self) -> bool:
        return False  # response_format is refused: answers are not held to a schema

    @property
    def supports_json_mode(self) -> bool:
        return False  # as above

    @property
    def supports_image_inputs(self) -> bool:
        return False  # the models read text alone; so for the further kinds of input

    @property
    def supports_image_urls(self) -> bool:
        return False

    @property
    def supports_image_tool_message(self) -> bool:
        return False

    @property
    def supports_pdf_inputs(self) -> bool:
        return False

    @property
    def supports_pdf_tool_message(self) -> bool:
        return False

    @property
    def supports_audio_inputs(self) -> bool:
        return False

    @property
    def supports_anthropic_inputs(self) -> bool:
        return False  # messages of Anthropic's API, which hold calls of tools

    @property
    def enable_vcr_tests(self) -> bool:
        return False  # they record the provider's traffic to save its cost; this one is here, and free

    @property
    def returns_usage_metadata(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> dict[Literal["invoke", "stream"], list[str]]:
        # No prompt is cached between requests, so there is nothing to tell of caches.
        return {"invoke": ["reasoning_output"], "stream": ["reasoning_output"]}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> Any:
        model, ask = self.chat_model_class(**self.chat_model_params), "say <think>one plus one</think>It is two."
        if not stream:
            return model.invoke(ask)
        first, *rest = model.stream(ask)
        return sum(rest, first)

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "nano+sc:n=3"


class TestUnit(Tested, unit_tests.ChatModelUnitTests):  # type: ignore[name-defined, misc]
    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {"OPENAI_API_KEY": "a-key", "OPENAI_API_BASE": self.api}
        return environment, {"model": "nano"}, {"openai_api_key": "a-key", "openai_api_base": self.api}

    @pytest.fixture
    def benchmark(self, benchmark: Any) -> Any:
        benchmark.disabled = True  # once is enough: how fast their client is made is not ours to measure
        return benchmark

    @pytest.mark.xfail(run=False, reason="compares with a recording of how this version writes its own client down")
    def test_serdes(self, model: Any, snapshot: Any) -> None: ...


class TestIntegration(Tested, integration_tests.ChatModelIntegrationTests):  # type: ignore[name-defined, misc]
    pass


def model(**options: Any) -> Any:
    return langchain_openai.ChatOpenAI(model="nano", base_url=Tested.api, api_key="none", **options)


def test_answers_and_facts_arrive() -> None:
    message = model(logprobs=True, top_logprobs=2).invoke("say one two")
    assert message.content == "one two"
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.response_metadata["system_fingerprint"] == "script-1"
    entries = message.response_metadata["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == "one two"
    drawn = len(TOKENIZER.encode("one two")) + 1
    assert message.usage_metadata["output_tokens"] == drawn
    assert "".join(chunk.content for chunk in model().stream("say one two")) == "one two"
    assert model().invoke("hi", stop=["how"]).content == PLAIN.partition("how")[0]


def test_a_strategy_and_our_own_fields_reach_the_server(serving: Serving) -> None:
    asking = model(extra_body={"strategy": "sc:n=5", "answer_kind": "number", "top_k": 7}, seed=3, temperature=0.5)
    assert asking.invoke([("system", "Count."), ("human", "say 7")]).content == "7"
    job = serving.source.asked[-1]
    assert isinstance(job, Ask)
    assert (job.strategy, job.kind, job.sample.sampling.top_k, job.sample.seed) == ("sc:n=5", "number", 7, 3)
    assert [message.role for message in job.sample.messages] == ["system", "user"]


def test_several_answers() -> None:
    from langchain_core.prompt_values import StringPromptValue

    (generations,) = model(n=3).generate_prompt([StringPromptValue(text="count")]).generations
    assert [made.text for made in generations] == ["number 0", "number 1", "number 2"]


def test_errors_keep_their_classes() -> None:
    with pytest.raises(openai.BadRequestError) as long:
        model(max_retries=0).invoke("word " * 900)
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as refused:
        model(max_retries=0).with_structured_output({"title": "a", "type": "object", "properties": {}}).invoke("hi")
    assert refused.value.param in ("tools", "response_format")
