"""What a server is told before it starts. Nothing of it changes while it runs."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from thinkling.core.errors import UserError

KEY_ENV = "THINKLING_API_KEY"
UPSTREAM_KEY_ENV = "THINKLING_UPSTREAM_KEY"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
LogLevel = Literal["debug", "info", "warning", "error"]
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for, and how many may ask.

    ``max_tokens`` 0 leaves a completion the whole context. ``samples`` bounds what one strategy may draw for one
    answer. ``queue`` is how many requests may run and wait at one model together. ``forwarded`` is the same for
    requests that are passed on to another server.
    """

    body_bytes: int = 4 * _MIB
    import_bytes: int = 64 * _MIB
    messages: int = 1000
    n: int = 64
    max_tokens: int = 0
    samples: int = 256
    queue: int = 64
    forwarded: int = 256

    def __post_init__(self) -> None:
        for limit in fields(self):
            value, least = getattr(self, limit.name), 0 if limit.name == "max_tokens" else 1
            if value < least:
                raise UserError(f"limit {limit.name}: expected at least {least}, came {value}")


@dataclass(frozen=True, slots=True)
class Settings:
    """``key``: what clients must send as ``Authorization: Bearer KEY`` ("": nothing); it comes from the environment
    or a file (``read_key``), never from the command line, which other users of the machine can see.

    ``hosts``: the names, with or without a port, under which clients reach this server beyond the loopback's.
    ``strategy_paths``: files and folders that a strategy in a request may name (verifiers); none by default.
    ``runs``: the folder whose runs are shown; ``history``: the file of saved conversations; None: not offered.
    ``upstream``: the base URL of another server whose models are offered too, ``upstream_key`` the key for it.
    ``drain_s``: how long, at the end, answers under way may go on. ``development``: the page is read from disk
    each time.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    key: str = field(default="", repr=False)
    hosts: tuple[str, ...] = ()
    show_thinking: bool = True
    limits: Limits = field(default_factory=Limits)
    strategy_paths: tuple[Path, ...] = ()
    runs: Path | None = None
    history: Path | None = None
    upstream: str = ""
    upstream_key: str = field(default="", repr=False)
    upstream_timeout_s: float = 600.0
    drain_s: float = 30.0
    log_level: LogLevel = "info"
    access_log: bool = True
    development: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise UserError(f"port: expected 0 to 65535, came {self.port}")
        if self.key and not all("!" <= character <= "~" for character in self.key):
            raise UserError("the key has spaces, line breaks or other characters that cannot be sent; set it anew")
        if self.upstream and not self.upstream.startswith(("http://", "https://")):
            raise UserError(f"upstream: expected a base URL such as http://localhost:8001/v1, came {self.upstream!r}")
        if self.drain_s < 0 or self.upstream_timeout_s <= 0:
            raise UserError("drain_s and upstream_timeout_s are numbers of seconds, 0 or more and above 0")
        if is_loopback(self.host):
            return
        missing = []
        if not self.key:
            missing.append(f"a key (in the environment variable {KEY_ENV}, or in a file given with --key-file)")
        if not self.hosts:
            missing.append("the names under which it is reached (--allow-host NAME, repeatable)")
        if missing:
            raise UserError(
                f"--host {self.host}: others than this machine could reach the server, so it wants "
                f"{' and '.join(missing)}; or leave --host away to serve this machine alone"
            )


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_key(env: str = KEY_ENV, file: Path | None = None) -> str:
    """The key in ``file`` where one is given, else in the environment variable ``env``; "" where there is none.

    Raises UserError on a file that cannot be read, is empty, or that others may read.
    """
    if file is None:
        return os.environ.get(env, "")
    try:
        mode, key = file.stat().st_mode, file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: the key cannot be read: {type(error).__name__}") from None
    if mode & 0o077:
        raise UserError(f"{file}: other users may read this key; run: chmod 600 {file}")
    if not key:
        raise UserError(f"{file}: expected a key, came an empty file")
    return key
