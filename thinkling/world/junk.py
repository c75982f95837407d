"""What a crawl brings besides good pages: spam, gibberish, stubs, errors, pictures, copies."""

from __future__ import annotations

import random
import string
import struct
import zlib
from collections.abc import Sequence

from thinkling.world.grammar import Variants, cap, fill, pick, split, variants
from thinkling.world.html import MENU
from thinkling.world.page import Block, Draft, Page
from thinkling.world.prose import paragraph, story

BLOCKED_HOSTS = tuple(
    f"{head}-{tail}.example.{top}"
    for head, tail, top in zip(
        ("best", "mega", "lucky", "free", "super", "cheap", "royal", "wild", "instant", "golden"),
        ("casino", "poker", "jackpot", "betting", "slots", "pills", "roulette", "loans", "winnings", "bingo"),
        ("com", "net", "org", "com", "net", "org", "com", "net", "org", "com"),
        strict=True,
    )
)
GOODS = split("shoes watches phones bags jackets lamps chairs carpets")
BRAG = split("cheap best new great fine pretty")
PITCH: Variants = variants(
    "[Buy|Order|Get] the {brag} {goods} [now|today|here] because the {brag} {goods} are the {brag} ones",
    "The {brag} {goods} with the {brag} price for the {goods} of your dreams",
    "All the {brag} {goods} that you want to buy are the {brag} {goods} of our shop",
)


def spam(rng: random.Random) -> Page:
    """Keyword stuffing: the same few words again and again, in lines without an end."""
    goods, brag = pick(rng, GOODS), pick(rng, BRAG)
    draft = Draft()
    for _ in range(2 + int(rng.random() * 3)):
        pitches = [fill(rng, PITCH, {"goods": goods, "brag": brag}) for _ in range(6 + int(rng.random() * 10))]
        draft.lines("ol", pitches)
        draft.para(" ".join(f"{brag} {goods} to buy," for _ in range(10 + int(rng.random() * 20))))
    return draft.done("spam", "Welcome to our shop and its offers", drop="quality")


def gibberish(rng: random.Random) -> Page:
    """Letters at random: no language at all, so it is the language step's to drop."""
    draft = Draft()
    for _ in range(3 + int(rng.random() * 4)):
        words = (
            "".join(rng.choices("qxzjkvwpfyghbmcdtrnslu" + "aeiou", k=3 + int(rng.random() * 9)))
            for _ in range(40 + int(rng.random() * 40))
        )
        draft.para(cap(" ".join(words)) + ".")
    return draft.done("gibberish", "".join(rng.choices(string.ascii_lowercase, k=9)), drop="language")


def symbols(rng: random.Random, names: Sequence[str]) -> Page:
    """English torn to pieces by hash marks, bars and numbers, as in a dumped table."""
    draft = Draft()
    for _ in range(6 + int(rng.random() * 6)):
        words = paragraph(rng, names, 4).split()
        draft.para(" ".join(f"{word} | #{int(rng.random() * 9999)} ..." for word in words))
    return draft.done("symbols", "Data dump of the store", drop="quality")


def word_list(rng: random.Random, names: Sequence[str]) -> Page:
    """Scraps of four words, one a line: hardly a line that ends like a sentence."""
    draft = Draft()
    words = [word for _ in range(6) for word in story(rng, names, False)[1][0].split()]
    starts = range(0, len(words) - 4, 4)
    draft.lines("br", [" ".join(words[at : at + 4]).strip('.,"?!:;') for at in starts])
    return draft.done("word_list", "All the tags of this site", drop="quality")


def repeated(rng: random.Random, names: Sequence[str]) -> Page:
    """One paragraph over and over, as broken templates make them."""
    draft = Draft()
    text = paragraph(rng, names, 3)
    for _ in range(8 + int(rng.random() * 8)):
        draft.para(text)
    return draft.done("repeated", "Welcome to our page", drop="quality")


def thin(rng: random.Random, names: Sequence[str]) -> Page:
    """A sentence or two and nothing else."""
    draft = Draft()
    draft.para(paragraph(rng, names, 2))
    return draft.done("thin", "A short note for today", drop="quality")


def placeholder(rng: random.Random, names: Sequence[str]) -> Page:
    """An unfinished page with filler text, in which the C4 rules look for the words lorem ipsum."""
    draft = Draft()
    for index in range(4):
        draft.para(paragraph(rng, names, 4))
        if index == 1:
            draft.para("Lorem ipsum dolor sit amet will be replaced by the real text as soon as it is ready.")
    return draft.done("placeholder", "A page under construction", drop="quality")


def code(rng: random.Random, names: Sequence[str]) -> Page:
    """Program text on a page: the C4 rules drop pages with curly brackets."""
    draft = Draft()
    for _ in range(3):
        draft.para(paragraph(rng, names, 4))
        name = pick(rng, tuple(names)).lower()
        draft.lines(
            "pre",
            [f"function {name}(x) {{", f"  return x + {int(rng.random() * 100)};", "}", f"print({name}(3));"],
        )
    return draft.done("code", "How to write a small program", drop="quality")


def navigation(rng: random.Random) -> Page:
    """A page that is nothing but menus: there is no main text to extract."""
    return Page("navigation", pick(rng, MENU), (), drop="extract")


def missing(rng: random.Random) -> Page:
    """A 404 or a redirect with the server's own words."""
    status = pick_status(rng)
    words = "The page you are looking for was not found." if status == 404 else "The document has moved."
    blocks: tuple[Block, ...] = (("p", words),)
    return Page(f"http_{status}", words, blocks, drop="extract", status=status)


def pick_status(rng: random.Random) -> int:
    """The status of a page that is not there."""
    return (404, 404, 301, 500)[int(rng.random() * 4)]


def picture(rng: random.Random) -> Page:
    """A one-color PNG (ISO/IEC 15948) of 8 x 8 pixels."""
    raw = b"".join(b"\x00" + bytes(rng.choices(range(256), k=3)) * 8 for _ in range(8))
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(raw)),
        (b"IEND", b""),
    ]
    body = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data)) for tag, data in parts
    )
    return Page("image", "picture", (), lang="", drop="extract", content_type="image/png", body=body)


def pdf(rng: random.Random) -> Page:
    """The head of a PDF file followed by compressed bytes."""
    stream = zlib.compress(bytes(rng.choices(range(256), k=300)))
    body = (
        b"%PDF-1.4\n1 0 obj << /Length " + str(len(stream)).encode() + b" >> stream\n" + stream + b"\nendstream\n%%EOF"
    )
    return Page("pdf", "document", (), lang="", drop="extract", content_type="application/pdf", body=body)


def exact_copy(page: Page) -> Page:
    """The same text on another site."""
    return page.with_(kind=f"{page.kind}_copy", drop="exact_dedup", mentions=(), host="", site="")


SWAPS = split("really quite indeed surely perhaps maybe again later still rather")


def near_copy(rng: random.Random, page: Page, every: int = 110) -> Page:
    """The same text with about one word in ``every`` changed.

    A changed word touches five of the word 5-grams, so that the copies' Jaccard similarity stays near
    (1 - 5 / every) / (1 + 5 / every), about 0.91, well above the 0.8 that near-deduplication looks for.
    """
    blocks = list(page.blocks)
    spots = [index for index, (tag, content) in enumerate(blocks) if isinstance(content, str) and tag == "p"]
    if not spots:
        return exact_copy(page)
    edits = max(1, len((page.text() or "").split()) // every)
    for _ in range(edits):
        spot = spots[int(rng.random() * len(spots))]
        tag, content = blocks[spot]
        assert isinstance(content, str)
        words = content.split(" ")
        place = int(rng.random() * len(words))
        word = words[place]
        tail = word[len(word.rstrip(".,?!:")) :]
        words[place] = pick(rng, SWAPS) + tail
        blocks[spot] = (tag, " ".join(words))
    return page.with_(kind=f"{page.kind}_near", drop="near_dedup", blocks=tuple(blocks), mentions=(), host="", site="")
