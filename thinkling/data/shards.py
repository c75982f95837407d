"""The stage ``shards``: documents to two flat streams of token ids, one to train on and one held out."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from thinkling.core.errors import UserError
from thinkling.core.recipe import StageRecipe
from thinkling.core.seeds import content_key, derive
from thinkling.core.stage import StageContext
from thinkling.data.documents import count_documents, read_documents
from thinkling.tokenizer.bpe import Tokenizer

END = "<|endoftext|>"
_BATCH = 256


class Recipe(StageRecipe):
    val_share: float = Field(
        default=0.01, ge=0.0, lt=1.0, description="share of the documents held out, chosen by content"
    )


def run(ctx: StageContext, recipe: Recipe) -> dict[str, Any]:
    """Writes train.npy, val.npy (1-D token ids) and meta.json; returns the numbers in meta.json.

    Every document is followed by <|endoftext|>; training documents stand in an order shuffled by the
    seed, held-out ones in crawl order. A document is held out by the hash of its text, so that the
    same text is on the same side whatever else the crawl holds.
    """
    tokenizer = Tokenizer.load(ctx.parents["tokenizer"].path)
    folder = ctx.parents["data"].path
    total = count_documents(folder)
    if not total:
        raise UserError("the parent in the role 'data' kept no document: nothing to make shards of")
    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32)
    raw = _Streams(ctx.scratch, dtype)
    val_bytes = 0
    with ctx.progress(total, "shards: documents") as progress:
        documents = read_documents(folder)
        done = 0
        while batch := list(islice(documents, _BATCH)):
            texts = [document.text for document in batch]
            for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
                held_out = is_held_out(text, recipe.val_share)
                raw.add([*ids, tokenizer.special[END]], held_out)
                val_bytes += len(text.encode()) if held_out else 0
                raw.bytes += len(text.encode())
            done += len(batch)
            progress.update(done, tokens=raw.tokens)
    raw.close()
    order = np.random.default_rng(derive(recipe.seed, "shards", "order")).permutation(len(raw.train_ends))
    _gather(raw.train_path, raw.train_ends, order, ctx.path / "train.npy", dtype)
    _gather(raw.val_path, raw.val_ends, np.arange(len(raw.val_ends)), ctx.path / "val.npy", dtype)
    meta = {
        "train_tokens": int(raw.train_ends[-1]) if raw.train_ends else 0,
        "val_tokens": int(raw.val_ends[-1]) if raw.val_ends else 0,
        "train_documents": len(raw.train_ends),
        "val_documents": len(raw.val_ends),
        "val_bytes": val_bytes,
        "bytes_per_token": raw.bytes / (raw.tokens - total),
    }
    (ctx.path / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
    if not raw.train_ends or (recipe.val_share and not raw.val_ends):
        ctx.note(f"  warning: {len(raw.train_ends)} training and {len(raw.val_ends)} held-out documents")
    return meta


def is_held_out(text: str, share: float) -> bool:
    """Whether a text falls into the held-out share, by its hash."""
    return int(content_key(text), 16) < share * 2**64


class _Streams:
    """Token ids in document order, on disk, with the place where each document ends."""

    def __init__(self, folder: Path, dtype: np.dtype[Any]) -> None:
        self.train_path, self.val_path = folder / "train.raw", folder / "val.raw"
        self.train_ends: list[int] = []
        self.val_ends: list[int] = []
        self.tokens = self.bytes = 0
        self._dtype = dtype
        self._train, self._val = self.train_path.open("wb"), self.val_path.open("wb")

    def add(self, ids: list[int], held_out: bool) -> None:
        ends = self.val_ends if held_out else self.train_ends
        ends.append((ends[-1] if ends else 0) + len(ids))
        (self._val if held_out else self._train).write(np.array(ids, self._dtype).tobytes())
        self.tokens += len(ids)

    def close(self) -> None:
        self._train.close()
        self._val.close()


def _gather(source: Path, ends: list[int], order: NDArray[np.integer[Any]], target: Path, dtype: np.dtype[Any]) -> None:
    """Write the documents of ``source`` to ``target`` (.npy) in the given order, never all in memory."""
    total = ends[-1] if ends else 0
    if not total:
        np.save(target, np.zeros(0, dtype))
        return
    ids = np.memmap(source, dtype, "r", shape=(total,))
    out = np.lib.format.open_memmap(target, "w+", dtype, (total,))
    at = 0
    for document in order:
        piece = ids[ends[document - 1] if document else 0 : ends[document]]
        out[at : at + len(piece)] = piece
        at += len(piece)
    out.flush()
