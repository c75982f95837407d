"""Strategies by what a user writes: ``cot``, ``sc:n=16``, ``sc:n=8(zs-cot)``, ``my.py:name``.

    name [ ":" option=value { "," option=value } ] [ "(" inner strategy ")" ]

Options are the fields of the strategy's dataclass; what follows in parentheses is the strategy that is asked
again and again. A strategy of the user's own is an object with ``needs`` and ``answer``, a dataclass of such
(whose fields are its options), or simply a generator function ``(ask, setting)`` that returns a `Sampled`.
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


@dataclass(frozen=True)
class Own:
    """A user's generator function ``(ask, setting)`` as a strategy."""

    function: Callable[[Sample, Setting], Rollout[Sampled]]
    name: str = "own"

    def needs(self, setting: Setting, text: bool) -> Sequence[str]:
        return ()

    def answer(self, ask: Sample, setting: Setting) -> Rollout[Sampled]:
        return self.function(ask, setting)


def strategy(spec: str) -> Strategy:
    """The strategy that ``spec`` names. Raises UserError on what is unknown, with the nearest valid name."""
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        raise UserError(f"expected a strategy such as cot, sc:n=16 or sc:n=8(zs-cot); got {spec!r}")
    name = match["name"].strip()
    if ".py:" in name:
        found: Any = load_object(name)
        make: Any = found if inspect.isclass(found) else None
    elif name in STRATEGIES:
        found = make = STRATEGIES[name]
    else:
        near = difflib.get_close_matches(name, STRATEGIES, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"expected a strategy out of {', '.join(STRATEGIES)}, or FILE.py:NAME; got {name!r}{hint}")
    options = _options(spec, match["options"] or "")
    if match["inner"] is not None:
        options["inner"] = strategy(match["inner"])
    if make is None:
        if options:
            raise UserError(f"{spec}: {name} takes no options: it is not a class")
        own: Strategy = found if hasattr(found, "answer") else Own(found, name)
        return own
    built: Strategy = make(**_typed(spec, make, options))
    return built


def spell(chosen: Strategy) -> str:
    """The shortest spec of a strategy: options at their defaults are left out, the others in order."""
    if isinstance(chosen, Own):
        return chosen.name
    names = {make: name for name, make in STRATEGIES.items()}
    name = names.get(type(chosen), type(chosen).__name__)
    inner = getattr(chosen, "inner", None)
    made: list[str] = []
    options: Sequence[Any] = fields(chosen) if is_dataclass(chosen) else ()
    for field in options:
        value = getattr(chosen, field.name)
        if field.name != "inner" and value != field.default:
            made.append(f"{field.name}={value:g}" if isinstance(value, float) else f"{field.name}={value}")
    return (
        name
        + (":" + ",".join(made) if made else "")
        + (f"({spell(inner)})" if inner is not None and inner != Plain() else "")
    )


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
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(
                f"{spec}: expected an option out of {', '.join(sorted(known)) or 'none'}; got {key!r}{hint}"
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
        raise UserError(f"{spec}: expected {key} {'of at least 0' if zero_is_off else 'above 0'}; got {value}")
    return number
