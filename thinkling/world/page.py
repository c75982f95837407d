"""A page before it becomes HTML: its blocks, and what the ground truth says about it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

# The data steps that can be charged with a page, in the order in which they run.
Drop = Literal["url", "extract", "language", "quality", "exact_dedup", "near_dedup"]

# ("h", text), ("p", text), ("ul" | "ol" | "pre" | "br" | "table", lines)
Block = tuple[str, "str | tuple[str, ...]"]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the world.

    ``mentions`` lists the indices of the facts stated on it, one entry per statement. ``host`` overrides
    the host that the site template would get; ``body`` replaces the HTML altogether (images, PDFs).
    """

    kind: str
    title: str
    blocks: tuple[Block, ...]
    lang: str = "en"
    drop: Drop | None = None
    pii: bool = False
    mentions: tuple[int, ...] = ()
    host: str = ""
    status: int = 200
    content_type: str = "text/html"
    body: bytes | None = None
    charset: str = "utf-8"
    site: str = ""

    def text(self) -> str | None:
        """The main text, title first, one line per paragraph, list item or table row; None without blocks."""
        if not self.blocks:
            return None
        lines = [self.title]
        for _, content in self.blocks:
            if isinstance(content, str):
                lines.append(content)
            else:
                lines.extend(content)
        return "\n".join(lines)

    def with_(self, **changes: object) -> Page:
        """A copy with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(slots=True)
class Draft:
    """A page in the making: units of blocks that belong together, and the facts they state.

    A heading belongs to what follows it, and a ``tied`` paragraph to what stands before it.
    """

    units: list[list[Block]] = field(default_factory=list)
    mentions: list[int] = field(default_factory=list)

    def _add(self, block: Block, tied: bool = False) -> None:
        if self.units and (tied or self.units[-1][-1][0] == "h"):
            self.units[-1].append(block)
        else:
            self.units.append([block])

    def head(self, text: str) -> None:
        self._add(("h", text))

    def para(self, text: str, tied: bool = False) -> None:
        self._add(("p", text), tied)

    def lines(self, tag: str, lines: list[str]) -> None:
        if lines:
            self._add((tag, tuple(lines)))

    def blocks(self) -> tuple[Block, ...]:
        return tuple(block for unit in self.units for block in unit)

    def done(self, kind: str, title: str, **more: object) -> Page:
        """The finished page. Raises ValueError for a page without blocks."""
        if not self.units:
            raise ValueError(f"a {kind} page without any block")
        return Page(kind, title, self.blocks(), mentions=tuple(self.mentions), **more)  # type: ignore[arg-type]
