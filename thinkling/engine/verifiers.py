"""Verifiers from folders: models whose scalar head says how likely an answer is to be right."""

from __future__ import annotations

from pathlib import Path

import torch

from thinkling.core.artifact import MANIFEST, read_manifest
from thinkling.core.errors import UserError
from thinkling.core.locate import find_model
from thinkling.core.stages import STAGES
from thinkling.engine.engine import Engine
from thinkling.model.checkpoint import load_checkpoint
from thinkling.tokenizer.bpe import Tokenizer

KINDS = ("outcome-verifier", "process-verifier")
HEAD = ("value_head.weight", "value_head.bias")


def open_verifier(
    folder: str | Path, *, slots: int = 64, max_len: int = 1024, dtype: torch.dtype | str | None = None
) -> tuple[Engine, Tokenizer]:
    """An engine of its own for the verifier in ``folder``, and the tokenizer that it reads with.

    ``slots``: turns judged at once; ``max_len``: most tokens of question and turn, cut to what the model
    holds. Raises UserError for a folder that is damaged or no model, that another stage made, without
    a scalar head, or whose tokenizer has ids that the model has no embedding for.
    """
    folder = find_model(folder)
    manifest = read_manifest(folder) if (folder / MANIFEST).exists() else None
    if manifest and manifest.kind in STAGES and manifest.kind not in KINDS:
        raise UserError(f"{folder}: no verifier but what the stage {manifest.kind!r} made; {_HOW}")
    config, weights = load_checkpoint(folder)
    if HEAD[0] not in weights:
        raise UserError(f"{folder}: no verifier: its weights have no {HEAD[0]}; {_HOW}")
    width = weights[HEAD[0]].numel()
    if width != config.hidden_size:
        raise UserError(f"{folder}: {HEAD[0]} has {width} numbers; expected {config.hidden_size}, the model's width")
    tokenizer = Tokenizer.load(folder)
    if tokenizer.vocab_size > config.vocab_size:
        raise UserError(
            f"{folder}: its tokenizer has ids up to {tokenizer.vocab_size - 1}, but the model's embedding ends at "
            f"{config.vocab_size - 1}; expected the tokenizer that the verifier was trained with"
        )
    engine = Engine(
        weights, config, slots=slots, max_len=min(max_len, config.max_position_embeddings), dtype=dtype,
        weights_id=manifest.id if manifest else folder.name, tokenizer=tokenizer,
    )  # fmt: skip
    return engine, tokenizer


_HOW = "train one with `thinkling outcome-verifier` or `thinkling process-verifier`"
