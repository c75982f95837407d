"""What the pages say: true equations, right spellings, no problem that is tested later, real languages."""

from __future__ import annotations

import random
import re
from operator import add, floordiv, mul, sub

import pytest

from thinkling.data.language import identify
from thinkling.tasks import decimals, equation
from thinkling.tasks.coin import Coin
from thinkling.tasks.decimals import Decimals
from thinkling.tasks.family import Draft, pose
from thinkling.tasks.letters import Letters
from thinkling.tasks.sort import Sort
from thinkling.tasks.words import FIRST_NAMES, NOUNS
from thinkling.world import drills, lessons
from thinkling.world.chunk import World, good_pages
from thinkling.world.dilution import Balance
from thinkling.world.grammar import fill, split, variants
from thinkling.world.html import Site, render
from thinkling.world.junk import exact_copy, near_copy
from thinkling.world.languages import LANGUAGES, foreign
from thinkling.world.lessons import LESSONS, SPELLED, spelling, trains
from thinkling.world.numerals import spell
from thinkling.world.page import Draft as PageDraft
from thinkling.world.page import Page
from thinkling.world.settings import Recipe
from thinkling.world.worked import families, solved, train_problem

OPERATORS = {"+": add, "-": sub, "*": mul, "/": floordiv}
EQUATION = re.compile(r"(?<![\d*/+x=-])(\d+)([-+*/])(\d+)=(\d+)(?![\d*/+-])")


@pytest.fixture(scope="module")
def world() -> World:
    return World.of(Recipe(people=30, personal_data=0, typographic=0, odd_charset=0))


def texts(world: World, kind: str, count: int) -> list[str]:
    rng = random.Random(f"pages {kind}")
    return [world.good()[kind](rng).text() or "" for _ in range(count)]


def test_all_equations_of_textbooks_are_true(world: World) -> None:
    found = 0
    for text in texts(world, "textbook", 60) + texts(world, "dialogue", 20):
        for a, op, b, result in EQUATION.findall(text):
            assert OPERATORS[op](int(a), int(b)) == int(result), f"{a}{op}{b}={result} in {text}"
            found += 1
    assert found > 500


@pytest.mark.parametrize("kind", sorted(drills.OPERATIONS))
def test_drills_explain_what_they_compute(kind: str) -> None:
    rng = random.Random(kind)
    for _ in range(500):
        text = drills.OPERATIONS[kind](rng)
        assert text[0].isupper() and text.endswith(".") and "{" not in text
        ((a, op, b, result),) = EQUATION.findall(text)
        assert OPERATORS[op](int(a), int(b)) == int(result)
        assert op != "/" or int(a) % int(b) == 0
        assert 0 <= int(result) <= 200
        said = text.lower().replace(",", "").replace(":", "")
        assert f"{spell(int(result))}" in said or "tens" in said or "borrow" in said


def test_names_are_spelled_letter_by_letter() -> None:
    for name in (*FIRST_NAMES, "bridge"):
        for form in SPELLED:
            text = spelling(name, form)
            assert "-".join(name) in text and name in text
            assert re.search(rf"\b{name[-1]}\b", text.replace("-".join(name), "")), text
            assert text[0].isupper() or text.startswith("-".join(name))


def test_no_page_shows_a_problem_that_is_tested_later(world: World) -> None:
    kinds = {
        "letters": re.compile(r'words? in "([A-Z][a-z]+(?: [A-Z][a-z]+)*)"'),
        "sort": re.compile(r"(?:order|largest|smallest): (\d+(?:, \d+)+)"),
        "decimals": re.compile(r"(?:larger|smaller|Compare|Is) (?:, )?(\d+\.\d+)(?: or | and | with )(\d+\.\d+)"),
    }
    found = dict.fromkeys(kinds, 0)
    for text in texts(world, "textbook", 250) + texts(world, "forum", 60):
        for family, pattern in kinds.items():
            for match in pattern.findall(text):
                if family == "sort":
                    content = " ".join(map(str, sorted(map(int, match.split(", ")))))
                else:
                    content = match if family == "letters" else " ".join(sorted(match))
                assert pose(family, Draft("", "", content)).split == "train", match
                found[family] += 1
    assert min(found.values()) > 20, found


def test_examples_in_lessons_are_of_the_training_split_too() -> None:
    rng = random.Random(4)
    joined = re.compile(r"^Take the names (.+?)\. .*we get \w+\.$")
    found = 0
    for _ in range(600):
        if match := joined.match(LESSONS["letters"](rng, FIRST_NAMES)):
            names = match[1].replace(" and ", ", ").split(", ")
            assert pose("letters", Draft("", "", " ".join(names))).split == "train"
            found += 1
    assert found > 100


def drafted(monkeypatch: pytest.MonkeyPatch, family: str, count: int) -> list[tuple[list[str], str]]:
    """The contents of the problems that this family's lessons show, each with the lesson's text."""
    shown: list[str] = []
    found: list[tuple[list[str], str]] = []

    def noted(name: str, content: str) -> bool:
        shown.append(content)
        return trains(name, content)

    monkeypatch.setattr(lessons, "trains", noted)
    rng = random.Random(f"range {family}")
    for _ in range(count):
        shown.clear()
        text = LESSONS[family](rng, FIRST_NAMES)
        if shown:
            found.append((shown[-1].split(), text))
    assert len(found) > count / 2
    return found


def test_examples_in_lessons_stay_within_the_training_range(monkeypatch: pytest.MonkeyPatch) -> None:
    for content, text in drafted(monkeypatch, "equation", 400):
        a, b, p, total = map(int, content)
        assert (total - b * p) % a == 0 and equation.level_of(a, b, (total - b * p) // a, p) < 4, text
    for content, text in drafted(monkeypatch, "sort", 200):
        assert len(content) in Sort.levels and all(10 <= int(number) < 100 for number in content), text
    for content, text in drafted(monkeypatch, "letters", 200):
        assert len(content) in Letters.levels and set(content) <= set(FIRST_NAMES), text
    for content, text in drafted(monkeypatch, "coin", 200):
        assert len(content) in Coin.levels, text
    for (a, b), text in drafted(monkeypatch, "decimals", 200):
        assert decimals.level_of(a, b) in Decimals.levels, text
        assert max(map(float, (a, b))) < 21
    for (word, letter), text in drafted(monkeypatch, "count", 200):
        assert word in {name.lower() for name in (*NOUNS, *FIRST_NAMES)} and len(word) <= 9, text
        assert len(letter) == 1
    rng = random.Random("range chain")
    for _ in range(200):  # a lesson on chains works out one event at most
        assert len(EQUATION.findall(LESSONS["chain"](rng, FIRST_NAMES))) in (0, 1)


def test_problems_come_from_the_training_split() -> None:
    rng = random.Random(1)
    for family in families(tuple(LESSONS)).values():
        assert {train_problem(rng, family).split for _ in range(60)} == {"train"}


def test_solutions_on_pages_are_graded_right(world: World) -> None:
    rng = random.Random(2)
    for family in families(tuple(LESSONS)).values():
        for _ in range(30):
            item = solved(rng, family)
            verdict = family.grade(item.problem, item.solution[item.solution.rindex("The answer is") :])
            assert verdict.score == 1.0, item


@pytest.mark.parametrize("kind", ["textbook", "forum", "story", "dialogue", "encyclopedia"])
def test_pages_read_well(world: World, kind: str) -> None:
    for text in texts(world, kind, 40):
        assert not re.search(r"[{}\[\]|]", text), text
        assert "  " not in text and " ." not in text and ".." not in text
        if kind in ("story", "encyclopedia"):  # elsewhere "a" may be the letter
            assert not re.search(r"\b[Aa] [aeio][a-z]+", text), text
        lines = text.split("\n")
        long = [line for line in lines if len(line) > 30]
        assert len(long) == len(set(long))
        balance = Balance()
        balance.add(text)
        assert balance.numbers <= 0.2 * balance.words


def test_languages_are_what_they_claim() -> None:
    for lang in LANGUAGES:
        for seed in range(20):
            found, score = identify(foreign(random.Random(seed), lang).text() or "")
            assert (found, score > 0.8) == (lang, True)


def test_shares_of_zero_leave_a_kind_out() -> None:
    shares = {"textbook": 0.0, "encyclopedia": 0.0, "story": 1.0, "forum": 0.0, "dialogue": 0.0}
    world = World.of(Recipe.model_validate({"people": 30, "shares": shares}))
    assert {page.kind for page in good_pages(world, random.Random(0), 9000)} == {"story"}


def test_copies_keep_their_text_and_lose_their_mentions(world: World) -> None:
    rng = random.Random(9)
    page = world.good()["encyclopedia"](rng)
    assert page.mentions
    copy = exact_copy(page)
    assert copy.text() == page.text() and copy.drop == "exact_dedup" and not copy.mentions
    near = near_copy(rng, page)
    assert near.text() != page.text() and near.drop == "near_dedup" and not near.mentions


def test_html_escapes_the_text_and_keeps_its_order() -> None:
    draft = PageDraft()
    draft.para("Is 3 < 5 & 5 > 3?")
    draft.lines("ol", ["one <b>", "two"])
    page = draft.done("story", "A & B")
    for template in ("wiki", "blog", "news", "forum", "bare", "docs"):
        text = render(random.Random(1), page, Site("h.example.org", "H & M", template))
        assert "Is 3 &lt; 5 &amp; 5 &gt; 3?" in text and "<li>one &lt;b&gt;</li>" in text
        assert text.index("3 &lt; 5") < text.index("one &lt;b&gt;") < text.index("<li>two")


def test_a_heading_stays_with_what_follows_it() -> None:
    draft = PageDraft()
    draft.head("Title")
    draft.para("Question")
    draft.para("Answer", tied=True)
    draft.para("Next")
    assert [len(unit) for unit in draft.units] == [3, 1]
    with pytest.raises(ValueError, match="without any block"):
        PageDraft().done("story", "empty")


def test_pages_without_text_have_none() -> None:
    assert Page("navigation", "Home", ()).text() is None


def test_grammar_expands_choices_and_refuses_open_ones() -> None:
    assert variants("a[b|c[d|e]]f") == ("abf", "acdf", "acef")
    assert variants("x[|y]", "x") == ("x", "xy")
    with pytest.raises(ValueError, match="unclosed"):
        variants("a[b|c")
    assert fill(random.Random(0), ("{x}!",), {"x": 3}) == "3!"
    assert split("a b") == ("a", "b") and split("a b|c", "|") == ("a b", "c")


def test_numerals() -> None:
    assert [spell(n) for n in (0, 13, 20, 47, 100, 101, 342)] == [
        "zero",
        "thirteen",
        "twenty",
        "forty-seven",
        "one hundred",
        "one hundred and one",
        "three hundred and forty-two",
    ]
