"""A reasoning strategy behind an ordinary model name: ``nano+sc:n=8``.

Ids of models may hold "+" and ":" themselves, so a name is read as the longest id that exists, and what follows
it. A strategy from the network may load no code, open no file that the owner has not listed, and draw no more than
the owner allows; all of that, and what the model cannot do, is refused before a token is spent.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from thinkling.core.errors import UserError
from thinkling.reasoning.analogical import Analogical
from thinkling.reasoning.beam import BeamSearch
from thinkling.reasoning.best_of_n import BestOfN, WeightedVote
from thinkling.reasoning.budget import BudgetForcing
from thinkling.reasoning.cot_decoding import CotDecoding
from thinkling.reasoning.direct import Direct
from thinkling.reasoning.few_shot import FewShot
from thinkling.reasoning.refine import SelfRefine
from thinkling.reasoning.self_consistency import SelfConsistency
from thinkling.reasoning.spec import spell, strategy
from thinkling.reasoning.stopping import majority_is_stable
from thinkling.reasoning.strategy import Plain, Setting, Strategy, check
from thinkling.reasoning.zero_shot import ZeroShotCoT
from thinkling.serve.errors import ApiError
from thinkling.serve.settings import Settings
from thinkling.serve.source import Card
from thinkling.serve.state import ServerState
from thinkling.tasks.answers import answer_kind

LONGEST_SPEC = 300  # characters
HOTTEST = 2.0  # the API's bound on temperatures
# Their one effect's samples are the answers, as they are.
DIRECT = (Plain, Direct, Analogical, FewShot)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A strategy that was let in, and how it is spelled."""

    strategy: Strategy
    spec: str

    @property
    def plain(self) -> bool:
        return isinstance(self.strategy, Plain)

    @property
    def direct(self) -> bool:
        """Whether the answers are the samples of its only effect, so that they can be told as they are drawn."""
        return isinstance(self.strategy, DIRECT)

    @property
    def budget(self) -> BudgetForcing | None:
        return self.strategy if isinstance(self.strategy, BudgetForcing) else None

    @property
    def tells_tokens(self) -> bool:
        """Whether an answer is one sample as it was drawn, token by token, and not composed of several."""
        return _tells_tokens(self.strategy)


async def split(state: ServerState, name: str) -> tuple[str, str | None]:
    """A name as a model's id and a strategy's spec (None: no strategy is named).

    Where no reading of the name begins with a known id, it is an id as it stands. Raises ApiError 502 where the
    models of the server behind this one are not known.
    """
    for base, spec in _readings(name):
        if base in state.sources:
            return base, spec
    if state.upstream is not None:
        for base, spec in _readings(name):
            if await state.upstream.has(base):
                return base, spec
    return name, None


def choose(in_name: str | None, written: str | None) -> tuple[str, str]:
    """(spec, the field that it comes from), from a name's strategy and the field of that name: one, or the same twice.

    Raises ApiError 400 where they differ.
    """
    if in_name is None:
        return written or "plain", "strategy"
    if written is not None and _spelled(in_name, "model") != _spelled(written, "strategy"):
        raise ApiError(
            400,
            f"the model's name asks for the strategy {in_name!r} and the field strategy for {written!r}; name it once",
            param="strategy",
        )
    return in_name, "model"


def admit(spec: str, param: str, kind: str, n: int, settings: Settings, card: Card) -> Chosen:
    """The strategy ``spec``, if a client may have it from this model. Raises ApiError 400 where not.

    ``kind`` is how answers are read, ``n`` how many are wanted, ``param`` the field that the spec comes from.
    """
    try:
        setting = Setting(answer_kind(kind), card.capabilities)
    except UserError as error:
        raise ApiError(400, str(error), param="answer_kind") from None
    found = _read(spec, param)
    try:
        for part in _parts(found):
            _bound(part, settings, card)
        drawn = draws(found)
        if drawn > settings.limits.samples or n * drawn > max(settings.limits.samples, settings.limits.n):
            raise UserError(
                f"the strategy {spec!r} may draw {drawn} samples for each of {n} answers; this server allows "
                f"{settings.limits.samples}: ask for fewer"
            )
        check(found, spec, setting, False, f"model {card.id!r}")
    except UserError as error:
        raise ApiError(400, str(error), param=param) from None
    return Chosen(found, spell(found))


def draws(chosen: Strategy) -> int:
    """How many samples a strategy may draw for one answer; a beam's steps together count as one."""
    inner = getattr(chosen, "inner", None)
    each = 1 if inner is None else draws(inner)
    if isinstance(chosen, BestOfN):
        return chosen.n * (each + (chosen.by == "judge"))
    if isinstance(chosen, SelfConsistency | WeightedVote):
        return chosen.n * each
    if isinstance(chosen, BeamSearch):
        return chosen.width * chosen.expand
    if isinstance(chosen, CotDecoding):
        return 1 + chosen.k
    if isinstance(chosen, SelfRefine):
        return each + 2 * chosen.rounds
    return 2 if isinstance(chosen, ZeroShotCoT | BudgetForcing) else each


def _readings(name: str) -> Iterator[tuple[str, str | None]]:
    """The name as (id, spec), longest id first."""
    yield name, None
    at = len(name)
    while (at := name.rfind("+", 0, at)) > 0:
        yield name[:at], name[at + 1 :]


def _read(spec: str, param: str) -> Strategy:
    if len(spec) > LONGEST_SPEC:
        raise ApiError(
            400, f"a strategy is spelled in at most {LONGEST_SPEC} characters; came {len(spec)}", param=param
        )
    if ".py:" in spec:  # what `spec.strategy` would import
        raise ApiError(400, "a strategy from a file is code: it cannot be asked for over the network", param=param)
    try:
        found = strategy(spec)
    except UserError as error:
        raise ApiError(400, str(error), param=param) from None
    if any(isinstance(part, str) for part in _parts(found)):
        raise ApiError(400, f"{spec}: the strategy that is asked stands in brackets, as in sc(zs-cot)", param=param)
    return found


def _spelled(spec: str, param: str) -> str:
    return spell(_read(spec, param))


def _parts(chosen: Strategy) -> Iterator[Strategy]:
    """The strategy, the one that it asks, and so on."""
    yield chosen
    inner = getattr(chosen, "inner", None)
    if inner is not None:
        yield from _parts(inner)


def _bound(part: Strategy, settings: Settings, card: Card) -> None:
    """Raise UserError for an option beyond what the server allows, or a file that it has not listed."""
    verifier = getattr(part, "verifier", "")
    if verifier and not _is_listed(verifier, settings):
        raise UserError(
            f"verifier={verifier}: this server lets no client name that path; its owner can list it "
            "(--strategy-path), or choose another strategy"
        )
    heat = getattr(part, "temperature", 0.0)
    if heat > HOTTEST:
        raise UserError(f"expected a temperature of at most {HOTTEST:g} in the strategy; got {heat:g}")
    longest = min(filter(None, (settings.limits.max_tokens, card.context)), default=0)
    for name, value in _lengths(part):
        if longest and value > longest:
            raise UserError(f"expected {name} of at most {longest} tokens in the strategy; got {value}")
    if isinstance(part, BeamSearch) and part.steps > settings.limits.samples:
        raise UserError(f"expected at most {settings.limits.samples} steps in the strategy; got {part.steps}")
    if isinstance(part, SelfConsistency) and part.error:
        majority_is_stable((), part.error)


def _lengths(part: Strategy) -> Iterator[tuple[str, int]]:
    if isinstance(part, BudgetForcing):
        yield from (("min", part.min), ("max", part.max))
    if isinstance(part, BudgetForcing | ZeroShotCoT):
        yield "answer_tokens", part.answer_tokens


def _is_listed(path: str, settings: Settings) -> bool:
    """Whether the owner has listed this path, or a folder above it; told without a look at the disk."""
    asked = Path(path)
    if ".." in asked.parts or "\0" in path:
        return False
    whole = Path(os.path.abspath(asked))
    return any(whole.is_relative_to(os.path.abspath(listed)) for listed in settings.strategy_paths)


def _tells_tokens(chosen: Strategy) -> bool:
    if isinstance(chosen, SelfConsistency | BestOfN | WeightedVote | SelfRefine):
        return _tells_tokens(chosen.inner)
    return isinstance(chosen, DIRECT)
