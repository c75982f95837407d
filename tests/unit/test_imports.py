"""The house rules, read from the syntax trees: which room may import which, and who may import torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "thinkling"

# Room -> rooms it may import directly; what these may import, it may import too.
ARROWS = {
    "core": [],
    "tokenizer": ["core"],
    "model": ["core"],
    "tools": ["core"],
    "data": ["core", "tokenizer"],
    "tasks": ["tools"],
    "world": ["tasks"],
    "engine": ["model", "tokenizer"],
    "remote": ["rollout"],
    "rollout": ["tasks", "tokenizer"],
    "reasoning": ["rollout"],
    "glass": ["model", "tokenizer"],
    "train": ["data", "engine", "rollout"],
    "evaluate": ["reasoning", "data"],
    "serve": ["engine", "remote", "evaluate", "glass"],
    "api": ["engine"],  # a single file, the public face of a model
}
TORCH_ROOMS = {"model", "engine", "train", "glass"}
EVERYTHING = {"cli", "__main__"}
TORCH_MODULES = ("torch", "safetensors.torch")


def allowed(room: str) -> set[str]:
    found: set[str] = set()
    waiting = [room]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting.extend(ARROWS[current])
    return found


def imported(file: Path) -> Iterator[str]:
    """Dotted names of all that a file imports anywhere, except under ``if TYPE_CHECKING``."""
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import; write the whole name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting.extend(node.orelse)
            continue
        waiting.extend(ast.iter_child_nodes(node))


def room_of(file: Path, package: Path) -> str:
    return file.relative_to(package).parts[0].removesuffix(".py")


def faults(package: Path) -> list[str]:
    """Every import that breaks a rule, as ``file imports name``."""
    found = []
    for file in sorted(package.rglob("*.py")):
        room = room_of(file, package)
        if room in EVERYTHING:
            continue
        may = set() if room == "__init__" else allowed(room)
        for name in imported(file):
            parts = name.split(".")
            if parts[0] == "thinkling" and len(parts) > 1 and parts[1] not in may:
                found.append(f"{file.relative_to(package)} imports {name}")
            if room not in TORCH_ROOMS and any(f"{name}.".startswith(f"{torch}.") for torch in TORCH_MODULES):
                found.append(f"{file.relative_to(package)} imports {name}")
    return found


def test_every_room_stands_in_the_table() -> None:
    rooms = {room_of(file, PACKAGE) for file in PACKAGE.rglob("*.py")} - EVERYTHING - {"__init__"}
    assert rooms <= set(ARROWS)


def test_no_room_reaches_where_it_may_not() -> None:
    assert faults(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "line", "fine"),
    [
        ("rollout/driver.py", "from thinkling.engine.engine import Engine", False),
        ("rollout/driver.py", "from thinkling.tools.calculator import add", True),
        ("world/page.py", "import torch.nn as nn", False),
        ("data/stage.py", "from safetensors.torch import load_file", False),
        ("data/stage.py", "def f():\n    from thinkling.model import config", False),
        ("train/loop.py", "import torch", True),
        ("train/loop.py", "from thinkling import evaluate", False),
    ],
)
def test_the_checker_sees(tmp_path: Path, file: str, line: str, fine: bool) -> None:
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text(line)
    assert (faults(tmp_path) == []) is fine


def test_what_needs_no_torch_does_not_load_it() -> None:
    """Also not through a library: the stages of torch-free rooms are imported for real."""
    code = (
        "import sys, importlib, thinkling, thinkling.cli.main\n"
        "from thinkling.core.stages import STAGES\n"
        f"torch_rooms = {sorted(TORCH_ROOMS)}\n"
        "for stage in STAGES.values():\n"
        "    if stage.module.split('.')[1] not in torch_rooms: importlib.import_module(stage.module)\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
