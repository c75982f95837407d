"""Step 6: the rules of C4 (Raffel et al. 2020, section 2.2), as FineWeb runs them.

FineWeb leaves out the demand that every line end in punctuation (it cost a third of the text for
little), and so does this. The rules clean as well as judge: lines that fail are taken out.
"""

from __future__ import annotations

import re

MIN_SENTENCES = 5
MIN_WORDS_PER_LINE = 3
MAX_WORD_LENGTH = 1000
POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)

_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
# A sentence ends in . ! ? and closing quotes, before white space and something that can open the next one.
_SENTENCE_BREAK = re.compile(r"[.!?…][\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9])")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|e\.g|i\.e|No|Fig|[A-Z])\.$")


def clean(text: str) -> tuple[str, str | None]:
    """The text without the lines that fail, and which rule rejects the whole page, or None."""
    whole = text.lower()  # most pages hold none of these, and then no line need be searched for them
    unwanted = [phrase for phrase in ("javascript", *POLICY_PHRASES) if phrase in whole]
    suspect = "lorem ipsum" in whole or "{" in text
    kept: list[str] = []
    sentences = 0
    for raw in text.split("\n"):
        line = raw.strip()
        words = line.split(None, MIN_WORDS_PER_LINE)
        if len(words) < MIN_WORDS_PER_LINE:
            continue
        if len(line) > MAX_WORD_LENGTH and max(map(len, line.split())) > MAX_WORD_LENGTH:
            continue
        if "[" in line:
            line = _CITATION.sub("", line)
        if suspect and "lorem ipsum" in line.lower():
            return text, "lorem ipsum"
        dropped = bool(unwanted) and _first(unwanted, line.lower())
        if dropped == "javascript":
            continue
        if suspect and "{" in line:
            return text, "curly bracket"
        if dropped:
            continue
        if sentences < MIN_SENTENCES:
            sentences += count_sentences(line)
        kept.append(line)
    if sentences < MIN_SENTENCES:
        return text, "too few sentences"
    return "\n".join(kept).strip(), None


def _first(phrases: list[str], line: str) -> str | None:
    return next((phrase for phrase in phrases if phrase in line), None)


def count_sentences(line: str) -> int:
    """Sentences in one line of text, at least 1; a title or an initial does not end one."""
    count = 1
    for match in _SENTENCE_BREAK.finditer(line):
        if line[match.start()] != "." or not _ABBREVIATION.search(line, 0, match.start() + 1):
            count += 1
    return count
