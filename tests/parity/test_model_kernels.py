"""The fused CPU kernels against their readable PyTorch twins, values and gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from torch import Tensor

from thinkling.model import fused, reference
from thinkling.model.config import ModelConfig
from thinkling.model.lowlevel import exp32
from thinkling.model.transformer import Packed, Transformer
from thinkling.train.packing import Sequence, pack_all

CONFIG = ModelConfig(
    vocab_size=131,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    intermediate_size=96,
    max_position_embeddings=256,
)
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 8e-2}


def packed_batch(windows: int = 2, length: int = 200) -> Packed:
    """Windows of three documents each, longer than one block of queries."""
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(0, CONFIG.vocab_size, (windows, length), generator=generator)
    index = torch.arange(length, dtype=torch.int32).repeat(windows, 1)
    first = torch.where(index >= 150, 150, torch.where(index >= 37, 37, 0)).to(torch.int32)
    # The third document continues the first one, or most of it; the second is alone.
    trunk = torch.zeros(windows, length, 2, dtype=torch.int32)
    trunk[:, 150:, 0], trunk[:, 150:, 1] = 2, 30
    position = index - first + trunk[..., 1] - trunk[..., 0]
    return Packed(ids, first, position, trunk)


def model_of(dtype: torch.dtype, ops: object, monkeypatch: pytest.MonkeyPatch) -> Transformer:
    monkeypatch.setattr(Transformer, "ops", property(lambda self: ops))
    model = Transformer(CONFIG, dtype=dtype, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.weights.values():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)
    model.refresh()
    return model


def gradients(model: Transformer, loss: Tensor) -> dict[str, Tensor]:
    loss.backward()  # type: ignore[no-untyped-call]
    model.collect_gradients()
    return {name: weight.grad.clone() for name, weight in model.weights.items() if weight.grad is not None}


def assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float) -> None:
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).norm() <= tolerance * gradient.norm(), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loss_and_every_gradient_agree(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = packed_batch()
    target = torch.randint(0, CONFIG.vocab_size, (batch.ids_BT.numel(),), generator=torch.Generator().manual_seed(6))
    scale = torch.rand(len(target), generator=torch.Generator().manual_seed(7)) / len(target)
    found = {}
    for ops in (fused, reference):
        model = model_of(dtype, ops, monkeypatch)
        total, losses = ops.cross_entropy(model.hidden(batch), model.head, target, scale)
        found[ops] = (float(total.detach()), losses, gradients(model, total))
    assert math.isclose(found[fused][0], found[reference][0], rel_tol=1e-5 if dtype == torch.float32 else 2e-2)
    assert_close(found[fused][2], found[reference][2], TOLERANCE[dtype])


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_token_logprobs_entropy_and_gradient_agree(temperature: float, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = packed_batch()
    generator = torch.Generator().manual_seed(8)
    target = torch.randint(0, CONFIG.vocab_size, (batch.ids_BT.numel(),), generator=generator)
    weight = torch.randn(len(target), generator=generator)
    found = {}
    for ops in (fused, reference):
        model = model_of(torch.float32, ops, monkeypatch)
        logp, entropy = ops.token_logprobs(model.hidden(batch), model.head, target, temperature)
        found[ops] = (logp.detach(), entropy.detach(), gradients(model, (logp * weight).sum()))
    for ours, theirs in zip(found[fused][:2], found[reference][:2], strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)
    assert_close(found[fused][2], found[reference][2], 5e-5)


def test_a_document_is_computed_as_if_it_were_alone() -> None:
    model = Transformer(CONFIG, seed=3)
    with torch.no_grad():
        for name, weight in model.weights.items():
            if name.endswith(("_o", "_down")):
                weight.normal_(generator=torch.Generator().manual_seed(4))
        packed = packed_batch(windows=1)
        for batch in (packed, Packed(packed.ids_BT, packed.first_BT, packed.position_BT)):
            together = model(batch)[0]
            for start, end in ((0, 37), (37, 150), *([(150, 200)] if batch.trunk_BT2 is None else [])):
                alone = model(Packed.whole(batch.ids_BT[:, start:end]))[0]
                assert torch.allclose(together[start:end], alone, atol=1e-4)


def test_answers_that_share_a_question_are_computed_as_if_each_had_its_own() -> None:
    """Log-probabilities and gradients of a group in one window equal those of its sequences in windows of their own."""
    generator = torch.Generator().manual_seed(3)
    question = torch.randint(0, CONFIG.vocab_size, (60,), generator=generator).tolist()
    group = []
    for owner, size in enumerate((30, 17, 44, 1)):
        answer = torch.randint(0, CONFIG.vocab_size, (size,), generator=generator).tolist()
        group.append(Sequence([*question, *answer], [False] * 60 + [True] * size, owner))
    found = []
    for arranged in ([group], [[sequence] for sequence in group]):
        model = Transformer(CONFIG, seed=3)
        with torch.no_grad():
            for weight in model.weights.values():
                weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(4)) * 0.1)
        logprob: dict[tuple[int, int], float] = {}
        for windows in pack_all(arranged, 256, 4):
            y = fused.take_rows(model.hidden(windows.packed), windows.row_N)
            logp, _ = fused.token_logprobs(y, model.head, windows.target_N, 1.0)
            logp.sum().backward()  # type: ignore[no-untyped-call]
            logprob |= {tuple(at): float(p) for at, p in zip(windows.source_N2.tolist(), logp.detach(), strict=True)}
        found.append((logprob, {name: weight.grad for name, weight in model.weights.items()}))
    (shared, ours), (separate, theirs) = found
    assert shared.keys() == separate.keys() and len(shared) == 92
    assert max(abs(shared[at] - separate[at]) for at in shared) < 1e-4
    assert_close(ours, theirs, 1e-4)  # type: ignore[arg-type]


def test_no_position_sees_the_future() -> None:
    model = Transformer(CONFIG, seed=3)
    with torch.no_grad():
        for name, weight in model.weights.items():
            if name.endswith(("_o", "_down")):
                weight.normal_(generator=torch.Generator().manual_seed(4))
        ids = torch.randint(0, CONFIG.vocab_size, (1, 180), generator=torch.Generator().manual_seed(9))
        changed = ids.clone()
        changed[0, 140:] = 1
        before, after = model(Packed.whole(ids)), model(Packed.whole(changed))
    assert torch.equal(before[:, :140], after[:, :140])
    assert not torch.equal(before[:, 140:], after[:, 140:])


@njit
def _exponentials(x: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(x)):
        out[i] = exp32(x[i])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-87.0, 80.0, width=32), min_size=1, max_size=40))
def test_the_exponential_is_accurate_to_float32(values: list[float]) -> None:
    x = np.asarray(values, np.float32)
    out = np.empty_like(x)
    _exponentials(x, out)
    np.testing.assert_allclose(out, np.exp(x.astype(np.float64)), rtol=4e-7)


def test_parameter_and_flop_counts() -> None:
    model = Transformer(CONFIG)
    assert CONFIG.parameters() == sum(weight.numel() for weight in model.weights.values())
    products = sum(w.numel() for name, w in model.weights.items() if w.ndim == 2)
    assert CONFIG.flops_per_token(0) == 6 * products
