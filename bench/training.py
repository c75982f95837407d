"""Training throughput against transformers' Qwen3ForCausalLM, best against best, on this machine.

Both take full optimizer steps (forward, backward, clipping, AdamW) on the same shapes, interleaved A B A B.
The peer runs under bfloat16 autocast with torch.compile where a C++ compiler exists (else eager, said so), and
with the same allocator settings. Run: python bench/training.py [--rounds 5] [--no-compile]
"""

from __future__ import annotations

import argparse
import platform
import shutil
import statistics
import time
from collections.abc import Callable

import torch
import transformers
from torch.profiler import ProfilerActivity, profile

from thinkling.model.config import ModelConfig
from thinkling.model.precision import choose, keep_freed_memory
from thinkling.model.transformer import Packed, Transformer
from thinkling.train.optimizer import Optimizer, OptimizerSettings

WINDOWS, LENGTH = 32, 256


def ours(config: ModelConfig, dtype: torch.dtype, matrices: str) -> Callable[[], float]:
    """One step of our loop."""
    model = Transformer(config, dtype=dtype, seed=1)
    optimizer = Optimizer(model, OptimizerSettings(matrices=matrices))  # type: ignore[arg-type]
    ids = torch.randint(0, config.vocab_size, (WINDOWS, LENGTH + 1))
    batch, target = Packed.whole(ids[:, :-1].contiguous()), ids[:, 1:].reshape(-1)
    scale = torch.full((len(target),), 1.0 / len(target))

    def step() -> float:
        loss, _ = model.ops.cross_entropy(model.hidden(batch), model.head, target, scale)
        loss.backward()
        model.collect_gradients()
        optimizer.step(1.0)
        return float(loss.detach())

    return step


def peer(config: ModelConfig, dtype: torch.dtype, compiled: bool) -> Callable[[], float]:
    """One step of a plain loop around transformers' model."""
    torch.manual_seed(1)
    raw = {k: v for k, v in config.to_hf().items() if k not in ("architectures", "model_type", "torch_dtype")}
    model = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**raw))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    forward = torch.compile(model) if compiled else model
    ids = torch.randint(0, config.vocab_size, (WINDOWS, LENGTH))

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = forward(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())

    return step


def share_of_products(step: Callable[[], float]) -> float:
    """What part of a step's time its matrix products take: no other code can make it faster than that."""
    with profile(activities=[ProfilerActivity.CPU]) as taken:
        for _ in range(3):
            step()
    times = {event.key: event.self_cpu_time_total for event in taken.key_averages()}
    return sum(times.get(name, 0.0) for name in ("aten::mm", "aten::bmm", "aten::addmm")) / sum(times.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="steps per round and side")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=2048)
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    keep_freed_memory()
    dtype = choose()
    compiled = not options.no_compile and any(shutil.which(name) for name in ("g++", "clang++", "c++"))
    config = ModelConfig(vocab_size=options.vocabulary, num_hidden_layers=options.layers)
    print(
        f"python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}, "
        f"{torch.get_num_threads()} threads, {config.parameters():,} parameters, {WINDOWS} x {LENGTH} tokens, {dtype}"
    )
    sides = {
        "thinkling (AdamW)": ours(config, dtype, "adamw"),
        "thinkling (Muon)": ours(config, dtype, "muon"),
        "transformers eager": peer(config, dtype, compiled=False),
    }
    if compiled:
        sides["transformers compiled"] = peer(config, dtype, compiled=True)
    for step in sides.values():
        for _ in range(3):
            step()
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, step in sides.items():
            started = time.perf_counter()
            for _ in range(options.steps):
                step()
            times[name].append((time.perf_counter() - started) / options.steps)
    tokens = WINDOWS * LENGTH
    for name, seconds in times.items():
        median, best = tokens / statistics.median(seconds), tokens / min(seconds)
        print(f"{name:24s} median {median:8.0f} tokens/s, best {best:8.0f}")
    print(f"matrix products: {share_of_products(sides['thinkling (AdamW)']):.0%} of our AdamW step")
    peers = [name for name in sides if name.startswith("transformers")]
    best_peer = min(peers, key=lambda name: statistics.median(times[name]))
    for name in (name for name in sides if name.startswith("thinkling")):
        ratios = [theirs / own for own, theirs in zip(times[name], times[best_peer], strict=True)]
        print(
            f"{name} against {best_peer}: {statistics.median(ratios):.2f} times ({min(ratios):.2f}..{max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
