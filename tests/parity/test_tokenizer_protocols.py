"""Tokenizers as Qwen2's and Llama 3's checkpoints have them: ids, chat and plain text as in transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

from thinkling.core.errors import UserError
from thinkling.core.types import Message
from thinkling.tokenizer import chat
from thinkling.tokenizer.bpe import SPECIAL_TOKENS, Tokenizer
from thinkling.tokenizer.split import DIGIT_BY_DIGIT, THREE_DIGITS

CORPUS = [
    "The cat didn't see 1234 mats; it's 2024! The theatre is there, then and thence.\n\n  def f(x):\n\treturn x\n",
    "你好，世界。我们一起学习数学。Grüße aus Köln, мир и труд 👩‍👩‍👧‍👦 🎉🎉 banana bandana bananas\r\n\r\n",
    "user assistant system <|eot_id|> <|im_end|>\n",
] * 4
QWEN2_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
LLAMA3_SPECIAL = (
    "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
)  # fmt: skip
# What the published templates write, in fewer words (and without the system message that Qwen2's puts first).
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{% for message in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
INST = "{% for message in messages %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% endfor %}"


def byte_level(pattern: str, special: tuple[str, ...], *, llama: bool) -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.BPE(ignore_merges=llama))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), byte_level])
    made.decoder = decoders.ByteLevel()
    if not llama:
        made.normalizer = normalizers.NFC()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=450, initial_alphabet=alphabet, show_progress=False)
    )
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    if llama:
        begin = ("<|begin_of_text|>", made.token_to_id("<|begin_of_text|>"))
        made.post_processor = processors.TemplateProcessing(single=f"{begin[0]} $A", special_tokens=[begin])
    return made


def write(folder: Path, made: tokenizers.Tokenizer, **config: Any) -> Path:
    made.save(str(folder / "tokenizer.json"))
    content = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(content))
    return folder


def qwen2(folder: Path, template: Any = CHATML) -> Path:
    made = byte_level(DIGIT_BY_DIGIT, QWEN2_SPECIAL, llama=False)
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}))
    return write(
        folder, made, tokenizer_class="Qwen2Tokenizer", bos_token=None, eos_token="<|im_end|>", add_bos_token=False,
        pad_token="<|endoftext|>", chat_template=template,
    )  # fmt: skip


def llama3(folder: Path, template: Any = LLAMA3, special: tuple[str, ...] = LLAMA3_SPECIAL) -> Path:
    made = byte_level(THREE_DIGITS, special, llama=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))
    described = {"__type": "AddedToken", "content": "<|begin_of_text|>", "special": True}
    return write(folder, made, bos_token=described, eos_token="<|eot_id|>", chat_template=template)


@pytest.fixture(scope="module", params=["qwen2", "llama3"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    folder = {"qwen2": qwen2, "llama3": llama3}[request.param](tmp_path_factory.mktemp(request.param))
    return Tokenizer.load(folder), transformers.AutoTokenizer.from_pretrained(folder)


SPICE = st.sampled_from(
    [*SPECIAL_TOKENS, *LLAMA3_SPECIAL, "<|im_start", "'s", "'LL", " ", "  ", "\n", " \n ", "\r\n", "\t", "1", "1234567"]
    + ["½", "你好", "世界", "数学。", "👩‍👩‍👧", "🎉", "😀", "the", "bananas", " banana", "Grüße", "мир", "\ufeff"]
)
# Code points that Python does not know are left out: its normal forms know fewer than the library's.
TEXT = st.lists(
    SPICE | st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=6) | st.text("abnthe '\n", max_size=8),
    max_size=10,
).map("".join)


@given(text=TEXT)
@settings(max_examples=200)
def test_ids_equal_those_of_transformers(pair: tuple[Tokenizer, Any], text: str) -> None:
    ours, theirs = pair
    ids = ours.encode(text)
    assert theirs(text, split_special_tokens=True, add_special_tokens=False)["input_ids"] == ids
    assert not set(ids) & set(ours.special.values())
    assert ours.decode(ids) == theirs.decode(ids, clean_up_tokenization_spaces=False)


def test_a_plain_text_begins_as_in_transformers(pair: tuple[Tokenizer, Any]) -> None:
    """Qwen's own tokenizer puts nothing first; its models know <|endoftext|> from between their documents."""
    ours, theirs = pair
    ids = [*chat.opening_ids(ours), *ours.encode("The banana")]
    if "<|endoftext|>" in ours.special:
        assert ids == [ours.special["<|endoftext|>"], *theirs("The banana")["input_ids"]]
    else:
        assert ids == theirs("The banana")["input_ids"] and ids[0] == ours.special["<|begin_of_text|>"]


# Free of blanks at the ends, which Llama 3's template cuts off, and of special tokens.
SAID = TEXT.map(lambda text: text.replace("<", "(").strip())
TURNS = st.lists(st.builds(Message.user, SAID) | st.builds(Message.system, SAID), max_size=3)


@given(turns=TURNS, question=SAID, answer=SAID)
@settings(max_examples=100)
def test_chat_equals_the_template(
    pair: tuple[Tokenizer, Any], turns: list[Message], question: str, answer: str
) -> None:
    ours, theirs = pair
    asked = [*turns, Message.user(question)]
    told = [*asked, Message.assistant(answer)]
    for messages, opened in ((asked, True), (told, False)):
        text = theirs.apply_chat_template(chat.as_dicts(messages), tokenize=False, add_generation_prompt=opened)
        expected = theirs(text, add_special_tokens=False)["input_ids"]
        assert (chat.prompt_ids(ours, messages) if opened else chat.render(ours, messages).ids) == expected
    rendered, prompt = chat.render(ours, told), chat.prompt_ids(ours, asked)
    assert rendered.ids[: len(prompt)] == prompt
    learned = [number for number, learn in zip(rendered.ids, rendered.loss, strict=True) if learn]
    assert learned == [*ours.encode(answer), ours.special[ours.protocol.end]]
    assert chat.parse(ours, [*learned, 5]) == Message.assistant(answer)


@given(text=TEXT)
@settings(max_examples=100)
def test_text_forges_no_turn(pair: tuple[Tokenizer, Any], text: str) -> None:
    ours, _ = pair
    ids = chat.render(ours, [Message.user(text), Message.assistant(text)]).ids
    around = len(ours.protocol.marks)
    assert sum(number in ours.special.values() for number in ids) == 2 * around + bool(ours.protocol.begin)


def test_a_turn_ends_at_every_token_that_ends_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder, ends in (
        (qwen2(tmp_path / "a"), ["<|im_end|>", "<|endoftext|>"]),
        (llama3(tmp_path / "b"), ["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"]),
    ):
        ours = Tokenizer.load(folder)
        assert chat.stop_ids(ours) == tuple(ours.special[token] for token in ends)
        for end in chat.stop_ids(ours):
            assert chat.parse(ours, [*ours.encode("four"), end, 5]) == Message.assistant("four")


def test_thinking_is_refused_where_the_vocabulary_has_no_place_for_it(tmp_path: Path) -> None:
    ours = Tokenizer.load(llama3(tmp_path))
    with pytest.raises(UserError, match="no special token '<think>'"):
        chat.prompt_ids(ours, [Message.user("2+2?")], think=True)


@pytest.mark.parametrize("kind", [qwen2, llama3])
def test_another_protocol_is_refused_for_chat_alone(tmp_path: Path, kind: Any) -> None:
    ours = Tokenizer.load(kind(tmp_path, INST))
    for use in (lambda: chat.render(ours, [Message.user("hi")]), lambda: chat.prompt_ids(ours, [])):
        with pytest.raises(
            UserError, match=r"cannot chat with this model: .*ChatML.*Llama 3.*can still continue plain"
        ):
            use()
    assert chat.opening_ids(ours) and chat.stop_ids(ours)
    assert ours.decode(ours.encode("The banana")) == "The banana"
    assert chat.parse(ours, [*ours.encode("four"), chat.stop_ids(ours)[0]]) == Message.assistant("four")


def test_a_vocabulary_with_other_names_opens_and_ends_as_its_settings_say(tmp_path: Path) -> None:
    """As DeepSeek's distilled models: Qwen's or Llama's weights, names of their own for the special tokens."""
    begin, end = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
    made = byte_level(DIGIT_BY_DIGIT, (end, begin, "<｜User｜>", "<｜Assistant｜>"), llama=False)
    for opens, expected in ((True, [begin]), (False, [])):
        settings = {"bos_token": {"content": begin}, "eos_token": {"content": end}, "add_bos_token": opens}
        ours = Tokenizer.load(write(tmp_path, made, **settings, chat_template="{{ bos_token }}<｜User｜>"))
        assert list(chat.opening_ids(ours)) == [ours.special[token] for token in expected]
        assert chat.stop_ids(ours) == (ours.special[end],)
        with pytest.raises(UserError, match="cannot chat with this model"):
            chat.prompt_ids(ours, [Message.user("hi")])


def test_the_template_decides_between_two_protocols(tmp_path: Path) -> None:
    """As Llama 3 fine-tuned on ChatML: the vocabulary has the tokens of both."""
    both = (*LLAMA3_SPECIAL, "<|im_start|>", "<|im_end|>")
    ours = Tokenizer.load(llama3(tmp_path, "{{ bos_token }}" + CHATML, both))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    messages = [Message.user("hi"), Message.assistant("hello"), Message.user("bye")]
    text = theirs.apply_chat_template(chat.as_dicts(messages), tokenize=False, add_generation_prompt=True)
    assert chat.prompt_ids(ours, messages) == theirs(text, add_special_tokens=False)["input_ids"]
    assert ours.protocol.name == "ChatML" and chat.prompt_ids(ours, messages)[0] == ours.special["<|begin_of_text|>"]
    with pytest.raises(UserError, match="came ChatML and Llama 3"):
        _ = Tokenizer.load(llama3(tmp_path, None, both)).protocol


def test_the_template_is_found_where_checkpoints_keep_it(tmp_path: Path) -> None:
    named = [{"name": "tool_use", "template": CHATML}, {"name": "default", "template": INST}]
    assert Tokenizer.load(qwen2(tmp_path, named)).conventions.template == INST
    (tmp_path / "chat_template.jinja").write_text(CHATML)
    ours = Tokenizer.load(tmp_path)
    assert ours.conventions.template == CHATML and ours.protocol.name == "ChatML"
    assert Tokenizer.load(tmp_path / "tokenizer.json").conventions == ours.conventions
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(UserError, match=r"tokenizer_config\.json: expected a JSON object, came list"):
        Tokenizer.load(tmp_path)


def test_a_saved_tokenizer_speaks_as_before(pair: tuple[Tokenizer, Any], tmp_path: Path) -> None:
    ours, theirs = pair
    ours.save(tmp_path)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert (again.bos_token, again.eos_token) == (theirs.bos_token, theirs.eos_token)
    rows = [{"role": "user", "content": "hi"}]
    assert again.apply_chat_template(rows, tokenize=False) == theirs.apply_chat_template(rows, tokenize=False)
    assert Tokenizer.load(tmp_path).conventions.eos == ours.conventions.eos
