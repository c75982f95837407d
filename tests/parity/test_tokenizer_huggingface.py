"""The same ids as Hugging Face: our tokenizers in transformers, and their tokenizers here."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import transformers
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers, trainers

from thinkling.core.errors import UserError
from thinkling.core.types import Message
from thinkling.tokenizer import chat
from thinkling.tokenizer.bpe import SPECIAL_TOKENS, Tokenizer
from thinkling.tokenizer.split import DIGIT_BY_DIGIT, GPT2, THREE_DIGITS, printable_bytes

CORPUS = [
    "The cat didn't see 1234 mats; it's 2024! The theatre is there, then and thence.\n\n  def f(x):\n\treturn x\n",
    "你好，世界。我们一起学习数学。Grüße aus Köln, мир и труд 👩‍👩‍👧‍👦 aaaa aaaaaa banana bandana bananas\r\n\r\n",
    "<|im_start|>user said <think> and </think> <tool_call>\n",
] * 4

SPICE = st.sampled_from(
    [*SPECIAL_TOKENS, "<|im_start", "'s", "'LL", "'\u017f", " ", "  ", "\n", " \n ", "\r\n", "\t", "\x85", "\u2028"]
    + [
        "\u00a0",
        "\x1c",
        "12",
        "1234567",
        "Ⅷ",
        "½",
        "你好",
        "👩‍👩‍👧",
        "e\u0301",
        "\u212b",
        "the",
        "aaaaa",
        "banana",
        "\ufeff",
    ]
)


def texts(*excluded: str) -> st.SearchStrategy[str]:
    anything = st.text(st.characters(exclude_categories=list(excluded)), max_size=6)
    return st.lists(SPICE | anything | st.text("abnthe '\n", max_size=8), max_size=10).map("".join)


TEXT = texts("Cs")
# Python's normal forms know fewer code points than the library's: leave out those unassigned to Python.
ASSIGNED = texts("Cs", "Cn")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    ours = Tokenizer.train(CORPUS, 500)
    folder = tmp_path_factory.mktemp("exported")
    ours.save(folder)
    # As in the folder of a finished model, where transformers looks at the model type too.
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}))
    return ours, transformers.AutoTokenizer.from_pretrained(folder)


@given(text=TEXT)
@settings(max_examples=300, deadline=None)
def test_transformers_gives_our_ids(exported: tuple[Tokenizer, Any], text: str) -> None:
    ours, theirs = exported
    ids = ours.encode(text)
    assert theirs(text, split_special_tokens=True, add_special_tokens=False)["input_ids"] == ids
    assert theirs(text, split_special_tokens=True)["input_ids"] == ids
    assert theirs.decode(ids) == ours.decode(ids) == text


def test_transformers_knows_our_special_tokens(exported: tuple[Tokenizer, Any]) -> None:
    ours, theirs = exported
    assert len(theirs) == ours.vocab_size
    assert {text: theirs.convert_tokens_to_ids(text) for text in SPECIAL_TOKENS} == ours.special
    assert theirs.eos_token == "<|im_end|>" and theirs.pad_token == "<|endoftext|>"


# Free of special tokens, and of line breaks among its first blanks: there the header's own line break
# would join them into one piece, where ours stay apart so that a prompt is a prefix of its conversation.
BENIGN = TEXT.map(lambda text: text.replace("<", "(").strip())
TURNS = st.lists(
    st.builds(Message.user, BENIGN)
    | st.builds(Message.system, BENIGN)
    | st.builds(Message.assistant, BENIGN, st.none() | TEXT.map(lambda text: text.replace("<", "("))),
    min_size=1,
    max_size=4,
)


@given(messages=TURNS, think=st.booleans())
@settings(max_examples=200, deadline=None)
def test_chat_template_equals_render(exported: tuple[Tokenizer, Any], messages: list[Message], think: bool) -> None:
    ours, theirs = exported
    rows = chat.as_dicts(messages)
    ids = chat.render(ours, messages).ids
    text = theirs.apply_chat_template(rows, tokenize=False)
    assert text == ours.decode(ids)
    assert theirs(text, add_special_tokens=False)["input_ids"] == ids
    asked = theirs.apply_chat_template(rows, tokenize=False, add_generation_prompt=True, enable_thinking=think)
    assert theirs(asked)["input_ids"] == chat.prompt_ids(ours, messages, think=think)


def build(
    pre: Any, *, normalizer: Any = None, ignore_merges: bool = False, first: tuple[str, ...] = ()
) -> tokenizers.Tokenizer:
    """A small tokenizer trained by the ``tokenizers`` library; ``first`` are special tokens inside its vocabulary."""
    theirs = tokenizers.Tokenizer(models.BPE(ignore_merges=ignore_merges))
    theirs.pre_tokenizer = pre
    if normalizer is not None:
        theirs.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=450, initial_alphabet=alphabet, special_tokens=list(first), show_progress=False
    )
    theirs.train_from_iterator(CORPUS, trainer)
    return theirs


def split(pattern: str) -> Any:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def qwen() -> tokenizers.Tokenizer:
    theirs = build(split(DIGIT_BY_DIGIT), normalizer=normalizers.NFC())
    theirs.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL_TOKENS[:3]])
    theirs.add_tokens([AddedToken(t, special=False, normalized=False) for t in SPECIAL_TOKENS[3:]])
    return theirs


def llama() -> tokenizers.Tokenizer:
    theirs = build(split(THREE_DIGITS), ignore_merges=True)
    theirs.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>"])
    return theirs


KINDS = {
    "qwen": qwen,
    "llama": llama,
    "gpt2": lambda: build(pre_tokenizers.ByteLevel(add_prefix_space=False), first=("<|endoftext|>",)),
    "gaps": lambda: build(split(r"\p{L}+|\p{N}")),
    "literal": lambda: build(
        pre_tokenizers.Sequence(
            [pre_tokenizers.Split(" ", "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Tokenizer]:
    theirs = KINDS[request.param]()
    folder = tmp_path_factory.mktemp(request.param)
    theirs.save(str(folder / "tokenizer.json"))
    return theirs, Tokenizer.load(folder)


@given(text=ASSIGNED)
@settings(max_examples=150, deadline=None)
def test_their_tokenizers_give_their_ids_here(imported: tuple[Any, Tokenizer], text: str) -> None:
    theirs, ours = imported
    # The library finds added tokens in text before anything else; that text must stay text is our rule.
    assume(not any(special in text for special in ours.special))
    assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids


def test_imported_special_tokens_and_roundtrip(imported: tuple[Any, Tokenizer], tmp_path: Path) -> None:
    theirs, ours = imported
    assert ours.vocab_size == theirs.get_vocab_size(with_added_tokens=True)
    for text, number in ours.special.items():
        assert theirs.token_to_id(text) == number and ours.decode([number]) == text
        assert number not in ours.encode(text) and ours.decode(ours.encode(text)) == text
    data = bytes(range(256)) * 2 + "é 你好 e\u0301".encode()
    assert ours.decode_bytes(ours.encode_bytes(data)) == data
    ours.save(tmp_path)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert again("The banana 1234", add_special_tokens=False)["input_ids"] == ours.encode("The banana 1234")


def test_chat_works_with_an_imported_qwen(tmp_path: Path) -> None:
    qwen().save(str(tmp_path / "tokenizer.json"))
    ours = Tokenizer.load(tmp_path)
    message = Message.assistant("4 <|im_end|>", think="2 and 2")
    ids = chat.render(ours, [message]).ids[len(chat.prompt_ids(ours, [])) :]
    assert chat.parse(ours, ids) == message


def hand_made(
    merges: list[tuple[str, str]], ignore_merges: bool = False, shift: int = 0, more: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A tokenizer.json with any list of merges; ids do not follow their order when ``shift`` is not 0.

    ``more`` are tokens that no merge makes.
    """
    spelled = [*printable_bytes(), *dict.fromkeys([*(left + right for left, right in merges), *more])]
    made = len(spelled) - 256
    vocab = {token: i if i < 256 else 256 + (i + shift) % made for i, token in enumerate(spelled)}
    theirs = tokenizers.Tokenizer(models.BPE(vocab, merges, ignore_merges=ignore_merges))
    theirs.pre_tokenizer = split(GPT2)
    content: dict[str, Any] = json.loads(theirs.to_str())
    return content


@st.composite
def merge_lists(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Merges of a and b in no learned order: redundant, unreachable and overlapping ones among them."""
    tokens = ["a", "b"]
    merges: list[tuple[str, str]] = []
    for _ in range(draw(st.integers(1, 8))):
        pair = (draw(st.sampled_from(tokens)), draw(st.sampled_from(tokens)))
        merges.append(pair)
        tokens.append("".join(pair))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(merges) - 1))
        merges.append(merges.pop(at))
    return merges


WORDS = ["".join(letters) for length in range(1, 9) for letters in itertools.product("ab", repeat=length)]


@given(merge_lists(), st.booleans(), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_any_merge_list_is_followed_exactly_or_refused(
    merges: list[tuple[str, str]], ignore_merges: bool, shift: int
) -> None:
    content = hand_made(merges, ignore_merges, shift)
    try:
        ours = Tokenizer(content)
    except UserError:
        assert ignore_merges
        assume(False)
    theirs = tokenizers.Tokenizer.from_str(json.dumps(content))
    for word, expected in zip(WORDS, theirs.encode_batch(WORDS), strict=True):
        assert ours.encode(word) == expected.ids, (word, merges)


def test_a_merge_listed_before_those_that_make_its_parts_is_followed() -> None:
    content = hand_made([("a", "b"), ("c", "d"), ("ab", "cd"), ("d", "ab")])
    content["model"]["merges"].reverse()
    ours = Tokenizer(content)
    theirs = tokenizers.Tokenizer.from_str(json.dumps(content))
    words = ["".join(letters) for letters in itertools.product("abcd", repeat=6)]
    for word, expected in zip(words, theirs.encode_batch(words), strict=True):
        assert ours.encode(word) == expected.ids, word
    assert ours.encode("abcd") == [content["model"]["vocab"]["abcd"]]


def test_unreachable_token_is_decoded_but_never_made() -> None:
    content = hand_made([("a", "b"), ("b", "c"), ("a", "bc")])
    ours = Tokenizer(content)
    theirs = tokenizers.Tokenizer.from_str(json.dumps(content))
    dead = content["model"]["vocab"]["abc"]
    assert ours.encode("abc") == theirs.encode("abc").ids and dead not in ours.encode("abc abc")
    assert ours.decode([dead]) == "abc"


def test_whole_pieces_that_no_merge_makes() -> None:
    content = hand_made([("a", "b")], ignore_merges=True, more=("xyz",))
    ours = Tokenizer(content)
    theirs = tokenizers.Tokenizer.from_str(json.dumps(content))
    token = content["model"]["vocab"]["xyz"]
    assert ours.encode("xyz") == theirs.encode("xyz").ids == [token]
    assert ours.encode("xyzab") == theirs.encode("xyzab").ids and token not in ours.encode("xyzab")
    with pytest.raises(UserError, match="no merge joins"):
        Tokenizer(hand_made([("a", "b")], ignore_merges=True, more=("abc",)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"normalizer": {"type": "Lowercase"}}, "Lowercase"),
        ({"pre_tokenizer": None}, "expected one split pattern"),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}}, "cannot follow"),
        ({"pre_tokenizer": {"type": "Metaspace"}}, "Metaspace"),
    ],
)
def test_what_cannot_be_followed_exactly_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Tokenizer(hand_made([("a", "b")]) | change)
