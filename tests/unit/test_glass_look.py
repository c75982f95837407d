"""What the page is sent: shapes, four digits, nothing that JSON cannot hold, and a word for every wrong argument."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.core.locate import find_model
from thinkling.core.types import Message
from thinkling.glass import attention
from thinkling.glass.activations import activations
from thinkling.glass.arguments import HIGHEST_TOP, LONGEST, checked
from thinkling.glass.look import look, rounded
from thinkling.model.checkpoint import load_checkpoint
from thinkling.model.config import ModelConfig
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import prompt_ids


@cache
def nano() -> tuple[ModelConfig, dict[str, torch.Tensor], Tokenizer]:
    folder = find_model("nano")
    config, weights = load_checkpoint(folder)
    return config, weights, Tokenizer.load(folder)


def asked(question: str) -> list[int]:
    return prompt_ids(nano()[2], [Message.user(question)])


def seen(what: str, tokens: list[int], **arguments: Any) -> dict[str, Any]:
    value = look(*nano(), what, {"tokens": tokens, **arguments})
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    return value


def shape(nested: Any) -> tuple[int, ...]:
    return (len(nested), *shape(nested[0])) if isinstance(nested, list) else ()


def test_a_walk_has_every_step() -> None:
    tokens = asked("What is 3 + 4?")
    value, t = seen("walk", tokens, layer=2, head=1), len(tokens)
    sizes = ("layers", "heads", "kv_heads", "width", "head_dim", "vocabulary", "layer", "head", "position")
    assert [value[name] for name in sizes] == [4, 3, 1, 192, 64, 2048, 2, 1, t - 1]
    shapes = {name: shape(value[name]) for name in ("embedding", "residual", "query", "key", "value", "context")}
    assert shapes == dict(embedding=(t, 192), residual=(t, 192)) | dict.fromkeys(
        ("query", "key", "value", "context"), (t, 64)
    )
    assert shape(value["scores"]) == shape(value["weights"]) == (t, t)
    for i in range(t):
        assert [score is None for score in value["scores"][i]] == [j > i for j in range(t)]
        assert value["weights"][i][i + 1 :] == [0] * (t - i - 1)
        assert sum(value["weights"][i]) == pytest.approx(1, abs=1e-3)
    texts = [token["text"] for token in value["tokens"]]
    assert [token["id"] for token in value["tokens"]] == tokens
    assert "".join(texts) == nano()[2].decode(tokens)
    marks = [token["text"] for token in value["tokens"] if token["special"]]
    assert marks == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]
    rows = value["logits"]
    assert len(rows) == 20 and rows == sorted(rows, key=lambda row: -row["logit"])
    assert 0 < value["entropy"] < 7.63  # ln 2048
    assert rows[0]["text"] == nano()[2].decode([rows[0]["id"]]) and sum(row["probability"] for row in rows) <= 1.001


def test_a_position_counts_from_either_end() -> None:
    tokens = asked("What is 3 + 4?")
    assert seen("walk", tokens, position=-3) == seen("walk", tokens, position=len(tokens) - 3)
    shorter = seen("walk", tokens[:-2])
    assert seen("walk", tokens, position=-3)["logits"][0]["id"] == shorter["logits"][0]["id"]


def test_attention_is_that_of_the_walks() -> None:
    tokens = asked("Sort 3, 1, 2.")
    maps = seen("attention", tokens)["weights"]
    assert shape(maps) == (4, 3, len(tokens), len(tokens))
    for layer, head in ((0, 0), (3, 2), (1, 2)):
        assert maps[layer][head] == seen("walk", tokens, layer=layer, head=head)["weights"]
    exact = attention.maps(activations(*nano()[:2], tokens))
    torch.testing.assert_close(torch.tensor(maps), exact, atol=0, rtol=6e-4)


def test_the_lens_ends_with_the_walks_prediction() -> None:
    tokens = asked("What is 3 + 4?")
    value = seen("lens", tokens, top=3)
    assert [row["layer"] for row in value["layers"]] == [0, 1, 2, 3, 4]
    assert all(shape(row["top"]) == (len(tokens), 3) for row in value["layers"])
    assert value["final"] == value["layers"][-1] != value["layers"][-2]
    for position in (0, 4, len(tokens) - 1):
        rows = seen("walk", tokens, position=position)["logits"][:3]
        wanted = [{key: row[key] for key in ("id", "text", "probability")} for row in rows]
        assert value["final"]["top"][position] == wanted


def test_the_longest_text_stays_small() -> None:
    tokens = (asked("What is 37 + 25? " * 20))[:LONGEST]
    sizes = {what: len(json.dumps(seen(what, tokens))) for what in ("walk", "attention", "lens")}
    assert len(tokens) == LONGEST and max(sizes.values()) < 500_000


def test_an_id_without_a_token_is_shown() -> None:
    """Padded vocabularies have some, and the model may name them."""
    config, weights, tokenizer = nano()
    table = weights["model.embed_tokens.weight"]
    padded = ModelConfig(**{name: getattr(config, name) for name in config.__slots__} | {"vocab_size": 2050})
    weights = weights | {"model.embed_tokens.weight": torch.cat([table, table[:2] * 30])}
    value = look(padded, weights, tokenizer, "walk", {"tokens": [2049, 5]})
    assert value["tokens"][0] == {"id": 2049, "text": "\ufffd", "special": False}
    assert value["vocabulary"] == 2050


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_rounded_keeps_four_digits(number: float) -> None:
    made = rounded(torch.tensor(number))
    assert abs(made - number) <= 5e-4 * abs(number)
    assert len(repr(made).replace("-", "").split("e")[0].replace(".", "").strip("0")) <= 4


@pytest.mark.parametrize(
    ("what", "arguments", "message"),
    [
        ("gaze", {"tokens": [1]}, r"walk, attention, lens, came 'gaze'"),
        ("walk", {}, r"tokens: expected a list of token ids, came None"),
        ("walk", {"tokens": 3}, r"tokens: expected a list of token ids, came 3"),
        ("walk", {"tokens": []}, r"tokens: the text has none"),
        ("lens", {"tokens": [1] * 65}, r"tokens: the text has 65, and one can look at up to 64 at once"),
        ("walk", {"tokens": [1, 2048]}, r"tokens: expected a whole number from 0 to 2047, came 2048"),
        ("walk", {"tokens": [-1]}, r"tokens: expected a whole number from 0 to 2047, came -1"),
        ("walk", {"tokens": ["1"]}, r"tokens: .* came '1'"),
        ("walk", {"tokens": [True]}, r"tokens: .* came True"),
        ("walk", {"tokens": [1], "layer": 4}, r"layer: expected a whole number from 0 to 3, came 4"),
        ("walk", {"tokens": [1], "layer": -1}, r"layer: .* came -1"),
        ("walk", {"tokens": [1], "head": 3}, r"head: expected a whole number from 0 to 2, came 3"),
        ("walk", {"tokens": [1, 2], "position": 2}, r"position: expected a whole number from -2 to 1, came 2"),
        ("walk", {"tokens": [1, 2], "position": -3}, r"position: .* came -3"),
        ("walk", {"tokens": [1, 2], "position": 0.5}, r"position: .* came 0.5"),
        ("walk", {"tokens": [1], "layer": None}, r"layer: .* came None"),
        ("lens", {"tokens": [1], "top": 0}, rf"top: expected a whole number from 1 to {HIGHEST_TOP}, came 0"),
        ("lens", {"tokens": [1], "top": 21}, r"top: .* came 21"),
        ("attention", {"tokens": [1], "layer": 0}, r"attention takes no argument 'layer'; expected tokens$"),
        ("lens", {"tokens": [1], "head": 0}, r"lens takes no argument 'head'; expected tokens, top$"),
    ],
)
def test_what_cannot_be_looked_at_is_said(what: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        look(*nano(), what, arguments)


def test_a_model_that_holds_less_than_a_look_is_asked_for_less() -> None:
    with pytest.raises(UserError, match="tokens: the text has 9, and one can look at up to 8 at once"):
        checked(ModelConfig(max_position_embeddings=8), "lens", {"tokens": [1] * 9})
