"""Requests through the engine: independence of batch-mates, sharing, forks, masks, ends."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from thinkling.core.errors import UserError
from thinkling.core.types import Completion, Request, Sampling
from thinkling.engine.engine import Engine
from thinkling.model.config import ModelConfig

CONFIG = ModelConfig(
    vocab_size=64,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    intermediate_size=48,
)


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    c, generator = CONFIG, torch.Generator().manual_seed(seed)
    d, q, kv, f = c.hidden_size, c.q_size, c.kv_size, c.intermediate_size
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (c.vocab_size, d), "model.norm.weight": (d,)}
    for layer in range(c.num_hidden_layers):
        for name, shape in {
            "self_attn.q_proj": (q, d), "self_attn.k_proj": (kv, d), "self_attn.v_proj": (kv, d),
            "self_attn.o_proj": (d, q), "self_attn.q_norm": (c.head_dim,), "self_attn.k_norm": (c.head_dim,),
            "input_layernorm": (d,), "post_attention_layernorm": (d,),
            "mlp.gate_proj": (f, d), "mlp.up_proj": (f, d), "mlp.down_proj": (d, f),
        }.items():  # fmt: skip
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
    return {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()}


class Letters:
    """A tokenizer of one letter per id; 63 is special."""

    special: Mapping[str, int] = {"<end>": 63}

    def token_bytes(self, token: int, /) -> bytes:
        return bytes([ord("A") + token])


def make(slots: int = 4, max_len: int = 128, **options: object) -> Engine:
    return Engine(weights(), CONFIG, slots=slots, max_len=max_len, dtype="float32", **options)  # type: ignore[arg-type]


def request(length: int, seed: int, new: int = 30, **options: object) -> Request:
    rng = random.Random(f"{length} {seed}")
    tokens = tuple(rng.randrange(63) for _ in range(length))
    return Request(tokens, Sampling(max_tokens=new), seed, **options)  # type: ignore[arg-type]


def idle(engine: Engine) -> bool:
    """Nothing is held: every slot and block is free again."""
    schedule = engine._schedule
    return (
        not engine.in_flight
        and not schedule.prompts
        and not schedule._demand
        and engine._slots.free == engine._slots.total
        and engine._cache.free == engine._cache.count
        and not engine._cache._references.any()
    )


def finish(engine: Engine) -> dict[int, Completion]:
    done: dict[int, Completion] = {}
    while engine.in_flight:
        done.update({e.handle: e.completion for e in engine.step() if e.completion})
    return done


def test_a_request_does_not_depend_on_its_batch_mates_order_or_slot() -> None:
    requests = [request(length, seed) for seed, length in enumerate([1, 31, 32, 33, 64, 90, 17, 5, 40, 70])]
    alone = [make().run([one])[0] for one in requests]
    engine = make(slots=3)
    order = random.Random(0).sample(range(10), 10)
    together = engine.run([requests[i] for i in order])
    assert [c.tokens for c in together] == [alone[i].tokens for i in order]
    torch.testing.assert_close(
        torch.tensor([c.logprobs for c in together]),
        torch.tensor([alone[i].logprobs for i in order]),
        atol=1e-4,
        rtol=0,
    )
    assert idle(engine)


def test_what_was_sampled_scores_the_same_without_a_cache() -> None:
    engine = make()
    for one, done in zip(requests := [request(n, n) for n in (1, 20, 33)], engine.run(requests), strict=True):
        scores = engine.score([one.tokens + done.tokens])[0][len(one.tokens) - 1 :]
        torch.testing.assert_close(torch.tensor(scores), torch.tensor(done.logprobs), atol=1e-4, rtol=0)


def test_a_long_prompt_is_computed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make().run([request(100, 1), request(60, 2)])
    monkeypatch.setattr("thinkling.engine.engine.CHUNK", 7)
    assert [c.tokens for c in make().run([request(100, 1), request(60, 2)])] == [c.tokens for c in whole]


def test_a_shared_prompt_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    group = [replace(request(50, 1), seed=seed) for seed in range(6)]
    alone = [make().run([one])[0].tokens for one in group]
    engine, fed = make(slots=4), []
    inner = engine._decoder.run
    monkeypatch.setattr(
        engine._decoder, "run", lambda tokens, *rest: (fed.append(len(tokens)), inner(tokens, *rest))[1]
    )
    assert [c.tokens for c in engine.run(group)] == alone
    assert fed[0] == 50 and max(fed[1:]) == 4 and idle(engine)


def test_repeated_prompts_may_come_interleaved() -> None:
    a, b, c = (request(20, seed, new) for seed, new in enumerate([2, 9, 5]))
    engine = make(slots=2)
    done = engine.run([a, b, c, replace(a, seed=7), replace(b, seed=8)])
    alone = [make().run([one])[0].tokens for one in (a, b, c, replace(a, seed=7), replace(b, seed=8))]
    assert [c.tokens for c in done] == alone
    assert idle(engine) and len(engine._schedule._prompt_rows) == 2


def test_waiting_requests_enter_as_soon_as_a_slot_is_free() -> None:
    engine = make(slots=2)
    long, short, next_one = (engine.submit(request(5, s, new)) for s, new in enumerate([20, 3, 3]))
    steps = {}
    for step in range(20):
        for event in engine.step():
            steps.setdefault(event.handle, step)
    assert steps[long] == steps[short] == 0
    assert steps[next_one] == 3
    assert idle(engine)


def test_a_small_cache_serves_all_one_after_another() -> None:
    requests = [request(40, seed, 20) for seed in range(5)]
    block = 2 * CONFIG.num_hidden_layers * CONFIG.kv_size * 32 * 4
    small = make(slots=4, cache_bytes=8 * block)
    assert [c.tokens for c in small.run(requests)] == [c.tokens for c in make().run(requests)]
    assert idle(small)


def test_stop_ids_end_and_belong_to_the_completion() -> None:
    free = make().run([request(5, 1)])[0]
    stopped = make().run([replace(request(5, 1), stop_ids=(free.tokens[7],))])[0]
    end = free.tokens.index(free.tokens[7]) + 1
    assert stopped.tokens == free.tokens[:end] and stopped.finish == "stop" and free.finish == "length"


def test_stop_strings_are_found_across_tokens_but_not_across_special_ones() -> None:
    free = make(tokenizer=Letters()).run([request(5, 1)])[0]
    text = "".join(chr(ord("A") + token) for token in free.tokens)
    at = next(i for i in range(4, 28) if text.find(text[i : i + 3]) == i and 63 not in free.tokens[i : i + 3])
    one = replace(request(5, 1), sampling=Sampling(max_tokens=30, stop=("zz", text[at : at + 3])))
    done = make(tokenizer=Letters()).run([one])[0]
    assert (done.tokens, done.finish) == (free.tokens[: at + 3], "stop")

    def along(path: tuple[int, ...]) -> Completion:
        only = Sampling(max_tokens=len(path), stop=("BC",))
        return make(tokenizer=Letters()).run([replace(one, sampling=only, mask=lambda so_far: [path[len(so_far)]])])[0]

    whole, broken = along((0, 1, 2, 3)), along((0, 1, 63, 2))
    assert (whole.tokens, whole.finish) == ((0, 1, 2), "stop")
    assert (broken.tokens, broken.finish) == ((0, 1, 63, 2), "length")


def test_banned_ids_and_masks_bind_and_logprobs_are_renormalized() -> None:
    banned = tuple(range(0, 63, 2))
    done = make().run([replace(request(5, 1), banned=banned)])[0]
    assert not set(done.tokens) & set(banned)
    seen: list[list[int]] = []

    def mask(so_far: list[int]) -> list[int] | None:
        seen.append(so_far)
        return None if len(so_far) % 2 else [7, 8]

    masked, other = make().run([replace(request(5, 1), mask=mask, banned=(8,)), request(5, 2)])
    assert masked.tokens[::2] == (7,) * 15 and masked.logprobs[::2] == (0.0,) * 15
    assert set(masked.tokens[1::2]) - {7} and 8 not in masked.tokens
    assert seen == [list(masked.tokens[:n]) for n in range(30)]
    assert other.tokens == make().run([request(5, 2)])[0].tokens
    stuck = make().run([replace(request(5, 1), mask=lambda so_far: [] if len(so_far) == 2 else None)])[0]
    assert stuck.finish == "abort" and len(stuck.tokens) == 2


def test_forced_tokens_come_first_with_their_plain_logprob() -> None:
    engine = make()
    one = replace(request(20, 1), forced=(5, 6, 7), top_logprobs=2)
    done = engine.run([one])[0]
    assert done.tokens[:3] == (5, 6, 7) and len(done.tokens) == 30
    assert done.origins == ("forced",) * 3 + ("sampled",) * 27
    scores = engine.score([one.tokens + done.tokens])[0][19:]
    torch.testing.assert_close(torch.tensor(done.logprobs), torch.tensor(scores), atol=1e-4, rtol=0)
    assert len(done.top) == 30 and all(len(top) in (2, 3) for top in done.top)
    short = engine.run([replace(one, sampling=Sampling(max_tokens=2))])[0]
    assert (short.tokens, short.finish, len(short.top)) == ((5, 6), "length", 2)


def test_top_logprobs_are_the_likeliest_of_the_raw_logits() -> None:
    one = replace(request(9, 4), sampling=Sampling(temperature=0.0, max_tokens=10), top_logprobs=3, banned=(1,))
    done = make().run([one])[0]
    for token, logprob, top in zip(done.tokens, done.logprobs, done.top, strict=True):
        best = {candidate: value for candidate, value in top[:3]}
        assert list(best.values()) == sorted(best.values(), reverse=True) and len(best) == 3
        if top[0][0] != 1:
            assert token == top[0][0] and logprob == pytest.approx(top[0][1], abs=1e-5)


@pytest.mark.parametrize(("frequency", "presence"), [(0.7, 0.0), (0.0, 2.0), (-0.5, 0.3)])
def test_penalties_count_what_the_completion_has_its_forced_and_forked_tokens_too(
    frequency: float, presence: float
) -> None:
    bias = ((5, 1.5),)
    sampling = Sampling(0.0, max_tokens=40, frequency_penalty=frequency, presence_penalty=presence, logit_bias=bias)
    asked = replace(request(6, 0, forced=(9, 9, 11)), sampling=sampling, top_logprobs=64)
    engine = make()
    handle = engine.submit(asked)
    for _ in range(12):
        engine.step()
    engine.fork(handle, seed=1)
    for done in finish(engine).values():
        for at in range(3, len(done.tokens)):
            said = done.tokens[:at]
            scores = {
                token: logprob - frequency * said.count(token) - presence * (token in said) + 1.5 * (token == 5)
                for token, logprob in done.top[at]
            }
            assert scores[done.tokens[at]] == pytest.approx(max(scores.values()), abs=1e-4)
    plain = make().run([replace(asked, sampling=Sampling(0.0, max_tokens=40))])[0]
    assert plain.tokens != done.tokens


def test_a_drawn_token_is_told_among_the_likeliest_or_after_them() -> None:
    asked = replace(request(5, 1), sampling=Sampling(3.0, max_tokens=30), top_logprobs=2, forced=(4, 5))
    done = make().run([asked])[0]
    full = make().run([replace(asked, top_logprobs=64)])[0]
    assert {len(place) for place in done.top} == {2, 3}
    for token, place, whole in zip(done.tokens, done.top, full.top, strict=True):
        assert place[:2] == whole[:2]
        assert token in dict(place) and dict(place)[token] == pytest.approx(dict(whole)[token], abs=1e-6)


def test_a_request_can_be_watched_after_it_was_submitted() -> None:
    engine = make()
    handle = engine.submit(request(5, 0), stream=False)
    assert not any(event.token_id is not None and not event.completion for _ in range(3) for event in engine.step())
    engine.watch(handle)
    seen = [event for event in engine.step() if event.handle == handle]
    assert len(seen) == 1 and seen[0].completion is None


def test_streaming_reports_each_token_in_order() -> None:
    streams: dict[int, list[int | None]] = {0: [], 1: []}
    done = make().run([request(5, 1), request(9, 2)], lambda index, event: streams[index].append(event.token_id))
    assert [tuple(streams[i]) for i in (0, 1)] == [c.tokens for c in done]


@pytest.mark.parametrize("steps", [0, 1, 6])
def test_cancel_frees_everything_at_once(steps: int) -> None:
    engine = make(slots=2)
    handles = [engine.submit(request(40, seed)) for seed in (1, 1, 2, 2)]
    for _ in range(steps):
        engine.step()
    for handle in handles[::-1]:
        aborted = engine.cancel(handle)
        assert aborted is not None and aborted.finish == "abort"
        assert engine.cancel(handle) is None
    assert idle(engine)


def test_cancel_between_two_pieces_of_a_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinkling.engine.engine.CHUNK", 16)
    engine = make()
    first, second = (engine.submit(replace(request(40, 1), seed=seed)) for seed in (1, 2))
    engine.step()
    engine.cancel(first)
    assert finish(engine)[second].tokens == make().run([replace(request(40, 1), seed=2)])[0].tokens
    assert idle(engine)


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("steps", [0, 5, 28])
def test_a_fork_goes_on_from_the_same_state(slots: int, steps: int) -> None:
    one = request(30, 1)
    engine = make(slots=slots)
    origin = engine.submit(one)
    for _ in range(steps):
        engine.step()
    twin, other = engine.fork(origin, 1), engine.fork(origin, 99)
    done = finish(engine)
    assert done[twin].tokens == done[origin].tokens == make().run([one])[0].tokens
    assert done[other].tokens[:steps] == done[origin].tokens[:steps]
    assert done[other].tokens != done[origin].tokens or steps == 28
    assert done[other].logprobs[:steps] == done[origin].logprobs[:steps]
    assert done[other].origins == ("sampled",) * 30
    assert idle(engine)
    with pytest.raises(UserError, match="not in flight"):
        engine.fork(origin, 5)


def test_new_weights_change_the_answers_and_wait_for_an_idle_engine() -> None:
    engine = make(weights_id="one")
    before = engine.run([request(5, 1)])[0]
    handle = engine.submit(request(5, 1))
    with pytest.raises(UserError, match="in flight"):
        engine.load_weights(weights(1), "two")
    engine.cancel(handle)
    engine.load_weights(weights(1), "two")
    after = engine.run([request(5, 1)])[0]
    assert (before.weights_id, after.weights_id) == ("one", "two")
    fresh = Engine(weights(1), CONFIG, slots=4, max_len=128, dtype="float32").run([request(5, 1)])[0]
    assert after.tokens == fresh.tokens != before.tokens


def test_a_scalar_head_reads_the_last_position() -> None:
    engine = make()
    with pytest.raises(UserError, match="value_head"):
        engine.values([[1, 2]])
    head = {"value_head.weight": torch.randn(1, 32), "value_head.bias": torch.tensor([2.0])}
    engine.load_weights({**weights(), **head}, "valued")
    sequences = [[1, 2, 3], [1, 2], list(range(40)), [1, 2, 3]]
    values = engine.values(sequences)
    assert values[0] == values[3] and len(set(values)) == 3
    engine.load_weights({**weights(), "value_head.weight": head["value_head.weight"] * 2}, "doubled")
    assert engine.values(sequences) == pytest.approx([2 * (value - 2) for value in values], abs=1e-4)


def test_room_ends_a_completion_by_length() -> None:
    done = make(max_len=40).run([request(30, 1, new=500)])[0]
    assert (len(done.tokens), done.finish) == (10, "length")
    assert done.tokens == make().run([request(30, 1)])[0].tokens[:10]


def test_what_cannot_be_served_is_refused_with_a_reason() -> None:
    engine = make(max_len=40)
    refused: list[tuple[Request, str]] = [
        (request(40, 1), "40 tokens, but the engine holds 40"),
        (replace(request(3, 1), tokens=()), "empty"),
        (replace(request(3, 1), tokens=(64,)), "0..63"),
        (replace(request(3, 1), sampling=Sampling(stop=("x",))), "tokenizer"),
    ]
    for bad, reason in refused:
        with pytest.raises(UserError, match=reason):
            engine.run([request(3, 1), bad])
    assert idle(engine)
    lacking = weights()
    del lacking["model.norm.weight"]
    with pytest.raises(UserError, match=r"lack model\.norm\.weight"):
        engine.load_weights(lacking, "")
    with pytest.raises(UserError, match="float16"):
        Engine(weights(), CONFIG, dtype=torch.float16)
