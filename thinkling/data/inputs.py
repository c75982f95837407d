"""Where the documents come from: the files of a crawl or a corpus, opened one after the other."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from thinkling.core.errors import UserError
from thinkling.core.stage import StageContext
from thinkling.core.types import Document
from thinkling.data.text_input import read_text_file
from thinkling.data.warc import Record, Unreadable, read_archive

CRAWL_FOLDER, BLOCKLIST = "crawl", "blocklist.txt"
_PAGE_KINDS = frozenset({"response", "resource"})
_PROMPT_KEYS = ("prompt", "question", "text")
_ENVELOPE = 1 << 16  # bytes a record may be longer than its page: the HTTP header


class InputSettings(Protocol):
    @property
    def text_field(self) -> str: ...
    @property
    def url_field(self) -> str: ...
    @property
    def text_piece_characters(self) -> int: ...
    @property
    def max_page_bytes(self) -> int: ...


class Inputs:
    """The input files in order; ``done_bytes`` of ``total_bytes`` tells how far reading is."""

    def __init__(self, archives: list[tuple[Path, str]], texts: list[tuple[Path, str]], crawl: Path | None):
        self.archives, self.texts, self.crawl = archives, texts, crawl
        self.total_bytes = sum(path.stat().st_size for path, _ in (*archives, *texts))
        self.done_bytes = 0

    @staticmethod
    def of(ctx: StageContext, inputs: tuple[str, ...], text: tuple[str, ...]) -> Inputs:
        """The files that the recipe and the parent ``crawl`` name; raises UserError for none or missing."""
        crawl = ctx.parents["crawl"].path if "crawl" in ctx.parents else None
        archives = _expand(crawl / CRAWL_FOLDER) if crawl else []
        for one in inputs:
            archives += _expand(Path(one))
        texts = [file for one in text for file in _expand(Path(one))]
        if not archives and not texts:
            raise UserError(
                "nothing to read: give the stage a parent in the role 'crawl', or name WARC files "
                "under `inputs` or text files under `text` in its recipe"
            )
        return Inputs(archives, texts, crawl)

    def items(self, settings: InputSettings, skip: Callable[..., None]) -> Iterator[Record | Document]:
        """Every page record and text document; what is neither goes to ``skip(kind, id, url, broken=)``."""
        before = 0
        for path, name in self.archives:
            for item in read_archive(path, name, settings.max_page_bytes + _ENVELOPE):
                if isinstance(item, Unreadable):
                    skip(item.reason, item.id, item.url, broken=True)
                elif item.kind in _PAGE_KINDS:
                    self.done_bytes = before + item.offset
                    yield item
                else:
                    skip(f"{item.kind} record")
            before += path.stat().st_size
            self.done_bytes = before
        for path, name in self.texts:
            for piece in read_text_file(
                path,
                name,
                text_field=settings.text_field,
                url_field=settings.url_field,
                piece_characters=settings.text_piece_characters,
            ):
                if isinstance(piece, Unreadable):
                    skip(piece.reason, piece.id, piece.url, broken=True)
                else:
                    yield piece
            before += path.stat().st_size
            self.done_bytes = before

    def blocked_hosts(self, blocklists: tuple[str, ...]) -> Iterator[str]:
        """Hosts from the blocklists named, and from the one that comes with the crawl, if it does."""
        paths = [Path(path) for path in blocklists]
        if self.crawl and (self.crawl / BLOCKLIST).exists():
            paths.append(self.crawl / BLOCKLIST)
        for path in paths:
            for line in _read_lines(path, "blocklist"):
                if line.strip() and not line.startswith("#"):
                    yield line.strip()


def _expand(path: Path) -> list[tuple[Path, str]]:
    """A file, or all files below a folder in the order of their names, each with its name for ids."""
    if path.is_file():
        return [(path, path.name)]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        return [(file, file.relative_to(path).as_posix()) for file in files]
    raise UserError(f"input {str(path)!r}: no such file or folder")


def read_prompts(path: Path) -> Iterator[str]:
    """Evaluation prompts: a text file's lines, or JSONL with one under `prompt`, `question` or `text`."""
    is_jsonl = path.name.removesuffix(".gz").endswith(".jsonl")
    for number, line in enumerate(_read_lines(path, "evaluation prompts"), start=1):
        if not line.strip():
            continue
        if not is_jsonl:
            yield line
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        found = [row[key] for key in _PROMPT_KEYS if isinstance(row, dict) and isinstance(row.get(key), str)]
        if not found:
            raise UserError(f"{path}:{number}: expected a JSON object with one of {', '.join(_PROMPT_KEYS)}")
        yield found[0]


def _read_lines(path: Path, what: str) -> list[str]:
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8").splitlines()
    except (EOFError, zlib.error) as error:
        raise UserError(f"{what} {str(path)!r} cannot be read: damaged gzip ({error}); copy it again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{what} {str(path)!r} cannot be read: {error}") from None
