"""What the page builds its forms from: the strategies with their options, and the server's settings.

A strategy's options are the fields of its dataclass. One that names a file, as a verifier, is a choice out of what the
server's owner has listed; a strategy that cannot do without one, or without worked examples, is left out where there
is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import Field, asdict, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pydantic
from fastapi import APIRouter
from pydantic import BaseModel

import thinkling
from thinkling.core.artifact import MANIFEST, read_manifest
from thinkling.core.errors import UserError
from thinkling.reasoning.spec import STRATEGIES
from thinkling.reasoning.strategy import Setting, Strategy
from thinkling.serve.errors import RESPONSES
from thinkling.serve.settings import Settings
from thinkling.serve.state import ServerState

PATHS = ("verifier",)  # options that name a folder
VERIFIERS = ("outcome-verifier", "process-verifier")  # kinds of artifacts, see `thinkling.engine.verifiers`


class Option(BaseModel):
    name: str
    type: Literal["int", "float", "bool", "str", "choice"]
    default: int | float | bool | str
    choices: list[str] | None = pydantic.Field(description="What it may be, where `type` is `choice`; else null.")


class StrategyBody(BaseModel):
    name: str
    summary: str
    options: list[Option]
    inner: bool = pydantic.Field(description="Whether it asks by another strategy, named in parentheses after it.")


class LimitsBody(BaseModel):
    """What one request may ask for. `max_tokens` 0: the model's whole context."""

    body_bytes: int
    import_bytes: int
    messages: int
    n: int
    max_tokens: int
    samples: int
    queue: int
    forwarded: int


class SettingsBody(BaseModel):
    show_thinking: bool
    limits: LimitsBody
    version: str
    history: bool = pydantic.Field(description="Whether conversations are kept.")
    runs: bool = pydantic.Field(description="Whether there are runs to look at.")


def router(state: ServerState) -> APIRouter:
    """The routes ``/api/strategies`` and ``/api/settings``."""
    routes = APIRouter(prefix="/api", tags=["page"], responses={s: RESPONSES[s] for s in (401, 403, 500)})

    @routes.get("/strategies")
    def list_strategies() -> list[StrategyBody]:
        """The strategies that an answer may be asked for by, with their options."""
        return strategies(state.settings)

    @routes.get("/settings")
    async def read_settings() -> SettingsBody:
        """How this server is set up, as far as clients may know."""
        return SettingsBody(
            show_thinking=state.settings.show_thinking,
            limits=LimitsBody(**asdict(state.settings.limits)),
            version=thinkling.__version__,
            history=state.history is not None,
            runs=state.runs is not None,
        )

    return routes


def strategies(settings: Settings) -> list[StrategyBody]:
    """The strategies that can be asked for at a server with these settings."""
    listed = verifiers(settings.strategy_paths)
    found = []
    for name, make in STRATEGIES.items():
        options = [_option(field, hint, listed) for field, hint in _options(make)]
        if _serves(make, options):
            summary = (make.__doc__ or "").strip().splitlines()[0].replace("``", "")
            inner = any(field.name == "inner" for field in fields(make))  # type: ignore[arg-type]
            usable = [option for option in options if option.choices != [""]]
            found.append(StrategyBody(name=name, summary=summary, options=usable, inner=inner))
    return found


def verifiers(listed: Sequence[Path]) -> list[str]:
    """The verifiers among the paths that the owner has listed, and in the folders among them, two levels deep.

    Only such as can be spelled in a strategy, where commas and parentheses have a meaning.
    """
    found = set()
    for path in listed:
        for manifest in (path / MANIFEST, *path.glob(f"*/{MANIFEST}"), *path.glob(f"*/*/{MANIFEST}")):
            folder = manifest.parent
            with suppress(UserError):  # a folder that holds no artifact, or an unfinished one
                if read_manifest(folder).kind in VERIFIERS and not set(",()") & set(str(folder)):
                    found.add(str(folder))
    return sorted(found)


def _options(make: Callable[..., Strategy]) -> list[tuple[Field[Any], Any]]:
    """The fields that are options, with their types."""
    hints = get_type_hints(make)
    return [(field, hints[field.name]) for field in fields(make) if field.name != "inner"]  # type: ignore[arg-type]


def _option(field: Field[Any], hint: Any, listed: Sequence[str]) -> Option:
    if field.name in PATHS:
        return Option(name=field.name, type="choice", default=field.default, choices=["", *listed])
    if get_origin(hint) is Literal:
        return Option(name=field.name, type="choice", default=field.default, choices=list(get_args(hint)))
    return Option(name=field.name, type=hint.__name__, default=field.default, choices=None)


def _serves(make: Callable[..., Strategy], options: Sequence[Option]) -> bool:
    """Whether it can work here with its defaults, or with another choice for one option."""
    tried: list[dict[str, str]] = [{}]
    tried += [{option.name: choice} for option in options for choice in option.choices or ()]
    for given in tried:
        with suppress(UserError):
            make(**given).needs(Setting(), False)
            return True
    return False
