"""Pretraining: next-token prediction on packed windows of the token shards."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from thinkling.core.errors import UserError
from thinkling.core.recipe import Settings
from thinkling.core.seeds import derive
from thinkling.core.stage import StageContext
from thinkling.core.types import Request, Sampling
from thinkling.engine.engine import Engine
from thinkling.model.config import ModelConfig
from thinkling.model.transformer import Packed, Transformer
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.train.export import export
from thinkling.train.flops import peak_flops
from thinkling.train.loop import TrainRecipe, prepare, train
from thinkling.train.optimizer import Optimizer
from thinkling.train.packing import document_starts

SEPARATOR = "<|endoftext|>"


class ModelShape(Settings):
    """The decoder's size; its vocabulary is the tokenizer's."""

    width: int = Field(default=192, ge=8)
    layers: int = Field(default=4, ge=1)
    heads: int = Field(default=3, ge=1)
    kv_heads: int = Field(default=1, ge=1)
    head_width: int = Field(default=64, ge=2)
    feed_forward: int = Field(default=512, ge=8)
    context: int = Field(default=1024, ge=8, description="largest number of positions")
    tie_embeddings: bool = True

    def config(self, vocabulary: int) -> ModelConfig:
        return ModelConfig(
            vocab_size=vocabulary,
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            head_dim=self.head_width,
            intermediate_size=self.feed_forward,
            max_position_embeddings=self.context,
            tie_word_embeddings=self.tie_embeddings,
        )


class Recipe(TrainRecipe):
    model: ModelShape = ModelShape()
    windows: int = Field(default=32, ge=1, description="windows per step")
    length: int = Field(default=256, ge=8, description="tokens per window")
    passes: float = Field(default=2.0, gt=0, description="refuse to read the shards more often than this")
    measure_every: int = Field(default=100, ge=1, description="steps between held-out measurements and samples")
    held_out_windows: int = Field(default=64, ge=1, description="held-out windows measured")
    prompts: tuple[str, ...] = Field(default=("",), description="beginnings that samples continue")
    sample_tokens: int = Field(default=48, ge=1)


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of ``length`` + 1 tokens cut from a stream; shuffled anew on each pass."""

    tokens: NDArray[np.uint16]
    length: int
    seed: int
    separator: int

    @property
    def count(self) -> int:
        return (len(self.tokens) - 1) // self.length

    def batch(self, step: int, size: int) -> tuple[Packed, torch.Tensor]:
        """The step's windows and the token that follows each of theirs, flattened [B·T]."""
        numbers = [self._number(step * size + i) for i in range(size)]
        return self.cut(numbers)

    def cut(self, numbers: list[int]) -> tuple[Packed, torch.Tensor]:
        span = np.arange(self.length + 1)
        block = self.tokens[np.asarray(numbers)[:, None] * self.length + span].astype(np.int64)
        ids = np.ascontiguousarray(block[:, :-1])
        first, position = document_starts(ids, self.separator)
        packed = Packed(torch.from_numpy(ids), torch.from_numpy(first), torch.from_numpy(position))
        return packed, torch.from_numpy(block[:, 1:].reshape(-1))

    def _number(self, index: int) -> int:
        turn, place = divmod(index, self.count)
        order = _permutation(derive(self.seed, "windows", turn), self.count)
        return int(order[place])


_ORDERS: dict[tuple[int, int], NDArray[np.int64]] = {}


def _permutation(seed: int, count: int) -> NDArray[np.int64]:
    """A cached permutation; only the latest is kept."""
    if (seed, count) not in _ORDERS:
        _ORDERS.clear()
        _ORDERS[seed, count] = np.random.default_rng(seed).permutation(count)
    return _ORDERS[seed, count]


def run(ctx: StageContext, recipe: Recipe) -> dict[str, Any]:
    """Train a base model; returns its held-out bits per byte and size."""
    dtype, device = prepare(ctx, recipe.precision, recipe.device)
    tokenizer = Tokenizer.load(ctx.parents["tokenizer"].path)
    shards = ctx.parents["shards"].path
    separator = tokenizer.special[SEPARATOR]
    windows = Windows(np.load(shards / "train.npy", mmap_mode="r"), recipe.length, recipe.seed, separator)
    needed = recipe.steps * recipe.windows
    if windows.count < 1 or needed > recipe.passes * windows.count:
        raise UserError(
            f"pretrain: {recipe.steps} steps of {recipe.windows} windows pass {needed / max(windows.count, 1):.2f} "
            f"times over {windows.count} windows of {recipe.length}; expected at most passes = {recipe.passes}: "
            "make more text, or fewer steps"
        )
    config = recipe.model.config(tokenizer.vocab_size)
    model = Transformer(config, dtype=dtype, seed=derive(recipe.seed, "weights") % 2**31).to(device)
    model.refresh()
    optimizer = Optimizer(model, recipe.optimizer)
    held_out = HeldOut(shards, tokenizer, recipe)
    storyteller = Storyteller(tokenizer, config, recipe)
    tokens = recipe.windows * recipe.length
    peak_share = config.flops_per_token(recipe.length) / peak_flops(dtype, device)
    ctx.note(
        f"pretrain: {config.parameters():,} parameters, {recipe.steps * tokens:,} tokens "
        f"({needed / windows.count:.2f} passes), {str(dtype).removeprefix('torch.')} on {device}"
    )

    def step(now: int) -> dict[str, Any]:
        packed, target_N = windows.batch(now, recipe.windows)
        packed, target_N = packed.to(device), target_N.to(device)
        scale_N = torch.full((tokens,), 1.0 / tokens, device=device)
        total, _ = model.ops.cross_entropy(model.hidden(packed), model.head, target_N, scale_N)
        total.backward()
        model.collect_gradients()
        return {"loss": float(total.detach()), "tokens": tokens}

    def after(done: int) -> dict[str, Any]:
        if done % recipe.measure_every and done != recipe.steps:
            return {}
        bits, samples = held_out.bits_per_byte(model), storyteller.tell(model)
        told = "".join(f"\n  {one_line(sample)}" for sample in samples)
        ctx.note(f"step {done}, {bits:.3f} bits per byte of held-out text; the model writes:{told}")
        return {"val_bpb": bits, "samples": samples}

    train(
        ctx, model, optimizer, steps=recipe.steps, schedule=recipe.schedule, step=step, what="pretrain",
        after=after, save_every=recipe.save_every, peak_share=peak_share,
    )  # fmt: skip
    export(ctx, model, ctx.parents["tokenizer"].path, recipe.store)
    rows = [row for row in ctx.rows() if "tokens_per_second" in row]
    speed = float(np.median([row["tokens_per_second"] for row in rows])) if rows else 0.0
    ctx.log(summary="pretrain", tokens_per_second=speed, flop_utilization=speed * peak_share)
    return {
        "parameters": config.parameters(),
        "tokens": recipe.steps * tokens,
        "passes": needed / windows.count,
        "val_bpb": held_out.bits_per_byte(model),
    }


def one_line(text: str) -> str:
    """A sample as one harmless line: an untrained model also writes line breaks and terminal escapes."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(text.split()))


class HeldOut:
    """Bits per byte on text that no step reads: independent of the tokenizer, unlike loss per token."""

    def __init__(self, shards: Path, tokenizer: Tokenizer, recipe: Recipe) -> None:
        separator = tokenizer.special[SEPARATOR]
        windows = Windows(np.load(shards / "val.npy", mmap_mode="r"), recipe.length, 0, separator)
        if windows.count < 1:
            held = json.loads((shards / "meta.json").read_text(encoding="utf-8"))["val_tokens"]
            raise UserError(f"pretrain: {held} held-out tokens do not fill one window of {recipe.length}")
        self.batches = [
            windows.cut(list(range(start, min(start + recipe.windows, windows.count, recipe.held_out_windows))))
            for start in range(0, min(windows.count, recipe.held_out_windows), recipe.windows)
        ]
        lengths = np.zeros(tokenizer.vocab_size, np.int64)
        for number in range(tokenizer.vocab_size):
            lengths[number] = 0 if number in tokenizer.special.values() else len(tokenizer.token_bytes(number))
        self.bytes = sum(int(lengths[target.numpy()].sum()) for _, target in self.batches)

    @torch.no_grad()
    def bits_per_byte(self, model: Transformer) -> float:
        nats = 0.0
        for packed, target_N in self.batches:
            packed, target_N = packed.to(model.device), target_N.to(model.device)
            scale_N = torch.ones(len(target_N), device=model.device)
            total, _ = model.ops.cross_entropy(model.hidden(packed), model.head, target_N, scale_N)
            nats += float(total)
        return nats / math.log(2) / self.bytes


class Storyteller:
    """Samples from the model in training, as gibberish turns into language."""

    def __init__(self, tokenizer: Tokenizer, config: ModelConfig, recipe: Recipe) -> None:
        self.tokenizer, self.config, self.recipe = tokenizer, config, recipe
        self.engine: Engine | None = None

    def tell(self, model: Transformer) -> list[str]:
        weights = {name: tensor.cpu() for name, tensor in model.state().items()}
        if self.engine is None:
            self.engine = Engine(weights, self.config, slots=8, max_len=256, dtype=torch.float32)
        else:
            self.engine.load_weights(weights, "")
        separator = self.tokenizer.special[SEPARATOR]
        sampling = Sampling(temperature=0.8, max_tokens=self.recipe.sample_tokens)
        requests = [
            Request(
                (separator, *self.tokenizer.encode(prompt)),
                sampling,
                derive(self.recipe.seed, "tell", i),
                (separator,),
            )
            for i, prompt in enumerate(self.recipe.prompts)
        ]
        completions = self.engine.run(requests)
        return [
            prompt + self.tokenizer.decode([token for token in completion.tokens if token != separator])
            for prompt, completion in zip(self.recipe.prompts, completions, strict=True)
        ]
