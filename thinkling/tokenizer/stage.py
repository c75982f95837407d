"""Stage ``tokenizer``: learn a vocabulary from the kept documents.

Parent ``data`` (documents.parquet) -> tokenizer.json, tokenizer_config.json, special_tokens_map.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import Field

from thinkling.core.errors import UserError
from thinkling.core.recipe import StageRecipe
from thinkling.core.stage import StageContext
from thinkling.tokenizer.bpe import SPECIAL_TOKENS, Tokenizer


class Recipe(StageRecipe):
    vocab_size: int = Field(
        default=2048,
        ge=256 + len(SPECIAL_TOKENS),
        description="tokens to learn, the 256 bytes and the special tokens included",
    )
    sample_characters: int = Field(
        default=15_000_000,
        ge=1,
        description="learn from this many characters at most, spread evenly over the documents",
    )


def run(ctx: StageContext, recipe: Recipe) -> dict[str, Any]:
    """Returns vocab_size and, on the sample, bytes, tokens and bytes_per_token."""
    texts = list(sample(ctx.parents["data"].path / "documents.parquet", recipe.sample_characters))
    if not texts:
        raise UserError("the parent in the role 'data' kept no document: nothing to learn a vocabulary from")
    with ctx.progress(3, "tokenizer") as progress:
        progress.update(1, documents=len(texts))
        tokenizer = Tokenizer.train(texts, recipe.vocab_size)
        progress.update(2, vocabulary=tokenizer.vocab_size)
        tokens = sum(len(ids) for ids in tokenizer.encode_batch(texts))
        progress.update(3)
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    tokenizer.save(ctx.path)
    return {
        "vocab_size": tokenizer.vocab_size,
        "sample_documents": len(texts),
        "sample_bytes": size,
        "sample_tokens": tokens,
        "bytes_per_token": round(size / max(tokens, 1), 4),
    }


def sample(documents: Path, characters: int) -> Iterator[str]:
    """Texts of a documents.parquet, ``characters`` at most: all of them, or some from all over the file.

    Documents stand in the order of the crawl; its first ones alone would teach the words of one site.
    """
    total = sum(len(text) for text in _texts(documents))
    seen = taken = 0
    for text in _texts(documents):
        # Keep pace: of what came before this document, take its share and no more.
        if taken * total <= seen * characters and taken < characters:
            text_taken = text[: characters - taken]
            taken += len(text_taken)
            yield text_taken
        seen += len(text)


def _texts(documents: Path) -> Iterator[str]:
    for batch in pq.ParquetFile(documents).iter_batches(columns=["text"]):
        yield from batch.column("text").to_pylist()
