"""What we see inside a model against what transformers shows of the same weights, in every variant that we load."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from thinkling.glass import attention
from thinkling.glass.activations import Activations, activations
from thinkling.glass.lens import lens
from thinkling.model import reference
from thinkling.model.checkpoint import load_checkpoint
from thinkling.model.config import ModelConfig
from thinkling.model.transformer import Packed, Transformer

transformers = pytest.importorskip("transformers")

from tests.parity.peers import VARIANTS, VOCABULARY, peer  # noqa: E402

LENGTH = 64  # as long as the context before the scaling of "llama3 rope"


@cache
def ids() -> list[int]:
    return torch.randint(0, VOCABULARY, (LENGTH,), generator=torch.Generator().manual_seed(3)).tolist()


@cache
def both(variant: str, folder: str) -> tuple[ModelConfig, dict[str, torch.Tensor], Activations, Any]:
    theirs = peer(variant)
    theirs.save_pretrained(folder)
    config, weights = load_checkpoint(folder)
    with torch.no_grad():
        shown = theirs(torch.tensor([ids()]), output_hidden_states=True, output_attentions=True)
    return config, weights, activations(config, weights, ids()), shown


@pytest.fixture(params=VARIANTS)
def seen(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    base = tmp_path_factory.getbasetemp() / "glass"
    base.mkdir(exist_ok=True)
    return both(request.param, str(base / str(list(VARIANTS).index(request.param))))


def close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=1e-4)


def test_the_residual_stream_is_the_peers_hidden_states(seen: Any) -> None:
    config, weights, ours, theirs = seen
    assert len(theirs.hidden_states) == len(ours.residual_MTD) == config.num_hidden_layers + 1
    for residual_TD, hidden in zip(ours.residual_MTD[:-1], theirs.hidden_states[:-1], strict=True):
        close(residual_TD, hidden[0])
    # transformers' last hidden state is normalized already
    last = reference.norm(ours.residual_MTD[-1], weights["model.norm.weight"], config.rms_norm_eps)
    close(last, theirs.hidden_states[-1][0])


def test_the_attention_maps_are_the_peers(seen: Any) -> None:
    config, _, ours, theirs = seen
    maps = attention.maps(ours)
    assert maps.shape == (config.num_hidden_layers, config.num_attention_heads, LENGTH, LENGTH)
    close(maps, torch.stack([layer[0] for layer in theirs.attentions]), 1e-5)
    # else the comparison would pass for heads that look everywhere alike
    assert float(maps.amax(-1).mean()) > 2 * float((1 / torch.arange(1, LENGTH + 1)).mean())
    assert float((maps[:, 0] - maps[:, 1]).abs().max()) > 0.1


def test_the_logits_are_the_peers_and_the_lens_ends_with_them(seen: Any) -> None:
    config, weights, ours, theirs = seen
    close(ours.logits_TV, theirs.logits[0], 1e-3)
    rows = list(lens(config, weights, ours))
    assert len(rows) == config.num_hidden_layers + 1
    assert torch.equal(rows[-1], ours.logits_TV)
    assert not torch.allclose(rows[-2], rows[-1], atol=0.1)


def test_looking_never_changes_logits(seen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit by bit those of the plain forward pass, and by its fused kernels as close as that pass itself."""
    config, weights, ours, _ = seen
    plain = Transformer(config)
    plain.load_state(weights)
    batch = Packed.whole(torch.tensor([ids()]))
    with torch.no_grad():
        close(ours.logits_TV, plain(batch)[0], 1e-3)
        monkeypatch.setattr(Transformer, "ops", property(lambda self: reference))
        assert torch.equal(ours.logits_TV, plain(batch)[0])
