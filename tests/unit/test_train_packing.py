"""Packing loses nothing, mixes nothing, and predicts exactly what it should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.train.packing import Packer, Sequence, Windows, common_trunk, document_starts, pack_all

LENGTH = 24


@st.composite
def groups(draw: st.DrawFn) -> list[list[Sequence]]:
    """Groups of sequences that begin alike (with nothing to learn there), and lone ones."""
    made: list[list[Sequence]] = []
    owner = 0
    for _ in range(draw(st.integers(1, 6))):
        prompt = draw(st.lists(st.integers(1, 99), min_size=0, max_size=12))
        made.append([])
        for _ in range(draw(st.integers(1, 5))):
            own = draw(st.lists(st.integers(1, 5), min_size=2, max_size=LENGTH + 1 - len(prompt)))
            learn = draw(st.lists(st.booleans(), min_size=len(own), max_size=len(own)))
            made[-1].append(Sequence([*prompt, *own], [False] * len(prompt) + learn, owner))
            owner += 1
    return made


def seen_by(windows: Windows, row: int) -> list[int]:
    """The tokens that the position ``row`` of the flattened windows attends to, itself included."""
    b, t = divmod(row, LENGTH)
    packed = windows.packed
    assert packed.trunk_BT2 is not None
    start, end = packed.trunk_BT2[b, t].tolist()
    own = packed.ids_BT[b, int(packed.first_BT[b, t]) : t + 1]
    return [*packed.ids_BT[b, start:end].tolist(), *own.tolist()]


@settings(max_examples=200, deadline=None)
@given(groups())
def test_every_learned_token_comes_out_once_with_its_own_context(given_: list[list[Sequence]]) -> None:
    by_owner = {sequence.owner: sequence for group in given_ for sequence in group}
    seen = []
    for windows in pack_all(given_, LENGTH, 2):
        assert len(set(windows.row_N.tolist())) == len(windows.row_N)
        for row, target, (owner, place) in zip(
            windows.row_N.tolist(), windows.target_N.tolist(), windows.source_N2.tolist(), strict=True
        ):
            assert seen_by(windows, row) == by_owner[owner].ids[:place]
            assert target == by_owner[owner].ids[place]
            assert windows.packed.position_BT.reshape(-1)[row] == place - 1
            seen.append((owner, place))
    expected = [(s.owner, i) for s in by_owner.values() for i in range(1, len(s.ids)) if s.learn[i]]
    assert sorted(seen) == sorted(expected)


def test_a_question_is_placed_once_for_all_its_answers() -> None:
    question = list(range(1, 11))
    group = [Sequence([*question, 20 + i, 30], [False] * 10 + [True] * 2, i) for i in range(4)]
    assert common_trunk(group) == 9
    (windows,) = pack_all([group], LENGTH, 1)
    # 9 shared tokens, then for each answer the question's last token and the answer but its last.
    assert int((windows.packed.position_BT[0, : 9 + 4 * 2] == 0).sum()) == 1
    assert windows.packed.ids_BT[0].tolist() == [*question[:9], *[x for i in range(4) for x in (10, 20 + i)], *[0] * 7]


def test_what_is_learned_is_never_shared() -> None:
    alike = [Sequence([1, 2, 3, 4, 5], [False, False, True, True, True], i) for i in range(2)]
    assert common_trunk(alike) == 1
    assert common_trunk([Sequence([1, 2], [True, True], 0), Sequence([1, 2], [True, True], 1)]) == 0
    assert common_trunk(alike[:1]) == 0


def test_a_sequence_that_cannot_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="exceeds windows of 24"):
        pack_all([[Sequence([1] * (LENGTH + 2), [True] * (LENGTH + 2))]], LENGTH, 2)


def test_a_full_packer_says_so() -> None:
    packer = Packer(1, 4)
    assert packer.add(Sequence([1, 2, 3, 4, 5], [True] * 5))
    assert not packer.add(Sequence([1, 2], [True] * 2))


def test_a_separator_opens_its_document() -> None:
    ids = np.asarray([[5, 6, 0, 7, 8, 0, 9]])
    first, position = document_starts(ids, 0)
    assert first.tolist() == [[0, 0, 2, 2, 2, 5, 5]]
    assert position.tolist() == [[0, 1, 0, 1, 2, 0, 1]]
