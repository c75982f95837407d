"""Finding a family or a reward by what the user wrote: a name, ``file.py:name``, or a JSONL path."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationInfo

from thinkling.core.errors import UserError
from thinkling.core.recipe import refuse_unknown
from thinkling.core.seeds import content_key
from thinkling.core.types import Message, Problem
from thinkling.tasks.chain import Chain
from thinkling.tasks.coin import Coin
from thinkling.tasks.count import Count
from thinkling.tasks.decimals import Decimals
from thinkling.tasks.equation import Equation
from thinkling.tasks.facts import Facts
from thinkling.tasks.family import STYLES, Family
from thinkling.tasks.letters import Letters
from thinkling.tasks.questions import Questions
from thinkling.tasks.sort import Sort

Reward = Callable[[Problem, Message], float]

core_five: tuple[str, ...] = ("chain", "equation", "letters", "coin", "sort")
all_families: tuple[str, ...] = (*core_five, "decimals", "count", "facts")

_BUILT_IN: dict[str, Callable[[], Family]] = {
    "chain": Chain,
    "equation": Equation,
    "letters": Letters,
    "coin": Coin,
    "sort": Sort,
    "decimals": Decimals,
    "count": Count,
}
_METHODS = {
    "draw": ("rng", "level", "ood"),
    "solve": ("problem", "style", "rng", "slip"),
    "grade": ("problem", "text"),
}


Specs = TypeVar("Specs", bound=Collection[str])


def known_families(specs: Specs) -> Specs:
    """A recipe's validator for families: a built-in name, or a user's own, whose file is opened later."""
    own = [spec for spec in specs if spec.endswith((".jsonl", ".json")) or ".py:" in spec]
    refuse_unknown((spec for spec in specs if spec not in own), (*all_families, "FILE.py:NAME", "FILE.jsonl"))
    return specs


def known_styles(styles: Specs, info: ValidationInfo) -> Specs:
    """A recipe's validator for styles, after its ``families``: a family in Python may bring styles of its own."""
    families = info.data.get("families")  # absent where it was refused itself
    if families is not None and not any(".py:" in spec for spec in families):
        refuse_unknown(styles, STYLES)
    return styles


def family(spec: str, **context: Any) -> Family:
    """The family that ``spec`` names.

    ``context`` holds what some families need beside their name: ``facts``, the path of a world's
    facts.jsonl. What a family does not need is ignored. Raises UserError on an unknown name, a file
    that cannot be loaded, or an object that lacks part of the interface (which part is named).
    """
    if spec in _BUILT_IN:
        return _BUILT_IN[spec]()
    if spec == "facts":
        if context.get("facts") is None:
            raise UserError(
                "the family facts needs a world: expected the path of its facts.jsonl (in a recipe: give the "
                "stage the world as a parent), got none"
            )
        return Facts(context["facts"])
    if spec.endswith((".jsonl", ".json")):
        return Questions(spec)
    if ".py:" in spec:
        return _checked(spec, load_object(spec))
    near = difflib.get_close_matches(spec, all_families, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UserError(f"expected a family: {', '.join(all_families)}, or FILE.py:NAME, or FILE.jsonl; got {spec!r}{hint}")


def mixture(weights: Mapping[str, float] | Sequence[str], **context: Any) -> list[tuple[Family, float]]:
    """Families with their weights from a table ``{spec: weight}`` (a plain list weighs all the same)."""
    table = dict(weights) if isinstance(weights, Mapping) else {spec: 1.0 for spec in weights}
    if not table or any(weight < 0 for weight in table.values()) or not any(table.values()):
        raise UserError(f"expected a mixture of families with weights of at least 0, one above; got {table}")
    found = [(family(spec, **context), weight) for spec, weight in table.items() if weight > 0]
    names = [member.name for member, _ in found]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"expected families of different names; two are called {name!r}: rename one")
    return found


def reward(spec: str) -> Reward:
    """The reward function that ``file.py:name`` names: (problem, assistant message) -> float."""
    if ".py:" not in spec:
        raise UserError(f"expected a reward as FILE.py:NAME; got {spec!r}")
    found = load_object(spec)
    if not callable(found):
        raise UserError(f"{spec}: expected a function (problem, message) -> float; got {type(found).__name__}")
    _check_parameters(spec, found, ("problem", "message"))
    return found


def load_object(spec: str) -> Any:
    """The object ``name`` of the Python file in ``file.py:name``."""
    path, _, name = spec.rpartition(":")
    file = Path(path)
    if not file.is_file():
        raise UserError(f"{spec}: expected a Python file at {file}; there is none")
    module_name = f"thinkling_user_{content_key(str(file.resolve()))}"
    if module_name in sys.modules:
        module = sys.modules[module_name]
    else:
        found = importlib.util.spec_from_file_location(module_name, file)
        assert found is not None and found.loader is not None
        module = importlib.util.module_from_spec(found)
        sys.modules[module_name] = module
        try:
            found.loader.exec_module(module)
        except Exception as error:
            del sys.modules[module_name]
            raise UserError(f"{spec}: {file} could not be loaded: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        public = [item for item in vars(module) if not item.startswith("_")]
        near = difflib.get_close_matches(name, public, 1)
        raise UserError(f"{spec}: {file} defines no {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
    return getattr(module, name)


def _checked(spec: str, found: Any) -> Family:
    """``found`` (a class is instantiated without arguments) if it has the whole interface."""
    if inspect.isclass(found):
        try:
            found = found()
        except TypeError as error:
            raise UserError(f"{spec}: expected a class that needs no arguments; {error}") from error
    for attribute in ("name", "styles"):
        if not hasattr(found, attribute):
            raise UserError(f"{spec}: expected the attribute {attribute!r}; it is missing")
    if not isinstance(found.name, str) or not found.name:
        raise UserError(f"{spec}: expected name to be a text; got {found.name!r}")
    if isinstance(found.styles, str) or not found.styles or not all(isinstance(s, str) for s in found.styles):
        raise UserError(f"{spec}: expected styles to be texts such as ('direct', 'steps'); got {found.styles!r}")
    for method, parameters in _METHODS.items():
        function = getattr(found, method, None)
        if not callable(function):
            raise UserError(f"{spec}: expected the method {method}({', '.join(parameters)}); it is missing")
        _check_parameters(f"{spec}: {method}", function, parameters)
    loaded: Family = found
    return loaded


def _check_parameters(what: str, function: Callable[..., Any], parameters: Sequence[str]) -> None:
    """Whether ``function`` can be called with as many positional arguments as there are ``parameters``."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a built-in without a signature: calling it will tell
        return
    try:
        signature.bind(*parameters)
    except TypeError as error:
        wanted = ", ".join(parameters)
        raise UserError(f"{what}: expected ({wanted}) as parameters; it takes {signature}: {error}") from None
