"""Damaged checkpoints, and those that ask for what we do not compute, are errors that name it, not tracebacks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

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


LLAMA = replace(CONFIG, architecture="LlamaForCausalLM")
QWEN2 = replace(CONFIG, architecture="Qwen2ForCausalLM")
ROPE = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8}


def read(folder: Path, config: ModelConfig, **changed: Any) -> ModelConfig:
    """What ``from_hf`` makes of the configuration with some settings changed (None: as JSON's null)."""
    (folder / "config.json").write_text(json.dumps(config.to_hf() | changed))
    return ModelConfig.from_hf(folder)


@pytest.mark.parametrize("config", [CONFIG, QWEN2, LLAMA], ids=lambda config: config.architecture)
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hidden_act": "gelu"}, "hidden_act='gelu' is not supported"),
        ({"mlp_bias": True}, "mlp_bias=True is not supported"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5 is not supported"),
        ({"rope_scaling": {"type": "linear", "factor": 2, "partial_rotary_factor": 0.5}}, "partial_rotary_factor in"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantization_config=.*fp8.* is not supported"),
        ({"num_experts": 8}, "num_experts=8 is not supported"),
        ({"num_local_experts": 8}, "num_local_experts=8 is not supported"),
        ({"dual_chunk_attention_config": {"chunk_size": 9}}, "dual_chunk_attention_config=.* is not supported"),
        ({"use_sliding_window": True, "max_window_layers": 0}, "use_sliding_window=True is not supported"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, r"layer_types=\['sliding_attention'\]"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "'yarn' is not supported; expected default, linear"),
        ({"rope_scaling": {"type": "dynamic", "factor": 4.0}}, "rope_scaling of type 'dynamic'"),
        ({"rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4}}, "rope_parameters of type 'longrope'"),
        ({"rope_scaling": {"rope_type": "linear"}}, "expected factor above 0, came None"),
        ({"rope_scaling": {"rope_type": "llama3", **ROPE, "high_freq_factor": 1.0}}, "expected high_freq_factor above"),
        ({"rope_scaling": {"rope_type": "llama3", **ROPE, "mrope_section": [1, 2]}}, "with mrope_section is not"),
        ({"intermediate_size": None}, "missing intermediate_size"),
        ({"architectures": ["MistralForCausalLM"]}, "architecture MistralForCausalLM is not supported"),
        ({"architectures": None, "model_type": "qwen2_moe"}, "architecture qwen2_moe is not supported"),
    ],
)  # fmt: skip
def test_what_we_do_not_compute_is_refused_by_name(
    tmp_path: Path, config: ModelConfig, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"config.json: .*{message}"):
        read(tmp_path, config, **changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"use_sliding_window": True, "max_window_layers": 1},  # begins after the last layer
        {"use_sliding_window": True, "sliding_window": None},
        {"use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 0},
        {"layer_types": ["full_attention"], "sliding_window": None},
        {"attention_dropout": 0.1, "partial_rotary_factor": 1.0, "quantization_config": None},
        {"rope_scaling": {"type": "default"}, "rope_parameters": None},
    ],
)
def test_settings_that_change_nothing_are_let_pass(tmp_path: Path, changed: dict[str, Any]) -> None:
    assert read(tmp_path, QWEN2, **changed) == QWEN2


def test_a_qwen3_of_ours_is_described_as_ever() -> None:
    """These settings are on other people's disks; and the fields of other variants do not show."""
    assert ModelConfig().to_hf() == {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "attention_bias": False, "attention_dropout": 0.0,
        "hidden_act": "silu", "initializer_range": 0.02, "use_cache": True, "use_sliding_window": False,
        "rope_theta": 10_000.0, "rope_scaling": None, "torch_dtype": "float32", "vocab_size": 2048, "hidden_size": 192,
        "num_hidden_layers": 4, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 64,
        "intermediate_size": 512, "max_position_embeddings": 1024, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["self_attn.o_proj.bias", "self_attn.q_norm.weight", "mlp.up_proj.bias"])
def test_a_tensor_that_the_architecture_has_no_place_for_is_named(tmp_path: Path, name: str) -> None:
    """It would change what the model computes: leaving it out would be silent nonsense."""
    state = Transformer(QWEN2, seed=1).state()
    save_checkpoint(tmp_path, QWEN2, {**state, f"model.layers.0.{name}": torch.ones(16)})
    with pytest.raises(UserError, match=f"tensor model.layers.0.{name} is more than Qwen2ForCausalLM has"):
        load_checkpoint(tmp_path)


def test_what_says_nothing_new_is_dropped(tmp_path: Path) -> None:
    """Frequencies that old checkpoints keep, and the copy of a tied head."""
    state = Transformer(LLAMA, seed=1).state()
    copies = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8),
        "lm_head.weight": state["model.embed_tokens.weight"].clone(),
    }
    save_checkpoint(tmp_path, LLAMA, {**state, **copies})
    assert load_checkpoint(tmp_path)[1].keys() == state.keys()


def test_a_missing_bias_is_named(tmp_path: Path) -> None:
    state = Transformer(QWEN2, seed=1).state()
    del state["model.layers.0.self_attn.k_proj.bias"]
    save_checkpoint(tmp_path, QWEN2, state)
    with pytest.raises(UserError, match=r"tensor model\.layers\.0\.self_attn\.k_proj\.bias of shape \[16\] is missing"):
        load_checkpoint(tmp_path)


def test_biases_begin_at_zero_and_are_counted() -> None:
    model = Transformer(QWEN2, seed=1)
    assert not model.weights["0_qkv_bias"].any()
    assert QWEN2.parameters() == sum(weight.numel() for weight in model.weights.values())
    assert QWEN2.parameters() - LLAMA.parameters() == 3 * 16
