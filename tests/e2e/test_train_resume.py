"""A training stage killed with SIGKILL at a random moment and run again ends in the same weights, bit for bit."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from thinkling.model.checkpoint import save_checkpoint
from thinkling.model.config import ModelConfig
from thinkling.model.transformer import Transformer
from thinkling.tasks import registry
from thinkling.tasks.sets import problems
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import stop_ids

STAGE = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from thinkling.core.recipe import parse_recipe
from thinkling.core.stage import StageContext
from thinkling.core.stages import load_stage
table, out, parents = json.loads(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
stage = load_stage(table["stage"])
ctx = StageContext(out)
ctx.parents.update({role: SimpleNamespace(path=Path(path)) for role, path in parents.items()})
print(stage.run(ctx, parse_recipe(table, stage.recipe, "test")))
"""


# Prints the kernels that the process has compiled itself.
COMPILED_HERE = """
from numba.core.dispatcher import Dispatcher
from thinkling.train.compiled import SOURCES
kernels = [kernel for module in SOURCES for kernel in vars(module).values() if isinstance(kernel, Dispatcher)]
assert len(kernels) > 20 and any(sum(kernel.stats.cache_hits.values()) for kernel in kernels)
print([kernel.py_func.__name__ for kernel in kernels if sum(kernel.stats.cache_misses.values())])
"""


@pytest.fixture(scope="module")
def parents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A tokenizer, token shards and a small base model, made here."""
    root = tmp_path_factory.mktemp("parents")
    coin = registry.family("coin")
    texts = [f"Question: {p.prompt} Solution: The answer is {p.answer}." for p in problems(coin, "train", 300, 1)]
    tokenizer = Tokenizer.train(texts, 400)
    tokenizer.save(root / "model")
    separator = tokenizer.special["<|endoftext|>"]
    stream = [token for text in texts for token in (separator, *tokenizer.encode(text))]
    (root / "shards").mkdir()
    np.save(root / "shards" / "train.npy", np.asarray(stream, np.uint16))
    np.save(root / "shards" / "val.npy", np.asarray(stream[:400], np.uint16))
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, intermediate_size=64, max_position_embeddings=512,
    )  # fmt: skip
    save_checkpoint(root / "model", config, Transformer(config, seed=1).state())
    model = str(root / "model")
    return {"shards": str(root / "shards"), "tokenizer": model, "model": model, "policy": model}


SMALL = {"width": 32, "layers": 2, "heads": 2, "kv_heads": 1, "head_width": 16, "feed_forward": 64}
RECIPES = {
    "pretrain": {
        "stage": "pretrain", "seed": 3, "steps": 24, "windows": 4, "length": 64, "measure_every": 8,
        "held_out_windows": 2, "sample_tokens": 8, "save_every": 3, "model": SMALL, "passes": 9.0,
    },
    "sft": {
        "stage": "sft", "seed": 3, "steps": 24, "windows": 4, "length": 128, "save_every": 3,
        "families": {"coin": 1.0, "sort": 1.0},
    },
    "rl": {
        "stage": "rl", "seed": 3, "steps": 12, "prompts": 4, "group": 4, "max_tokens": 12, "length": 160, "windows": 4,
        "measure_every": 4, "held_out": 2, "save_every": 2, "families": {"coin": 1.0}, "kl": 0.01, "updates": 2,
        "reward": "REWARD",
    },
    "outcome-verifier": {
        "stage": "outcome-verifier", "seed": 3, "steps": 14, "problems": 9, "samples": 3, "max_tokens": 16, "batch": 4,
        "length": 160, "windows": 4, "measure_every": 4, "held_out": 3, "held_out_samples": 2, "save_every": 3,
        "families": ["OWN"],
    },
    "process-verifier": {
        "stage": "process-verifier", "seed": 3, "steps": 14, "problems": 9, "samples": 3, "max_tokens": 16, "batch": 4,
        "length": 160, "windows": 4, "measure_every": 4, "held_out": 3, "held_out_samples": 2, "save_every": 3,
        "continuations": 2, "held_out_continuations": 2, "families": ["OWN"],
    },
}  # fmt: skip

# A random model solves nothing: here it depends on the problem whether an answer is right, whatever it says.
OWN = """
from thinkling.core.types import Verdict
from thinkling.tasks.coin import Coin
class Luck(Coin):
    name = "luck"
    def grade(self, problem, text):
        return Verdict(float(int(problem.key, 16) % 2), "graded", text[:1])
"""


def start(table: dict[str, object], out: Path, parents: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STAGE, json.dumps(table), str(out), json.dumps(parents)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def steps_logged(out: Path) -> int:
    log = out / "log.jsonl"
    return log.read_text().count('"loss"') if log.exists() else 0


def digest(out: Path) -> str:
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", list(RECIPES))
def test_killed_and_resumed_equals_uninterrupted(name: str, parents: dict[str, str], tmp_path: Path) -> None:
    table = dict(RECIPES[name])
    if table.get("reward"):  # a random model earns nothing from grading: reward something that varies
        (tmp_path / "reward.py").write_text("def even(problem, message):\n    return float(len(message.text) % 2)\n")
        table["reward"] = f"{tmp_path / 'reward.py'}:even"
    if table.get("families") == ["OWN"]:
        (tmp_path / "own.py").write_text(OWN)
        table["families"] = [f"{tmp_path / 'own.py'}:Luck"]
    reported = finish(start(table, tmp_path / "whole", parents)).splitlines()[-1]
    rng = random.Random(name)
    for moment in sorted(rng.sample(range(4, int(str(table["steps"])) - 1), 2)):
        process = start(table, tmp_path / "cut", parents)
        deadline = time.monotonic() + 200
        while steps_logged(tmp_path / "cut") < moment and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.returncode == -signal.SIGKILL, "the stage ended before it could be killed"
        assert not (tmp_path / "cut" / "model.safetensors").exists()
    output = finish(start(table, tmp_path / "cut", parents))
    assert "goes on at step" in output and output.splitlines()[-1] == reported
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    whole, cut = (
        [json.loads(line) for line in (tmp_path / side / "log.jsonl").read_text().splitlines()]
        for side in ("whole", "cut")
    )
    assert [row.get("loss") for row in cut] == [row.get("loss") for row in whole]
    generation = json.loads((tmp_path / "whole" / "generation_config.json").read_text())
    assert generation["eos_token_id"] == list(stop_ids(Tokenizer.load(parents["tokenizer"])))
    if name == "rl":
        assert any(row.get("loss") for row in whole), "nothing was learned, so nothing was tested"


@pytest.mark.parametrize("name", ["pretrain", "rl"])
def test_no_stage_computes_with_code_that_it_compiled_itself(
    name: str, parents: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an empty cache of compiled kernels, as after an installation: what runs was loaded, not made there."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    table = {key: value for key, value in RECIPES[name].items() if key != "reward"}
    arguments = [json.dumps({**table, "steps": 3}), str(tmp_path / "out"), json.dumps(parents)]
    done = subprocess.run(
        [sys.executable, "-c", STAGE + COMPILED_HERE, *arguments], capture_output=True, text=True, check=True
    )
    assert "compiling the kernels" in done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
