"""The filters: each published rule fires just beyond its threshold, and the fast counts equal plain ones."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.data import quality_c4, quality_fineweb, quality_gopher
from thinkling.data.language import check, identify
from thinkling.data.url_filter import UrlFilter
from thinkling.data.words import Words

PROSE = (
    "The old mill stands beside the river, and nobody knows who built it.\n"
    "In summer children swim below the wheel while their parents rest in the shade.\n"
    "A narrow road leads up to the village, where the baker sells warm bread every morning.\n"
    "Most of the houses have gardens with apple trees that were planted long ago.\n"
    "When winter comes the water freezes, so people skate across it to visit their friends.\n"
    "Visitors often ask about the bell in the tower, which has been silent for many years."
)

texts = st.lists(st.sampled_from(["a", "bb", "ccc", "the", ".", "\n", "\n\n", "it's", "x-y", ","]), max_size=60).map(
    " ".join
)


def naive_tokens(text: str) -> list[str]:
    return re.findall(r"\w+(?:['’.-]\w+)*|[^\w\s]+", text)


@settings(deadline=None)
@given(texts)
def test_counts_equal_plain_ones(text: str) -> None:
    view, tokens = Words(text), naive_tokens(text)
    words = [token for token in tokens if re.match(r"\w", token)]
    assert view.tokens == len(tokens)
    assert view.words == len(words)
    assert view.word_characters == sum(map(len, words))
    assert view.lettered_words == sum(any(c.isalpha() for c in word) for word in words)
    assert view.stop_words == words.count("the")
    assert view.longest == max(map(len, tokens), default=0)
    assert len(set(view.codes.tolist())) == len(set(tokens))


@settings(deadline=None)
@given(texts, st.integers(2, 4))
def test_top_ngram_equals_a_plain_count(text: str, n: int) -> None:
    tokens = naive_tokens(text)
    grams = [" ".join(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    top = Counter(grams).most_common(1)
    expected = len(top[0][0]) * top[0][1] if top else 0
    assert quality_gopher.top_ngram_characters(Words(text), n) == expected
    for beyond in (0, expected - 1, expected):
        bound = quality_gopher.top_ngram_characters(Words(text), n, beyond)
        assert (bound > beyond) == (expected > beyond)


@settings(deadline=None)
@given(texts)
def test_repeated_ngrams_equal_a_plain_count(text: str) -> None:
    tokens = naive_tokens(text)
    found = dict(quality_gopher.repeated_ngrams(Words(text)))
    for n in range(5, 11):
        seen: set[tuple[str, ...]] = set()
        characters = at = 0
        while at + n <= len(tokens):
            gram = tuple(tokens[at : at + n])
            characters += sum(map(len, gram)) if gram in seen else 0
            at += n if gram in seen else 1
            seen.add(gram)
        assert found.get(n, 0) == characters


def test_prose_passes_every_rule() -> None:
    assert quality_gopher.check_repetition(Words(PROSE)) is None
    assert quality_gopher.check_quality(Words(PROSE)) is None
    assert quality_c4.clean(PROSE) == (PROSE, None)
    assert quality_fineweb.check(PROSE) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n\n".join(["One line here.", "Two lines now."] * 4), "duplicate paragraphs"),
        ("\n".join(["One line here.", "Two lines now."] * 4), "duplicate lines"),
        ("buy it " * 40, "most frequent 2-gram"),
        (PROSE + "\n" + PROSE.replace("\n", " "), "repeated 5-grams"),
    ],
)
def test_repetition(text: str, reason: str) -> None:
    assert quality_gopher.check_repetition(Words(text)) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("the of " * 24, "too few words"),
        ("the of " * 50_001, "too many words"),
        ("a b the " * 40, "words too short"),
        ("extraordinarily the " * 40, None),
        ("incomprehensibility " * 60 + "the of", "words too long"),
        ("the of word number # " * 20, "too many hashes"),
        ("the of word number ... " * 20, "too many ellipses"),
        ("- the first of many\n" * 20, "nearly all lines are bullets"),
        (
            "the first word of many follow...\nand the rest of it does not end like this one\n" * 9,
            "lines end in an ellipsis",
        ),
        ("the number of 1234 5678 " * 20, "too few alphabetic words"),
        ("ipsum dolor amet " * 30, "too few stop words"),
    ],
)
def test_gopher_quality(text: str, reason: str | None) -> None:
    assert quality_gopher.check_quality(Words(text)) == reason


def test_c4_takes_lines_out() -> None:
    extra = "Menu\nPlease enable Javascript to see this.\nRead our privacy policy for more.\n" + "x" * 1001 + " a b"
    assert quality_c4.clean(extra + "\n" + PROSE) == (PROSE, None)
    assert quality_c4.clean(PROSE.replace("river", "river[12][citation needed]"))[0] == PROSE


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("One two three. Four five six. Seven eight nine. Ten eleven twelve.", "too few sentences"),
        (PROSE + "\nLorem ipsum dolor sit amet.", "lorem ipsum"),
        (PROSE + "\nint main() { return 0; }", "curly bracket"),
    ],
)
def test_c4_rejects(text: str, reason: str) -> None:
    assert quality_c4.clean(text)[1] == reason


def test_sentences() -> None:
    assert quality_c4.count_sentences("Dr. Smith met J. Brown at 3.15 p.m. yesterday.") == 1
    assert quality_c4.count_sentences('He said: "Stop!" Then he left. Why? Nobody knows') == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "\n".join(f"line number {i} goes on and on without an end" for i in range(20)),
            "too few lines end in punctuation",
        ),
        ("\n".join(f"Short line {i}." for i in range(20)), "too many short lines"),
        (PROSE + "\n" + PROSE.split("\n")[0], "characters in duplicate lines"),
        ("\n".join(f"Word{i} extraordinarily-long-compound-{i}." for i in range(20)), "a list rather than text"),
    ],
)
def test_fineweb(text: str, reason: str) -> None:
    assert quality_fineweb.check(text) == reason


def test_language() -> None:
    assert identify(PROSE)[0] == "en"
    assert check(PROSE, "en", 0.65) is None
    german = "Der alte Mann ging langsam über die Brücke und dachte an seine Kindheit im Dorf."
    assert check(german, "en", 0.65) == "language de"
    assert check("xkcd qwrt", "en", 1.0) is not None


def test_language_of_a_long_mixed_text_is_judged_beyond_its_beginning() -> None:
    german = "Der alte Mann ging langsam über die Brücke und dachte an seine Kindheit im Dorf. "
    assert check(PROSE + german * 100, "en", 0.65) == "language de"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://www.example.com/a-good-page", None),
        ("http://sussex.example.org/essex/analysis", None),
        ("http://bad.example/page", "blocked host"),
        ("http://www.deep.bad.example:8080/page", "blocked host"),
        ("http://notbad.example/page", None),
        ("http://example.com/online-casino/games", "blocked word"),
        ("http://example.com/Porn/1", "blocked word"),
        ("http://example.com/cheap-pills", "several suspicious words"),
        ("http://example.com/cheap-flights", None),
        ("http://my-free-porn.example/", "blocked word"),
        ("file:///example with spaces.png", "malformed URL"),
        ("http://[broken/", "malformed URL"),
        ("http://has space.example/", "malformed URL"),
        ("", "malformed URL"),
    ],
)
def test_url_filter(url: str, reason: str | None) -> None:
    assert UrlFilter(["bad.example"]).check(url) == reason


def test_blocklist_spellings() -> None:
    for line in ("bad.example", "*.bad.example", "||bad.example^", "http://bad.example/", "BAD.example."):
        assert UrlFilter([line]).check("http://x.bad.example/") == "blocked host"
    with pytest.raises(UserError, match="host name"):
        UrlFilter(["not a host"])
