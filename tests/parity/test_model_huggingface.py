"""Our model against transformers' Qwen3, Qwen2 and Llama on the same weights, in both directions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from thinkling.core.errors import UserError
from thinkling.core.locate import find_model
from thinkling.model import fused, reference
from thinkling.model.checkpoint import load_checkpoint, load_model, save_checkpoint
from thinkling.model.config import ModelConfig
from thinkling.model.rotary import frequencies
from thinkling.model.transformer import Packed, Transformer
from thinkling.train.optimizer import Optimizer, OptimizerSettings

transformers = pytest.importorskip("transformers")
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS  # noqa: E402

from tests.parity.peers import LLAMA3_ROPE, VARIANTS, VOCABULARY, peer  # noqa: E402

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


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with each variant, as transformers writes it."""
    folders = {}
    for variant in VARIANTS:
        folders[variant] = tmp_path_factory.mktemp("saved")
        peer(variant).save_pretrained(folders[variant])
    return folders


def windows(length: int = 150) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (2, length), generator=torch.Generator().manual_seed(5))


def difference(ours: Transformer, theirs: Any) -> float:
    ids = windows()
    with torch.no_grad():
        return float((ours(Packed.whole(ids)) - theirs(ids).logits).abs().max())


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_the_peers_logits(saved: dict[str, Path], variant: str) -> None:
    assert difference(load_model(saved[variant]), peer(variant)) <= 1e-4


@pytest.mark.parametrize("variant", ["qwen2", "qwen2 untied", "llama3 rope"])
def test_a_sharded_variant_has_the_peers_logits(tmp_path: Path, variant: str) -> None:
    peer(variant).save_pretrained(tmp_path, max_shard_size="60KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    assert difference(load_model(tmp_path), peer(variant)) <= 1e-4


@pytest.mark.parametrize("variant", ["llama3 rope", "llama linear rope, biased, wide heads"])
def test_the_logits_depend_on_the_scaling(saved: dict[str, Path], variant: str) -> None:
    """Else the tests above would pass for a loader that ignores it."""
    config, tensors = load_checkpoint(saved[variant])
    plain = Transformer(replace(config, rope_type="default"))
    plain.load_state(tensors)
    assert difference(plain, peer(variant)) > 0.1
    for changed in ({"rope_factor": 2.0}, {"rope_high_freq_factor": 8.0}, {"rope_low_freq_factor": 2.0}):
        if variant == "llama3 rope" or "rope_factor" in changed:
            other = Transformer(replace(config, **changed))  # type: ignore[arg-type]
            other.load_state(tensors)
            assert difference(other, peer(variant)) > 1e-3


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_frequencies_of_the_published_llamas(factor: float) -> None:
    """Llama 3.1 8B (8) and Llama 3.2 1B (32): equal for each pair, so equal angles at any position."""
    rope = LLAMA3_ROPE | {"rope_theta": 500_000.0, "factor": factor, "original_max_position_embeddings": 8192}
    theirs = transformers.LlamaConfig(head_dim=128, max_position_embeddings=131_072, rope_parameters=rope)
    expected, scale = ROPE_INIT_FUNCTIONS["llama3"](theirs)
    ours = ModelConfig(
        head_dim=128, rope_theta=500_000.0, rope_type="llama3", rope_factor=factor, rope_low_freq_factor=1.0,
        rope_high_freq_factor=4.0, rope_original_max_position_embeddings=8192,
    )  # fmt: skip
    assert scale == 1.0
    torch.testing.assert_close(frequencies(ours), expected, rtol=3e-7, atol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_old_and_new_forms_of_config_json_say_the_same(saved: dict[str, Path], variant: str) -> None:
    raw = json.loads((saved[variant] / "config.json").read_text())
    config = ModelConfig.from_hf(saved[variant])
    rope = raw.pop("rope_parameters")
    old = raw | {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope if len(rope) > 1 else None}
    for key in ("type", "rope_type"):
        if old["rope_scaling"]:
            old["rope_scaling"] = {"factor": rope["factor"]} | {k: v for k, v in rope.items() if "type" not in k}
            old["rope_scaling"][key] = rope["rope_type"]
        (saved[variant] / "old").mkdir(exist_ok=True)
        (saved[variant] / "old" / "config.json").write_text(json.dumps(old))
        assert ModelConfig.from_hf(saved[variant] / "old") == config


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_saved_as_what_it_is(saved: dict[str, Path], tmp_path: Path, variant: str) -> None:
    model = load_model(saved[variant])
    save_checkpoint(tmp_path, model.config, model.state(), stop_ids=[3])
    assert load_checkpoint(tmp_path)[0] == model.config
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert type(theirs) is type(peer(variant)) and theirs.generation_config.eos_token_id == [3]
    # Beginnings and ends of text are the tokenizer's to say; transformers' own guess would be Llama 2's.
    assert theirs.config.bos_token_id is None and theirs.config.eos_token_id is None
    assert difference(model, theirs) <= 1e-4


@pytest.mark.parametrize("ops", [fused, reference], ids=["fused", "reference"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_loss_and_every_gradient_equal_the_peers(
    saved: dict[str, Path], variant: str, ops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Transformer, "ops", property(lambda self: ops))
    model, theirs, ids = load_model(saved[variant]), peer(variant), windows()
    target_N = ids.roll(-1, 1).reshape(-1)
    scale_N = torch.full((len(target_N),), 1.0 / len(target_N))
    loss, _ = ops.cross_entropy(model.hidden(Packed.whole(ids)), model.head, target_N, scale_N)
    loss.backward()
    model.collect_gradients()
    expected = F.cross_entropy(theirs(ids).logits.flatten(0, 1), target_N)
    expected.backward()
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=0)
    compared = 0
    for own, names in model.config.layout().items():
        grad = model.weights[own].grad
        assert grad is not None
        for name, part in zip(names, grad.split(model.sections(own)), strict=True):
            gradient = theirs.get_parameter(name).grad
            assert (part - gradient).norm() <= 2e-5 * gradient.norm(), name
            compared += 1
    assert compared == len(list(theirs.parameters()))


@pytest.mark.parametrize("variant", ["qwen2", "llama3 rope"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_trained_variant_opens_in_transformers(
    saved: dict[str, Path], tmp_path: Path, variant: str, dtype: torch.dtype
) -> None:
    model, ids = load_model(saved[variant], dtype=dtype), windows()
    before = {name: weight.detach().clone() for name, weight in model.weights.items()}
    optimizer = Optimizer(model, OptimizerSettings())
    losses = []
    for _ in range(3):
        target_N = ids.roll(-1, 1).reshape(-1)
        loss, _ = model.ops.cross_entropy(
            model.hidden(Packed.whole(ids)), model.head, target_N, torch.full((300,), 1 / 300)
        )
        loss.backward()
        model.collect_gradients()
        optimizer.step(1.0)
        losses.append(float(loss.detach()))
    assert losses[2] < losses[0]
    assert not any(torch.equal(weight, before[name]) for name, weight in model.weights.items())
    save_checkpoint(tmp_path, model.config, model.state())
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert difference(load_model(tmp_path), theirs) <= 1e-4


def test_a_bare_llama_config_means_what_it_means_in_transformers(tmp_path: Path) -> None:
    """As in old checkpoints: no head_dim, no key-value heads, no rope_theta."""
    theirs = peer("llama tied, no sharing")
    theirs.save_pretrained(tmp_path)
    raw = json.loads((tmp_path / "config.json").read_text())
    for key in ("head_dim", "num_key_value_heads", "rope_parameters"):
        del raw[key]
    (tmp_path / "config.json").write_text(json.dumps(raw))
    assert difference(load_model(tmp_path), theirs) <= 1e-4


def test_another_architecture_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["GPT2LMHeadModel"]}))
    with pytest.raises(
        UserError, match="GPT2LMHeadModel is not supported; expected Qwen3ForCausalLM, Qwen2ForCausalLM"
    ):
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
