"""Learning a vocabulary fast: rustbpe counts and merges, this file keeps it deterministic."""

from __future__ import annotations

from collections.abc import Iterable

import rustbpe

from thinkling.core.errors import UserError
from thinkling.tokenizer.reference import Pair, encode_piece
from thinkling.tokenizer.split import DIGIT_BY_DIGIT, shorten_blanks, valid_unicode


def learn_merges(texts: Iterable[str], merges: int, pattern: str = DIGIT_BY_DIGIT) -> list[Pair]:
    """Learn at most ``merges`` merges from ``texts``; merge i makes token 256 + i.

    The same merges as ``reference.train``, ties included, in any order of ``texts`` (where no text holds
    500,000 blanks in a row: such a run counts as shorter). Fewer come back when the texts hold fewer
    distinct pairs. Raises UserError for a negative number.
    """
    if merges < 0:
        raise UserError(f"a byte-level vocabulary has at least 256 tokens; asked for {256 + merges}")
    trainer = rustbpe.Tokenizer()
    cleaned = (shorten_blanks(valid_unicode(text)) for text in texts)
    trainer.train_from_iterator(cleaned, 256 + merges, pattern=pattern)
    learned: list[Pair] = []
    id_of: dict[bytes, int] = {}
    rank: dict[Pair, int] = {}
    for token, number in trainer.get_mergeable_ranks():
        id_of[bytes(token)] = number
        if number < 256:
            continue
        # rustbpe gives each token's bytes, not the pair it came from. Encoding those bytes with the
        # merges learned before ends in just that pair.
        left, right = encode_piece(bytes(token), rank)
        rank[left, right] = len(learned)
        learned.append((left, right))
    return learned
