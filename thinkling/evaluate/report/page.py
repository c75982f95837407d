"""The page around the sections: head, styles, navigation. No scripts, and nothing is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

STYLE = Path(__file__).with_name("report.css")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report: a name (anchor and link), a heading, and its HTML, made by this package's functions."""

    name: str
    title: str
    body: str

    @property
    def anchor(self) -> str:
        return self.name.lower().replace(" ", "-")


def section(name: str, title: str, *parts: str, lead: str = "") -> Section:
    """Join the parts; ``lead`` is a paragraph of plain text above them, ``name`` a short word for the navigation."""
    opening = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    return Section(name, title, opening + "".join(parts))


def absent(what: str) -> str:
    """What stands where a part of the run is missing."""
    return f'<p class="absent">Not run: {escape(what)}.</p>'


def grid(*figures: str) -> str:
    """Figures side by side where there is room."""
    return f'<div class="grid">{"".join(figures)}</div>'


def paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def heading(text: str) -> str:
    return f"<h3>{escape(text)}</h3>"


def page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The whole document."""
    links = "".join(f'<li><a href="#{part.anchor}">{escape(part.name)}</a></li>' for part in sections)
    bodies = "".join(
        f'<section id="{part.anchor}"><h2>{escape(part.title)}</h2>{part.body}</section>' for part in sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head>"
        f"<body><header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav><main>{bodies}</main></body></html>\n'
    )
