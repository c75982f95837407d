"""The pipeline, readable top to bottom: what happens to one page, in FineWeb's order.

Everything here looks at one page alone, so pages can be judged in any process; what compares pages
(the two deduplications) happens in crawl order in stage.py.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from thinkling.core.types import Document
from thinkling.data import language, pii, quality_c4, quality_fineweb, quality_gopher
from thinkling.data.contamination import Contamination
from thinkling.data.documents import EXCERPT, Reject
from thinkling.data.extract import extract
from thinkling.data.http import NotAPage, open_page
from thinkling.data.minhash import Signature, bands
from thinkling.data.url_filter import UrlFilter
from thinkling.data.warc import Record
from thinkling.data.words import Words

# The steps that can turn a document away, in order.
STEPS = (
    "read",
    "url",
    "extract",
    "language",
    "gopher_repetition",
    "gopher_quality",
    "c4",
    "fineweb",
    "exact_dedup",
    "near_dedup",
    "decontaminate",
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the steps need to know; sent to every worker process."""

    language: str
    min_language_score: float
    blocked_hosts: tuple[str, ...]
    max_page_bytes: int
    filter_text: bool
    near_dedup_seed: int
    prompts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Survivor:
    """A document that passed every step that looks at it alone, with what the later steps compare.

    ``digest`` and ``signature`` were taken before personal data was replaced.
    """

    document: Document
    digest: bytes
    signature: Signature
    contamination: str | None


class _Stop(Exception):
    def __init__(self, stage: str, reason: str, text: str = "") -> None:
        super().__init__(reason)
        self.stage, self.reason, self.text = stage, reason, text


class Pipeline:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._urls = UrlFilter(rules.blocked_hosts)
        self._contamination = Contamination(rules.prompts)

    def judge(self, item: Record | Document) -> Survivor | Reject:
        """The fate of one archived page, or of one document from a text file."""
        try:
            if isinstance(item, Record):
                return self._finish(self._filter_text(self._read_page(item)))
            return self._finish(self._filter_text(item) if self._rules.filter_text else item)
        except _Stop as stop:
            return Reject(item.id, item.url, stop.stage, stop.reason, text=stop.text[:EXCERPT])

    def _read_page(self, record: Record) -> Document:
        try:
            page = open_page(record, self._rules.max_page_bytes)
        except NotAPage as error:
            raise _Stop("read", error.reason) from None
        if reason := self._urls.check(page.url):
            raise _Stop("url", reason)
        extracted = extract(page)
        if extracted is None:
            raise _Stop("extract", "no main text")
        meta = {"charset": extracted.charset, "date": record.headers.get("warc-date", "")}
        return Document(record.id, page.url, extracted.text, meta=meta)

    def _filter_text(self, document: Document) -> Document:
        text = document.text
        if reason := language.check(text, self._rules.language, self._rules.min_language_score):
            raise _Stop("language", reason, text)
        view = Words(text)
        if reason := quality_gopher.check_repetition(view):
            raise _Stop("gopher_repetition", reason, text)
        if reason := quality_gopher.check_quality(view):
            raise _Stop("gopher_quality", reason, text)
        cleaned, reason = quality_c4.clean(text)
        if reason:
            raise _Stop("c4", reason, text)
        if reason := quality_fineweb.check(cleaned):
            raise _Stop("fineweb", reason, cleaned)
        return replace(document, text=cleaned, lang=self._rules.language)

    def _finish(self, document: Document) -> Survivor:
        text = document.text
        if not text.strip():
            raise _Stop("extract", "no text")
        digest = hashlib.blake2b(" ".join(text.split()).encode(), digest_size=16).digest()
        scrubbed = pii.scrub(text)
        meta = document.meta | ({"pii": scrubbed.count} if scrubbed.count else {})
        return Survivor(
            replace(document, text=scrubbed.text, meta=meta),
            digest,
            bands(text, self._rules.near_dedup_seed),
            self._contamination.find(text),
        )
