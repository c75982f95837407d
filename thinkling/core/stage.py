"""What a stage sees of the world: its folder, its parents, its log and the person watching.

A stage is a module with ``Recipe`` (a StageRecipe) and ``run(ctx, recipe) -> metrics``. It writes its
outputs under ``ctx.path`` and whatever it needs to continue after a crash under ``ctx.scratch``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from thinkling.core.artifact import Artifact, Manifest, write_atomically
from thinkling.core.errors import UserError
from thinkling.core.progress import CLEAR_LINE, Progress
from thinkling.core.runlog import RunLog, plain

__all__ = ["Artifact", "Manifest", "Parents", "StageContext"]

Choice = TypeVar("Choice")


class Parents(dict[str, Artifact]):
    """Role -> artifact; asking for a role that the recipe did not fill is the user's error."""

    def __missing__(self, role: str) -> Artifact:
        given = ", ".join(sorted(self)) or "none"
        raise UserError(
            f"this stage needs a parent in the role {role!r}; given: {given}. "
            f'Name one in the recipe under [parents] ({role} = "NAME"), or pass --parent {role}=PATH'
        )


class StageContext:
    """A running stage's surroundings.

    ``path``: outputs go here; every file in it is hashed into the manifest when ``run`` returns.
    ``scratch``: resume state; survives a kill, is deleted when the stage succeeds.
    ``parents``: role -> Artifact.
    ``hooks``: what whoever starts the stage lends it from rooms that the stage's own room may not
    import; see ``hook``.
    """

    def __init__(
        self,
        path: Path,
        *,
        parents: Mapping[str, Artifact] | None = None,
        scratch: Path | None = None,
        name: str = "",
        hooks: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.path = path
        self.name = name or path.name
        self.scratch = scratch if scratch is not None else path / ".scratch"
        self.parents = Parents(parents or {})
        self.hooks = dict(hooks or {})
        self.path.mkdir(parents=True, exist_ok=True)
        self.scratch.mkdir(parents=True, exist_ok=True)
        self._log = RunLog(self.path / "log.jsonl")
        self._choices = self.path / ".choices.json"

    def log(self, step: int | None = None, **row: Any) -> None:
        """Append a row to log.jsonl (outside the hashes, so timings are welcome)."""
        self._log.append(row if step is None else {"step": step, **row})

    def rows(self) -> list[dict[str, Any]]:
        """Rows logged so far, those of an interrupted attempt included."""
        return self._log.rows()

    def truncate_log(self, step: int) -> None:
        """Cut the log before ``step``: call it when resuming from a checkpoint taken at ``step``."""
        self._log.truncate(step)

    def progress(self, total: int, what: str) -> Progress:
        """Context manager whose ``update(done, **shown)`` keeps a person informed."""
        return Progress(total, what)

    def note(self, text: str) -> None:
        """Print a line; on a terminal it takes the place of the live progress line, if there is one."""
        print(CLEAR_LINE + text if sys.stderr.isatty() else text, file=sys.stderr, flush=True)

    def hook(self, name: str) -> Callable[..., Any]:
        """A function lent to this stage. Names in use:

        ``open_backend(model: Path, *, max_len: int, slots: int, precision: str) -> Backend``: the model in a
        Hugging Face folder, ready for rollouts (evaluation imports no torch; the command line lends the engine).
        ``choose_precision(name: str) -> str``: the number format to compute in, for ``auto`` this machine's.
        """
        if name not in self.hooks:
            raise UserError(
                f"this stage needs the hook {name!r}, which whoever starts it must lend: run it with "
                f"`thinkling`, or pass hooks={{{name!r}: ...}} to its StageContext"
            )
        return self.hooks[name]

    def choose(self, name: str, probe: Callable[[], Choice]) -> Choice:
        """A fact of this machine that the results depend on, such as the precision: probed once.

        A resumed attempt gets the recorded answer, so that it equals the uninterrupted run; the
        manifest keeps it under ``choices``. The value must be JSON.
        """
        made = self.choices()
        if name not in made:
            made[name] = probe()
            write_atomically(self._choices, json.dumps(made, default=plain))
        value: Choice = made[name]
        return value

    def choices(self) -> dict[str, Any]:
        """What ``choose`` recorded so far."""
        if not self._choices.exists():
            return {}
        made: dict[str, Any] = json.loads(self._choices.read_text())
        return made
