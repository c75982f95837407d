"""The engine against transformers' Qwen3, Qwen2 and Llama, on tiny random models, in float32."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from tests.parity import peers
from thinkling.core.types import Request, Sampling
from thinkling.engine.engine import Engine
from thinkling.model.checkpoint import load_checkpoint
from thinkling.model.config import ModelConfig

BASE = ModelConfig(
    vocab_size=97,
    hidden_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    intermediate_size=80,
)
SHAPES = {
    "untied": replace(BASE, tie_word_embeddings=False),
    "three heads on one, 80 wide": replace(BASE, num_attention_heads=3, num_key_value_heads=1, head_dim=80),
    "six heads on one, other theta": replace(
        BASE, num_attention_heads=6, num_key_value_heads=1, head_dim=32, rope_theta=1e6
    ),
    "no sharing": replace(BASE, num_attention_heads=2, num_key_value_heads=2),
}


def peer(config: ModelConfig) -> Qwen3ForCausalLM:
    torch.manual_seed(0)
    drop = ("architectures", "model_type", "torch_dtype")
    content = {key: value for key, value in config.to_hf().items() if key not in drop}
    model = Qwen3ForCausalLM(Qwen3Config(**content, attn_implementation="eager")).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, 0.0, 0.15) if weight.ndim > 1 else torch.nn.init.uniform_(weight, 0.5, 1.5)
    return model


def plain(model: Any, ids: list[int]) -> torch.Tensor:
    """Log-probability of each id but the first."""
    with torch.no_grad():
        logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return logprobs[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


@pytest.mark.parametrize("shape", SHAPES)
def test_scores_equal_the_peers(shape: str) -> None:
    model, rng = peer(SHAPES[shape]), random.Random(1)
    sequences = [[rng.randrange(97) for _ in range(size)] for size in (2, 5, 31, 32, 33, 64, 70, 100)]
    engine = Engine(model.state_dict(), SHAPES[shape], slots=8, max_len=128, dtype="float32")
    for ids, scores in zip(sequences, engine.score(sequences), strict=True):
        torch.testing.assert_close(torch.tensor(scores), plain(model, ids), atol=1e-4, rtol=0)


def assert_greedy_equals_generate(model: Any, engine: Engine, longest: int) -> None:
    rng = random.Random(2)
    prompts = [[rng.randrange(97) for _ in range(rng.randint(1, longest))] for _ in range(8)]
    requests = [Request(tuple(p), Sampling(temperature=0.0, max_tokens=40), 0, stop_ids=(3,)) for p in prompts]
    for prompt, completion in zip(prompts, engine.run(requests), strict=True):
        ids = torch.tensor([prompt])
        want = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=40, eos_token_id=3, pad_token_id=0
        )[0, len(prompt) :]
        assert list(completion.tokens) == want.tolist()
        assert completion.finish == ("stop" if want[-1] == 3 else "length")
        torch.testing.assert_close(
            torch.tensor(completion.logprobs),
            plain(model, prompt + want.tolist())[len(prompt) - 1 :],
            atol=1e-4,
            rtol=0,
        )


def test_greedy_equals_generate() -> None:
    model = peer(BASE)
    assert_greedy_equals_generate(model, Engine(model.state_dict(), BASE, slots=3, max_len=96, dtype="float32"), 40)


@pytest.mark.parametrize("variant", peers.VARIANTS)
def test_every_variant_scores_and_samples_as_the_peer(tmp_path: Path, variant: str) -> None:
    """At lengths far beyond the 64 positions from which rotary positions are stretched; what was drawn with
    the cache is scored again without."""
    model, rng = peers.peer(variant), random.Random(1)
    model.save_pretrained(tmp_path)
    config, tensors = load_checkpoint(tmp_path)
    engine = Engine(tensors, config, slots=3, max_len=200, dtype="float32")
    sequences = [[rng.randrange(97) for _ in range(size)] for size in (2, 33, 64, 100, 190)]
    for ids, scores in zip(sequences, engine.score(sequences), strict=True):
        torch.testing.assert_close(torch.tensor(scores), plain(model, ids), atol=1e-4, rtol=0)
    assert_greedy_equals_generate(model, engine, 150)
    prompt = tuple(sequences[3])
    drawn = engine.run([Request(prompt, Sampling(max_tokens=80), 7)])[0]
    again = engine.score([[*prompt, *drawn.tokens]])[0][len(prompt) - 1 :]
    torch.testing.assert_close(torch.tensor(drawn.logprobs), torch.tensor(again), atol=1e-4, rtol=0)


@pytest.mark.parametrize("variant", ["qwen3", "qwen2", "llama3 rope"])
def test_bfloat16_is_near_float32(tmp_path: Path, variant: str) -> None:
    rng = random.Random(3)
    if variant == "qwen3":
        config, tensors = BASE, peer(BASE).state_dict()
    else:
        peers.peer(variant).save_pretrained(tmp_path)
        config, tensors = load_checkpoint(tmp_path)
    sequences = [[rng.randrange(97) for _ in range(size)] for size in (40, 60)]
    exact, rounded = (
        torch.tensor(sum(Engine(tensors, config, slots=2, max_len=64, dtype=dtype).score(sequences), []))
        for dtype in ("float32", "bfloat16")
    )
    assert 0 < (exact - rounded).abs().mean() < 0.1
