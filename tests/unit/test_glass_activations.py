"""The steps of a walk, attention maps and the lens, each against the same thing said more slowly."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.glass import attention
from thinkling.glass.activations import Activations, activations
from thinkling.glass.lens import first_shown, lens, likeliest, settled
from thinkling.glass.walk import walk
from thinkling.model.config import ModelConfig
from thinkling.model.transformer import Transformer

CONFIG = ModelConfig(50, 32, 3, 4, 2, 16, 48, max_position_embeddings=64, tie_word_embeddings=False)
IDS = [7, 3, 3, 41, 0, 12, 7, 30, 49, 5]


@cache
def tensors() -> dict[str, torch.Tensor]:
    """Weights none of which is at its initial value."""
    model = Transformer(CONFIG, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.weights.values():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.3)
    return model.state()


@cache
def seen() -> Activations:
    return activations(CONFIG, tensors(), IDS)


def linear(name: str, x: torch.Tensor) -> torch.Tensor:
    return x @ tensors()[name].t()


def test_every_row_of_weights_sums_to_one_and_none_looks_ahead() -> None:
    maps = attention.maps(seen())
    assert maps.shape == (3, 4, 10, 10)
    torch.testing.assert_close(maps.sum(-1), torch.ones(3, 4, 10))
    assert not bool(maps.triu(1).any())
    assert bool((maps.tril() > 0).sum() == 3 * 4 * 55)


@pytest.mark.parametrize("layer", range(3))
@pytest.mark.parametrize("head", range(4))
def test_a_walk_holds_together(layer: int, head: int) -> None:
    """Each step follows from the one before, number by number; the context is the model's own."""
    steps = walk(seen(), layer, head, 4)
    torch.testing.assert_close(steps.weights_TT @ steps.value_TE, steps.context_TE)
    torch.testing.assert_close(steps.embedding_TD, tensors()["model.embed_tokens.weight"][IDS])
    for row in range(len(IDS)):
        scores = [float(steps.query_TE[row] @ steps.key_TE[column]) / math.sqrt(16) for column in range(row + 1)]
        assert steps.scores_TT[row, : row + 1].tolist() == pytest.approx(scores, abs=1e-4)
        assert steps.scores_TT[row, row + 1 :].tolist() == [-math.inf] * (len(IDS) - row - 1)
        total = sum(math.exp(score) for score in scores)
        expected = [math.exp(score) / total for score in scores]
        assert steps.weights_TT[row, : row + 1].tolist() == pytest.approx(expected, abs=1e-5)
    assert torch.equal(steps.logits_V, seen().logits_TV[4])
    torch.testing.assert_close(attention.maps(seen())[layer, head], steps.weights_TT)


@pytest.mark.parametrize("layer", range(3))
def test_values_and_contexts_join_the_stream_at_the_layer_that_is_shown(layer: int) -> None:
    """A value comes from what the layer reads, and all contexts, projected, are what its attention adds."""
    prefix = f"model.layers.{layer}."
    steps = [walk(seen(), layer, head, 0) for head in range(4)]
    read = steps[0].residual_TD
    normalized = read * torch.rsqrt(read.square().mean(-1, keepdim=True) + 1e-6)
    normalized = normalized * tensors()[f"{prefix}input_layernorm.weight"]
    values = linear(f"{prefix}self_attn.v_proj.weight", normalized)
    for head in range(4):
        torch.testing.assert_close(steps[head].value_TE, values[:, head // 2 * 16 :][:, :16], atol=1e-4, rtol=1e-4)
    attended = linear(f"{prefix}self_attn.o_proj.weight", torch.cat([step.context_TE for step in steps], 1))
    between = read + attended
    hidden = between * torch.rsqrt(between.square().mean(-1, keepdim=True) + 1e-6)
    hidden = hidden * tensors()[f"{prefix}post_attention_layernorm.weight"]
    gate, up = (linear(f"{prefix}mlp.{name}_proj.weight", hidden) for name in ("gate", "up"))
    after = between + linear(f"{prefix}mlp.down_proj.weight", gate * torch.sigmoid(gate) * up)
    torch.testing.assert_close(after, seen().residual_MTD[layer + 1], atol=1e-3, rtol=1e-4)


def test_what_comes_later_changes_nothing_before_it() -> None:
    longer = activations(CONFIG, tensors(), [*IDS, 1, 2])
    torch.testing.assert_close(longer.residual_MTD[:, : len(IDS)], seen().residual_MTD, atol=1e-4, rtol=1e-4)
    other = activations(CONFIG, tensors(), [*IDS[:5], 9, *IDS[6:]])
    assert float((other.residual_MTD[1:, 5:] - seen().residual_MTD[1:, 5:]).abs().amin(dim=(0, 2)).min()) > 0


def test_the_lens_reads_as_the_model_does_and_ends_with_its_logits() -> None:
    rows = list(lens(CONFIG, tensors(), seen()))
    assert len(rows) == 4 and torch.equal(rows[-1], seen().logits_TV)
    x = seen().residual_MTD[1]
    normalized = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * tensors()["model.norm.weight"]
    torch.testing.assert_close(rows[1], linear("lm_head.weight", normalized), atol=1e-4, rtol=1e-4)
    assert torch.equal(likeliest(CONFIG, tensors(), seen())[2], rows[2].argmax(-1))


@given(st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), min_size=1, max_size=6))
def test_first_shown_and_settled(rows: list[list[int]]) -> None:
    first, last = first_shown(torch.tensor(rows)), settled(torch.tensor(rows))
    for column in range(3):
        says = [row[column] for row in rows]
        assert int(first[column]) == says.index(says[-1])
        assert int(last[column]) == min(m for m in range(len(says)) if set(says[m:]) == {says[-1]})


def test_broken_weights_are_named() -> None:
    name = "model.layers.1.mlp.down_proj.weight"
    with pytest.raises(UserError, match="layer 1 computes numbers that are not finite"):
        activations(CONFIG, tensors() | {name: torch.full_like(tensors()[name], math.nan)}, IDS)
    with pytest.raises(UserError, match="output head"):
        activations(CONFIG, tensors() | {"lm_head.weight": torch.full((50, 32), math.inf)}, IDS)
