"""Strategies by what a user writes: ``cot``, ``sc:n=16``, ``sc:n=8(zs-cot)``, ``my.py:name``.

    name [ ":" option=value { "," option=value } ] [ "(" inner strategy ")" ]

Options are the fields of the strategy's dataclass; what follows in parentheses is the strategy that is asked
again and again. A strategy of the user's own is an object with ``needs`` and ``answer``, a class of such (a
dataclass's fields are its options), or simply a generator function ``(ask, setting)`` that returns a `Sampled`.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from thinkling.core.errors import UserError
from thinkling.core.types import Sample, Sampled
from thinkling.reasoning.analogical import Analogical
from thinkling.reasoning.beam import BeamSearch
from thinkling.reasoning.best_of_n import BestOfN, WeightedVote
from thinkling.reasoning.budget import BudgetForcing
from thinkling.reasoning.cot_decoding import CotDecoding
from thinkling.reasoning.direct import Direct
from thinkling.reasoning.few_shot import ChainOfThought, FewShot
from thinkling.reasoning.refine import SelfRefine
from thinkling.reasoning.self_consistency import SelfConsistency
from thinkling.reasoning.strategy import Plain, Setting, Strategy
from thinkling.reasoning.zero_shot import ZeroShotCoT
from thinkling.rollout.driver import Rollout
from thinkling.tasks.registry import load_object

STRATEGIES: Mapping[str, Callable[..., Strategy]] = {
    "plain": Plain,
    "direct": Direct,
    "few-shot": FewShot,
    "cot": ChainOfThought,
    "zs-cot": ZeroShotCoT,
    "cot-decoding": CotDecoding,
    "sc": SelfConsistency,
    "bon": BestOfN,
    "vote": WeightedVote,
    "beam": BeamSearch,
    "refine": SelfRefine,
    "analogical": Analogical,
    "budget": BudgetForcing,
}
_SPEC = re.compile(r"(?P<name>[^:()]+\.py:\w+|[^:()]+)(?::(?P<options>[^()]*))?(?:\((?P<inner>.*)\))?", re.DOTALL)


def _nothing(setting: Setting, text: bool) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Own:
    """A user's strategy, called as it was written: ``function`` is its ``answer``, ``wanted`` its ``needs``."""

    function: Callable[[Sample, Setting], Rollout[Sampled]]
    name: str
    wanted: Callable[[Setting, bool], Sequence[str]] = _nothing

    def needs(self, setting: Setting, text: bool) -> Sequence[str]:
        return self.wanted(setting, text)

    def answer(self, ask: Sample, setting: Setting) -> Rollout[Sampled]:
        return self.function(ask, setting)


def strategy(spec: str) -> Strategy:
    """The strategy that ``spec`` names. Raises UserError on what is unknown, with the nearest valid name."""
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        raise UserError(f"expected a strategy such as cot, sc:n=16 or sc:n=8(zs-cot); got {spec!r}")
    name = match["name"].strip()
    options = _options(spec, match["options"] or "")
    if match["inner"] is not None:
        options["inner"] = strategy(match["inner"])
    if ".py:" in name:
        return _own(spec, name, options)
    if name not in STRATEGIES:
        near = difflib.get_close_matches(name, STRATEGIES, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"expected a strategy out of {', '.join(STRATEGIES)}, or FILE.py:NAME; got {name!r}{hint}")
    make = STRATEGIES[name]
    return make(**_typed(spec, make, options))


def _own(spec: str, name: str, options: dict[str, Any]) -> Strategy:
    """The user's strategy ``name`` (FILE.py:NAME); a built-in one that the file has set up stays what it is."""
    found: Any = load_object(name)
    if inspect.isclass(found):
        typed = _typed(spec, found, options)
        try:
            found = found(**typed)
        except TypeError as error:
            raise UserError(f"{spec}: {name} cannot be made with these options: {error}") from None
        name += _details(_chosen(found) if is_dataclass(found) else dict(sorted(typed.items())))
    elif options:
        raise UserError(f"{spec}: {name} takes no options: it is not a class")
    if type(found) in STRATEGIES.values():
        built_in: Strategy = found
        return built_in
    if callable(getattr(found, "answer", None)) and callable(getattr(found, "needs", None)):
        return Own(found.answer, name, found.needs)
    if not callable(found):
        raise UserError(
            f"{spec}: expected a generator function (ask, setting), or an object or a class with needs and answer; "
            f"{name} is a {type(found).__name__}"
        )
    return Own(found, name)


def spell(chosen: Strategy) -> str:
    """The shortest spec of a strategy: options at their defaults are left out, the others in order."""
    if isinstance(chosen, Own):
        return chosen.name
    names = {make: name for name, make in STRATEGIES.items()}
    return names.get(type(chosen), type(chosen).__name__) + _details(_chosen(chosen))


def _chosen(made: Any) -> dict[str, Any]:
    """The options of a strategy that are not at their defaults, in order."""
    options: Sequence[Any] = fields(made) if is_dataclass(made) else ()
    values = {field.name: (getattr(made, field.name), field.default) for field in options}
    return {key: value for key, (value, default) in values.items() if value != (Plain() if key == "inner" else default)}


def _details(options: Mapping[str, Any]) -> str:
    """Options and the inner strategy as they are written after a name."""
    made = [f"{key}={_written(value)}" for key, value in options.items() if key != "inner"]
    inner = options.get("inner")
    return (":" + ",".join(made) if made else "") + (f"({spell(inner)})" if inner is not None else "")


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def describe() -> str:
    """A line for each strategy with its options and their defaults, for ``--help``."""
    lines = []
    for name, make in STRATEGIES.items():
        options = []
        for field in fields(make):  # type: ignore[arg-type]
            if field.name == "inner":
                options.append("(STRATEGY)")
            elif field.default is not MISSING:
                options.append(f"{field.name}={field.default}" if field.default != "" else f"{field.name}=PATH")
        lines.append(f"{name:13} {(make.__doc__ or '').strip().splitlines()[0]}  [{', '.join(options)}]")
    return "\n".join(lines)


def _options(spec: str, text: str) -> dict[str, Any]:
    """The options as written. A value may be a path, with colons and slashes, but no comma."""
    found: dict[str, Any] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise UserError(f"{spec}: expected options as name=value, separated by commas; got {part!r}")
        if key.strip() == "inner":
            raise UserError(f"{spec}: the strategy that is asked stands in brackets, as in sc(zs-cot)")
        if key.strip() in found:
            raise UserError(f"{spec}: the option {key.strip()!r} is given twice")
        found[key.strip()] = value.strip()
    return found


def _typed(spec: str, make: Any, options: dict[str, Any]) -> dict[str, Any]:
    if not is_dataclass(make):
        return options
    known = {field.name for field in fields(make)}
    hints = get_type_hints(make)
    typed: dict[str, Any] = {}
    for key, value in options.items():
        if key not in known and key == "inner":
            raise UserError(f"{spec}: this strategy asks no other one, so nothing can stand in brackets after it")
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(
                f"{spec}: expected an option out of {', '.join(sorted(known - {'inner'})) or 'none'}; got {key!r}{hint}"
            )
        typed[key] = value if key == "inner" else _value(spec, key, value, hints[key])
    return typed


def _value(spec: str, key: str, value: str, wanted: Any) -> Any:
    """A written value as the field's type; numbers that make no sense anywhere are refused here."""
    if get_origin(wanted) is Literal:
        if value not in get_args(wanted):
            raise UserError(f"{spec}: expected {key} out of {', '.join(get_args(wanted))}; got {value!r}")
        return value
    if wanted is bool:
        if value not in ("true", "false"):
            raise UserError(f"{spec}: expected {key} to be true or false; got {value!r}")
        return value == "true"
    if wanted not in (int, float):
        return value
    try:
        number = wanted(value)
    except ValueError:
        kind = "a whole number" if wanted is int else "a number"
        raise UserError(f"{spec}: expected {key} to be {kind}; got {value!r}") from None
    zero_is_off = key in ("error", "min", "max", "temperature", "shots")
    if not 0 <= number < 1e6 or (number == 0 and not zero_is_off):
        least = "at least 0" if zero_is_off else "above 0"
        raise UserError(f"{spec}: expected {key} to be {least} and below a million; got {value}")
    return number
