"""The ledger: kept documents and rejects as Parquet, written as a stream and read back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from thinkling.core.types import Document

DOCUMENTS, REJECTS = "documents.parquet", "rejects.parquet"
EXCERPT = 500  # characters of a reject's text that are kept
_BATCH = 512

_DOCUMENT_SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "url", "text", "lang", "meta")])
_REJECT_SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "url", "stage", "reason", "detail", "text")])


@dataclass(frozen=True, slots=True)
class Reject:
    """A document that was turned away: at which step, and the one reason.

    ``detail`` is what the reason points at (the document that this one duplicates); ``text`` the
    beginning of the text, empty where the step came before extraction.
    """

    id: str
    url: str
    stage: str
    reason: str
    detail: str = ""
    text: str = ""


class _Writer:
    """Rows to a Parquet file in batches, so that memory stays bounded."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._file = pq.ParquetWriter(path, schema, compression="zstd")
        self._rows: list[tuple[str, ...]] = []
        self.count = 0

    def add(self, row: tuple[str, ...]) -> None:
        self._rows.append(row)
        self.count += 1
        if len(self._rows) >= _BATCH:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if self._rows:
            columns = [pa.array(column, pa.string()) for column in zip(*self._rows, strict=True)]
            self._file.write_table(pa.Table.from_arrays(columns, schema=self._schema))
            self._rows.clear()


class Ledger:
    """Context manager writing both files into ``folder``; every document ends in exactly one of them."""

    def __init__(self, folder: Path) -> None:
        self._kept = _Writer(folder / DOCUMENTS, _DOCUMENT_SCHEMA)
        self._rejected = _Writer(folder / REJECTS, _REJECT_SCHEMA)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.close()
        self._rejected.close()

    def keep(self, document: Document) -> None:
        meta = json.dumps(document.meta, ensure_ascii=False, sort_keys=True)
        self._kept.add((document.id, document.url, document.text, document.lang, meta))

    def reject(self, reject: Reject) -> None:
        self._rejected.add((*astuple(reject)[:-1], reject.text[:EXCERPT]))


def _rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH, columns=list(columns)):
            yield from batch.to_pylist()


def read_documents(folder: Path) -> Iterator[Document]:
    """The kept documents of a data artifact in crawl order, streamed."""
    for row in _rows(folder / DOCUMENTS, _DOCUMENT_SCHEMA.names):
        yield Document(row["id"], row["url"], row["text"], row["lang"], json.loads(row["meta"]))


def read_rejects(folder: Path) -> Iterator[Reject]:
    """The rejected documents of a data artifact in crawl order, streamed."""
    for row in _rows(folder / REJECTS, _REJECT_SCHEMA.names):
        yield Reject(**row)


def count_documents(folder: Path) -> int:
    return int(pq.read_metadata(folder / DOCUMENTS).num_rows)
