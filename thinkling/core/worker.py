"""The child process: it checks recipes, or runs one stage, and is then gone with all its memory.

    python -m thinkling.core.worker JOB.json

Exit status 0: done; 2: an error the user can mend, already printed; anything else: a crash.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thinkling.core.artifact import Artifact, canonical, write_atomically
from thinkling.core.disk import disk_full_message, is_disk_full
from thinkling.core.errors import UserError
from thinkling.core.recipe import parse_recipe
from thinkling.core.stage import StageContext
from thinkling.core.stages import load_stage

USER_ERROR = 2
RESULT = ".result.json"


def main(job_file: str) -> int:
    job = json.loads(Path(job_file).read_text())
    _die_with_parent(job["lifeline"])
    try:
        if job["do"] == "check":
            _check(job)
        else:
            _run(job)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        folder = Path(job_file).parent
        if not is_disk_full(error, folder):
            raise
        print(f"error: {disk_full_message(folder)} ({error})", file=sys.stderr)
        return USER_ERROR
    return 0


def _check(job: dict[str, Any]) -> None:
    """Complete every recipe with its stage's defaults; report the faults of all of them at once."""
    complete, faults = {}, []
    for name, (origin, table) in job["recipes"].items():
        try:
            recipe = parse_recipe(table, load_stage(table["stage"]).recipe, origin)
            complete[name] = json.loads(recipe.model_dump_json())
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join(faults))
    write_atomically(Path(job["answer"]), json.dumps(complete))


def _run(job: dict[str, Any]) -> None:
    folder = Path(job["folder"])
    parents = {role: Artifact.open(path, name) for role, (name, path) in job["parents"].items()}
    stage = load_stage(job["recipe"]["stage"])
    recipe = parse_recipe(job["recipe"], stage.recipe, job["name"])
    hooks = {name: _lend(target) for name, target in job["hooks"].items()}
    ctx = StageContext(folder, parents=parents, name=job["name"], hooks=hooks)
    metrics = stage.run(ctx, recipe)
    write_atomically(folder / RESULT, canonical({"metrics": metrics, "choices": ctx.choices()}))


def _lend(target: str) -> Callable[..., Any]:
    """``"module:function"`` as a function that imports its module only when it is called."""
    module, _, function = target.partition(":")

    def lent(*arguments: Any, **named: Any) -> Any:
        return getattr(importlib.import_module(module), function)(*arguments, **named)

    return lent


def _die_with_parent(lifeline: int) -> None:
    """End this process and its helpers as soon as the parent is gone, however it went.

    The parent holds the other end of the pipe ``lifeline`` and never writes: reading returns when
    the kernel closes it.
    """

    def wait() -> None:
        os.read(lifeline, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
