"""Golden losses: the first steps of a tiny pretraining run, in float32, must not drift unnoticed.

A change that is meant to alter the numbers commits new ones and says why; a refactoring shows "identical before
and after". The tolerance covers other CPUs' order of summation, not other mathematics.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from thinkling.core.errors import UserError
from thinkling.core.stage import StageContext
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.train import pretrain

GOLDEN = [5.672817, 5.253851, 5.087357, 4.873830, 4.689807, 4.467779, 4.263147, 4.116521]
TEXT = "The cat sat on the mat. One and two make three, and 3 + 4 = 7. "


def context(tmp_path: Path) -> StageContext:
    tokenizer = Tokenizer.train([TEXT], 300)
    tokenizer.save(tmp_path / "tokenizer")
    tokens = [tokenizer.special["<|endoftext|>"], *tokenizer.encode(TEXT)] * 60
    (tmp_path / "shards").mkdir()
    for name in ("train", "val"):
        np.save(tmp_path / "shards" / f"{name}.npy", np.asarray(tokens, np.uint16))
    ctx = StageContext(tmp_path / "out")
    ctx.parents.update({name: SimpleNamespace(path=tmp_path / name) for name in ("tokenizer", "shards")})  # type: ignore[misc]
    return ctx


def recipe(**changed: object) -> pretrain.Recipe:
    shape = pretrain.ModelShape(width=32, layers=2, heads=2, kv_heads=1, head_width=16, feed_forward=64, context=64)
    settings = {
        "stage": "pretrain", "seed": 5, "steps": 8, "windows": 4, "length": 32, "precision": "float32",
        "measure_every": 8, "held_out_windows": 2, "sample_tokens": 4, "passes": 2.0, "model": shape,
    }  # fmt: skip
    return pretrain.Recipe.model_validate({**settings, **changed})


def test_losses_of_the_first_steps(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    pretrain.run(ctx, recipe())
    losses = [row["loss"] for row in ctx.rows() if "loss" in row]
    assert losses == pytest.approx(GOLDEN, rel=2e-3)


def test_reading_the_text_too_often_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make more text, or fewer steps"):
        pretrain.run(context(tmp_path), recipe(steps=500))
