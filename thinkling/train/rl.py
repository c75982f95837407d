"""Reinforcement learning from verifiable rewards: GRPO on problems whose answers can be checked.

Nothing rewards length, thinking or format: an answer that reads and is right earns 1, all else 0.
GRPO: DeepSeekMath, arXiv:2402.03300; the recipe of R1-Zero: arXiv:2501.12948, section 2.2.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive, stream
from thinkling.core.stage import StageContext
from thinkling.core.types import Episode, Problem, Sampling
from thinkling.engine.backend import LocalBackend
from thinkling.engine.engine import Engine
from thinkling.model.checkpoint import load_model
from thinkling.model.transformer import Transformer
from thinkling.rollout.episodes import episodes
from thinkling.tasks import registry
from thinkling.tasks.family import Family, pose
from thinkling.tasks.sets import problems
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.train import rollouts
from thinkling.train.export import export
from thinkling.train.loop import TrainRecipe, prepare, train
from thinkling.train.losses import PolicyLoss, policy_gradient
from thinkling.train.optimizer import Optimizer, OptimizerSettings
from thinkling.train.packing import Windows, pack_all
from thinkling.train.schedule import ScheduleSettings, factor
from thinkling.train.sft import task_context

PATIENCE = 50  # draws per problem wanted before a step makes do with fewer


class Recipe(TrainRecipe):
    families: Annotated[dict[str, float], AfterValidator(registry.known_families)] = Field(
        default={name: 1.0 for name in registry.core_five},
        description="problem family -> weight: a built-in name, FILE.py:NAME, or a JSONL file of problems",
    )
    reward: str = Field(default="", description="FILE.py:NAME of a reward (problem, message) -> float; else the grade")
    prompts: int = Field(default=32, ge=1, description="problems per step")
    group: int = Field(default=8, ge=2, description="samples per problem")
    max_tokens: int = Field(default=160, ge=1, description="longest answer, thinking included")
    temperature: float = Field(default=1.0, gt=0)
    updates: int = Field(default=1, ge=1, description="optimizer steps on each step's samples")
    normalize: bool = Field(default=True, description="divide advantages by their group's standard deviation")
    clip_low: float = Field(default=0.2, gt=0, lt=1)
    clip_high: float = Field(default=0.28, gt=0, description="wider than clip_low: asymmetric clipping (DAPO)")
    kl: float = Field(default=0.0, ge=0, description="weight of the divergence from the parent model")
    shuffle_rewards: bool = Field(default=False, description="control: deal the rewards out at random")
    length: int = Field(default=512, ge=32, description="tokens per training window; prompt and answer must fit")
    windows: int = Field(default=32, ge=1, description="windows per forward pass")
    measure_every: int = Field(default=10, ge=1, description="steps between greedy measurements on held-out problems")
    held_out: int = Field(default=20, ge=0, description="held-out problems per family")
    optimizer: OptimizerSettings = OptimizerSettings(
        matrices="adamw", matrix_rate=3e-4, embedding_rate=3e-4, norm_rate=3e-4
    )
    schedule: ScheduleSettings = ScheduleSettings(warmup=0.05, decay=0.3, final=0.1)


class Sampler:
    """The policy in the engine, and the problems it is asked: a function of seed and step alone."""

    def __init__(self, recipe: Recipe, model: Transformer, tokenizer: Tokenizer, context: dict[str, Any]) -> None:
        self.recipe, self.model = recipe, model
        mixture = registry.mixture(recipe.families, **context)
        self.families: list[Family] = [family for family, _ in mixture]
        self.weights = [weight for _, weight in mixture]
        self.by_name = {family.name: family for family in self.families}
        self.sampling = Sampling(temperature=recipe.temperature, max_tokens=recipe.max_tokens)
        self.engine = Engine(
            self._state(),
            model.config,
            slots=recipe.prompts * recipe.group,
            max_len=min(recipe.length + 1, model.config.max_position_embeddings),
            dtype=model.dtype,
            tokenizer=tokenizer,
        )
        self.backend = LocalBackend(self.engine, tokenizer)
        self.held_out = [
            problem
            for family in self.families
            for problem in problems(family, "val", recipe.held_out, recipe.seed, at_most=True)
        ]

    def _state(self) -> dict[str, Tensor]:
        return {name: tensor.cpu() for name, tensor in self.model.state().items()}

    def _draw(self, step: int) -> list[Problem]:
        """The step's problems, distinct and all of the train split; fewer where there are no more (a small JSONL)."""
        rng = stream(self.recipe.seed, "rl", step)
        drawn: dict[str, Problem] = {}
        for _ in range(PATIENCE * self.recipe.prompts):
            family = rng.choices(self.families, self.weights)[0]
            problem = pose(family.name, family.draw(rng), rng.getrandbits(62))
            if problem.split == "train":
                drawn.setdefault(problem.key, problem)
            if len(drawn) == self.recipe.prompts:
                break
        if not drawn:
            raise UserError(f"rl: found no problem of the train split in {', '.join(self.by_name)}")
        return list(drawn.values())

    def groups(self, step: int) -> list[list[Episode]]:
        self.engine.load_weights(self._state(), f"step-{step}")
        return episodes(
            self._draw(step), self.backend, family_of=lambda problem: self.by_name[problem.family],
            sampling=self.sampling, seed=derive(self.recipe.seed, "rollout", step), n=self.recipe.group,
        )  # fmt: skip

    def measure(self) -> dict[str, Any]:
        """Greedy accuracy on the held-out problems, by family and on average; with n by family."""
        if not self.held_out:
            return {"held_out": {}, "held_out_n": {}}
        self.engine.load_weights(self._state(), "measure")
        made = episodes(
            self.held_out, self.backend, family_of=lambda problem: self.by_name[problem.family],
            sampling=Sampling(temperature=0.0, max_tokens=self.recipe.max_tokens), seed=0,
        )  # fmt: skip
        means, counts = rollouts.accuracy(made)
        return {"held_out": means, "held_out_n": counts}


class Learner:
    """One step's gradient: packed windows of the sampled answers, token-level clipped policy gradient."""

    def __init__(self, recipe: Recipe, model: Transformer, reference: Transformer | None) -> None:
        self.recipe, self.model, self.reference = recipe, model, reference

    def accumulate(self, batch: rollouts.Batch) -> dict[str, float]:
        """Leave the gradient of the whole batch on the masters."""
        self.model.train()
        totals = {"loss": 0.0, "entropy": 0.0, "clip_share": 0.0, "ratio_error": 0.0, "kl": 0.0}
        for windows in pack_all(batch.sequences, self.recipe.length, self.recipe.windows):
            loss, entropy, tokens = self._windows(windows, batch)
            share = tokens / batch.tokens
            totals["loss"] += float(loss.total.detach())
            totals["entropy"] += entropy * share
            totals["clip_share"] += loss.clipped * share
            totals["ratio_error"] += loss.ratio_error * share
            totals["kl"] += loss.kl * share
        return totals

    def _windows(self, windows: Windows, batch: rollouts.Batch) -> tuple[PolicyLoss, float, int]:
        device = self.model.device
        owners, places = windows.source_N2[:, 0], windows.source_N2[:, 1]
        sampled = np.asarray([batch.logprobs[o][p] for o, p in zip(owners, places, strict=True)], np.float32)
        advantage = batch.advantage[owners].astype(np.float32)
        logp_N, entropy_N = self._logprobs(self.model, windows)
        reference_N = None
        if self.reference is not None:
            with torch.no_grad():
                reference_N, _ = self._logprobs(self.reference, windows)
        loss = policy_gradient(
            logp_N, torch.from_numpy(sampled).to(device), torch.from_numpy(advantage).to(device), batch.tokens,
            clip_low=self.recipe.clip_low, clip_high=self.recipe.clip_high, kl=self.recipe.kl,
            reference_logp_N=reference_N,
        )  # fmt: skip
        loss.total.backward()
        self.model.collect_gradients()
        return loss, float(entropy_N.mean()), len(owners)

    def _logprobs(self, model: Transformer, windows: Windows) -> tuple[Tensor, Tensor]:
        y = model.ops.take_rows(model.hidden(windows.packed.to(model.device)), windows.row_N.to(model.device))
        logp_N, entropy_N = model.ops.token_logprobs(
            y, model.head, windows.target_N.to(model.device), self.recipe.temperature
        )
        return logp_N, entropy_N


def run(ctx: StageContext, recipe: Recipe) -> dict[str, Any]:
    """Improve the parent model by its own graded samples; returns the last measurements."""
    dtype, device = prepare(ctx, recipe.precision, recipe.device)
    parent = ctx.parents["model"].path
    tokenizer = Tokenizer.load(parent)
    model = load_model(parent, dtype=dtype).to(device)
    model.refresh()
    reference = load_model(parent, dtype=dtype).to(device) if recipe.kl else None
    if reference is not None:
        reference.refresh()
    optimizer = Optimizer(model, recipe.optimizer)
    sampler = Sampler(recipe, model, tokenizer, task_context(ctx))
    learner = Learner(recipe, model, reference)
    reward = registry.reward(recipe.reward) if recipe.reward else None

    def step(now: int) -> dict[str, Any]:
        groups = sampler.groups(now)
        rewards_PG = rollouts.rewards(groups, reward)
        shuffle = np.random.default_rng(derive(recipe.seed, "shuffle", now)) if recipe.shuffle_rewards else None
        batch = rollouts.batch(groups, rewards_PG, recipe.normalize, shuffle)
        row = rollouts.describe(groups, rewards_PG) | {"groups_skipped": batch.skipped, "loss": 0.0}
        for update in range(recipe.updates if batch.tokens else 0):
            if update:
                optimizer.step(factor(recipe.schedule, now, recipe.steps))
            row |= learner.accumulate(batch)
        return row

    def after(done: int) -> dict[str, Any]:
        if done % recipe.measure_every and done != recipe.steps:
            return {}
        return sampler.measure()

    train(
        ctx, model, optimizer, steps=recipe.steps, schedule=recipe.schedule, step=step, what=ctx.name,
        after=after, save_every=recipe.save_every,
    )  # fmt: skip
    export(ctx, model, parent, recipe.store)
    last = [{}, *(row for row in ctx.rows() if row.get("held_out"))][-1]
    measured = {key: last.get(key, {}) for key in ("held_out", "held_out_n")}
    return measured | {"sampled_tokens": _sampled(ctx)}


def _sampled(ctx: StageContext) -> int:
    return sum(row.get("sampled_tokens", 0) for row in ctx.rows())
