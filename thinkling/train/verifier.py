"""What outcome and process verifiers share: their recipe, their examples, and how they are trained.

A verifier is a language model with a scalar head, which says after a token how likely the answer is to come out
right. The two kinds differ in one thing alone: the places at which the head is trained, and on which labels.

Shape suffix: N places of a batch at which the head is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from thinkling.core.errors import UserError
from thinkling.core.seeds import stream
from thinkling.core.stage import StageContext
from thinkling.core.types import Problem, Sampling, Score, Scored
from thinkling.engine.backend import LocalBackend
from thinkling.engine.engine import Engine
from thinkling.engine.scoring import Judged, judged
from thinkling.model.checkpoint import load_checkpoint
from thinkling.rollout.driver import Failure, Rollout, drive
from thinkling.rollout.episodes import ask_user
from thinkling.tasks import registry
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.train import compiled
from thinkling.train.export import export
from thinkling.train.loop import TrainRecipe, prepare, train
from thinkling.train.losses import verifier_loss
from thinkling.train.optimizer import Optimizer, OptimizerSettings
from thinkling.train.packing import Sequence as Packable
from thinkling.train.packing import Windows, pack_all
from thinkling.train.schedule import ScheduleSettings
from thinkling.train.sft import task_context
from thinkling.train.solutions import SLOTS, Attempts, Sampler, Solution
from thinkling.train.value_model import ValueModel, load_value_model


class VerifierRecipe(TrainRecipe):
    families: Annotated[tuple[str, ...], AfterValidator(registry.known_families)] = Field(
        default=registry.core_five, min_length=1, description="names, FILE.py:NAME or FILE.jsonl"
    )
    problems: int = Field(default=400, ge=1, description="train problems per family")
    samples: int = Field(default=8, ge=1, description="solutions sampled to each")
    temperature: float = Field(default=1.0, gt=0, description="of the policy, for all that it samples")
    think: bool | None = Field(
        default=None, description="true: solutions begin with a thought; without this key the policy chooses"
    )
    max_tokens: int = Field(default=160, ge=1, description="longest solution, thinking included")
    batch: int = Field(default=32, ge=1, description="problems per step, with all their solutions")
    length: int = Field(default=512, ge=32, description="tokens per window; longer problems with solution are left out")
    windows: int = Field(default=16, ge=1, description="windows per forward pass")
    measure_every: int = Field(default=50, ge=1, description="steps between measurements on held-out problems")
    held_out: int = Field(default=40, ge=1, description="held-out problems per family")
    held_out_samples: int = Field(default=16, ge=2, description="solutions judged to each held-out problem")
    optimizer: OptimizerSettings = OptimizerSettings(
        matrices="adamw", matrix_rate=1e-3, embedding_rate=1e-3, norm_rate=3e-3
    )
    schedule: ScheduleSettings = ScheduleSettings(warmup=0.05, decay=0.7, final=0.02)


# Where to train the head on a solution, as indexes into its ids, and on what: the label of each place.
Labels = Callable[[Solution, Judged], Mapping[int, float]]


@dataclass(frozen=True, slots=True)
class Example:
    """A problem with a solution, as ids; ``label`` [T] holds a number at the places where the head is trained."""

    ids: list[int]
    label: NDArray[np.float32]


def examples(attempts: Sequence[Attempts], tokenizer: Tokenizer, labels: Labels) -> list[list[Example]]:
    """Examples by problem; problems without any are left out."""
    groups: list[list[Example]] = []
    for one in attempts:
        groups.append([])
        for solution in one.solutions:
            turn = _judged(tokenizer, one.problem, solution)
            label = np.full(len(turn.ids), np.nan, np.float32)
            for place, wanted in labels(solution, turn).items():
                label[place] = wanted
            groups[-1].append(Example(list(turn.ids), label))
    return [group for group in groups if group]


def _judged(tokenizer: Tokenizer, problem: Problem, solution: Solution) -> Judged:
    return judged(tokenizer, Score(ask_user(problem), solution.turn, marks=solution.marks))


def fitting(attempts: Sequence[Attempts], tokenizer: Tokenizer, length: int) -> list[Attempts]:
    """The attempts without the solutions that are longer than a window."""
    return [
        Attempts(one.problem, tuple(s for s in one.solutions if len(_judged(tokenizer, one.problem, s).ids) <= length))
        for one in attempts
    ]


class Learner:
    """The gradient of one step: some problems with all their solutions, each solution counting the same."""

    def __init__(self, recipe: VerifierRecipe, model: ValueModel, groups: list[list[Example]], end: int) -> None:
        self.recipe, self.model, self.groups, self.end = recipe, model, groups, end
        self._epoch, self._order = -1, list(range(len(groups)))

    def step(self, now: int) -> dict[str, Any]:
        """Leave the gradient of step ``now`` on the masters; a function of the recipe and ``now`` alone."""
        self.model.train()
        chosen = [self.groups[self._place(now * self.recipe.batch + i)] for i in range(self.recipe.batch)]
        flat = [example for group in chosen for example in group]
        owner = iter(range(len(flat)))
        sequences = [[self._packable(example, next(owner)) for example in group] for group in chosen]
        total, places, read = 0.0, 0, 0
        for windows in pack_all(sequences, self.recipe.length, self.recipe.windows):
            total += self._windows(windows, flat)
            places += len(windows.row_N)
            read += windows.packed.ids_BT.numel()
        return {"loss": total, "tokens": read, "solutions": len(flat), "places": places}

    def _place(self, count: int) -> int:
        """Which group is the ``count``-th: every epoch has an order of its own."""
        epoch, at = divmod(count, len(self.groups))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, list(range(len(self.groups)))
            stream(self.recipe.seed, "epoch", epoch).shuffle(self._order)
        return self._order[at]

    def _packable(self, example: Example, owner: int) -> Packable:
        """With a token more, since packing marks a place by the token that follows it."""
        return Packable([*example.ids, self.end], [False, *(~np.isnan(example.label)).tolist()], owner)

    def _windows(self, windows: Windows, flat: Sequence[Example]) -> float:
        device = self.model.device
        owner_N, place_N = windows.source_N2[:, 0], windows.source_N2[:, 1] - 1
        label_N = np.asarray([flat[o].label[p] for o, p in zip(owner_N, place_N, strict=True)], np.float32)
        each = np.asarray(
            [1.0 / np.count_nonzero(~np.isnan(example.label)) / len(flat) for example in flat], np.float32
        )
        logit_N, _ = self.model.logits(windows.packed.to(device), windows.row_N.to(device))
        loss = verifier_loss(logit_N, torch.from_numpy(label_N).to(device), torch.from_numpy(each[owner_N]).to(device))
        loss.backward()
        self.model.collect_gradients()
        return float(loss.detach())


def judge(backend: LocalBackend, attempts: Sequence[Attempts]) -> list[list[Scored]]:
    """What the backend's scalar head says of every solution, at the end of its steps and at its own."""

    def ask(one: Attempts) -> Rollout[list[Scored]]:
        asked = tuple(Score(ask_user(one.problem), s.turn, marks=s.marks) for s in one.solutions)
        return list((yield asked))

    said: list[list[Scored]] = []
    for outcome in drive(map(ask, attempts), backend):
        if isinstance(outcome, Failure):
            raise outcome.exception
        said.append(outcome)
    return said


@dataclass(frozen=True, slots=True)
class Material:
    """What a verifier learns from and is measured on, with the model that learns and its tokenizer."""

    model: ValueModel
    tokenizer: Tokenizer
    train: list[Attempts]
    held_out: list[Attempts]
    too_long: int


def gather(ctx: StageContext, recipe: VerifierRecipe, continuations: tuple[int, int] = (0, 0)) -> Material:
    """Load the model, and sample and grade the policy's solutions (or read what a cut-off run had of them).

    ``continuations``: per step, of train and of held-out problems. Raises UserError where all that the policy
    says of the train problems is right, or all of it wrong.
    """
    dtype, device = prepare(ctx, recipe.precision, recipe.device)
    parent, policy = ctx.parents["model"].path, ctx.parents["policy"].path
    tokenizer = Tokenizer.load(parent)
    model = load_value_model(parent, dtype=dtype).to(device)
    model.refresh()
    for config in (model.config, load_checkpoint(policy)[0]):  # before anything computes with kernels made here
        compiled.make_sure(config, dtype, torch.device("cpu"))
    sampling = Sampling(temperature=recipe.temperature, max_tokens=recipe.max_tokens)
    sampler = Sampler(ctx, policy, sampling, seed=recipe.seed, think=recipe.think, max_len=recipe.length, dtype=dtype)
    families = [registry.family(spec, **task_context(ctx)) for spec in recipe.families]
    sampled = sampler.attempts(families, "train", recipe.problems, recipe.samples, continuations[0])
    held = sampler.attempts(families, "val", recipe.held_out, recipe.held_out_samples, continuations[1])
    known, measured = (fitting(attempts, tokenizer, recipe.length) for attempts in (sampled, held))
    scores = [solution.score for one in known for solution in one.solutions]
    if len(set(scores)) < 2:
        what = f"all {len(scores)} solutions score {scores[0]:g}" if scores else "the policy gave no usable solution"
        raise UserError(f"{ctx.name}: {what}; a verifier learns from right ones beside wrong ones: use another policy")
    too_long = _count(sampled) + _count(held) - _count(known) - _count(measured)
    return Material(model, tokenizer, known, measured, too_long)


def _count(attempts: Sequence[Attempts]) -> int:
    return sum(len(one.solutions) for one in attempts)


def fit(
    ctx: StageContext,
    recipe: VerifierRecipe,
    material: Material,
    labels: Labels,
    measure: Callable[[list[list[Scored]]], dict[str, Any]],
) -> list[list[Scored]]:
    """Train the verifier, leave it in the stage's folder, and return what it says of the held-out solutions.

    ``measure`` turns such judgements into what is logged every ``measure_every`` steps.
    """
    model, tokenizer = material.model, material.tokenizer
    groups = examples(material.train, tokenizer, labels)
    learner = Learner(recipe, model, groups, tokenizer.special_id(tokenizer.protocol.end))
    optimizer = Optimizer(model, recipe.optimizer)
    length = min(recipe.length + 1, model.config.max_position_embeddings)
    engine = Engine(_state(model), model.config, slots=SLOTS, max_len=length, dtype=model.dtype, tokenizer=tokenizer)
    backend = LocalBackend(engine, tokenizer)

    def held_out() -> list[list[Scored]]:
        engine.load_weights(_state(model), "measure")
        return judge(backend, material.held_out)

    def after(done: int) -> dict[str, Any]:
        due = done and (done % recipe.measure_every == 0 or done == recipe.steps)
        return {"held_out": measure(held_out())} if due else {}

    train(
        ctx, model, optimizer, steps=recipe.steps, schedule=recipe.schedule, step=learner.step, what=ctx.name,
        after=after, save_every=recipe.save_every,
    )  # fmt: skip
    export(ctx, model, ctx.parents["model"].path, recipe.store)
    return held_out()


def _state(model: ValueModel) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu() for name, tensor in model.state().items()}
