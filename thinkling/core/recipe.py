"""Recipes: one TOML file per stage, read into a strict typed settings class.

A key that the stage does not know, a value of the wrong type or out of range is refused, naming
the file, the key and what was expected: a misspelt setting must never be dropped in silence.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from thinkling.core.errors import UserError


class Settings(BaseModel):
    """Base of every recipe and of the tables nested in it: strict types, no unknown keys, immutable."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class StageRecipe(Settings):
    """What every stage's recipe has; a stage adds its own settings, each with a default."""

    stage: str = Field(description="which stage reads this recipe: a built-in name, or the path of a Python file")
    parents: dict[str, str] = Field(default={}, description="role -> name of the artifact that plays it")
    seed: int = Field(default=0, ge=0, description="root of every random stream of the stage")


Recipe = TypeVar("Recipe", bound=StageRecipe)


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a TOML file. Raises UserError where it is missing, unreadable or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such recipe file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a text file ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None


def load_recipe(path: str | Path, cls: type[Recipe]) -> Recipe:
    """Read a recipe file into ``cls``.

    Raises UserError that lists every fault: file, key, and for an unknown key the nearest valid
    name, for a bad value what was expected and what came.
    """
    path = Path(path)
    return parse_recipe(read_toml(path), cls, str(path))


def parse_recipe(table: dict[str, Any], cls: type[Recipe], origin: str) -> Recipe:
    """Like ``load_recipe`` from a table already read; ``origin`` stands for the file in messages."""
    try:
        # Through JSON, so that TOML's arrays may fill tuples and its strings paths, types staying strict.
        return cls.model_validate_json(json.dumps(table, default=_refuse_date))
    except ValidationError as error:
        faults = [f"{origin}: {_describe(fault, cls, table)}" for fault in error.errors()]
        raise UserError("\n".join(faults)) from None
    except _DateError as error:
        raise UserError(f"{origin}: dates are not used in recipes, came {error}") from None


def refuse_unknown(names: Iterable[str], valid: Sequence[str]) -> None:
    """For a setting's validator: refuse ``names`` that are not ``valid``, each with the nearest that is."""
    unknown = [name for name in names if name not in valid]
    if unknown:
        text = "; ".join(f"unknown name {name!r}; {_hint(name, valid)}" for name in unknown)
        raise PydanticCustomError("unknown_name", "{text}", {"text": text})


def _hint(name: str, valid: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"valid here: {', '.join(valid)}"


class _DateError(Exception):
    pass


def _refuse_date(value: object) -> None:
    raise _DateError(str(value))


def _describe(fault: Any, cls: type[BaseModel], table: dict[str, Any]) -> str:
    # Union branches and the like add words to `loc` that are not keys of the table: leave those out.
    keys = list(_keys_in(table, fault["loc"], fault["type"]))
    name = ".".join(str(key) for key in keys)
    if fault["type"] == "extra_forbidden":
        return f"unknown key {name!r}; {_hint(str(keys[-1]), _valid_names(cls, keys[:-1]))}"
    if fault["type"] == "unknown_name":
        return f"key {name!r}: {fault['msg']}"
    if fault["type"] == "missing":
        return f"key {name!r} is missing; {fault['msg'].lower()}"
    expected = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    came = fault["input"]
    return f"key {name!r}: expected {expected}, came {came!r} ({type(came).__name__})"


def _keys_in(table: Any, location: tuple[int | str, ...], kind: str) -> Iterator[int | str]:
    """The part of a pydantic error location that is a path of keys in the table."""
    for position, key in enumerate(location):
        last = position == len(location) - 1
        if isinstance(table, dict) and (key in table or (last and kind == "missing")):
            table = table.get(str(key))
            yield key
        elif isinstance(table, list) and isinstance(key, int) and key < len(table):
            table = table[key]
            yield key


def _valid_names(cls: type[BaseModel], keys: list[int | str]) -> list[str]:
    """Names that the settings class reached from ``cls`` through ``keys`` knows."""
    for key in keys:
        field = cls.model_fields.get(str(key))
        inner = next(_models_in(field.annotation), None) if field else None
        if inner is not None:
            cls = inner
    return list(cls.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
