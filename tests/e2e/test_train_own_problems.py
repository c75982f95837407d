"""Problems that we did not make, as JSONL and as a Python file, go through SFT, RL and evaluation untouched."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from thinkling.cli.hooks import choose_precision, open_backend
from thinkling.core.recipe import parse_recipe
from thinkling.core.stage import StageContext
from thinkling.core.stages import load_stage
from thinkling.model.checkpoint import save_checkpoint
from thinkling.model.config import ModelConfig
from thinkling.model.transformer import Transformer
from thinkling.tokenizer.bpe import Tokenizer

FAMILY = """
from thinkling.core.types import Message, Verdict
from thinkling.tasks.family import Draft

class Double:
    name = "double"
    styles = ("direct",)

    def draw(self, rng, level=None, ood=False):
        n = rng.randrange(1000)
        return Draft(f"Double {n}?", str(2 * n), str(n), 1, {})

    def solve(self, problem, style, rng, slip=False):
        return Message.assistant(f"The answer is {problem.answer}.")

    def grade(self, problem, text):
        return Verdict(float(problem.answer in text), "graded", text)

def short(problem, message):
    return 1.0 / (1 + len(message.text))
"""


def run(table: dict[str, object], out: Path, model: Path) -> dict[str, object]:
    stage = load_stage(str(table["stage"]))
    ctx = StageContext(out, hooks={"open_backend": open_backend, "choose_precision": choose_precision})
    ctx.parents.update({"model": SimpleNamespace(path=model, name="m", manifest=SimpleNamespace(id="m"))})  # type: ignore[dict-item]
    metrics: dict[str, object] = stage.run(ctx, parse_recipe(table, stage.recipe, "test"))
    return metrics


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    tokenizer = Tokenizer.train(["Double 17? The answer is 34. What colour is the sky? The sky is blue."], 300)
    tokenizer.save(folder)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, intermediate_size=64, max_position_embeddings=256,
    )  # fmt: skip
    save_checkpoint(folder, config, Transformer(config, seed=1).state())
    return folder


def test_jsonl_and_file_families_pass_through_every_stage(base: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FAMILY)
    rows = [{"question": f"Colour number {i}?", "answer": "blue", "solution": "It is blue."} for i in range(200)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    specs = [f"{tmp_path / 'mine.py'}:Double", str(tmp_path / "mine.jsonl")]
    weights = dict.fromkeys(specs, 1.0)

    sft = tmp_path / "sft"
    run({"stage": "sft", "steps": 3, "windows": 8, "length": 64, "families": weights}, sft, base)
    rl = tmp_path / "rl"
    made = run(
        {
            "stage": "rl", "steps": 2, "prompts": 4, "group": 2, "max_tokens": 8, "length": 128, "windows": 8,
            "held_out": 2, "families": weights, "reward": f"{tmp_path / 'mine.py'}:short",
        },
        rl, sft,
    )  # fmt: skip
    log = [json.loads(line) for line in (rl / "log.jsonl").read_text().splitlines()]
    steps = [row for row in log if "reward" in row]
    assert all(0 < row["reward"] <= 1 for row in steps), "the user's reward is what is earned"
    assert "double" in steps[0]["reward_by_family"] | steps[1]["reward_by_family"]
    assert "double" in made["held_out"]  # type: ignore[operator]

    evaluated = tmp_path / "eval"
    run(
        {
            "stage": "evaluate", "families": specs, "problems": 4, "samples": 2, "sampled_problems": 2,
            "ood_problems": 0, "unseen_problems": 0, "think_families": [], "max_tokens": 8, "slots": 8, "max_len": 96,
        },
        evaluated, rl,
    )  # fmt: skip
    assert "double" in (evaluated / "summary.json").read_text()
    assert json.loads((evaluated / ".choices.json").read_text())["precision"] in ("float32", "bfloat16")
