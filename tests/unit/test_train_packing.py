"""Packing loses nothing, mixes nothing, and predicts exactly what it should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.train.packing import Packer, Sequence, document_starts, pack_all

LENGTH = 24


@st.composite
def sequences(draw: st.DrawFn) -> list[Sequence]:
    made = []
    for owner in range(draw(st.integers(1, 12))):
        ids = draw(st.lists(st.integers(1, 99), min_size=2, max_size=LENGTH + 1))
        learn = draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
        made.append(Sequence(ids, learn, owner))
    return made


@settings(max_examples=100, deadline=None)
@given(sequences())
def test_every_learned_token_comes_out_once_with_its_own_context(given_: list[Sequence]) -> None:
    seen = []
    for windows in pack_all(given_, LENGTH, 2):
        ids = windows.packed.ids_BT.numpy()
        first, position = windows.packed.first_BT.numpy(), windows.packed.position_BT.numpy()
        for row, target, (owner, place) in zip(
            windows.row_N.tolist(), windows.target_N.tolist(), windows.source_N2.tolist(), strict=True
        ):
            b, t = divmod(row, LENGTH)
            context = ids[b, first[b, t] : t + 1].tolist()
            assert context == given_[owner].ids[:place]
            assert target == given_[owner].ids[place]
            assert position[b, t] == place - 1
            seen.append((owner, place))
    expected = [(s.owner, i) for s in given_ for i in range(1, len(s.ids)) if s.learn[i]]
    assert sorted(seen) == sorted(expected)


def test_a_sequence_that_cannot_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="exceeds windows of 24"):
        pack_all([Sequence([1] * (LENGTH + 2), [True] * (LENGTH + 2))], LENGTH, 2)


def test_a_full_packer_says_so() -> None:
    packer = Packer(1, 4)
    assert packer.add(Sequence([1, 2, 3, 4, 5], [True] * 5))
    assert not packer.add(Sequence([1, 2], [True] * 2))


def test_a_separator_opens_its_document() -> None:
    ids = np.asarray([[5, 6, 0, 7, 8, 0, 9]])
    first, position = document_starts(ids, 0)
    assert first.tolist() == [[0, 0, 2, 2, 2, 5, 5]]
    assert position.tolist() == [[0, 1, 0, 1, 2, 0, 1]]
