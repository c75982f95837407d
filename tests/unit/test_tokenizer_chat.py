"""The chat protocol: what is said comes back as it was, whoever said it and whatever it spells."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.artifact import Artifact, Manifest
from thinkling.core.errors import UserError
from thinkling.core.stage import StageContext
from thinkling.core.types import Message, Part
from thinkling.tokenizer import stage
from thinkling.tokenizer.bpe import SPECIAL_TOKENS, Tokenizer
from thinkling.tokenizer.chat import parse, prompt_ids, render, stop_ids

TOKENIZER = Tokenizer.train(["user assistant system hello there, think: 2+2=4 你好 aaaa"] * 20, 320)
SPECIAL = TOKENIZER.special

TEXT = st.lists(
    st.sampled_from(SPECIAL_TOKENS) | st.text(max_size=8) | st.text("ab \n<|>", max_size=8), max_size=5
).map("".join)
SPEECH = TEXT.filter(bool)


@st.composite
def turns(draw: st.DrawFn) -> Message:
    """Assistant turns with parts of every kind: texts never empty or in a row, but for the one after a think."""
    parts: list[Part] = []
    for kind in draw(st.lists(st.sampled_from(["text", "think", "call", "result"]), max_size=6)):
        if kind != "text":
            parts.append(Part(kind, draw(TEXT)))
        elif not parts or parts[-1].kind != "text":
            parts.append(Part("text", draw(SPEECH)))
    if not parts or parts[-1].kind == "think":
        parts.append(Part("text", ""))
    return Message("assistant", tuple(parts))


def said(message: Message) -> list[int]:
    """Ids of an assistant's turn after its header, the final line break excluded."""
    whole = render(TOKENIZER, [message]).ids
    return whole[len(prompt_ids(TOKENIZER, [])) : -1]


@given(st.one_of(turns(), st.builds(Message.assistant, TEXT, st.none() | TEXT)))
@settings(max_examples=120, deadline=None)
def test_parse_undoes_render(message: Message) -> None:
    ids = said(message)
    assert ids[-1] == SPECIAL["<|im_end|>"]
    assert parse(TOKENIZER, ids) == message
    # What follows the end of the turn is not looked at; nor is the end itself needed.
    assert parse(TOKENIZER, [*ids, 5, SPECIAL["<think>"]]) == message
    assert parse(TOKENIZER, ids[:-1]) == message


@given(
    st.lists(
        st.sampled_from(["system", "user", "tool"]).flatmap(
            lambda role: st.builds(lambda text: Message(role, (Part("text", text),)), TEXT)
        )
        | turns(),
        max_size=4,
    )
)
@settings(max_examples=120, deadline=None)
def test_text_forges_no_special_token(messages: list[Message]) -> None:
    ids = render(TOKENIZER, messages).ids
    tags = sum(2 for message in messages for part in message.parts if part.kind != "text")
    assert sum(number in SPECIAL.values() for number in ids) == 2 * len(messages) + tags
    assert ids.count(SPECIAL["<|im_start|>"]) == ids.count(SPECIAL["<|im_end|>"]) == len(messages)


@given(turns(), TEXT)
@settings(max_examples=120, deadline=None)
def test_loss_is_exactly_what_the_assistant_says(message: Message, question: str) -> None:
    rendered = render(TOKENIZER, [Message.user(question), message, Message.user("more")])
    assert len(rendered.ids) == len(rendered.loss)
    own = render(TOKENIZER, [Message("assistant", tuple(p for p in message.parts if p.kind != "result"))])
    start = len(prompt_ids(TOKENIZER, []))
    learned = [number for number, speaks in zip(rendered.ids, rendered.loss, strict=True) if speaks]
    assert learned == own.ids[start:-1]
    prompt = prompt_ids(TOKENIZER, [Message.user(question)])
    assert rendered.ids[: len(prompt)] == prompt
    assert not any(rendered.loss[: len(prompt)])


@given(st.lists(st.sampled_from(list(SPECIAL.values())) | st.integers(-3, TOKENIZER.vocab_size + 3)), st.booleans())
@settings(max_examples=120, deadline=None)
def test_parse_is_total(ids: list[int], thinking: bool) -> None:
    message = parse(TOKENIZER, ids, thinking)
    assert message.role == "assistant" and message.parts
    if thinking:
        assert message.parts[0].kind == "think"
    # Nothing that was said is lost: the parts and their tags spell the turn.
    ends = [i for i, number in enumerate(ids) if number in stop_ids(TOKENIZER)]
    turn = TOKENIZER.decode(ids[: ends[0]] if ends else ids)
    for part in message.parts:
        assert part.text in turn or "\ufffd" in part.text


def test_exact_bytes() -> None:
    messages = [Message.system("Be brief."), Message.user("2+2?"), Message.assistant("4", think="two and two")]
    assert TOKENIZER.decode(render(TOKENIZER, messages).ids) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n"
        "<|im_start|>assistant\n<think>two and two</think>4<|im_end|>\n"
    )
    direct = TOKENIZER.decode(render(TOKENIZER, [Message.assistant("4")]).ids)
    assert direct == "<|im_start|>assistant\n4<|im_end|>\n"
    tool = TOKENIZER.decode(render(TOKENIZER, [Message("tool", (Part("result", "7"),))]).ids)
    assert tool == "<|im_start|>tool\n<tool_response>7</tool_response><|im_end|>\n"


def test_prompts() -> None:
    question = [Message.user("2+2?")]
    plain = prompt_ids(TOKENIZER, question)
    assert TOKENIZER.decode(plain).endswith("<|im_start|>assistant\n")
    assert prompt_ids(TOKENIZER, question, think=False) == plain
    assert prompt_ids(TOKENIZER, question, think=True) == [*plain, SPECIAL["<think>"]]
    forged = prompt_ids(TOKENIZER, question, prefix="</think>", think=True)
    assert TOKENIZER.decode(forged).endswith("<think></think>") and SPECIAL["</think>"] not in forged


def test_unfinished_and_misplaced_tokens() -> None:
    think, close, call = SPECIAL["<think>"], SPECIAL["</think>"], SPECIAL["<tool_call>"]
    a, b = TOKENIZER.encode("a"), TOKENIZER.encode("b")
    assert parse(TOKENIZER, []) == Message.assistant("")
    assert parse(TOKENIZER, [think, *a]).parts == (Part("think", "a"),)
    assert parse(TOKENIZER, [*a, close, *b], thinking=True) == Message.assistant("b", think="a")
    assert parse(TOKENIZER, [*a, close, *b]) == Message.assistant("a</think>b")
    assert parse(TOKENIZER, [think, *a, think, *b, close]) == Message.assistant("", think="a<think>b")
    assert parse(TOKENIZER, [*a, call, *b]).parts == (Part("text", "a"), Part("call", "b"))
    assert parse(TOKENIZER, [*a, SPECIAL["<|endoftext|>"], *b]) == Message.assistant("a")


def test_vocabulary_without_chat_tokens_is_refused_by_name() -> None:
    plain = Tokenizer.train(["hello"], 270, special=("<|endoftext|>",))
    with pytest.raises(UserError, match=r"<\|im_start\|>"):
        render(plain, [Message.user("hi")])
    assert stop_ids(plain) == (plain.special["<|endoftext|>"],)


def _documents(folder: Path, texts: list[str]) -> Artifact:
    folder.mkdir()
    pq.write_table(pa.table({"id": [str(i) for i in range(len(texts))], "text": texts}), folder / "documents.parquet")
    manifest = Manifest.__new__(Manifest)
    return Artifact("data", folder, manifest)


def test_stage_writes_a_tokenizer_and_its_yield(tmp_path: Path) -> None:
    texts = [
        f"Page {i}: the town of Ravel had {i * 7} mills, a school and both of its old bridges." for i in range(300)
    ]
    data = _documents(tmp_path / "data", texts)
    recipe = stage.Recipe(stage="tokenizer", vocab_size=300, sample_characters=5000)
    metrics = [stage.run(StageContext(tmp_path / name, parents={"data": data}), recipe) for name in ("one", "two")]
    assert metrics[0] == metrics[1]
    assert metrics[0]["vocab_size"] == 300 == Tokenizer.load(tmp_path / "one").vocab_size
    assert metrics[0]["sample_bytes"] <= 5000 and metrics[0]["bytes_per_token"] > 1.5
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_sample_is_spread_and_bounded(tmp_path: Path) -> None:
    texts = [f"{i:04d}" + "x" * (i % 50) for i in range(1000)]
    _documents(tmp_path / "data", texts)
    path = tmp_path / "data" / "documents.parquet"
    taken = list(stage.sample(path, 3000))
    assert sum(map(len, taken)) <= 3000
    firsts = [int(text[:4]) for text in taken]
    assert firsts[0] < 50 and firsts[-1] > 900 and firsts == sorted(firsts)
    assert list(stage.sample(path, 10**9)) == texts
    assert list(stage.sample(path, 3)) == ["000"]


def test_stage_refuses_empty_data(tmp_path: Path) -> None:
    data = _documents(tmp_path / "data", [])
    with pytest.raises(UserError, match="kept no document"):
        stage.run(StageContext(tmp_path / "out", parents={"data": data}), stage.Recipe(stage="tokenizer"))
