"""Overlap with the training text: parity with sets of tuples, the rules for short prompts, and which texts count."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.artifact import Manifest, write_manifest
from thinkling.core.errors import UserError
from thinkling.core.types import Document
from thinkling.data import overlap
from thinkling.data.contamination import Contamination
from thinkling.data.documents import Ledger
from thinkling.data.overlap import Overlap, overlaps, training_texts
from thinkling.data.shards import is_held_out


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def slow(problem: str, texts: Sequence[str], sizes: Sequence[int]) -> Overlap:
    """The same by its definition: every run of words of every text, in a set."""
    mine = words(problem)
    base = min(6, *sizes)
    runs = {
        tuple(w[i : i + n]) for w in map(words, texts) for n in range(1, len(mine) + 1) for i in range(len(w) - n + 1)
    }

    def met(at: int, n: int) -> bool:
        return at + n <= len(mine) and tuple(mine[at : at + n]) in runs

    shares: dict[int, float | None] = {}
    for n in sizes:
        size = min(n, len(mine))
        places = range(len(mine) - size + 1)
        known = len(mine) >= 6 and size >= base
        shares[n] = sum(met(at, size) for at in places) / len(places) if known else None
    lengths = [max((n for n in range(base, len(mine) + 1) if met(at, n)), default=0) for at in range(len(mine))]
    longest = max(lengths, default=0)
    at = lengths.index(longest) if lengths else 0
    return Overlap(len(mine), shares, longest, " ".join(mine[at : at + longest]))


LETTERS = st.lists(st.sampled_from(["a", "b", "A,", "c!", "q-r", "\n"]), max_size=40).map(" ".join)


@settings(max_examples=150)
@given(
    st.lists(LETTERS, min_size=1, max_size=4),
    st.lists(LETTERS, max_size=5),
    st.sampled_from([(13, 8), (7,), (3, 9), (1,)]),
)
def test_parity_with_sets_of_tuples(problems: list[str], texts: list[str], sizes: tuple[int, ...]) -> None:
    assert overlaps(problems, texts, sizes) == [slow(problem, texts, sizes) for problem in problems]


@settings(max_examples=50)
@given(st.lists(LETTERS, min_size=1, max_size=3), st.lists(LETTERS, min_size=1, max_size=6))
def test_batches_change_nothing(problems: list[str], texts: list[str]) -> None:
    whole = overlaps(problems, texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "_BATCH_WORDS", 5)
        patch.setattr(overlap, "_MOST_REMEMBERED", 2)
        assert overlaps(problems, iter(texts)) == whole


@settings(max_examples=100)
@given(LETTERS, LETTERS)
def test_some_thirteen_words_are_shared_exactly_where_decontamination_would_drop_the_text(
    problem: str, text: str
) -> None:
    share = overlaps([problem], [text])[0].shares[13]
    assert bool(share) == (Contamination([problem]).find(text) is not None)


STORY = "Ada has 12 red apples and then gives 3 of them to Tom. How many apples does Ada have now?"  # 20 words


def test_shares_runs_and_texts_apart() -> None:
    got = overlaps([STORY, "How many?", ""], [f"They asked: {STORY.upper()}", "something else"])
    assert got[0] == Overlap(20, {13: 1.0, 8: 1.0}, 20, " ".join(words(STORY)))
    assert got[1] == Overlap(2, {13: None, 8: None}, 0, "") and got[2] == Overlap(0, {13: None, 8: None}, 0, "")
    half = overlaps([STORY], ["Ada has 12 red apples -- and then gives 3 OF them to (Tom) she said"])[0]
    assert half == Overlap(20, {13: 1 / 8, 8: 6 / 13}, 13, " ".join(words(STORY)[:13]))
    parted = overlaps([STORY], [" ".join(words(STORY)[:10]), " ".join(words(STORY)[10:])])[0]
    assert parted.longest == 10 and parted.shares[13] == 0.0  # the end of a text does not run into the next
    with pytest.raises(UserError, match="at least one word"):
        overlaps([STORY], [], ())


def made(folder: Path, kind: str, parents: dict[str, str], recipe: dict[str, object], identity: str) -> Path:
    write_manifest(folder, Manifest(identity, kind, parents, recipe, "code", {}))
    return folder


def test_only_what_was_trained_on_counts(tmp_path: Path) -> None:
    data, shards = tmp_path / "data", tmp_path / "shards"
    data.mkdir()
    shards.mkdir()
    texts = [f"document number {i}" for i in range(60)]
    with Ledger(data) as ledger:
        for text in texts:
            ledger.keep(Document(text, "", text))
    made(data, "data", {}, {}, "d1")
    made(shards, "shards", {"data": "d1"}, {"val_share": 0.3}, "s1")
    assert list(training_texts(data)) == texts
    kept = list(training_texts(data, shards))
    assert kept == [text for text in texts if not is_held_out(text, 0.3)] and 20 < len(kept) < 60
    made(shards, "shards", {"data": "other"}, {"val_share": 0.3}, "s1")
    with pytest.raises(UserError, match="made from"):
        training_texts(data, shards)
    assert json.loads((data / "manifest.json").read_text())["id"] == "d1"
