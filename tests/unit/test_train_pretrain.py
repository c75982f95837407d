"""What a person sees while a base model trains: a live line, and samples between its redraws."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from thinkling.core.progress import CLEAR_LINE
from thinkling.core.stage import StageContext
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.train import pretrain

SHAPE = {"width": 16, "layers": 1, "heads": 1, "kv_heads": 1, "head_width": 16, "feed_forward": 16, "context": 256}


@pytest.fixture(scope="module")
def parents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parents")
    texts = [f"Lina has {n} apples and eats {n % 7}." for n in range(200)]
    tokenizer = Tokenizer.train(texts, 300)
    tokenizer.save(folder)
    stream = [token for text in texts for token in (tokenizer.special["<|endoftext|>"], *tokenizer.encode(text))]
    np.save(folder / "train.npy", np.asarray(stream, np.uint16))
    np.save(folder / "val.npy", np.asarray(stream[:300], np.uint16))
    return folder


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["terminal", "pipe"])
def test_the_live_line_and_the_samples(
    stream: io.StringIO, parents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    table = {
        "stage": "pretrain", "steps": 4, "windows": 2, "length": 32, "measure_every": 2, "held_out_windows": 2,
        "sample_tokens": 8, "prompts": ["Lina", ""], "model": SHAPE,
    }  # fmt: skip
    ctx = StageContext(tmp_path)
    ctx.parents.update({role: SimpleNamespace(path=parents) for role in ("shards", "tokenizer")})  # type: ignore[misc]
    pretrain.run(ctx, pretrain.Recipe.model_validate_json(json.dumps(table)))

    # A line of the screen is what was written after the last time that it was cleared.
    screen = [line.rpartition(CLEAR_LINE)[2] for line in stream.getvalue().rstrip("\n").split("\n")]
    told = [(n, line) for n, line in enumerate(screen) if line.startswith("step ")]
    assert [line.split(",")[0] for _, line in told] == ["step 0", "step 2", "step 4"]
    logged = [row["samples"] for row in ctx.rows() if "samples" in row]
    for (n, _), samples in zip(told, logged, strict=True):
        assert screen[n + 1 : n + 3] == [f"  {pretrain.one_line(sample)}" for sample in samples]
        assert screen[n + 1].startswith("  Lina")
    assert re.fullmatch(r"pretrain 4/4  loss [\d.]+  tokens/s [\d,]+  FLOP use \d+%", screen[-1])


def test_a_sample_cannot_disturb_the_terminal() -> None:
    assert pretrain.one_line(" two\nlines\r\tand \x1b[2J\x00") == "two lines and \ufffd[2J\ufffd"
