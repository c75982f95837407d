"""What the command line lends to stages from rooms that they may not import themselves."""

from __future__ import annotations

from pathlib import Path

from thinkling.engine.backend import LocalBackend
from thinkling.engine.engine import Engine
from thinkling.engine.verifiers import open_verifier
from thinkling.model.checkpoint import load_checkpoint
from thinkling.model.precision import choose
from thinkling.tokenizer.bpe import Tokenizer


def choose_precision(name: str) -> str:
    """``auto`` -> the number format that this machine computes well in; another name stands for itself."""
    return str(choose(name)).removeprefix("torch.")


def open_backend(model: Path, *, max_len: int, slots: int, precision: str = "auto") -> LocalBackend:
    """The model in a Hugging Face folder behind the batched engine, ready for rollouts; it opens verifiers, too.

    ``max_len``: tokens of prompt and answer together, cut to what the model holds; ``slots``: sequences
    at once; ``precision``: number format of the computation.
    """
    config, weights = load_checkpoint(model)
    tokenizer = Tokenizer.load(model)
    length = min(max_len, config.max_position_embeddings)
    engine = Engine(weights, config, slots=slots, max_len=length, dtype=precision, tokenizer=tokenizer)
    return LocalBackend(engine, tokenizer, name=model.name, verifiers=open_verifier)
