"""Useful sampled tokens per second: this engine against transformers.generate, on the same weights.

    python bench/sampling.py [--batch 64 256] [--rounds 5] [--threads 2]

One round is one batch: prompts of 16 to 112 tokens and answers of 32 to 160, drawn anew, the same for
both. The peer (bfloat16, its faster attention of "sdpa" and "eager", prompts padded on the left) runs until
its longest row is done, as generate does; only each row's own tokens are counted, on both sides.
Rounds alternate between the two; the ratio is the median of the rounds' ratios. A second table
gives equal lengths (64 and 128), where nothing is won by dropping finished rows. With ``--llama``, llama.cpp on the
same weights in bfloat16 takes part in every round (`llama_peer.py` says what it needs).
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

ALLOCATOR = {  # glibc would otherwise return and fault in the same pages all the time; both sides profit
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "268435456",
}
if __name__ == "__main__" and not all(name in os.environ for name in ALLOCATOR):
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ALLOCATOR})

sys.path.insert(0, str(Path(__file__).parent.parent))

import numba  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

from thinkling.core.types import Request, Sampling  # noqa: E402
from thinkling.engine.engine import Engine  # noqa: E402
from thinkling.model.config import ModelConfig  # noqa: E402

CONFIG = ModelConfig()  # about 2M weights: d 192, 4 layers, 3 query heads of 64, 1 key-value head
Work = list[tuple[list[int], int]]  # prompt, tokens to sample


def draw_work(batch: int, rng: random.Random, equal: bool) -> Work:
    """One batch of prompts with how many tokens each is continued by."""
    sizes = [(64, 128) if equal else (rng.randint(16, 112), rng.randint(32, 160)) for _ in range(batch)]
    return [([rng.randrange(1, CONFIG.vocab_size) for _ in range(prompt)], new) for prompt, new in sizes]


def peer_model(attention: str) -> transformers.Qwen3ForCausalLM:
    torch.manual_seed(0)
    content = {k: v for k, v in CONFIG.to_hf().items() if k not in ("architectures", "model_type", "torch_dtype")}
    config = transformers.Qwen3Config(**content, attn_implementation=attention)
    return transformers.Qwen3ForCausalLM(config).eval()


def run_peer(model: transformers.Qwen3ForCausalLM, work: Work) -> float:
    """Seconds for one padded batch."""
    longest = max(len(prompt) for prompt, _ in work)
    ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt, _ in work])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt, _ in work])
    new = max(new for _, new in work)
    start = time.perf_counter()
    with torch.inference_mode():
        model.generate(
            ids, attention_mask=mask, max_new_tokens=new, min_new_tokens=new, do_sample=True, temperature=1.0,
            top_k=0, top_p=1.0, pad_token_id=0, eos_token_id=None,
        )  # fmt: skip
    return time.perf_counter() - start


def run_engine(engine: Engine, work: Work, seed: int) -> float:
    """Seconds for the same batch."""
    requests = [Request(tuple(p), Sampling(max_tokens=new), seed + i) for i, (p, new) in enumerate(work)]
    start = time.perf_counter()
    completions = engine.run(requests)
    seconds = time.perf_counter() - start
    assert [len(completion.tokens) for completion in completions] == [new for _, new in work]
    return seconds


class Llama:
    """llama.cpp on the same weights, its logits checked against the peer's; opened anew for each batch size."""

    def __init__(self, weights: dict[str, torch.Tensor], threads: int) -> None:
        from llama_peer import VERSION, LlamaPeer, write_gguf

        self.make, self.threads = LlamaPeer, threads
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "peer.gguf"
        write_gguf(self.path, weights, CONFIG)
        ids = [random.Random(1).randrange(1, CONFIG.vocab_size) for _ in range(64)]
        with torch.inference_mode():
            wanted = peer_model("eager")(torch.tensor([ids])).logits[0].float().numpy()
        found = LlamaPeer(self.path, 1, 512, threads).logits(ids)
        apart = float(abs(found - wanted).max() / abs(wanted).max())
        print(f"{VERSION}, bfloat16 matrices; its logits are within {apart:.1%} of transformers' in float32")
        assert apart < 0.05, "llama.cpp computes something else"

    def open(self, batch: int) -> None:
        self.peer = self.make(self.path, batch, 512, self.threads)

    def run(self, work: Work, seed: int) -> float:
        return self.peer.run(work, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--llama", action="store_true", help="llama.cpp beside them (needs llama-cpp-python and gguf)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    weights = peer_model("sdpa").state_dict()
    peers = {name: peer_model(name).to(torch.bfloat16) for name in ("sdpa", "eager")}
    print(
        f"torch {torch.__version__}, transformers {transformers.__version__}, numba {numba.__version__}, "
        f"{platform.machine()}, {options.threads} threads, {CONFIG.parameters() / 1e6:.1f}M weights"
    )
    llama = Llama(weights, options.threads) if options.llama else None
    print(f"{'lengths':8} {'batch':>5} {'peer tok/s':>11} {'engine tok/s':>13} {'ratio':>6}  (range)")
    for equal in (False, True):
        for batch in options.batch:
            rng = random.Random(f"{batch} {equal}")
            engine = Engine(weights, CONFIG, slots=batch, max_len=512)
            warm = draw_work(batch, rng, equal)
            run_engine(engine, warm, 0)
            taken = {name: run_peer(model, warm) for name, model in peers.items()}
            peer = peers[min(taken, key=lambda name: taken[name])]
            rates: list[tuple[float, float]] = []
            beside: list[tuple[float, float]] = []  # llama.cpp's rate, and ours over it
            if llama:
                llama.open(batch)
                llama.run(warm, 0)
            for number in range(options.rounds):
                work = draw_work(batch, rng, equal)
                useful = sum(new for _, new in work)
                rates.append((useful / run_peer(peer, work), useful / run_engine(engine, work, number * batch)))
                if llama:
                    theirs = useful / llama.run(work, number)
                    beside.append((theirs, rates[-1][1] / theirs))
            ratios = sorted(ours / theirs for theirs, ours in rates)
            print(
                f"{'equal' if equal else 'ragged':8} {batch:5} {statistics.median(r[0] for r in rates):11,.0f} "
                f"{statistics.median(r[1] for r in rates):13,.0f} {statistics.median(ratios):6.2f}  "
                f"({ratios[0]:.2f}-{ratios[-1]:.2f}; peer {peer.config._attn_implementation}, engine {engine.dtype})",
                flush=True,
            )
            if beside:
                print(
                    f"{'':14} llama.cpp {statistics.median(r[0] for r in beside):,.0f} tok/s; the engine is "
                    f"{statistics.median(r[1] for r in beside):.2f} times as fast",
                    flush=True,
                )


if __name__ == "__main__":
    main()
