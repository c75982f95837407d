"""The revision of a stage's code: a hash of every module that it imports, directly or not.

Read from the syntax tree, without importing anything. Comments, docstrings and layout do not count,
so that explaining a line better does not retrain a model. Data files beside the modules (word lists,
page templates, C++ sources) count byte by byte.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
NOT_SOURCES = frozenset({".py", ".pyc", ".so", ".safetensors"})
# Neither can change a byte of an artifact: a new version number or a nicer progress line makes nothing stale.
LEFT_OUT = frozenset({PACKAGE / "__init__.py", PACKAGE / "core" / "progress.py"})


@dataclass(frozen=True, slots=True)
class Module:
    """What matters of one Python file: its hash, files of the package it imports, hooks it calls."""

    digest: str
    imports: tuple[Path, ...]
    hooks: frozenset[str]


def revision(entry: Path, hooks: Mapping[str, str] | None = None) -> tuple[str, dict[str, str]]:
    """``(hash, {file: hash})`` of the import closure of the Python file ``entry``.

    ``hooks`` (name -> "module:function"): a closure that calls ``ctx.hook("name")`` depends on the
    closure of that module as well. Files inside the package are named relative to it
    (``thinkling/data/stage.py``), the entry of a user's own stage by its bare name.
    """
    modules = closure(entry.resolve())
    called = {name for module in modules.values() for name in module.hooks}
    for name in sorted(called & set(hooks or {})):
        lender = _module_file((hooks or {})[name].partition(":")[0].split("."))
        if lender is not None:
            modules |= closure(lender)
    sources = {_name(path): module.digest for path, module in modules.items() if path not in LEFT_OUT}
    folders = {path.parent for path in modules if path.is_relative_to(PACKAGE)} - {PACKAGE}
    for folder in folders:
        for path in _data_files(folder):
            sources[_name(path)] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    sources = dict(sorted(sources.items()))
    whole = hashlib.sha256(repr(list(sources.items())).encode()).hexdigest()[:32]
    return whole, sources


def closure(entry: Path) -> dict[Path, Module]:
    """Python files reached from ``entry`` by imports inside the package, ``entry`` included."""
    found: dict[Path, Module] = {}
    waiting = [entry]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = read_module(path)
            waiting.extend(found[path].imports)
    return found


def read_module(path: Path) -> Module:
    """Parse a file, or remember it from the last time if it has not been written since."""
    state = path.stat()
    return _parse_module(path, state.st_mtime_ns, state.st_size)


@cache
def _parse_module(path: Path, written: int, size: int) -> Module:
    tree = ast.parse(path.read_bytes(), str(path))
    package = _dotted(path.parent) if path.is_relative_to(PACKAGE) else ""
    imports: dict[Path, None] = {}
    for name in _imported_names(tree, package):
        parts = name.split(".")
        for length in range(1, len(parts) + 1):  # importing a.b runs a's __init__ too
            file = _module_file(parts[:length])
            if file is not None:
                imports[file] = None
    digest = hashlib.sha256(_spell(tree).encode()).hexdigest()[:16]
    return Module(digest, tuple(imports), frozenset(_hooks_called(tree)))


def _hooks_called(tree: ast.AST) -> Iterator[str]:
    """Names in calls of the form ``something.hook("name")``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "hook":
            yield from (str(name.value) for name in node.args[:1] if isinstance(name, ast.Constant))


def _imported_names(tree: ast.AST, package: str) -> Iterator[str]:
    """Dotted names of what is imported; ``from a import b`` gives ``a.b``, as b may be a module.

    What stands under ``if TYPE_CHECKING`` is never run, and left out.
    """
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            waiting.extend(node.orelse)
            continue
        waiting.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                around = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*around, base] if base else around)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _module_file(parts: list[str]) -> Path | None:
    if parts[0] != PACKAGE.name:
        return None
    path = PACKAGE.joinpath(*parts[1:])
    for file in (path / "__init__.py", path.with_name(path.name + ".py")):
        if file.is_file():
            return file
    return None


def _data_files(folder: Path) -> Iterator[Path]:
    """Files beside a module that are not Python, in subfolders without Python of their own too."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__pycache__")):
            continue
        if path.is_dir():
            if not any(path.glob("*.py")):
                yield from _data_files(path)
        elif path.suffix not in NOT_SOURCES:
            yield path


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE.parent).as_posix() if path.is_relative_to(PACKAGE) else path.name


def _dotted(folder: Path) -> str:
    return ".".join(folder.relative_to(PACKAGE.parent).parts)


def _spell(node: object) -> str:
    """A syntax tree as text, without positions, docstrings and empty fields.

    Not ``ast.dump``, whose format differs between Python versions.
    """
    if isinstance(node, ast.AST):
        fields = [(name, value) for name, value in ast.iter_fields(node) if value not in (None, [])]
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            fields = [(name, _without_docstring(value) if name == "body" else value) for name, value in fields]
        inside = ",".join(f"{name}={_spell(value)}" for name, value in fields)
        return f"{type(node).__name__}({inside})"
    if isinstance(node, list):
        return "[" + ",".join(_spell(item) for item in node) + "]"
    return repr(node)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:]
    return body
