"""The revision of a stage's code: a hash of every module that it imports, directly or not.

Read from the syntax tree, without importing anything. Comments, docstrings and layout do not count,
so that explaining a line better does not retrain a model. Data files beside the modules (word lists,
page templates, C++ sources) count byte by byte.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
NOT_SOURCES = frozenset({".py", ".pyc", ".so", ".safetensors"})
# Neither can change a byte of an artifact: a new version number or a nicer progress line makes nothing stale.
LEFT_OUT = frozenset({PACKAGE / "__init__.py", PACKAGE / "core" / "progress.py"})


def revision(entry: Path, hooks: Mapping[str, str] | None = None) -> tuple[str, dict[str, str]]:
    """``(hash, {file: hash})`` of the import closure of the Python file ``entry``.

    ``hooks`` (name -> "module:function"): a closure that calls ``ctx.hook("name")`` depends on the
    closure of that module as well.

    Files inside the package are named relative to it (``thinkling/data/stage.py``), the entry of a
    user's own stage by its bare name.
    """
    modules = closure(entry.resolve())
    called = {name for path in modules for name in hooks_called_in(path)}
    for name in sorted(called & set(hooks or {})):
        module, _, _ = (hooks or {})[name].partition(":")
        lender = _module_file(module.split("."))
        if lender is not None:
            modules |= closure(lender)
    modules -= LEFT_OUT
    sources = {_name(path): _syntax_hash(path) for path in modules}
    folders = {path.parent for path in modules if path.is_relative_to(PACKAGE)} - {PACKAGE}
    for folder in folders:
        for path in _data_files(folder):
            sources[_name(path)] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    sources = dict(sorted(sources.items()))
    whole = hashlib.sha256(repr(list(sources.items())).encode()).hexdigest()[:32]
    return whole, sources


def closure(entry: Path) -> set[Path]:
    """Python files reached from ``entry`` by imports inside the package, ``entry`` included."""
    found: set[Path] = set()
    waiting = [entry]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        waiting.extend(imports_of(path))
    return found


@cache
def imports_of(path: Path) -> tuple[Path, ...]:
    """Files of the package that the file imports anywhere, the packages around them included."""
    package = _dotted(path.parent) if path.is_relative_to(PACKAGE) else ""
    files: dict[Path, None] = {}
    for name in _imported_names(_tree(path), package):
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            file = _module_file(parts[:length])
            if file is not None:
                files[file] = None
    return tuple(files)


@cache
def hooks_called_in(path: Path) -> frozenset[str]:
    """Names in calls of the form ``something.hook("name")``."""
    return frozenset(
        node.args[0].value
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "hook"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    )


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), str(path))


def _imported_names(tree: ast.AST, package: str) -> Iterator[str]:
    """Dotted names of what is imported; ``from a import b`` gives ``a.b``, as b may be a module."""
    for node in ast.walk(tree):
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


@cache
def _syntax_hash(path: Path) -> str:
    return hashlib.sha256(_spell(_tree(path)).encode()).hexdigest()[:16]


def _spell(node: object) -> str:
    """A syntax tree as text, without positions, docstrings and empty fields.

    Not ``ast.dump``, whose format differs between Python versions.
    """
    if isinstance(node, ast.AST):
        fields = [(name, value) for name, value in ast.iter_fields(node) if value not in (None, [])]
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            fields = [
                (name, _without_docstring(value) if name == "body" else value) for name, value in fields
            ]
        inside = ",".join(f"{name}={_spell(value)}" for name, value in fields)
        return f"{type(node).__name__}({inside})"
    if isinstance(node, list):
        return "[" + ",".join(_spell(item) for item in node) + "]"
    return repr(node)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        return body[1:]
    return body
