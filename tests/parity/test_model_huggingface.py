"""Our model against transformers' Qwen3 on the same weights, in both directions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from thinkling.core.errors import UserError
from thinkling.core.locate import find_model
from thinkling.model.checkpoint import load_checkpoint, load_model, save_checkpoint
from thinkling.model.config import ModelConfig
from thinkling.model.transformer import Packed, Transformer

transformers = pytest.importorskip("transformers")

SMALL = ModelConfig(
    vocab_size=97,
    hidden_size=48,
    num_hidden_layers=3,
    num_attention_heads=6,
    num_key_value_heads=2,
    head_dim=16,
    intermediate_size=80,
    max_position_embeddings=256,
    rope_theta=50_000.0,
)


def randomized(config: ModelConfig) -> Transformer:
    """A model none of whose parts is at its initial value (zeros would hide mistakes)."""
    model = Transformer(config, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.weights.values():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)
    model.refresh()
    return model


@pytest.mark.parametrize("tied", [True, False])
def test_a_saved_model_opens_in_transformers_with_the_same_logits(tmp_path: Path, tied: bool) -> None:
    config = ModelConfig(**{**{f: getattr(SMALL, f) for f in SMALL.__slots__}, "tie_word_embeddings": tied})
    model = randomized(config)
    save_checkpoint(tmp_path, config, model.state())
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert type(theirs).__name__ == "Qwen3ForCausalLM"
    ids = torch.randint(0, config.vocab_size, (3, 150), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        difference = (model(Packed.whole(ids)) - theirs(ids).logits).abs().max()
    assert difference <= 1e-4


@pytest.mark.parametrize("shard", ["10GB", "20KB"])
def test_a_transformers_checkpoint_opens_here_with_the_same_logits(tmp_path: Path, shard: str) -> None:
    torch.manual_seed(4)
    theirs = transformers.Qwen3ForCausalLM(
        transformers.Qwen3Config(
            vocab_size=91, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            head_dim=8, intermediate_size=64, max_position_embeddings=128, tie_word_embeddings=False,
        )
    )  # fmt: skip
    theirs.save_pretrained(tmp_path, max_shard_size=shard)
    assert (tmp_path / "model.safetensors.index.json").exists() == (shard == "20KB")
    model = load_model(tmp_path)
    ids = torch.randint(0, 91, (2, 60))
    with torch.no_grad():
        assert (model(Packed.whole(ids)) - theirs(ids).logits).abs().max() <= 1e-4


def test_another_architecture_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["GPT2LMHeadModel"]}))
    with pytest.raises(UserError, match="GPT2LMHeadModel"):
        load_checkpoint(tmp_path)


def test_a_scaled_rope_is_refused_rather_than_ignored(tmp_path: Path) -> None:
    config = SMALL.to_hf() | {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="rope_scaling"):
        load_checkpoint(tmp_path)


def test_a_missing_shard_and_a_wrong_shape_are_named(tmp_path: Path) -> None:
    model = randomized(SMALL)
    save_checkpoint(tmp_path, SMALL, model.state())
    raw = SMALL.to_hf() | {"intermediate_size": 64}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match=r"mlp\.gate_proj.*expected shape \[64, 48\], came \[80, 48\]"):
        load_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    index = {"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="model-00001-of-00002.safetensors, which is missing"):
        load_checkpoint(tmp_path)


def test_a_truncated_checkpoint_is_an_error_with_its_path(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, SMALL, randomized(SMALL).state())
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match="model.safetensors"):
        load_checkpoint(tmp_path)


def test_saving_and_loading_changes_nothing(tmp_path: Path) -> None:
    model = randomized(SMALL)
    save_checkpoint(tmp_path, SMALL, model.state())
    config, tensors = load_checkpoint(tmp_path)
    assert config == SMALL
    assert all(torch.equal(tensors[name], tensor) for name, tensor in model.state().items())


def test_the_packaged_model_chats_in_transformers_and_ends_its_turn() -> None:
    folder = find_model("nano")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    asked = [{"role": "user", "content": "Sort these numbers in ascending order: 81, 52, 13, 26."}]
    made = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    said = theirs.generate(**made, max_new_tokens=150, do_sample=False)[0, made["input_ids"].shape[1] :]
    text = tokenizer.decode(said)
    assert text.startswith("<think>") and text.endswith("The answer is 13, 26, 52, 81.<|im_end|>")
    ours, again = load_model(folder), made["input_ids"]
    with torch.no_grad():
        assert (ours(Packed.whole(again)) - theirs(again).logits).abs().max() <= 1e-4
