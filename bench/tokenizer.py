"""Training and encoding throughput against Hugging Face tokenizers: same text, same split, same vocabulary.

Both learn a vocabulary of the same size, then both encode with ours (the peer reads our tokenizer.json), on all
cores, interleaved A B A B; the ids are compared. Run: python bench/tokenizer.py [--text FILE] [--megabytes 28]
FILE is plain text or JSONL with a "text" key, .gz or not; without it, sentences of made-up words by Zipf's law.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

import tiktoken
import tokenizers
from tokenizers import Regex, models, pre_tokenizers, trainers

from thinkling.core.seeds import stream
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.split import DIGIT_BY_DIGIT

DOCUMENT = 3000


def made_up(rng: random.Random) -> Iterator[str]:
    """Endless documents of sentences with numbers and line breaks."""
    syllables = [
        first + vowel + last for first in "bdfgklmnprstvz" for vowel in "aeiou" for last in ("", "n", "r", "st")
    ]
    words = list(dict.fromkeys("".join(rng.choices(syllables, k=rng.randrange(1, 4))) for _ in range(20_000)))
    weights = list(accumulate(1 / (rank + 2) for rank in range(len(words))))
    while True:
        sentences = []
        for _ in range(DOCUMENT // 60):
            sentence = " ".join(rng.choices(words, cum_weights=weights, k=rng.randrange(5, 14)))
            number = f" {rng.randrange(2000)}" if rng.random() < 0.2 else ""
            sentences.append(sentence.capitalize() + number + rng.choice([". ", ". ", "? ", ".\n", ".\n\n"]))
        yield "".join(sentences)


def read(path: Path) -> Iterator[str]:
    """Documents of a file, long ones in stretches of ``DOCUMENT`` characters."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        texts = (json.loads(line)["text"] for line in lines) if ".jsonl" in path.suffixes else iter([lines.read()])
        for text in texts:
            yield from (text[i : i + DOCUMENT] for i in range(0, len(text), DOCUMENT))


def take(texts: Iterator[str], size: float) -> tuple[list[str], int]:
    """Texts of at least ``size`` bytes in all (fewer where they run out), and their bytes."""
    taken: list[str] = []
    total = 0
    for text in texts:
        taken.append(text)
        total += len(text.encode())
        if total >= size:
            break
    return taken, total


def their_training(texts: list[str], vocab_size: int) -> tokenizers.Tokenizer:
    theirs = tokenizers.Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(DIGIT_BY_DIGIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    theirs.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    )
    return theirs


def compare(what: str, size: int, rounds: int, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
    """Run both in turn and print medians, and the median of the ratios round by round."""
    seconds: list[tuple[float, float]] = []
    for _ in range(rounds):
        start = time.perf_counter()
        ours()
        middle = time.perf_counter()
        theirs()
        seconds.append((middle - start, time.perf_counter() - middle))
    own, peer = (statistics.median(column) for column in zip(*seconds, strict=True))
    ratios = sorted(b / a for a, b in seconds)
    print(
        f"{what:8} ours {own:6.2f} s ({size / own / 1e6:5.1f} MB/s)   tokenizers {peer:6.2f} s "
        f"({size / peer / 1e6:5.1f} MB/s)   ratio {statistics.median(ratios):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--megabytes", type=float, default=28.0)
    parser.add_argument("--vocab-size", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    source = read(options.text) if options.text else made_up(stream(1, "bench"))
    texts, size = take(source, options.megabytes * 1e6)
    sample, sample_size = take(iter(texts), size * 15 / 28)
    print(
        f"tiktoken {tiktoken.__version__}, tokenizers {tokenizers.__version__}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores; {size / 1e6:.1f} MB in {len(texts)} documents, vocabulary {options.vocab_size}"
    )
    compare(
        "train",
        sample_size,
        options.rounds,
        lambda: Tokenizer.train(sample, options.vocab_size),
        lambda: their_training(sample, options.vocab_size),
    )
    ours = Tokenizer.train(sample, options.vocab_size)
    with tempfile.TemporaryDirectory() as folder:
        ours.save(folder)
        theirs = tokenizers.Tokenizer.from_file(f"{folder}/tokenizer.json")
    if ours.encode_batch(texts[:200]) != [found.ids for found in theirs.encode_batch(texts[:200])]:
        raise SystemExit("the two do not give the same ids: nothing to compare")
    compare(
        "encode",
        size,
        options.rounds,
        lambda: ours.encode_batch(texts),
        lambda: [found.ids for found in theirs.encode_batch_fast(texts)],
    )
    tokens = sum(map(len, ours.encode_batch(texts)))
    print(f"bytes per token {size / tokens:.3f}")


if __name__ == "__main__":
    main()
