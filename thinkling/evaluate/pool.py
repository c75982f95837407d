"""The sample pool: every graded answer as one row, on disk as Parquet, to be counted again at will."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from thinkling.core.errors import UserError
from thinkling.core.types import Episode
from thinkling.evaluate.decompose import Answer, check_words, style_of


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt. ``tokens`` counts the completion, thinking included; ``score`` None is unscored.

    ``variant`` names the way of asking ("greedy", "t1", ...), ``mentions`` how often a world's pages
    state the fact asked for (None for other families), ``error`` why there is no answer at all.
    """

    variant: str
    family: str
    key: str
    level: int
    split: str
    ood: bool
    sample: int
    seed: int
    prompt: str
    gold: str
    text: str
    thinking: str | None
    style: str
    checks: int
    extracted: str | None
    score: float | None
    status: str
    reason: str
    finish: str
    tokens: int
    think_tokens: int
    mentions: int | None
    error: str

    @property
    def thinks(self) -> bool:
        return self.style != "none"

    @property
    def answer(self) -> Answer:
        return Answer(self.family, self.key, self.level, self.style, self.tokens, self.score)


_TYPES = {
    "str": pa.string(),
    "str | None": pa.string(),
    "int": pa.int64(),
    "int | None": pa.int64(),
    "bool": pa.bool_(),
    "float | None": pa.float64(),
}
SCHEMA = pa.schema([(field.name, _TYPES[str(field.type)]) for field in fields(Row)])


def row_of(episode: Episode, variant: str, ood: bool, sample: int) -> Row:
    """An episode as a row."""
    problem, last = episode.problem, episode.messages[-1] if episode.messages else None
    said = last if last is not None and last.role == "assistant" else None
    thinking = said.thinking if said else None
    mentions = problem.meta.get("mentions")
    return Row(
        variant=variant,
        family=problem.family,
        key=problem.key,
        level=problem.level,
        split=problem.split,
        ood=ood,
        sample=sample,
        seed=episode.seed,
        prompt=problem.prompt,
        gold=problem.answer,
        text=said.text if said else "",
        thinking=thinking,
        style=style_of(thinking),
        checks=check_words(thinking),
        extracted=episode.verdict.extracted,
        score=episode.verdict.score,
        status=episode.verdict.status,
        reason=episode.verdict.reason,
        finish=episode.finish,
        tokens=episode.usage.completion,
        think_tokens=episode.usage.thinking,
        mentions=mentions if isinstance(mentions, int) else None,
        error=episode.error,
    )


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """All rows, in order, as Parquet."""
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)
    draft = path.with_name(f".{path.name}.draft")
    pq.write_table(table, draft, compression="zstd")
    draft.replace(path)


def read_rows(path: Path) -> list[Row]:
    """Rows back from Parquet. Raises UserError where the file is not such a pool."""
    table = pq.read_table(path)
    if table.schema.names != SCHEMA.names:
        raise UserError(f"{path}: expected the columns {SCHEMA.names}, came {table.schema.names}")
    return [Row(**values) for values in table.to_pylist()]


def select(rows: Iterable[Row], variant: str, family: str | None = None) -> list[Row]:
    """The rows of one way of asking (and one family)."""
    return [row for row in rows if row.variant == variant and family in (None, row.family)]
