"""Damaged checkpoints are errors that name the file and the tensor, not tracebacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thinkling.core.errors import UserError
from thinkling.model.checkpoint import INDEX, SINGLE, load_checkpoint, save_checkpoint
from thinkling.model.config import ModelConfig
from thinkling.model.transformer import Transformer

CONFIG = ModelConfig(
    vocab_size=16, hidden_size=16, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1, head_dim=16,
    intermediate_size=16, max_position_embeddings=32,
)  # fmt: skip
SHARD = "model-00001-of-00001.safetensors"


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """A checkpoint in one shard, with an index."""
    state = Transformer(CONFIG, seed=1).state()
    save_checkpoint(tmp_path, CONFIG, state)
    (tmp_path / SINGLE).rename(tmp_path / SHARD)
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(state, SHARD)}))
    load_checkpoint(tmp_path)
    return tmp_path


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": ["model.norm.weight"]}', '{"weight_map": {"a": 1}}'])
def test_a_malformed_index_is_named(sharded: Path, text: str) -> None:
    (sharded / INDEX).write_text(text)
    with pytest.raises(UserError, match=rf"{INDEX}: (not valid JSON|expected a table weight_map)"):
        load_checkpoint(sharded)


def test_a_tensor_that_its_shard_lacks_is_named(sharded: Path) -> None:
    index = json.loads((sharded / INDEX).read_text())
    index["weight_map"]["model.extra.weight"] = SHARD
    (sharded / INDEX).write_text(json.dumps(index))
    with pytest.raises(UserError, match=rf"{SHARD}: tensor model\.extra\.weight is missing, .*{INDEX}"):
        load_checkpoint(sharded)


def test_who_may_read_the_configuration_may_read_the_weights(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, CONFIG, Transformer(CONFIG, seed=1).state())
    assert (tmp_path / SINGLE).stat().st_mode == (tmp_path / "config.json").stat().st_mode
