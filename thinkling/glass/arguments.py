"""What may be asked of a look, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thinkling.core.errors import UserError
from thinkling.model.config import ModelConfig

LONGEST = 64  # tokens of a text: every pair of them is shown
HIGHEST_TOP = 20  # tokens of a row of the lens

# What one can look at -> the arguments that it takes besides the tokens.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "walk": ("layer", "head", "position"),
    "attention": (),
    "lens": ("top",),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A look's arguments. ``position`` counts from 0; what a look does not take is at its default."""

    tokens: tuple[int, ...]
    layer: int = 0
    head: int = 0
    position: int = 0
    top: int = 5


def checked(config: ModelConfig, what: str, arguments: Mapping[str, Any]) -> Asked:
    """The arguments of a look at ``what``. Raises UserError naming the one that is unknown, missing or out of range."""
    if what not in OPTIONS:
        raise UserError(f"glass: one can look at {', '.join(OPTIONS)}, came {what!r}")
    unknown = sorted(set(arguments) - {"tokens", *OPTIONS[what]})
    if unknown:
        raise UserError(f"glass: {what} takes no argument {unknown[0]!r}; expected {_listed(what)}")
    came = arguments.get("tokens")
    if not isinstance(came, list | tuple):
        raise UserError(f"tokens: expected a list of token ids, came {came!r}")
    tokens = tuple(came)
    if not tokens:
        raise UserError("tokens: the text has none; there is nothing to look at")
    longest = min(LONGEST, config.max_position_embeddings)
    if len(tokens) > longest:
        raise UserError(f"tokens: the text has {len(tokens)}, and one can look at up to {longest} at once; shorten it")
    for token in tokens:
        _within("tokens", token, 0, config.vocab_size - 1)
    ranges = {
        "layer": (0, config.num_hidden_layers - 1),
        "head": (0, config.num_attention_heads - 1),
        "position": (-len(tokens), len(tokens) - 1),
        "top": (1, min(HIGHEST_TOP, config.vocab_size)),
    }
    defaults = {"layer": 0, "head": 0, "position": -1, "top": min(5, config.vocab_size)}
    given = {name: arguments.get(name, default) for name, default in defaults.items()}
    for name, value in given.items():
        _within(name, value, *ranges[name])
    given["position"] %= len(tokens)
    return Asked(tokens, **given)


def _listed(what: str) -> str:
    return ", ".join(("tokens", *OPTIONS[what]))


def _within(name: str, value: Any, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise UserError(f"{name}: expected a whole number from {low} to {high}, came {value!r}")
