"""What a user says about an endpoint: ``openai:MODEL@BASE_URL``, with options as the URL's query.

    openai:qwen3-8b@http://localhost:8000/v1?concurrency=8&prefix=1&body.top_k=-1

The options are for this program and are not sent; an option that is unknown, given twice or out of range is
refused. The key is not among them: it is read from the environment variable that ``key_env`` names.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from thinkling.core.errors import UserError

SCHEME = "openai:"
EXAMPLE = "openai:MODEL@http://localhost:8000/v1?concurrency=8"
DEFAULT_KEY_ENV = "OPENAI_API_KEY"
BODY = "body."
TEMPLATE_FIELD = "chat_template_kwargs"
# What every request may say by itself: given once more by the user, one of the two would be lost. (top_k and min_p
# are said only where they are on, so that a server's own defaults for them can be turned off.)
_OWN = (
    "model messages prompt n stream echo logprobs top_logprobs seed stop temperature top_p max_tokens "
    "max_completion_tokens continue_final_message add_generation_prompt"
)
OWN_FIELDS = frozenset(_OWN.split())
_DECIDING = frozenset({"prefix", "think_switch", "seed_field"})  # options that change a request, beside its body's


@dataclass(frozen=True, slots=True)
class _Kind:
    """A type of option: what is expected, how it is read from text, and which values are fine."""

    expected: str
    read: Callable[[str], Any]
    fine: Callable[[Any], bool]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _whole(least: int) -> _Kind:
    return _Kind(f"a whole number of at least {least}", int, lambda value: type(value) is int and value >= least)


def _choice(*names: str) -> _Kind:
    return _Kind(f"one of {', '.join(repr(name) for name in names)}", str, lambda value: value in names)


_SECONDS = _Kind("seconds above 0", float, lambda value: _is_number(value) and value > 0)
_RATE = _Kind("a number of at least 0 (0: no limit)", float, lambda value: _is_number(value) and value >= 0)
_PRICE = _Kind(
    "dollars per million tokens, at least 0", float, lambda value: value is None or (_is_number(value) and value >= 0)
)
_FLAG = _Kind(
    "1 or 0", lambda text: {"1": True, "0": False, "true": True, "false": False}[text], lambda v: type(v) is bool
)
_NAME = _Kind("a name", str, lambda value: isinstance(value, str) and re.fullmatch(r"\w*", value, re.ASCII) is not None)
_FIELDS = _Kind("a table of JSON fields", json.loads, lambda value: isinstance(value, Mapping) and _is_json(value))


def _option(default: Any, kind: _Kind, about: str) -> Any:
    if default == {}:
        return dataclasses.field(default_factory=dict, metadata={"kind": kind, "about": about})
    return dataclasses.field(default=default, metadata={"kind": kind, "about": about})


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A model behind a base URL, what the endpoint can do, and how hard to drive it.

    Every field but the first two is an option of the spec; ``body`` is written ``body.NAME=JSON``.
    Raises UserError for a value out of range.
    """

    model: str
    base_url: str
    key_env: str = _option(DEFAULT_KEY_ENV, _NAME, "environment variable that holds the key; empty: send none")
    concurrency: int = _option(32, _whole(1), "requests in flight at most")
    connect_timeout: float = _option(10.0, _SECONDS, "seconds until a connection must stand")
    timeout: float = _option(600.0, _SECONDS, "seconds until a reply must be there, whole")
    retries: int = _option(6, _whole(0), "how often a request that failed is tried again")
    backoff: float = _option(0.5, _SECONDS, "seconds that bound the first pause; each further bound is twice the last")
    max_wait: float = _option(60.0, _SECONDS, "longest pause; where Retry-After asks for more, the request has failed")
    rpm: float = _option(0.0, _RATE, "requests per minute")
    tpm: float = _option(0.0, _RATE, "tokens per minute, prompt and reply")
    price_in: float | None = _option(None, _PRICE, "dollars per million prompt tokens")
    price_out: float | None = _option(None, _PRICE, "dollars per million tokens of replies")
    prefix: bool = _option(False, _FLAG, "continues a turn of the assistant that has begun (as vLLM and SGLang do)")
    logprobs: bool = _option(False, _FLAG, "tells logprobs and likeliest tokens")
    scoring: str = _option(
        "", _choice("", "text", "chatml"), "/completions echoes logprobs of plain text, and of chats in ChatML"
    )
    think_switch: str = _option("", _NAME, "what the chat template calls its switch for thinking (enable_thinking)")
    max_tokens_field: str = _option(
        "max_tokens", _choice("max_tokens", "max_completion_tokens"), "what the chat route calls the longest reply"
    )
    seed_field: str = _option("seed", _NAME, "what the endpoint calls the seed; empty: send none")
    body: Mapping[str, Any] = _option({}, _FIELDS, "further fields of every request's body")

    def __post_init__(self) -> None:
        for option in options():
            kind, value = option.metadata["kind"], getattr(self, option.name)
            if not kind.fine(value):
                # A key put here by mistake must not be shown.
                came = "something else" if option.name == "key_env" else repr(value)
                raise UserError(f"{self.name}: {option.name} takes {kind.expected}, came {came}")
        if (self.price_in is None) != (self.price_out is None):
            raise UserError(f"{self.name}: price_in and price_out are given together or not at all")
        if not isinstance(self.body.get(TEMPLATE_FIELD, {}), Mapping):
            raise UserError(f"{self.name}: {BODY}{TEMPLATE_FIELD} takes a table in JSON")
        own = sorted((OWN_FIELDS | {self.seed_field}).intersection(self.body))
        if own:
            raise UserError(
                f"{self.name}: {BODY}{own[0]} is set by the program itself; set it where it belongs "
                "(sampling, seed, or an option of the endpoint)"
            )

    @property
    def name(self) -> str:
        """The spec without its options."""
        return f"{SCHEME}{self.model}@{self.base_url}"

    @property
    def identity(self) -> str:
        """The spec with those options alone that decide what is sent, and so what is answered."""
        told: dict[str, Any] = {f"{BODY}{name}": self.body[name] for name in sorted(self.body)}
        for option in options():
            value = getattr(self, option.name)
            if option.name in _DECIDING and value != option.default:
                told[option.name] = value
        return self.name + (f"?{json.dumps(told)}" if told else "")


def options() -> tuple[dataclasses.Field[Any], ...]:
    """The fields of ``Endpoint`` that are options: their metadata says what each takes and is about."""
    return tuple(option for option in dataclasses.fields(Endpoint) if option.metadata)


def parse_endpoint(spec: str, **overrides: Any) -> Endpoint:
    """The endpoint that ``spec`` describes; ``overrides`` (typed values, by option) go before its own options.

    Raises UserError that says what is wrong with the spec; options are never echoed where they might hold a key.
    """
    model, base = _split(spec)
    parts = urlsplit(base)
    if "@" in parts.netloc:
        raise UserError(
            f"{SCHEME}{model}: the base URL holds a user or password; keys go into an environment variable "
            f"(option key_env, {DEFAULT_KEY_ENV} by default)"
        )
    try:
        fine = bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or parts.fragment:
        raise UserError(f"{SCHEME}{model}: expected a base URL such as http://localhost:8000/v1, came {_plain(base)!r}")
    path = parts.path.rstrip("/")
    for route in ("/chat/completions", "/completions"):
        if path.endswith(route):
            raise UserError(f"{SCHEME}{model}: give the base URL without the route {route!r}, came {_plain(base)!r}")

    _refuse_unknown(overrides, [option.name for option in options()], f"{SCHEME}{model}")
    settings = {**_read_options(parts.query, f"{SCHEME}{model}"), **overrides}
    return Endpoint(model=model, base_url=f"{parts.scheme}://{parts.netloc}{path}", **settings)


def _split(spec: str) -> tuple[str, str]:
    if not spec.startswith(SCHEME):
        raise UserError(f"a remote model is written {EXAMPLE}; came {_plain(spec)!r}, which does not begin {SCHEME!r}")
    # The last such "@" splits: the names of some models hold one ("@cf/meta/llama").
    found = re.fullmatch(r"(.+)@(https?://.*)", spec.removeprefix(SCHEME), re.DOTALL)
    if found is None:
        raise UserError(f"a remote model is written {EXAMPLE}; came {_plain(spec)!r}, without MODEL@http(s)://...")
    return found[1], found[2]


def _plain(spec: str) -> str:
    """A spec that could not be read, without its query: that may hold what should not be shown."""
    return spec.partition("?")[0]


def _read_options(query: str, origin: str) -> dict[str, Any]:
    pairs = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{origin}: option {twice[0]!r} is given twice")
    kinds = {option.name: option.metadata["kind"] for option in options() if option.name != "body"}
    _refuse_unknown((name for name in names if not name.startswith(BODY)), [*kinds, f"{BODY}NAME"], origin)
    settings: dict[str, Any] = {}
    body: dict[str, Any] = {}
    for name, text in pairs:
        if name.startswith(BODY):
            body[name.removeprefix(BODY)] = _json_or_text(text)
            continue
        try:
            settings[name] = kinds[name].read(text)
        except (ValueError, KeyError):
            raise UserError(f"{origin}: {name} takes {kinds[name].expected}, came {text!r}") from None
    return {**settings, "body": body} if body else settings


def _json_or_text(text: str) -> Any:
    """A value of a body's field: JSON where it is JSON, else the text itself (``body.reasoning_effort=low``)."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _refuse_unknown(names: Iterable[str], valid: Sequence[str], origin: str) -> None:
    for name in names:
        if name not in valid:
            near = difflib.get_close_matches(name, valid, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(valid)}"
            raise UserError(f"{origin}: unknown option {name!r}; {hint}")


class Key:
    """A secret that shows itself only where it is sent: no repr, message or log line has it."""

    __slots__ = ("_value", "env")

    def __init__(self, env: str, value: str) -> None:
        # Said without the value: an error of the HTTP library about a header would quote it.
        if not all("!" <= character <= "~" for character in value):
            raise UserError(
                f"the key in {env} has spaces, line breaks or other characters that no key has; set it anew"
            )
        self.env, self._value = env, value

    @classmethod
    def read(cls, env: str) -> Key:
        """The key in an environment variable, empty where there is none: many local servers want none.

        Raises UserError where a variable that was named on purpose is not set.
        """
        value = os.environ.get(env, "") if env else ""
        if not value and env not in ("", DEFAULT_KEY_ENV):
            # Unnamed, as it may be the key itself, put in the wrong place.
            raise UserError("the environment variable that key_env names is not set; export it, or leave key_env away")
        return cls(env, value)

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._value}"} if self._value else {}

    def redact(self, text: str) -> str:
        """``text`` without the key, should an endpoint have echoed it."""
        return text.replace(self._value, "[key]") if self._value else text

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Key({self.env!r})"

    def __reduce__(self) -> str:
        raise TypeError("a key is not written to disk")
