"""The model's process: news in order, cancelled work gone at once, one end per job; and the process around it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from thinkling.core.errors import UserError
from thinkling.core.locate import PACKAGED
from thinkling.core.types import Message, Request, Sample, Sampled, Sampling
from thinkling.engine.backend import LocalBackend
from thinkling.engine.engine import Engine
from thinkling.model.checkpoint import load_checkpoint
from thinkling.remote.attempts import EndpointError
from thinkling.rollout.scripted import Scripted
from thinkling.serve.desk import Desk
from thinkling.serve.process import ModelProcess
from thinkling.serve.source import Answered, Ask, Complete, Completed, Failed, Job, Look, News, Seen, Started, Tokens
from thinkling.serve.worker import Opening
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import prompt_ids, stop_ids

ENDS = (Answered, Completed, Seen, Failed)


@pytest.fixture(scope="module")
def local() -> LocalBackend:
    config, weights = load_checkpoint(PACKAGED)
    tokenizer = Tokenizer.load(PACKAGED)
    engine = Engine(weights, config, slots=8, max_len=256, dtype="float32", tokenizer=tokenizer)
    return LocalBackend(engine, tokenizer, "nano", patience=1)


@pytest.fixture
def desk(local: LocalBackend) -> Iterator[Desk]:
    yield Desk(local, watchable=local)
    assert local.engine.in_flight == 0


def chat(text: str, seed: int = 1, **options: object) -> Sample:
    sampling = Sampling(temperature=1.0, max_tokens=40)
    return replace(Sample((Message.user(text),), sampling, seed), **options)  # type: ignore[arg-type]


def finish(desk: Desk) -> dict[int, list[News]]:
    while desk.busy:
        desk.step()
    told: dict[int, list[News]] = {}
    for number, news in desk.news:
        told.setdefault(number, []).append(news)
    desk.news.clear()
    return told


def run(backend: LocalBackend, effect: Sample) -> list[Sampled]:
    ticket = backend.submit(effect)
    while True:
        for number, result in backend.poll():
            assert number == ticket and isinstance(result, list)
            return result


def joined(news: list[News], sample: int = 0, effect: int = 0) -> tuple[int, ...]:
    told = [one for one in news if isinstance(one, Tokens) and (one.effect, one.sample) == (effect, sample)]
    return tuple(token for one in told for token in one.ids)


def test_what_is_told_token_by_token_is_what_the_engine_draws(desk: Desk, local: LocalBackend) -> None:
    asks = [chat(f"Tom has {n} apples. How many?", seed=n, n=2) for n in range(5)]
    for number, ask in enumerate(asks):
        desk.take(number, Ask(ask, watch=True))
    told = finish(desk)
    for number, ask in enumerate(asks):
        news, expected = told[number], run(local, ask)
        assert isinstance(news[0], Started) and news[0].n == 2
        assert sum(isinstance(one, ENDS) for one in news) == 1 and isinstance(news[-1], Answered)
        for index, (sampled, alone) in enumerate(zip(news[-1].samples, expected, strict=True)):
            assert sampled.message == alone.message
            drawn = [i for i, o in zip(sampled.tokens.ids, sampled.tokens.origins, strict=True) if o == "sampled"]
            assert joined(news, index) == tuple(drawn)
        assert news[-1].usage.completion == sum(len(joined(news, index)) for index in range(2))


def test_given_tokens_are_named_once_and_not_told_as_drawn(desk: Desk, local: LocalBackend) -> None:
    forced = tuple(local.tokenizer.encode("The answer"))
    desk.take(0, Ask(chat("2+2?", think=True, forced=forced), watch=True))
    news = finish(desk)[0]
    assert isinstance(news[0], Started) and news[0].thinking
    assert news[0].given == (local.tokenizer.special["<think>"], *forced)
    assert isinstance(news[-1], Answered)
    assert news[-1].samples[0].tokens.ids[-len(joined(news)) :] == joined(news)


def test_logprobs_are_those_of_the_raw_model(desk: Desk) -> None:
    desk.take(0, Ask(chat("2+2?", top_logprobs=3, seed=4), watch=True))
    for news in finish(desk)[0]:
        if isinstance(news, Tokens):
            assert len(news.logprobs) == len(news.top) == len(news.ids)
            for token, logprob, place in zip(news.ids, news.logprobs, news.top, strict=True):
                assert dict(place)[token] == logprob and len(place) in (3, 4)


def test_a_strategy_tells_each_of_its_effects_and_the_whole_bill(desk: Desk) -> None:
    desk.take(0, Ask(chat("Tom has 3 apples and gets 4. How many?"), "sc:n=3(zs-cot)", "number", watch=True))
    news = finish(desk)[0]
    started = [one for one in news if isinstance(one, Started)]
    assert [one.effect for one in started] == list(range(6))  # two stages of each of three
    end = news[-1]
    assert isinstance(end, Answered) and end.samples[0].trace is not None
    assert end.usage.calls == 6 and len(end.samples[0].trace.candidates) == 3
    assert end.usage.completion == sum(len(joined(news, 0, effect)) for effect in range(6))


def test_a_cancelled_job_frees_its_slots_before_the_next_step(desk: Desk, local: LocalBackend) -> None:
    for number in range(12):  # more than there are slots: some only wait
        desk.take(number, Ask(chat("Count", sampling=Sampling(max_tokens=200)), watch=True))
    for _ in range(3):
        desk.step()
    for number in range(12):
        desk.take(number, None)
        assert local.engine.in_flight == 11 - number
    desk.news.clear()
    desk.take(99, None)  # one that nobody knows
    assert not desk.busy and not finish(desk)


def test_ids_are_continued_as_they_are(desk: Desk, local: LocalBackend) -> None:
    tokenizer = local.tokenizer
    prompt = tuple(prompt_ids(tokenizer, (Message.user("2+2?"),)))
    sampling = Sampling(temperature=0.0, max_tokens=20)
    requests = tuple(Request(prompt[:cut], sampling, 0, stop_ids(tokenizer)) for cut in (len(prompt), 3))
    desk.take(0, Complete(requests, watch=True))
    news = finish(desk)[0]
    end = news[-1]
    assert isinstance(end, Completed)
    assert [made.tokens for made in end.completions] == [joined(news, 0), joined(news, 1)]
    assert list(end.completions) == local.engine.run(requests)


@pytest.mark.parametrize(
    ("job", "kind", "said"),
    [
        (Ask(chat("word " * 300)), "context", "256"),
        (Ask(chat("2+2?"), "no-such"), "user", "expected a strategy"),
        (Ask(chat("2+2?"), "plain", "no-such"), "user", "no-such"),
        (Look("walk", {}), "user", "runs here"),
    ],
)
def test_a_job_that_cannot_be_done_fails_alone(desk: Desk, job: Job, kind: str, said: str) -> None:
    desk.take(0, job)
    desk.take(1, Ask(chat("2+2?")))
    told = finish(desk)
    end = told[0][-1]
    assert len(told[0]) == 1 and isinstance(end, Failed) and end.kind == kind and said in end.message
    assert isinstance(told[1][-1], Answered)


def test_a_backend_that_breaks_ends_what_it_had_and_serves_what_comes() -> None:
    class Broken(Scripted):
        fine = False

        def poll(self) -> list:  # type: ignore[type-arg]
            if not self.fine:
                raise ConnectionError("nothing answers there")
            return super().poll()

    backend = Broken(lambda effect, index: "4")
    desk = Desk(backend)
    for number in range(2):
        desk.take(number, Ask(chat("2+2?")))
    told = finish(desk)
    assert [one[-1] for one in told.values()] == [Failed("broken", "ConnectionError: nothing answers there")] * 2
    backend.fine = True
    desk.take(2, Ask(chat("2+2?"), "sc:n=3", "number"))
    end = finish(desk)[2][-1]
    assert isinstance(end, Answered) and end.samples[0].message.text == "4"


async def opened(folder: Path = PACKAGED) -> ModelProcess:
    process = ModelProcess(Opening("nano", str(folder), slots=4, max_len=256, precision="float32"))
    await process.start()
    while process.state == "loading":
        await asyncio.sleep(0.02)
    return process


async def news_of(process: ModelProcess, job: Job) -> list[News]:
    return [news async for news in process.ask(job)]


async def idle(process: ModelProcess) -> None:
    while process.load["running"] + process.load["waiting"]:
        await asyncio.sleep(0.01)


async def test_a_process_answers_looks_cancels_and_is_started_again_when_it_dies(local: LocalBackend) -> None:
    process = await opened()
    try:
        assert process.state == "ready" and process.card.context == 256 and process.card.capabilities.fork
        ask = chat("Tom has 3 apples. How many?", seed=5)
        (end,) = await news_of(process, Ask(ask))
        assert isinstance(end, Answered) and end.samples[0].message == run(local, ask)[0].message
        assert process.load["tokens"] >= end.usage.completion
        (seen,) = await news_of(process, Look("lens", {"tokens": [1, 2, 3], "top": 2}))
        assert isinstance(seen, Seen) and len(seen.value["tokens"]) == 3
        endless = Complete(tuple(Request((n + 5,), Sampling(max_tokens=250), n) for n in range(64)), watch=True)
        async with aclosing(process.ask(endless)) as news:
            async for one in news:
                if isinstance(one, Tokens):
                    break
        await asyncio.wait_for(idle(process), 20)
        waiting = asyncio.create_task(news_of(process, endless))
        await asyncio.sleep(0.05)
        process._process.kill()
        *_, failed = await asyncio.wait_for(waiting, 20)
        assert isinstance(failed, Failed) and failed.kind == "broken" and "ended unexpectedly" in failed.message
        while process.state != "ready":
            assert process.state == "loading"
            await asyncio.sleep(0.02)
        (end,) = await news_of(process, Ask(ask))
        assert isinstance(end, Answered)
    finally:
        await process.close()
    assert process.state == "closed" and process._process.exitcode == 0
    (late,) = await news_of(process, Ask(ask))
    assert isinstance(late, Failed)


async def test_a_model_that_cannot_be_opened_is_broken_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for file in PACKAGED.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    process = await opened(tmp_path)
    assert process.state == "broken"
    assert any("cannot be opened" in record.message for record in caplog.records)
    await process.close()


@pytest.mark.parametrize(("status", "kind"), [(400, "user"), (401, "broken"), (500, "broken"), (None, "broken")])
def test_what_an_endpoint_refuses_is_the_clients_where_its_request_is_at_fault(status: int | None, kind: str) -> None:
    desk = Desk(Scripted(lambda effect, index: EndpointError("it said no", status)))
    desk.take(0, Ask(chat("hi")))
    (end,) = finish(desk)[0]
    assert isinstance(end, Failed) and end.kind == kind


def test_a_name_that_two_models_would_have_is_refused(tmp_path: Path) -> None:
    from thinkling.cli.serving import name_models

    named = name_models(["nano", f"other={PACKAGED}"])
    assert set(named) == {"nano", "other"}
    with pytest.raises(UserError, match="two models are called 'other'"):
        name_models([f"other={PACKAGED}", f"other={PACKAGED}"])
    with pytest.raises(UserError, match="--upstream"):
        name_models(["openai:gpt@http://localhost:1/v1"])
