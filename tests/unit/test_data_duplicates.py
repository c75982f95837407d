"""Near duplicates, personal data, contamination."""

from __future__ import annotations

import random

import pytest

from thinkling.data import pii
from thinkling.data.contamination import Contamination
from thinkling.data.minhash import NearDuplicates, bands, shingles

VOCABULARY = [f"w{i}" for i in range(2000)]


def article(seed: int, size: int = 300) -> list[str]:
    return random.Random(seed).choices(VOCABULARY, k=size)


def similarity(one: str, two: str) -> float:
    a, b = set(shingles(one)), set(shingles(two))
    return len(a & b) / len(a | b)


def test_similar_texts_are_found_and_others_are_not() -> None:
    near = far = wrong = 0
    for seed in range(40):
        words = article(seed)
        slightly, much = list(words), list(words)
        slightly[150] = "changed"
        for at in range(0, 300, 12):
            much[at] = "changed"
        index = NearDuplicates()
        index.add(bands(" ".join(words), 1), "first")
        assert similarity(" ".join(words), " ".join(slightly)) > 0.95
        assert similarity(" ".join(words), " ".join(much)) < 0.5
        near += index.add(bands(" ".join(slightly), 1), "second") == "first"
        index = NearDuplicates()
        index.add(bands(" ".join(words), 1), "first")
        far += index.add(bands(" ".join(much), 1), "third") is not None
        wrong += index.add(bands(" ".join(article(seed + 1000)), 1), "fourth") is not None
    assert near == 40
    assert far <= 4  # 1 - (1 - s^8)^14 is below 0.05 at s = 0.5
    assert wrong == 0


def test_share_found_follows_the_banding_curve() -> None:
    """At similarity s a pair shares a band with probability 1 - (1 - s^8)^14."""
    found = expected = 0.0
    for seed in range(300):
        words = article(seed)
        other = list(words)
        for at in range(15, 300, 35):
            other[at] = "changed"
        one, two = " ".join(words), " ".join(other)
        s = similarity(one, two)
        expected += 1 - (1 - s**8) ** 14
        found += bool(set(bands(one, 3)) & set(bands(two, 3)))
    assert 0.5 < expected / 300 < 0.95
    assert abs(found - expected) / 300 < 0.08


def test_chain_is_put_down_to_its_first_document() -> None:
    index = NearDuplicates()
    assert index.add((1, 2), "a") is None
    assert index.add((2, 3), "b") == "a"
    assert index.add((3, 4), "c") == "a"
    assert index.add((9,), "d") is None


def test_short_texts_are_equal_only_when_equal() -> None:
    assert bands("One word", 1) == bands("one, word!", 1)
    assert not set(bands("one word", 1)) & set(bands("two words", 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to jane.doe+x@mail.example.org, please.", f"Write to {pii.EMAIL}, please."),
        ("The server 8.8.8.8 answered.", f"The server {pii.IP} answered."),
        ("The router is at 192.168.0.1 here.", "The router is at 192.168.0.1 here."),
        ("Version 1.2.3.4.5 and 300.1.1.1 are no addresses.", "Version 1.2.3.4.5 and 300.1.1.1 are no addresses."),
        ("Call (415) 555-2671 now.", f"Call {pii.PHONE} now."),
        ("Call 415-555-2671 or +44 20 7946 0958.", f"Call {pii.PHONE} or {pii.PHONE}."),
        ("Call +1 565 346 8885 today", f"Call {pii.PHONE} today"),
        ("12+34=46 and 100-50=50 and 3.14159 in 1999-2004", "12+34=46 and 100-50=50 and 3.14159 in 1999-2004"),
        ("Sort 64, 28, 80, 5612, 47 and 1234567890.", "Sort 64, 28, 80, 5612, 47 and 1234567890."),
        ("+12 +34 +56 +78 is a sum", "+12 +34 +56 +78 is a sum"),
        ("a @ b and @home and x@y", "a @ b and @home and x@y"),
    ],
)
def test_personal_data(text: str, expected: str) -> None:
    scrubbed = pii.scrub(text)
    assert scrubbed.text == expected
    assert (scrubbed.count > 0) == (text != expected)
    assert pii.scrub(expected).text == expected


def test_contamination() -> None:
    prompt = "Ann has seven apples and buys three more at the market on Sunday; how many has she now?"
    short = "What is the capital of Westland?"
    index = Contamination([prompt, short, "too short", ""])
    inside = "intro words here. ann has SEVEN apples, and buys three more at the market on sunday -- and more text"
    assert (
        index.find(inside)
        == "ann has seven apples and buys three more at the market on sunday"[: len(index.find(inside) or "")]
    )
    assert index.find("Quiz: what is the capital of westland") == "what is the capital of westland"
    assert index.find("Ann has seven apples and buys three more pears somewhere else entirely, and too short") is None
    assert len(Contamination(["too short"])) == 0
