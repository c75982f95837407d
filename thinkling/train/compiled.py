"""The kernels' machine code, made before a stage computes with it, by a process of its own.

Numba compiles a kernel when it is first called, keeps the code on disk, and loads it in later processes. The two
are not the same: under fastmath, loaded code can differ in its last bits from what ran where it was compiled. A
run whose first process compiled, was killed and went on, would then not equal the uninterrupted run; so no stage
compiles for itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import llvmlite
import numba
import torch
from llvmlite.binding import get_host_cpu_features, get_host_cpu_name

from thinkling.core.errors import UserError
from thinkling.core.types import Request, Sampling
from thinkling.engine import kernels as engine_kernels
from thinkling.engine import sampler, vectors
from thinkling.engine.engine import Engine
from thinkling.model import fused, kernels, lowlevel
from thinkling.model.config import ModelConfig
from thinkling.model.precision import NAMES
from thinkling.model.transformer import Packed, Transformer

SOURCES = (kernels, lowlevel, engine_kernels, sampler, vectors)


def make_sure(config: ModelConfig, dtype: torch.dtype, device: torch.device) -> None:
    """Have the CPU kernels for models of this shape and number format compiled and kept, if they are not yet.

    Takes about half a minute after an installation or a change of the kernels, and no time later.
    Raises UserError where the compilation fails.
    """
    stamp = _stamp(config, dtype)
    if device.type != "cpu" or stamp.exists():
        return
    print("compiling the kernels for this machine, once: about half a minute", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "thinkling.train.compiled", json.dumps(asdict(config)), str(dtype)]
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"compiling the kernels failed with exit status {done.returncode}:\n{done.stderr[-2000:]}")
    stamp.touch()


def _stamp(config: ModelConfig, dtype: torch.dtype) -> Path:
    """A file beside Numba's own, named by all that its code depends on; changed sources make Numba compile anew."""
    files = [Path(str(module.__file__)) for module in SOURCES]
    facts = [
        *(f"{file} {file.stat().st_mtime_ns} {file.stat().st_size}" for file in files),
        numba.__version__, llvmlite.__version__, platform.python_version(),
        get_host_cpu_name(), get_host_cpu_features().flatten(),
        str(config.num_attention_heads // config.num_key_value_heads), str(config.has("q_norm")), str(dtype),
    ]  # fmt: skip
    folder = Path(kernels.norm_forward._cache.cache_path)
    return folder / f"compiled-{hashlib.sha256(chr(10).join(facts).encode()).hexdigest()[:16]}"


def exercise(config: ModelConfig, dtype: torch.dtype) -> None:
    """Call every kernel once in every form that training and sampling use, on a model of this shape."""
    config = replace(config, vocab_size=64, num_hidden_layers=1, max_position_embeddings=64)
    ids_BT = torch.zeros(2, 32, dtype=torch.int64)
    packed, target_N, scale_N = Packed.whole(ids_BT), ids_BT.reshape(-1), torch.ones(64)
    model = Transformer(config, dtype=dtype)
    total, _ = fused.cross_entropy(model.hidden(packed), model.head, target_N, scale_N)
    total.backward()
    rows = fused.take_rows(model.hidden(packed), torch.arange(0, 64, 2))
    logp, _ = fused.token_logprobs(rows, model.head, target_N[:32], 1.0)
    logp.sum().backward()
    # Samples told during pretraining come from float32 weights, whatever training computes in.
    for sampled_in in {dtype, torch.float32}:
        engine = Engine(model.state(), config, slots=2, max_len=64, dtype=sampled_in)
        warm = Sampling(temperature=1.0, max_tokens=2, top_k=5, top_p=0.9, min_p=0.01)
        engine.run([Request((1, 2, 3), sampling, 0) for sampling in (warm, Sampling(temperature=0.0, max_tokens=2))])
        engine.score([[1, 2, 3]])


if __name__ == "__main__":
    exercise(ModelConfig(**json.loads(sys.argv[1])), NAMES[sys.argv[2].removeprefix("torch.")])
