"""Checkpoints in the Hugging Face layout: ``config.json`` and safetensors, sharded or not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from thinkling.core.errors import UserError
from thinkling.model.config import ModelConfig
from thinkling.model.transformer import Transformer

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


def _files(folder: Path) -> dict[str, list[str] | None]:
    """Safetensors file -> the tensors to read from it (None: all)."""
    if (folder / SINGLE).is_file():
        return {SINGLE: None}
    if not (folder / INDEX).is_file():
        raise UserError(f"{folder}: expected {SINGLE} or {INDEX}, found neither")
    shards: dict[str, list[str] | None] = {}
    for name, file in _weight_map(folder / INDEX).items():
        names = shards.setdefault(file, [])
        assert names is not None
        names.append(name)
    return shards


def _weight_map(index: Path) -> dict[str, str]:
    """Tensor -> the file it lies in, as the index of a sharded checkpoint has it."""
    try:
        listed = json.loads(index.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{index}: not valid JSON ({error}); copy it again") from error
    files = listed.get("weight_map") if isinstance(listed, dict) else None
    if not isinstance(files, dict) or not all(isinstance(file, str) for file in files.values()):
        raise UserError(f"{index}: expected a table weight_map (tensor -> file); copy it again")
    return files


def load_checkpoint(folder: Path | str) -> tuple[ModelConfig, dict[str, Tensor]]:
    """(config, tensors in float32 under Hugging Face's names) of a local checkpoint.

    Raises UserError naming the file and tensor where something is missing, unreadable, of another shape, or more
    than the model computes with.
    """
    folder = Path(folder)
    config = ModelConfig.from_hf(folder)
    tensors: dict[str, Tensor] = {}
    for file, names in _files(folder).items():
        path = folder / file
        if not path.is_file():
            raise UserError(f"{folder}: {INDEX} lists {file}, which is missing")
        try:
            with safe_open(path, framework="pt") as opened:
                held = opened.keys()
                for name in names if names is not None else held:
                    if name not in held:
                        raise UserError(f"{path}: tensor {name} is missing, though {INDEX} says that it is there")
                    tensors[name] = opened.get_tensor(name).float()
        except SafetensorError as error:
            raise UserError(f"{path}: not a readable safetensors file ({error}); copy it again") from error
    if config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    expected = config.tensor_shapes()
    for name, shape in expected.items():
        if name not in tensors:
            raise UserError(f"{folder}: tensor {name} of shape {list(shape)} is missing")
        if tuple(tensors[name].shape) != shape:
            raise UserError(f"{folder}: tensor {name}: expected shape {list(shape)}, came {list(tensors[name].shape)}")
    # Old checkpoints keep their rotary frequencies, which follow from the configuration.
    surplus = [name for name in tensors if name.startswith(("model.", "lm_head.")) and name not in expected]
    for name in surplus:
        if not name.endswith("rotary_emb.inv_freq"):
            raise UserError(f"{folder}: tensor {name} is more than {config.architecture} has by its config.json")
        del tensors[name]
    return config, tensors


def save_checkpoint(
    folder: Path | str,
    config: ModelConfig,
    tensors: Mapping[str, Tensor],
    *,
    dtype: torch.dtype = torch.float32,
    stop_ids: Sequence[int] = (),
) -> None:
    """Write ``config.json``, ``generation_config.json`` and one safetensors file of the given precision.

    ``stop_ids`` are the tokens at which whoever samples from the checkpoint should stop.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    raw = config.to_hf() | {"torch_dtype": str(dtype).removeprefix("torch.")}
    (folder / "config.json").write_text(json.dumps(raw, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    generation: dict[str, Any] = {"do_sample": True, "temperature": 1.0}
    if stop_ids:
        generation["eos_token_id"] = list(stop_ids)
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n", encoding="utf-8")
    stored = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in tensors.items()}
    save_file(stored, str(folder / SINGLE), metadata={"format": "pt"})
    # safetensors lets only the owner read what it writes; whoever may read the configuration may read this too.
    (folder / SINGLE).chmod((folder / "config.json").stat().st_mode & 0o777)


def load_model(folder: Path | str, *, dtype: torch.dtype = torch.float32) -> Transformer:
    """A trainable model from a local checkpoint."""
    config, tensors = load_checkpoint(folder)
    model = Transformer(config, dtype=dtype)
    model.load_state(tensors)
    return model
