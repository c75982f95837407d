"""Effects through the local backend: rendering, seeds, think control, stop strings, usage."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.core.types import Message, Part, Sample, Sampled, Sampling, Score, Scored
from thinkling.engine.backend import LocalBackend, cut, probability
from thinkling.engine.engine import Engine
from thinkling.model.config import ModelConfig
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import prompt_ids, render

ASK = (Message.user("the cat"),)


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["the cat sat on the mat, and the dog and the cow. " * 20], 300)


def engine(slots: int = 8, head: bool = False, seed: int = 0, vocabulary: int = 0) -> Engine:
    config = ModelConfig(vocabulary or tokenizer().vocab_size, 32, 1, 2, 1, 16, 48)
    generator = torch.Generator().manual_seed(seed)
    shapes = {"model.embed_tokens.weight": (config.vocab_size, 32), "model.norm.weight": (32,)}
    parts = {
        "self_attn.q_proj": (32, 32), "self_attn.k_proj": (16, 32), "self_attn.v_proj": (16, 32),
        "self_attn.o_proj": (32, 32), "self_attn.q_norm": (16,), "self_attn.k_norm": (16,),
        "input_layernorm": (32,), "post_attention_layernorm": (32,),
        "mlp.gate_proj": (48, 32), "mlp.up_proj": (48, 32), "mlp.down_proj": (32, 48),
    }  # fmt: skip
    shapes |= {f"model.layers.0.{name}.weight": shape for name, shape in parts.items()}
    weights = {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}
    if head:
        weights["value_head.weight"] = torch.randn(1, 32, generator=generator)
        weights["value_head.bias"] = torch.tensor([0.25])
    return Engine(weights, config, slots=slots, max_len=128, dtype="float32", weights_id="w")


def backend(slots: int = 8, head: bool = False) -> LocalBackend:
    return LocalBackend(engine(slots, head), tokenizer())


def ask(effect: Sample) -> list[Sampled]:
    result = serve(effect)
    assert isinstance(result, list)
    return result


def serve(effect: Sample | Score, local: LocalBackend | None = None) -> list[Sampled] | Scored:
    local = local or backend()
    ticket = local.submit(effect)
    for _ in range(100):
        for number, result in local.poll():
            assert number == ticket and not local.engine.in_flight
            return result
    raise AssertionError("never finished")


def score(effect: Score, local: LocalBackend | None = None) -> Scored:
    scored = serve(effect, local)
    assert isinstance(scored, Scored)
    return scored


def test_samples_of_a_group_draw_with_derived_seeds() -> None:
    group = ask(Sample(ASK, Sampling(max_tokens=20), 5, n=4))
    alone = [ask(Sample(ASK, Sampling(max_tokens=20), derive(5, i)))[0] for i in range(4)]
    assert [s.tokens.ids for s in group] == [s.tokens.ids for s in alone]
    assert len({s.tokens.ids for s in group}) == 4
    assert {s.weights_id for s in group} == {"w"}


def test_tokens_origins_and_usage_are_accounted_for() -> None:
    sampled = ask(Sample(ASK, Sampling(max_tokens=9), 1, prefix="the dog", think=True, top_logprobs=2))[0]
    prompt = prompt_ids(tokenizer(), ASK)
    opening = [tokenizer().special["<think>"], *tokenizer().encode("the dog")]
    said = len(sampled.tokens.ids) - len(prompt) - len(opening)
    assert list(sampled.tokens.ids[: len(prompt) + len(opening)]) == prompt + opening
    assert sampled.tokens.origins == ("prompt",) * len(prompt) + ("forced",) * len(opening) + ("sampled",) * said
    assert sampled.tokens.logprobs[: len(prompt)] == (0.0,) * len(prompt)
    assert all(logprob < 0 for logprob in sampled.tokens.logprobs[len(prompt) :])
    assert said == 9 or sampled.finish == "stop"
    assert (sampled.usage.prompt, sampled.usage.completion) == (len(prompt) + len(opening), said)
    assert len(sampled.top) == len(opening) + said
    thinking = sampled.message.thinking
    assert thinking is not None and thinking.startswith("the dog")


def test_think_false_never_thinks() -> None:
    opened = tokenizer().special["<think>"]
    hot = Sampling(temperature=50.0, max_tokens=60)  # nearly uniform: anything allowed would come
    free = ask(Sample(ASK, hot, 3, n=32))
    forbidden = ask(Sample(ASK, hot, 3, n=32, think=False))
    size = len(prompt_ids(tokenizer(), ASK))
    assert any(opened in s.tokens.ids[size:] for s in free)
    assert not any(opened in s.tokens.ids[size:] for s in forbidden)
    assert all(s.message.thinking is None and s.usage.thinking == 0 for s in forbidden)


def test_a_stop_string_leaves_the_text_but_not_the_tokens() -> None:
    hot = Sampling(temperature=50.0, max_tokens=80, stop=(" ", "\n"))
    cuts = 0
    for sampled in ask(Sample(ASK, hot, 4, n=16, prefix="of tea")):
        last = sampled.message.parts[-1].text.removeprefix("of tea")
        assert " " not in last and "\n" not in last
        end = tokenizer().token_bytes(sampled.tokens.ids[-1])
        if sampled.finish == "stop" and end[:1] != b"<":
            assert b" " in end or b"\n" in end
            cuts += 1
    assert cuts > 4


def test_without_messages_a_text_is_continued() -> None:
    sampled = ask(Sample((), Sampling(max_tokens=12), 1, prefix="the cat"))[0]
    opening = [tokenizer().special["<|endoftext|>"], *tokenizer().encode("the cat")]
    assert list(sampled.tokens.ids[: len(opening)]) == opening
    assert set(sampled.tokens.origins[: len(opening)]) == {"prompt"}
    ends = [tokenizer().special[name] for name in ("<|endoftext|>", "<|im_end|>")]
    said = [token for token in sampled.tokens.ids[len(opening) :] if token not in ends]
    assert sampled.message.parts == (Part("text", tokenizer().decode(said)),)


def test_a_score_covers_the_turn_as_the_chat_protocol_writes_it() -> None:
    turn = Message.assistant("the dog sat", think="the cow")
    scored = score(Score(ASK, turn))
    prompt, whole = prompt_ids(tokenizer(), ASK), render(tokenizer(), (*ASK, turn)).ids
    ending = 1 + len(tokenizer().encode("\n"))
    expected = backend().engine.score([whole[:-ending]])[0][len(prompt) - 1 :]
    assert scored.logprobs == pytest.approx(expected, abs=1e-5)
    assert len(expected) == 2 + len(tokenizer().encode("the cow")) + len(tokenizer().encode("the dog sat"))
    assert (scored.value, scored.values) == (None, ())
    assert (scored.usage.prompt, scored.usage.completion) == (len(whole) - ending, 0)


def test_without_messages_a_score_continues_a_text() -> None:
    opening = [tokenizer().special["<|endoftext|>"], *tokenizer().encode("the cat")]
    said = tokenizer().encode(" sat on")
    scored = score(Score((), Message.assistant(" sat on"), prefix="the cat"))
    assert scored.logprobs == pytest.approx(backend().engine.score([opening + said])[0][-len(said) :], abs=1e-5)


TURNS = {
    "thought": Message.assistant("the dog sat", think="the cat and, the cow"),
    "plain": Message.assistant("the cat sat on the mat"),
    "wide": Message.assistant("\u00e9\u4e2d the cat \U0001f40d", think="\U0001f404 cow"),
    "no words": Message.assistant("the cow", think=""),
}


@pytest.mark.parametrize("name", TURNS)
def test_values_are_those_after_the_tokens_that_complete_the_marks(name: str) -> None:
    turn = TURNS[name]
    written = (turn.thinking or "") + turn.text
    scored = score(Score(ASK, turn, marks=tuple(range(len(written) + 1))), backend(head=True))

    # Once more, slowly: the shortest beginnings that spell so many characters, each scored by itself.
    whole = render(tokenizer(), (*ASK, turn)).ids
    start, special = len(prompt_ids(tokenizer(), ASK)), set(tokenizer().special.values())
    opened = whole[start] in special

    def spelled(end: int) -> int:
        return len(tokenizer().decode_bytes(token for token in whole[start:end] if token not in special))

    ends = [
        start + opened if not mark
        else next(end for end in range(start, len(whole)) if spelled(end) >= len(written[:mark].encode()))
        for mark in range(len(written) + 1)
    ]  # fmt: skip
    plain = engine(head=True)
    expected = [probability(value) for value in plain.values([whole[:end] for end in ends])]
    assert scored.values == pytest.approx(expected, abs=1e-5)
    assert scored.value == pytest.approx(expected[-1], abs=1e-5)
    assert len(set(scored.values)) > 2


def test_marks_are_taken_from_one_pass_over_long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    effect = Score(ASK, Message.assistant("the cat sat on the mat, and the dog", think="the cow"), marks=(3, 9, 20))
    whole = score(effect, backend(head=True))
    fed: list[int] = []
    local = backend(head=True)
    run = local.engine._decoder.run
    monkeypatch.setattr(
        local.engine._decoder, "run", lambda tokens, *rest: (fed.append(len(tokens)), run(tokens, *rest))[1]
    )
    monkeypatch.setattr("thinkling.engine.engine.CHUNK", 7)
    assert score(effect, local).values == pytest.approx(whole.values, abs=1e-5)
    assert sum(fed) == whole.usage.prompt and max(fed) == 7


@pytest.mark.parametrize(
    ("effect", "said"),
    [
        (Score(ASK, Message.assistant("")), "the turn is empty"),
        (Score(ASK, Message.user("x")), "a turn of the assistant, came one of the user"),
        (Score(ASK, Message.assistant("x"), prefix="y"), "expected it without messages"),
        (Score((), Message.assistant("x", think="y"), prefix="z"), "expected text parts alone"),
        (Score(ASK, Message.assistant("xyz"), marks=(1, 4)), r"marks must be within 0..3, the turn's characters"),
        (Score(ASK, Message.assistant("xyz"), marks=(-1,)), r"marks must be within 0..3"),
        (Score(ASK, Message.assistant("xyz"), marks=(1,)), "no value_head.weight"),
        (Score(ASK, Message.assistant("xyz"), verifier="judge"), "opens no verifiers, so it cannot judge by 'judge'"),
    ],
)
def test_what_cannot_be_scored_is_refused(effect: Score, said: str) -> None:
    local = backend()
    with pytest.raises(UserError, match=said):
        local.submit(effect)
    assert not local.engine.in_flight


def test_verifiers_are_opened_once_and_read_with_their_own_tokenizer() -> None:
    other = Tokenizer.train(["a cat and a mat, " * 9], 268)
    opened: list[str] = []

    def opener(folder: str) -> tuple[Engine, Tokenizer]:
        opened.append(folder)
        if folder == "headless":
            return engine(), tokenizer()
        return engine(head=True, seed=len(folder), vocabulary=other.vocab_size), other

    local = LocalBackend(engine(), tokenizer(), verifiers=opener)
    assert local.capabilities.value and not backend().capabilities.value and not opened
    turn = Message.assistant("the dog sat", think="the cow")
    tickets = {local.submit(Score(ASK, turn, verifier=name, marks=(7,))): name for name in ("one", "three", "one")}
    tickets[local.submit(Sample(ASK, Sampling(max_tokens=4), 1))] = "sample"
    local.cancel(max(tickets) + 1)
    done = dict(result for _ in range(20) for result in local.poll())
    assert set(done) == set(tickets) and opened == ["one", "three"]
    for ticket, name in tickets.items():
        result = done[ticket]
        if isinstance(result, Scored):
            alone = LocalBackend(engine(head=True, seed=len(name), vocabulary=other.vocab_size), other)
            expected = score(Score(ASK, turn, marks=(7,)), alone)
            assert (result.value, *result.values) == pytest.approx((expected.value, *expected.values), abs=1e-5)
            assert result.usage == expected.usage
    with pytest.raises(UserError, match=r"headless: its weights have no scalar head"):
        local.submit(Score(ASK, turn, verifier="headless"))
    assert local.verifiers is not None
    with pytest.raises(UserError, match="only judges"):
        local.verifiers.submit(Sample(ASK, Sampling(max_tokens=4), 1))


def test_a_cancelled_judgement_never_comes() -> None:
    local = LocalBackend(engine(), tokenizer(), verifiers=lambda folder: (engine(head=True), tokenizer()))
    tickets = [local.submit(Score(ASK, Message.assistant(text), verifier="v")) for text in ("the cat", "the dog")]
    local.cancel(tickets[0])
    assert [number for _ in range(5) for number, _ in local.poll()] == tickets[1:]


def test_effects_finish_in_any_order_and_can_be_cancelled() -> None:
    local = backend(slots=2)
    tickets = [local.submit(Sample(ASK, Sampling(max_tokens=n), n)) for n in (40, 2, 30)]
    local.cancel(tickets[2])
    local.cancel(999)
    done = [number for _ in range(20) for number, _ in local.poll()]
    assert done == [tickets[1], tickets[0]] and not local.engine.in_flight
    assert local.poll() == []


def test_cut_drops_characters_of_the_last_part_only() -> None:
    assert cut(Message.assistant("émile", think="hm"), 3) == Message.assistant("ém", think="hm")
    assert cut(Message.assistant("x"), 0) == Message.assistant("x")


@pytest.mark.parametrize("tag", ["<think>", "</think>", "<|im_end|>", "<tool_call>"])
def test_pieces_spell_the_turn_whatever_it_begins_with(tag: str) -> None:
    """Tags in place spell nothing, tags out of place their own text: an answer is found where it stands."""
    forced = (tokenizer().special[tag],)
    sampling = Sampling(temperature=1.0, max_tokens=40)
    for seed in range(8):
        sampled = ask(Sample(ASK, sampling, seed, top_logprobs=2, forced=forced))[0]
        assert "".join(sampled.pieces) == "".join(part.text for part in sampled.message.parts)
        assert len(sampled.pieces) == len(sampled.top) == 1 + sampled.tokens.origins.count("sampled")
