"""Conversations in windows: what is too long is counted, and where everything is, said."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from thinkling.core.errors import UserError
from thinkling.core.stage import StageContext
from thinkling.model.checkpoint import save_checkpoint
from thinkling.model.config import ModelConfig
from thinkling.model.transformer import Transformer
from thinkling.tasks import registry
from thinkling.tasks.sets import conversations
from thinkling.tokenizer import chat
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.train import sft

LENGTH = 240  # of the conversations in letters, some fit and some do not


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tokenizer = Tokenizer.train(["The answer is yes. Heads or tails?"] * 9, 300)
    tokenizer.save(folder)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, hidden_size=16, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, head_dim=16, intermediate_size=16, max_position_embeddings=512,
    )  # fmt: skip
    save_checkpoint(folder, config, Transformer(config, seed=1).state())
    return folder


def recipe(**settings: object) -> sft.Recipe:
    table = {"stage": "sft", "seed": 3, "steps": 3, "windows": 2, "families": {"coin": 1.0}, **settings}
    return sft.Recipe.model_validate_json(json.dumps(table))


def test_what_never_fits_is_an_error_that_names_it(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sft, "PATIENCE", 50)
    tokenizer = Tokenizer.load(model)
    made = sft.Conversations(recipe(length=16), tokenizer, {})
    with pytest.raises(UserError, match=r"longer than length = 16, of coin \(up to \d{3} tokens\); raise length"):
        made.batch(0)


def test_the_log_and_the_metrics_tell_styles_and_what_was_too_long(model: Path, tmp_path: Path) -> None:
    ctx = StageContext(tmp_path)
    ctx.parents.update({"model": SimpleNamespace(path=model)})  # type: ignore[dict-item]
    made = recipe(length=LENGTH)
    metrics = sft.run(ctx, made)
    rows = [row for row in ctx.rows() if row["step"] >= 0]
    assert metrics["too_long"] == sum(row["too_long"] for row in rows) > 0

    # The same conversations once more: every one drawn before the windows were full went in or was too long.
    tokenizer = Tokenizer.load(model)
    for step, row in enumerate(rows):
        drawn = conversations(
            registry.mixture(made.families), 10**9, sft.derive(3, "sft", step), made.slip_share, made.styles
        )
        first = [next(drawn) for _ in range(sum(row["styles"].values()) + row["too_long"])]
        fits = [len(chat.render(tokenizer, messages).ids) - 1 <= LENGTH for _, _, messages in first]
        assert fits.count(False) == row["too_long"]
        styles = [style for (_, style, _), fit in zip(first, fits, strict=True) if fit]
        assert row["styles"] == {style: styles.count(style) for style in sorted(set(styles))}
    assert sum(metrics["styles"].values()) == sum(sum(row["styles"].values()) for row in rows) > len(rows)
