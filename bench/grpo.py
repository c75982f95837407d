"""One GRPO step against TRL's GRPOTrainer: same model, number format, prompts, group and lengths.

32 prompts x 8 samples of at most 96 new tokens on a small random Qwen3; both sample, grade with the same reward,
and take one AdamW step. A random model rarely ends a turn, so both generate the full length: equal work.
TRL wants its own packages: pip install trl. Run: python bench/grpo.py [--steps 4] [--micro-batch 32]
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
import tempfile
import time
from pathlib import Path

import torch

from thinkling.core.types import Message, Request, Sampling
from thinkling.engine.engine import Engine
from thinkling.model.checkpoint import save_checkpoint
from thinkling.model.config import ModelConfig
from thinkling.model.precision import choose, keep_freed_memory
from thinkling.model.transformer import Transformer
from thinkling.tokenizer import chat
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.train.losses import group_advantages, policy_gradient
from thinkling.train.optimizer import Optimizer, OptimizerSettings
from thinkling.train.packing import Sequence, pack_all

PROMPTS, GROUP, NEW_TOKENS = 32, 8, 96


def questions(count: int) -> list[str]:
    rng = random.Random(1)
    return [
        f"Mara has {rng.randrange(10, 99)} apples. She gives {rng.randrange(1, 9)} to Tom. How many are left?"
        for _ in range(count)
    ]


def reward_of(text: str) -> float:
    """Any reward that varies serves: a random model solves nothing."""
    return float(len(text) % 2)


def ours(folder: Path, steps: int, dtype: torch.dtype) -> list[float]:
    """Seconds of each step of our engine and learner (the same calls as the rl stage makes)."""
    from thinkling.model.checkpoint import load_model

    keep_freed_memory()
    tokenizer = Tokenizer.load(folder)
    model = load_model(folder, dtype=dtype)
    settings = OptimizerSettings(matrices="adamw", matrix_rate=1e-6, embedding_rate=1e-6, norm_rate=1e-6)
    optimizer = Optimizer(model, settings)
    engine = Engine(model.state(), model.config, slots=PROMPTS * GROUP, max_len=256, dtype=dtype, tokenizer=tokenizer)
    sampling = Sampling(max_tokens=NEW_TOKENS)
    asked = questions(PROMPTS * (steps + 1))
    seconds = []
    for step in range(steps + 1):
        started = time.perf_counter()
        engine.load_weights(model.state(), str(step))
        texts = asked[step * PROMPTS : (step + 1) * PROMPTS]
        prompts = [chat.prompt_ids(tokenizer, [Message.user(text)]) for text in texts]
        requests = [
            Request(tuple(prompt), sampling, seed=1000 * step + 10 * i + j, stop_ids=chat.stop_ids(tokenizer))
            for i, prompt in enumerate(prompts)
            for j in range(GROUP)
        ]
        completions = engine.run(requests)
        rewards = torch.tensor([reward_of(tokenizer.decode(c.tokens)) for c in completions]).view(PROMPTS, GROUP)
        advantage = torch.from_numpy(group_advantages(rewards.double().numpy(), True)).view(-1)
        sequences = [
            Sequence([*r.tokens, *c.tokens], [False] * len(r.tokens) + [True] * len(c.tokens), i)
            for i, (r, c) in enumerate(zip(requests, completions, strict=True))
        ]
        groups = [sequences[first : first + GROUP] for first in range(0, len(sequences), GROUP)]
        tokens = sum(len(c.tokens) for c in completions)
        for windows in pack_all(groups, 512, 16):
            owners, places = windows.source_N2.T
            sampled = torch.tensor(
                [completions[o].logprobs[p - len(requests[o].tokens)] for o, p in zip(owners, places, strict=True)]
            )
            y = model.ops.take_rows(model.hidden(windows.packed), windows.row_N)
            logp, _ = model.ops.token_logprobs(y, model.head, windows.target_N, 1.0)
            loss = policy_gradient(
                logp, sampled, advantage[torch.from_numpy(owners)].float(), tokens, clip_low=0.2, clip_high=0.2
            )
            loss.total.backward()
            model.collect_gradients()
        optimizer.step(1.0)
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def theirs(folder: Path, steps: int, dtype: torch.dtype, micro_batch: int) -> list[float]:
    """Seconds of each step of TRL's trainer."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    marks: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: object, **__: object) -> None:
            marks.append(-time.perf_counter())

        def on_step_end(self, *_: object, **__: object) -> None:
            marks[-1] += time.perf_counter()

    config = GRPOConfig(
        output_dir=str(folder / "trl"), use_cpu=True, bf16=dtype == torch.bfloat16, max_steps=steps + 1,
        per_device_train_batch_size=micro_batch, gradient_accumulation_steps=PROMPTS * GROUP // micro_batch,
        num_generations=GROUP, max_completion_length=NEW_TOKENS, learning_rate=1e-6, logging_steps=1000,
        report_to=[], save_strategy="no", beta=0.0, gradient_checkpointing=False, disable_tqdm=True,
    )  # fmt: skip
    data = Dataset.from_dict(
        {"prompt": [[{"role": "user", "content": text}] for text in questions(PROMPTS * (steps + 1))]}
    )
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=dtype),
        processing_class=AutoTokenizer.from_pretrained(folder),
        reward_funcs=lambda completions, **_: [reward_of(c[0]["content"]) for c in completions],
        args=config, train_dataset=data, callbacks=[Clock()],
    )  # fmt: skip
    trainer.train()
    return marks[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4, help="counted steps per side, after one to warm up")
    parser.add_argument("--micro-batch", type=int, default=32, help="TRL's per-device batch; try 16, 32, 64, 256")
    options = parser.parse_args()
    import transformers
    import trl

    dtype = choose()
    print(
        f"python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}, "
        f"trl {trl.__version__} (micro-batch {options.micro_batch}), {torch.get_num_threads()} threads, {dtype}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = Tokenizer.train([*questions(400)] * 3, 512)
        tokenizer.save(folder)
        config = ModelConfig(vocab_size=tokenizer.vocab_size)
        save_checkpoint(folder, config, Transformer(config, seed=1).state())
        # Interleaved halves, so that a drift of the machine falls on both sides.
        half = max(1, options.steps // 2)
        own, peer = [], []
        for _ in range(2):
            own += ours(folder, half, dtype)
            peer += theirs(folder, half, dtype, options.micro_batch)
    print(f"thinkling {statistics.median(own):.3f} s a step ({min(own):.3f}..{max(own):.3f})")
    print(f"trl       {statistics.median(peer):.3f} s a step ({min(peer):.3f}..{max(peer):.3f})")
    print(f"ratio     {statistics.median(peer) / statistics.median(own):.2f}")


if __name__ == "__main__":
    main()
