"""Byte-level BPE: the readable reference and the fast path are one thing, and nothing is ever lost."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.tokenizer import huggingface, reference
from thinkling.tokenizer.bpe import SPECIAL_TOKENS, Tokenizer
from thinkling.tokenizer.split import LONGEST_BLANKS, from_printable, printable_bytes, to_printable
from thinkling.tokenizer.stream import TextStream
from thinkling.tokenizer.train import learn_merges

CORPUS = [
    "The cat sat on the mat; the dog didn't. It's 1234 o'clock, isn't it?\n\n  def f(x):\n\treturn x + 1\n",
    "你好，世界。我们一起学习数学：三加四等于七。你好你好。\r\n\r\n",
    "Grüße aus Köln, мир и труд, नमस्ते दुनिया 👩‍👩‍👧‍👦👍🏽 <|im_start|>user <think> aaaa aaaaaa    banana bandana\n",
] * 3
MERGES = 250
TOKENIZER = Tokenizer.train(CORPUS, 256 + MERGES + len(SPECIAL_TOKENS))
LEARNED = learn_merges(CORPUS, MERGES)


SPICE = st.sampled_from(
    ["<|im_start|>", "<|im_end|>", "</think>", "'s", "'LL", "'\u017f", " ", "  ", "\n", " \n ", "\r\n", "\t", "\x85"]
    + ["\u2028", "\u00a0", "\x1c", "12", "Ⅷ", "½", "你好", "👩‍👩‍👧", "e\u0301", "\ufeff", "the", "aaaaa", "!!"]
)
TEXT = st.lists(
    SPICE | st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=6) | st.text("ab '\n", max_size=6),
    max_size=12,
).map("".join)
ANY_STRING = st.lists(SPICE | st.text(st.characters(), max_size=6), max_size=10).map("".join)


@given(TEXT)
@settings(max_examples=250, deadline=None)
def test_fast_path_equals_reference(text: str) -> None:
    assert TOKENIZER.encode(text) == reference.encode(text, LEARNED)


@given(TEXT)
@settings(max_examples=200, deadline=None)
def test_decode_returns_the_text(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == text
    assert reference.decode(ids, LEARNED) == TOKENIZER.decode_bytes(ids) == text.encode()
    assert "".join(reference.split(text)) == text


@given(ANY_STRING)
@settings(max_examples=200, deadline=None)
def test_any_string_survives_but_for_surrogates(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert not set(ids) & set(TOKENIZER.special.values())
    assert TOKENIZER.decode(ids) == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_surrogates_are_read_as_utf16_would_be() -> None:
    assert TOKENIZER.decode(TOKENIZER.encode("a\ud83d\udc4db")) == "a👍b"
    assert TOKENIZER.decode(TOKENIZER.encode("a\udc4d\ud83db")) == "a\ufffd\ufffdb"
    assert TOKENIZER.encode("x\ud800") == reference.encode("x\ud800", LEARNED)


@given(st.lists(st.binary(max_size=8) | TEXT.map(str.encode), max_size=6).map(b"".join))
@settings(max_examples=200, deadline=None)
def test_any_bytes_survive(data: bytes) -> None:
    assert TOKENIZER.decode_bytes(TOKENIZER.encode_bytes(data)) == data


@given(TEXT)
@settings(deadline=None)
def test_bytes_of_a_text_are_encoded_as_the_text(text: str) -> None:
    assert TOKENIZER.encode_bytes(text.encode()) == TOKENIZER.encode(text)


@given(st.lists(TEXT | st.text("abc", max_size=30), min_size=1, max_size=6), st.integers(0, 60))
@settings(max_examples=150, deadline=None)
def test_trainers_agree_ties_included(texts: list[str], merges: int) -> None:
    # Corpora this small are full of ties.
    assert learn_merges(texts, merges) == reference.train(texts, merges)


def test_training_does_not_depend_on_the_order_of_texts() -> None:
    shuffled = CORPUS[:]
    random.Random(1).shuffle(shuffled)
    assert learn_merges(shuffled, MERGES) == LEARNED


def test_first_merges_by_hand() -> None:
    # "ab" stands there 3 times, "bc" twice; then "ab" and "c" meet twice, and nothing is left to merge.
    assert learn_merges(["abc", "abc", "ab"], 9) == [(97, 98), (256, 99)]


def test_digits_stay_alone() -> None:
    tokenizer = Tokenizer.train(["2024 2024 2024 1000 1000"] * 50, 300)
    assert [tokenizer.token_bytes(i) for i in tokenizer.encode("2024")] == [b"2", b"0", b"2", b"4"]


def test_special_tokens_end_the_vocabulary_in_order() -> None:
    size = TOKENIZER.vocab_size
    assert list(TOKENIZER.special) == list(SPECIAL_TOKENS)
    assert list(TOKENIZER.special.values()) == list(range(size - len(SPECIAL_TOKENS), size))
    assert TOKENIZER.decode([TOKENIZER.special["<think>"], 97]) == "<think>a"


def test_vocabulary_is_smaller_where_pairs_run_out() -> None:
    assert Tokenizer.train(["ab"], 2048).vocab_size == 257 + len(SPECIAL_TOKENS)
    with pytest.raises(UserError, match="at least 265"):
        Tokenizer.train(["ab"], 264)


def test_batch_equals_one_by_one() -> None:
    texts = [text[i:] for text in CORPUS[:3] for i in range(len(text))] + ["", "\ud800"]
    expected = [TOKENIZER.encode(text) for text in texts]
    assert TOKENIZER.encode_batch(texts) == TOKENIZER.encode_batch(texts, threads=1) == expected
    assert TOKENIZER.encode_batch([]) == []


def test_blanks_beyond_the_fast_engine() -> None:
    short = LONGEST_BLANKS // 10
    for before, after in (("x", "a"), ("!\n", "\t1")):
        long = before + " " * (3 * LONGEST_BLANKS) + after
        ids = TOKENIZER.encode(long)
        assert TOKENIZER.decode(ids) == long
        end = TOKENIZER.encode(before + " " * short + after)[-3:]
        assert ids[-3:] == end
    assert len(learn_merges(["hello" + " " * (3 * LONGEST_BLANKS) + "a"], 2)) == 2


def test_unknown_ids_read_as_replacement_character() -> None:
    assert TOKENIZER.decode([10**9, 97, -1]) == "\ufffda\ufffd"


def test_save_and_load(tmp_path: Path) -> None:
    TOKENIZER.save(tmp_path / "a")
    again = Tokenizer.load(tmp_path / "a")
    assert again.special == TOKENIZER.special and again.vocab_size == TOKENIZER.vocab_size
    text = "".join(CORPUS)
    assert again.encode(text) == pickle.loads(pickle.dumps(again)).encode(text) == TOKENIZER.encode(text)
    again.save(tmp_path / "b")
    for file in sorted((tmp_path / "a").iterdir()):
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected a JSON object"),
        ('{"model": {"type": "WordPiece", "vocab": {}}}', "WordPiece"),
        ('{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}', "255 are missing"),
        ('{"model": {"type": "BPE", "vocab": {"\u2581a": 0}, "merges": []}}', "byte alphabet"),
    ],
)
def test_what_is_no_byte_level_bpe_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match=message):
        Tokenizer.load(tmp_path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path)


def test_printable_alphabet() -> None:
    assert len(set(printable_bytes())) == 256
    assert to_printable(b" hi\n") == "\u0120hi\u010a"
    assert all(from_printable(to_printable(bytes([byte]))) == bytes([byte]) for byte in range(256))


@given(st.lists(st.integers(0, TOKENIZER.vocab_size + 3), max_size=30))
@settings(deadline=None)
def test_stream_equals_decode(ids: list[int]) -> None:
    stream = TextStream(TOKENIZER)
    for _ in range(2):
        said = [stream.push(number) for number in ids]
        assert "".join(said) + stream.flush() == TOKENIZER.decode(ids)


def test_stream_waits_for_whole_characters() -> None:
    stream = TextStream(TOKENIZER)
    euro = "€".encode()
    assert [stream.push(byte) for byte in euro] == ["", "", "€"]
    assert stream.push(euro[0]) == "" and stream.flush() == "\ufffd" and stream.flush() == ""


def test_written_file_is_read_back_as_learned() -> None:
    vocabulary = huggingface.read(huggingface.write(LEARNED, SPECIAL_TOKENS), "test")
    assert vocabulary.id_of_rank is None
    assert len(vocabulary.ranks) == 256 + len(LEARNED)
    for number, pair in enumerate(LEARNED, 256):
        assert vocabulary.ranks[reference.decode(pair, LEARNED)] == number
