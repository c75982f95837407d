"""Which module is which stage. Names only: nothing is imported before it is needed."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from thinkling.core.code import PACKAGE
from thinkling.core.errors import UserError
from thinkling.core.recipe import StageRecipe
from thinkling.core.stage import StageContext


@dataclass(frozen=True, slots=True)
class BuiltIn:
    module: str
    does: str


STAGES = {
    "world": BuiltIn("thinkling.world.stage", "Write a procedural web as WARC files, with its ground truth."),
    "data": BuiltIn("thinkling.data.stage", "Turn crawled pages (or plain text) into clean documents."),
    "tokenizer": BuiltIn("thinkling.tokenizer.stage", "Train a byte-level BPE tokenizer on the documents."),
    "shards": BuiltIn("thinkling.data.shards", "Encode the documents into token shards for training."),
    "pretrain": BuiltIn("thinkling.train.pretrain", "Train a base model to predict the next token."),
    "sft": BuiltIn("thinkling.train.sft", "Fine-tune a model on conversations with worked solutions."),
    "rl": BuiltIn("thinkling.train.rl", "Reinforcement learning from verifiable rewards."),
    "outcome-verifier": BuiltIn(
        "thinkling.train.outcome_verifier", "Train a model to tell right solutions from wrong."
    ),
    "process-verifier": BuiltIn("thinkling.train.process_verifier", "Train a model to judge each step of a thought."),
    "evaluate": BuiltIn("thinkling.evaluate.stage", "Let a model answer fresh problems, and grade it."),
    "report": BuiltIn("thinkling.evaluate.report_stage", "Draw the report of a whole run."),
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage's two halves: the class that its recipe fills, and the function that makes the artifact."""

    recipe: type[StageRecipe]
    run: Callable[[StageContext, Any], dict[str, Any]]


def stage_file(name: str) -> Path:
    """The Python file of a stage: a built-in name, or the path of a user's own ``something.py``.

    Raises UserError where there is no such stage, with the nearest name.
    """
    if name.endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise UserError(f"stage {name!r}: no such file (looked in {Path.cwd()})")
        return path.resolve()
    if name not in STAGES:
        near = difflib.get_close_matches(name, STAGES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(STAGES)}, and files ending in .py"
        raise UserError(f"unknown stage {name!r}; {hint}")
    return PACKAGE.parent.joinpath(*STAGES[name].module.split(".")).with_suffix(".py")


def load_stage(name: str) -> Stage:
    """Import a stage's module (this may take seconds: some import torch)."""
    file = stage_file(name)
    module = _load_file(file) if name.endswith(".py") else importlib.import_module(STAGES[name].module)
    recipe, run = getattr(module, "Recipe", None), getattr(module, "run", None)
    if not (isinstance(recipe, type) and issubclass(recipe, StageRecipe) and callable(run)):
        raise UserError(
            f"{file}: not a stage; expected a class `Recipe` derived from thinkling.core.recipe.StageRecipe "
            "and a function `run(ctx, recipe)`"
        )
    return Stage(recipe, run)


def _load_file(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None  # it ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # pydantic and pickle look a class's module up by name
    spec.loader.exec_module(module)
    return module
