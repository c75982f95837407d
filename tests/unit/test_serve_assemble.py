"""Ids to text as they come: whatever the cut, the same as parsing all of them and cutting at the stop string."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.types import Message
from thinkling.serve.assemble import Assembler, Piece, runs, spoken
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import parse, spelled, stop_ids


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["the cat sat on the mat\nQ: 你好 ab abab, and the dog. " * 20], 330)


SPECIAL = st.sampled_from(sorted(Tokenizer.train(["ab"], 265).special))
WORDS = st.sampled_from(["the cat", " sat", "ab", "aab", "\nQ", ":", "你好", "é", "😀", "\n\n", "<|im", "</think>"])


@st.composite
def turns(draw: st.DrawFn) -> list[int]:
    """Ids that a model may draw: words, their bytes torn apart, special tokens in and out of place."""
    ids: list[int] = []
    for _ in range(draw(st.integers(0, 12))):
        what = draw(st.integers(0, 3))
        if what == 0:
            ids.append(tokenizer().special[draw(SPECIAL)])
        elif what == 1:
            ids += [tokenizer().encode_bytes(bytes([byte]))[0] for byte in draw(WORDS).encode()][
                : draw(st.integers(1, 4))
            ]
        else:
            ids += tokenizer().encode(draw(WORDS))
    return ids


STOPS = st.lists(st.sampled_from(["\nQ:", "ab", "abab", "好", " sat", "cat", "\n\n", "<|im_"]), max_size=3)


def said(made: Assembler, ids: Sequence[int], cuts: Sequence[int]) -> list[list[Piece]]:
    """Pushes of the ids, cut at these places, and the finish."""
    bounds = [0, *sorted(cut % (len(ids) + 1) for cut in cuts), len(ids)]
    return [*(made.push(ids[a:b]) for a, b in zip(bounds, bounds[1:], strict=False)), made.finish()]


def reference(ids: Sequence[int], stops: Sequence[str], given: Sequence[int], thinking: bool) -> Message:
    """The slow twin: draw ids one by one as the engine does, until a stop string stands in the text since the last
    special token; then parse the whole and cut the last part there."""
    special, ends = set(tokenizer().special.values()), set(stop_ids(tokenizer()))
    text, drawn = b"", []
    for token in ids:
        drawn.append(token)
        if token in ends:
            break
        text = b"" if token in special else text + tokenizer().token_bytes(token)
        found = [text.find(stop.encode()) for stop in stops if stop.encode() in text]
        if found:
            surplus = len(text[min(found) :].decode("utf-8", "replace"))
            message = parse(tokenizer(), [*given, *drawn], thinking)
            last = message.parts[-1]
            return Message("assistant", (*message.parts[:-1], type(last)(last.kind, last.text[:-surplus])))
    return parse(tokenizer(), [*given, *drawn], thinking)


@given(turns(), STOPS, st.lists(st.integers(0, 40), max_size=6), st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_chunking_says_what_the_whole_says(
    ids: list[int], stops: list[str], cuts: list[int], thinking: bool
) -> None:
    message = reference(ids, stops, (), thinking)
    pieces = [piece for push in said(Assembler(tokenizer(), stops, thinking=thinking), ids, cuts) for piece in push]
    assert spoken(pieces, "text") == message.text
    assert spoken(pieces, "think") == (message.thinking or "")
    for kind in ("call", "result"):
        assert spoken(pieces, kind) == "".join(part.text for part in message.parts if part.kind == kind)
    told = [piece.id for piece in pieces if piece.id is not None]
    assert told == ids[: len(told)]
    assert [piece.index for piece in pieces if piece.id is not None] == list(range(len(told)))


@given(turns(), STOPS, st.lists(st.integers(0, 40), max_size=6))
@settings(max_examples=300, deadline=None)
def test_nothing_is_taken_back_and_no_stop_string_is_told(ids: list[int], stops: list[str], cuts: list[int]) -> None:
    grown = ""
    made = Assembler(tokenizer(), stops)
    whole = spoken([p for push in said(Assembler(tokenizer(), stops), ids, ()) for p in push], "text")
    for push in said(made, ids, cuts):
        grown += spoken(push, "text")
        assert whole.startswith(grown)
    run = ""
    for piece in [p for push in said(Assembler(tokenizer(), stops), ids, cuts) for p in push]:
        special = piece.kind == "mark" or piece.id in tokenizer().special.values()
        run = "" if special else run + piece.text
        assert not any(stop in run for stop in stops)


@given(turns(), turns(), st.lists(st.integers(0, 40), max_size=4))
@settings(max_examples=200, deadline=None)
def test_what_was_given_says_where_the_answer_begins(begun: list[int], ids: list[int], cuts: list[int]) -> None:
    begun = [token for token in begun if token not in stop_ids(tokenizer())]
    pieces = [p for push in said(Assembler(tokenizer(), given=begun), ids, cuts) for p in push]
    whole, before = parse(tokenizer(), [*begun, *ids]), Assembler(tokenizer())
    told = before.push(begun)
    assert spoken(told, "text") + spoken(pieces, "text") == whole.text
    assert spoken(told, "think") + spoken(pieces, "think") == (whole.thinking or "")


@given(turns(), st.lists(st.integers(0, 40), max_size=4))
@settings(max_examples=200, deadline=None)
def test_pieces_are_those_that_the_tokenizer_spells(ids: list[int], cuts: list[int]) -> None:
    pieces = [p for push in said(Assembler(tokenizer()), ids, cuts) for p in push]
    texts: list[str] = []
    for piece in pieces:
        if piece.id is not None:
            texts.append(piece.text)
    wanted = spelled(tokenizer(), ids)[: len(texts)]
    assert "".join(p.text for p in pieces) == "".join(wanted)
    # A torn character's sign is the next id's there, and nobody's here.
    assert [t for t, w in zip(texts, wanted, strict=True) if t != w and "\ufffd" not in w] == []


def test_a_stop_string_is_held_back_until_it_is_certain() -> None:
    made, ids = Assembler(tokenizer(), ["\nQ:"]), tokenizer().encode("cat\n")
    line = tokenizer().encode("\n")
    assert spoken(made.push(ids), "text") == "cat"
    assert spoken(made.push(line), "text") == "\n"  # the first line break cannot begin it any more
    assert made.push(tokenizer().encode_bytes(b"Q")) == []
    ended = made.push([*tokenizer().encode_bytes(b":"), *ids])
    assert spoken(ended, "text") == "" and [piece.stopped for piece in ended] == [True] * 3
    assert made.ended and made.push(ids) == [] and made.finish() == []


def test_a_character_comes_with_its_last_byte() -> None:
    made = Assembler(tokenizer())
    bytes_ = [tokenizer().encode_bytes(bytes([byte]))[0] for byte in "😀".encode()]
    assert [piece.text for piece in made.push(bytes_)] == ["", "", "", "😀"]
    assert [piece.text for piece in made.push(bytes_[:2])] == ["", ""]
    assert made.finish() == [Piece("text", "\ufffd")]


def test_a_document_has_no_parts() -> None:
    special = tokenizer().special
    ids = [special["<think>"], *tokenizer().encode("cat"), special["</think>"], special["<|endoftext|>"], 3]
    pieces = Assembler(tokenizer(), chat=False).push(ids)
    assert spoken(pieces, "text") == "<think>cat</think>"
    assert [piece.kind for piece in pieces][-1] == "mark"


def test_runs_keep_marks_with_what_is_before_them() -> None:
    special, cat = tokenizer().special, tokenizer().encode("cat")
    pieces = Assembler(tokenizer()).push([special["<think>"], *cat, special["</think>"], *cat, special["<|im_end|>"]])
    kinds = [(kind, [piece.kind for piece in run]) for kind, run in runs(pieces)]
    assert [kind for kind, _ in kinds] == ["think", "text"]
    assert kinds[0][1][0] == kinds[0][1][-1] == kinds[1][1][-1] == "mark"


@pytest.mark.parametrize("stop", ["", "cat"])
def test_an_empty_stop_string_stops_nothing(stop: str) -> None:
    made = Assembler(tokenizer(), [stop])
    pieces = [*made.push(tokenizer().encode("the cat")), *made.finish()]
    assert spoken(pieces, "text") == ("the cat" if not stop else "the ")
