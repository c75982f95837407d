"""Effects through the local backend: rendering, seeds, think control, stop strings, usage."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.core.types import Message, Part, Sample, Sampled, Sampling, Score, Scored
from thinkling.engine.backend import LocalBackend, cut
from thinkling.engine.engine import Engine
from thinkling.model.config import ModelConfig
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import prompt_ids

ASK = (Message.user("the cat"),)


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["the cat sat on the mat, and the dog and the cow. " * 20], 300)


def backend(slots: int = 8) -> LocalBackend:
    config = ModelConfig(tokenizer().vocab_size, 32, 1, 2, 1, 16, 48)
    generator = torch.Generator().manual_seed(0)
    shapes = {"model.embed_tokens.weight": (config.vocab_size, 32), "model.norm.weight": (32,)}
    parts = {
        "self_attn.q_proj": (32, 32), "self_attn.k_proj": (16, 32), "self_attn.v_proj": (16, 32),
        "self_attn.o_proj": (32, 32), "self_attn.q_norm": (16,), "self_attn.k_norm": (16,),
        "input_layernorm": (32,), "post_attention_layernorm": (32,),
        "mlp.gate_proj": (48, 32), "mlp.up_proj": (48, 32), "mlp.down_proj": (32, 48),
    }  # fmt: skip
    shapes |= {f"model.layers.0.{name}.weight": shape for name, shape in parts.items()}
    weights = {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}
    engine = Engine(weights, config, slots=slots, max_len=128, dtype="float32", weights_id="w")
    return LocalBackend(engine, tokenizer())


def ask(effect: Sample) -> list[Sampled]:
    result = serve(effect)
    assert isinstance(result, list)
    return result


def serve(effect: Sample | Score) -> list[Sampled] | Scored:
    local = backend()
    ticket = local.submit(effect)
    for _ in range(100):
        for number, result in local.poll():
            assert number == ticket and not local.engine.in_flight
            return result
    raise AssertionError("never finished")


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


def test_a_score_covers_the_text() -> None:
    scored = serve(Score(ASK, "the dog sat"))
    assert isinstance(scored, Scored)
    prompt, text = prompt_ids(tokenizer(), ASK), tokenizer().encode("the dog sat")
    expected = backend().engine.score([prompt + text])[0][-len(text) :]
    assert scored.logprobs == pytest.approx(expected, abs=1e-5)
    assert scored.value is None and scored.usage.prompt == len(prompt) + len(text)
    with pytest.raises(UserError, match="empty"):
        backend().submit(Score(ASK, ""))


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
