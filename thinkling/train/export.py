"""Leaving a trained model behind in the Hugging Face layout, tokenizer included."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from thinkling.core.stage import StageContext
from thinkling.model.checkpoint import save_checkpoint
from thinkling.model.transformer import Transformer
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import stop_ids

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)


def export(ctx: StageContext, model: Transformer, tokenizer: Path, store: str) -> None:
    """Write weights, configuration and tokenizer files into the stage's folder."""
    stops = stop_ids(Tokenizer.load(tokenizer))
    save_checkpoint(ctx.path, model.config, model.state(), dtype=getattr(torch, store), stop_ids=stops)
    for name in TOKENIZER_FILES:
        if (tokenizer / name).is_file():
            shutil.copyfile(tokenizer / name, ctx.path / name)
