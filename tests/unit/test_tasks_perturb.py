"""Perturbations: a child's gold is certain, differs from its parent's where it should, and follows from its text."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
from collections import Counter
from fractions import Fraction
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.core.seeds import content_key
from thinkling.core.types import Problem
from thinkling.tasks.benchmarks.benchmark import Benchmark
from thinkling.tasks.chain import Chain
from thinkling.tasks.family import Draft, pose, split_of
from thinkling.tasks.perturb.annotations import calculations, evaluate, spelled
from thinkling.tasks.perturb.change import Refused, canonical
from thinkling.tasks.perturb.children import (
    CLAUSE,
    KINDS,
    ONE_MORE_STEP,
    RENAMED,
    RENUMBERED,
    Refusal,
    perturb,
    perturbations,
)
from thinkling.tasks.perturb.names import MEN as COMMON_MEN
from thinkling.tasks.perturb.names import WOMEN as COMMON_WOMEN
from thinkling.tasks.perturb.quantities import read_numbers
from thinkling.tasks.perturb.redraw import LIMITS, STARTS
from thinkling.tasks.perturb.rename import sure_names
from thinkling.tasks.perturb.renumber import linked, written
from thinkling.tasks.registry import family
from thinkling.tasks.words import FIRST_NAMES, WOMEN

FAMILIES = {name: family(name) for name in ("chain", "equation", "letters", "coin", "sort", "decimals", "count")}
each_family = pytest.mark.parametrize("name", FAMILIES)
seeds = st.integers(0, 2**32)
quick = settings(max_examples=25)
MATH = Benchmark("gsm8k", (), "number")


def drawn(name: str, seed: int, ood: bool = False, unseen: bool = False) -> Problem:
    return pose(name, FAMILIES[name].draw(random.Random(seed), ood=ood, unseen=unseen))  # type: ignore[call-arg]


def child_of(problem: Problem, kind: str, seed: int = 0) -> Problem:
    made = perturb(problem, FAMILIES[problem.family], kind, seed)
    assert isinstance(made, Problem), made
    return made


def solved_from_text(problem: Problem) -> str | None:
    """The answer, from the prompt alone, by a reader that knows no template (None: a family that it cannot read)."""
    text = problem.prompt
    if problem.family == "chain":
        return str(chain_from_text(text))
    if problem.family == "coin":
        flips = len(re.findall(r"flips (?:the coin|it)|turns (?:it over|the penny)|\w+ flips\.|is flipped by", text))
        return "no" if flips % 2 else "yes"
    if problem.family == "letters":
        named = re.search(r'"(.+)"|order: (.+)\.|string: (.+)\.|((?:\w+, )+\w+): which', text)
        assert named, text
        words = re.findall(r"\w+", next(filter(None, named.groups())))
        return "".join(word[-1] for word in words)
    numbers = re.findall(r"\d+(?:\.\d+)?", text)
    if problem.family == "sort":
        listed = re.search(r"\d+(?:, \d+)+", text)
        assert listed
        down = re.search(r"descending|from largest|largest first|from high|decreasing|go down", text)
        return ", ".join(map(str, sorted(map(int, listed.group().split(", ")), reverse=bool(down))))
    if problem.family == "decimals":
        low = re.search(r"smaller|less|lower|lesser|shorter|minimum", text)
        return str((min if low else max)((n for n in numbers if "." in n), key=Fraction))
    return None


def chain_from_text(text: str) -> int:
    """Sentence by sentence, by the verbs: the first number is what there is, then every sentence changes it."""
    plus = (
        r"more\b|gives [A-Z]|adds|arrive|makes|finds|gets|unpacks|come in|opens|wins|brings|put in|delivers|emptied|"
        r"Grandmother"
    )
    minus = (
        r"gives|loses|takes|buys|break|fills|packs|stores|trades|carries|removes|runs off|filled|lends|sends them off"
    )
    beside = (
        r"older than|drives past|next door|radio|across the street|degrees|poster on|library|in the park|coat|cousin"
    )
    value: int | None = None
    for sentence in re.split(r"(?<=[.?]) ", text):
        if re.search(beside, sentence) or re.match(r"How|What|Tell", sentence):
            continue
        numbers = [int(item) for item in re.findall(r"\d+", sentence)]
        if value is None:
            value = numbers[0]
        elif re.search("doubles|triples", sentence):
            value *= 2 if "doubles" in sentence else 3
        else:
            amount = numbers[0] * (numbers[1] if len(numbers) > 1 else 1)
            value += amount if re.search(plus, sentence) else -amount if re.search(minus, sentence) else 10**6
    assert value is not None
    return value


@each_family
@quick
@given(seed=seeds, ood=st.booleans(), unseen=st.booleans())
def test_the_reader_of_texts_agrees_with_the_families(name: str, seed: int, ood: bool, unseen: bool) -> None:
    problem = drawn(name, seed, ood, unseen)
    assert solved_from_text(problem) in (None, problem.answer), problem.prompt


@each_family
@pytest.mark.parametrize("kind", KINDS)
@quick
@given(seed=seeds, ood=st.booleans(), unseen=st.booleans())
def test_a_child_is_right_by_its_own_text_and_belongs_to_its_parent(
    kind: str, name: str, seed: int, ood: bool, unseen: bool
) -> None:
    grader, parent = FAMILIES[name], drawn(name, seed, ood, unseen)
    child = perturb(parent, grader, kind, seed)
    assert perturb(parent, grader, kind, seed) == child
    if isinstance(child, Refusal):
        assert (child.parent, child.family, child.perturbation) == (parent.key, name, kind) and child.reason
        return
    assert child.prompt != parent.prompt and child.key not in (parent.key, "")
    assert (child.meta["parent"], child.meta["perturbation"], child.split) == (parent.key, kind, parent.split)
    assert json.loads(json.dumps(child.meta)) == child.meta
    assert child.family == name and grader.grade(child, f"The answer is {child.answer}.").score == 1.0
    assert solved_from_text(child) in (None, child.answer), child.prompt
    if kind == RENUMBERED or (kind, name) == (RENAMED, "letters"):
        assert grader.grade(child, f"The answer is {parent.answer}.").score == 0.0
    elif kind in (RENAMED, CLAUSE):
        assert child.answer == parent.answer
    content = canonical(name, child.meta)
    assert content is None or content == canonical(name, parent.meta) or split_of_content(name, content) == parent.split


def split_of_content(name: str, content: str) -> str:
    return split_of(content_key(f"{name}|{content}"))


@each_family
@quick
@given(seed=seeds, ood=st.booleans())
def test_canonical_contents_are_spelled_as_the_families_spell_them(name: str, seed: int, ood: bool) -> None:
    problem = drawn(name, seed, ood)
    content = canonical(name, problem.meta)
    assert (content is None) == (name == "count")
    assert content is None or content_key(f"{name}|{content}") == problem.key


@pytest.mark.parametrize(("name", "kind"), [("chain", RENUMBERED), ("sort", RENUMBERED), ("coin", RENAMED)])
def test_children_of_test_problems_are_test_problems(name: str, kind: str) -> None:
    """One draw in twenty is: so a child that forgot it would be found out soon."""
    parents = [problem for problem in (drawn(name, seed) for seed in range(900)) if problem.split == "test"][:20]
    assert len(parents) == 20
    contents = [canonical(name, child_of(parent, kind).meta) for parent in parents]
    assert {split_of_content(name, content or "") for content in contents} == {"test"}


@each_family
def test_which_kinds_a_family_refuses(name: str) -> None:
    made = perturbations([drawn(name, seed) for seed in range(30)], FAMILIES)
    refused = Counter(one.perturbation for one in made.refusals)
    never = {
        "chain": set(),
        "equation": {ONE_MORE_STEP},
        "letters": {RENUMBERED},
        "coin": {RENUMBERED},
        "sort": {RENAMED},
        "decimals": {RENAMED, ONE_MORE_STEP},
        "count": {RENAMED, RENUMBERED, ONE_MORE_STEP},
    }[name]
    assert {kind for kind in KINDS if refused[kind] == 30} == never
    assert sum(made.refused().values()) + len(made.problems) == 30 * len(KINDS)
    assert all(refused[kind] == 0 for kind in set(KINDS) - never) or name == "equation"  # some buyers have no name
    assert len({child.key for child in made.problems}) == len(made.problems)


@quick
@given(seed=seeds, ood=st.booleans())
def test_a_renumbered_chain_keeps_its_story_and_the_family_limits(seed: int, ood: bool) -> None:
    parent = drawn("chain", seed, ood)
    child = child_of(parent, RENUMBERED)
    blank = [re.sub(r"\d+|doubles|triples", "_", problem.prompt) for problem in (parent, child)]
    assert blank[0] == blank[1] and child.level == parent.level
    assert [event[0] for event in child.meta["events"]] == [event[0] for event in parent.meta["events"]]
    assert all(1 <= row[3] <= 99 for row in child.meta["steps"]) and int(child.answer) == child.meta["steps"][-1][3]


def test_the_limits_are_those_that_the_chain_draws_within() -> None:
    seen: dict[str, list[tuple[int, int]]] = {op: [] for op in LIMITS}
    starts = []
    for seed in range(3000):
        meta = drawn("chain", seed).meta
        starts.append(meta["start"])
        for op, a, b in meta["events"]:
            seen[op].append((a, b))
    assert (min(starts), max(starts)) == STARTS
    for op, pairs in seen.items():
        for at in (0, 1):
            values = [pair[at] for pair in pairs]
            assert (min(values), max(values)) == LIMITS[op][at]


@quick
@given(seed=seeds)
def test_one_more_step_goes_on_from_the_parents_answer(seed: int) -> None:
    chain = drawn("chain", seed)
    child = child_of(chain, ONE_MORE_STEP)
    before = len(chain.meta["steps"])
    assert child.level == chain.level + 1 and child.meta["steps"][:before] == chain.meta["steps"]
    assert child.meta["steps"][-1][1] == int(chain.answer) and child.answer != chain.answer
    beginning = chain.prompt[: chain.prompt.rindex(". ") + 1]
    assert child.prompt.startswith(beginning)
    letters = drawn("letters", seed)
    assert child_of(letters, ONE_MORE_STEP).answer[:-1] == letters.answer
    numbers = drawn("sort", seed)
    assert set(numbers.answer.split(", ")) < set(child_of(numbers, ONE_MORE_STEP).answer.split(", "))


@quick
@given(seed=seeds)
def test_renamed_people_keep_their_pronouns(seed: int) -> None:
    parent = drawn("chain", seed)
    child = child_of(parent, RENAMED)
    pairs = set(zip(re.findall(r"\w+", parent.prompt), re.findall(r"\w+", child.prompt), strict=True))
    changed = {(old, new) for old, new in pairs if old != new}
    assert changed and all(old in FIRST_NAMES and (old in WOMEN) == (new in WOMEN) for old, new in changed)
    assert len({old for old, _ in changed}) == len({new for _, new in changed}) == len(changed)


@each_family
@quick
@given(seed=seeds)
def test_a_clause_adds_one_sentence_with_a_number_of_its_own(name: str, seed: int) -> None:
    parent = drawn(name, seed)
    child = child_of(parent, CLAUSE)
    added = len(child.prompt) - len(parent.prompt)
    places = [0, *(match.end() for match in re.finditer(" ", child.prompt))]
    ways = {
        child.prompt[at : at + added]
        for at in places
        if child.prompt[:at] + child.prompt[at + added :] == parent.prompt
    }
    (clause,) = (way for way in ways if re.fullmatch(r"[A-Z\d][^.?!]*\. ", way))
    (number,) = re.findall(r"\d+", clause)
    assert number not in re.findall(r"\d+", parent.prompt) and number != parent.answer


def question(text: str, solution: str, answer: str) -> Problem:
    return Problem(content_key(text), "test", "gsm8k", text, answer, meta={"solution": solution})


def renumbered(text: str, solution: str, answer: str, seed: int = 0) -> Problem | str:
    made = perturb(question(text, solution, answer), MATH, RENUMBERED, seed)
    return made if isinstance(made, Problem) else made.reason


SHOP = "Tom has {a} apples. He buys {b} boxes of {c} apples each and eats {d} of all his apples. How many has he left?"
SHOP_SOLUTION = (
    "He buys {b}*{c}=<<{b}*{c}={bc}>>{bc} apples.\nHe has {a}+{bc}=<<{a}+{bc}={abc}>>{abc}.\n"
    "He keeps <<{abc}-{d}={left}>>{left}."
)


@settings(max_examples=80)
@given(st.lists(st.integers(3, 60), min_size=4, max_size=4, unique=True), st.integers(0, 5))
def test_a_renumbered_word_problem_is_answered_by_its_numbers(values: list[int], seed: int) -> None:
    a, b, c, d = values
    told = {"a": a, "b": b, "c": c, "d": d, "bc": b * c, "abc": a + b * c, "left": a + b * c - d}
    child = renumbered(SHOP.format(**told), SHOP_SOLUTION.format(**told), str(told["left"]), seed)
    if isinstance(child, str):  # a result that equals another number, or numbers that leave nothing
        assert len({*values, told["bc"], told["abc"], told["left"]}) < 7 or told["left"] <= 0, child
        return
    one, two, three, four = map(int, re.findall(r"\d+", child.prompt))
    assert int(child.answer) == one + two * three - four > 0 and child.answer != str(told["left"])
    assert re.sub(r"\d+", "_", child.prompt) == re.sub(r"\d+", "_", SHOP.format(**told))
    assert [last_result(step) for step in str(child.meta["solution"]).split()][-1] == int(child.answer)


def last_result(step: str) -> Fraction:
    """The result of "12/4*2=6", checked by Python's own precedence over exact fractions."""
    left, _, result = step.partition("=")
    exact = eval(re.sub(r"[\d.]+", lambda match: f"Fraction('{match.group()}')", left), {"Fraction": Fraction})
    assert exact == Fraction(result), step
    return Fraction(result)


NOWHERE, SEVERAL = "a number of the solution comes from nowhere", "every number may come from several places"
LEFT, UNUSED = "a number of the question is not in the solution", "a result of the solution is not used any more"
ROUNDED = "an annotation is not exact (a rounded result, or a wrong one)"


@pytest.mark.parametrize(
    ("text", "solution", "answer", "reason"),
    [
        ("Tom has 5 and 9 figs. How many?", "<<5+9=14>>", "15", "the last annotation is not the answer"),
        ("Tom has 5 and 9 figs. How many?", "5+9=14", "14", "the solution has no calculator annotations"),
        ("Tom has 5 and 9 figs. How many?", "<<5+9=14>>14, <<14+6=20>>20", "20", NOWHERE),
        ("Tom has 5 figs and gets 5. How many?", "<<5+5=10>>", "10", SEVERAL),
        ("Tom has 40 figs, 25% go. How many?", "<<40*.75=30>>", "30", NOWHERE),  # 100-25, done in the head
        ("Tom has 9 figs and 7 nuts, eats 3 figs. Figs?", "<<9-3=6>>", "6", LEFT),
        ("Tom has 9 figs, eats 3. Eve has 7. Tom?", "<<9-7=2>><<9-3=6>>", "6", UNUSED),
        ("A cake of 10 for 3 is how much each?", "<<10/3=3.33>>", "3.33", ROUNDED),
        ("Tom has 5 and 9 figs. How many?", "<<5+9=10+4=14>>", "14", "an annotation is not plain arithmetic"),
        ("Tom works 5 days a week. How many are left?", "<<2=2>>", "2", LEFT),
        ("In 1995 Eve was 7. When was she born?", "<<1995-7=1988>>", "1988", None),
        ("The 5 th and 9th of May, 12 of 30. What?", "<<9+12=21>>", "21", LEFT),
    ],
)  # fmt: skip
def test_uncertain_links_are_refused(text: str, solution: str, answer: str, reason: str | None) -> None:
    made = renumbered(text, solution, answer)
    assert made == reason if reason else isinstance(made, Problem)


@pytest.mark.parametrize(
    ("text", "solution", "answer", "kept"),
    [
        # The question's own 7 and the days of the week: who knows which the solution means.
        ("Tom eats 7 figs a day, and 6 nuts. How many of both in a week?", "<<7*7=49>><<49+6=55>>", "55", "7 figs"),
        # 20 is stated and derived (60-40): the two must go on agreeing.
        ("Of 60 cats 40 sleep and 20 play with 6 figs each. Figs?", "<<60-40=20>><<20*6=120>>", "120",
         "Of 60 cats 40 sleep and 20 play"),
        # The other 2 days of a week are 7-5.
        ("Tom works 5 days a week for 8 hours, else 6. Hours?", "<<5*8=40>><<2*6=12>><<40+12=52>>", "52", "5 days"),
        ("Tom has 5 figs, gets 5, and eats 3. How many?", "<<5+5=10>><<10-3=7>>", "7", "has 5 figs, gets 5"),
        ("From 4 pm to 9 pm Tom eats 6 figs an hour. How many?", "<<9-4=5>><<5*6=30>>", "30", "From 4 pm to 9 pm"),
    ],
)  # fmt: skip
def test_what_may_come_from_several_places_stays(text: str, solution: str, answer: str, kept: str) -> None:
    for seed in range(10):
        made = renumbered(text, solution, answer, seed)
        assert isinstance(made, Problem) and kept in made.prompt and made.answer != answer, made


def test_numbers_keep_their_form() -> None:
    text = "Eve saves $2,500 and a pen costs $1.25 more than a $3.75 cup, with an 8-inch rim, for 6 days, at 40%. What?"
    told = read_numbers(text)
    assert [(str(one.value), one.places, one.commas, one.never_more) for one in told.free] == [
        ("2500", 0, True, False), ("15/4", 2, False, False), ("8", 0, False, False), ("6", 0, False, True),
        ("40", 0, False, True),
    ]  # fmt: skip
    assert {Fraction(5, 4), 12} <= told.said | told.suggested  # 1.25 is too small to be changed; a foot has 12 inches
    assert written(Fraction(2500), commas=True) == "2,500" and written(Fraction(15, 4), 3) == "3.750"
    made = [renumbered("Tom reads an 8-page and a 12-page book. Pages?", "<<8+12=20>>", "20", s) for s in range(30)]
    for child in made:
        assert isinstance(child, Problem)
        for article, number in re.findall(r"\b(an?) (\d+)-page", child.prompt):
            assert (article == "an") == (number[0] == "8" or number in ("11", "18")), child.prompt


@pytest.mark.parametrize(
    "text", ["2*(3+4)-5=9", "12/(3*2)=2", "12/3*2=8", "9-(4-3)=8", "9-4-3=2", "2*3/4=1.5", "0.1*3=.3"]
)
def test_annotations_are_read_and_written_exactly(text: str) -> None:
    (made,) = calculations(f"so <<{text}>>")
    assert made.result == Fraction(text.partition("=")[2]) == evaluate(made.expression, made.literals)
    again = spelled(made.expression, [str(float(value)) for value in made.literals])
    assert eval(again) == pytest.approx(float(made.result)) and last_result(
        f"{again}={made.result}".replace("/2", "/2")
    )


def test_the_graph_of_a_published_kind_of_solution() -> None:
    graph = linked(
        "Eve sold clips to 48 friends in April, and half as many in May. How many altogether?",
        "Eve sold 48/2 = <<48/2=24>>24 clips in May.\nEve sold 48+24 = <<48+24=72>>72 clips altogether.", "72",
    )  # fmt: skip
    assert [[link.kind for link in row] for row in graph.links] == [["given", "constant"], ["given", "result"]]
    assert [
        evaluate(step.expression, values)
        for step, values in zip(graph.steps, graph.literals([Fraction(60)]), strict=True)
    ] == [30, 90]
    with pytest.raises(Refused):
        linked("Eve has 3 figs.", "<<3/0=1>>", "1")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Betty and Brian eat. Then Betty's dog sleeps.", ["Betty", "Brian"]),
        ("He met Jane Austen.", []),
        ("Mr. Brian and St. Peter talk to Uncle Bob.", []),
        ("Ask Bob. Uncle Bob knows.", ["Bob"]),  # "Uncle" begins a sentence, and keeps its place
        ("In April Rose and Mark saw May and Hope.", []),  # months, flowers, words
        ("Tom, Bob, and Jane share.", ["Tom", "Bob", "Jane"]),
        ("Tom likes Tom Sawyer.", []),
    ],
)
def test_names_are_taken_only_where_sure(text: str, names: list[str]) -> None:
    assert sure_names(text) == names


def test_foreign_texts_are_renamed_with_care() -> None:
    story = question(
        "Betty's mother gave Betty 5 figs, and Brian has 2. She eats 3. How many has Betty?", "Betty: <<5-3=2>>2", "2"
    )
    for seed in range(20):
        child = perturb(story, MATH, RENAMED, seed)
        assert isinstance(child, Problem) and child.answer == "2"
        (betty, mother, again) = re.findall(r"^(\w+)'s (\w+) gave (\w+)", child.prompt)[0]
        brian = re.search(r"and (\w+) has 2", child.prompt)
        assert betty == again != "Betty" and betty in COMMON_WOMEN and mother == "mother"
        assert brian and brian[1] in COMMON_MEN and child.meta["solution"].startswith(f"{betty}:")
    refused = {
        "How many letters has the name Betty?": "the problem may be about the names themselves",
        "Betty ate 3 of his figs. How many?": "the pronouns do not go with the name",
        "Thomas met Tho. Nobody else did.": None,
        "Tom met Tommy. How many?": "two names may be one person's",
        "Somebody ate. How many?": "no word that is surely a first name",
    }
    for text, reason in refused.items():
        made = perturb(question(text, "", "3"), MATH, RENAMED, 0)
        assert isinstance(made, Problem) if reason is None else isinstance(made, Refusal) and made.reason == reason
    named = perturb(question("Who has more, Betty or Brian?", "", "Betty"), MATH, RENAMED, 0)
    assert isinstance(named, Refusal) and named.reason == "the answer names the person"
    assert not set(COMMON_WOMEN) & set(COMMON_MEN)


def test_a_foreign_clause_is_about_something_else() -> None:
    story = question(
        "A bus drives by the tree. Tom paints a wall in 3 hours. How long do two walls take?", "<<3*2=6>>", "6"
    )
    for seed in range(40):
        child = perturb(story, MATH, CLAUSE, seed)
        assert isinstance(child, Problem) and child.answer == "6"
        at = story.prompt.index("How")
        clause = child.prompt.removeprefix(story.prompt[:at]).removesuffix(story.prompt[at:])
        assert re.fullmatch(r"[A-Z][^.?]*\. ", clause)
        assert not re.search(r"bus\b|\btree|poster|passenger", clause) and not set(re.findall(r"\d+", clause)) & {
            "3",
            "6",
            "2",
        }
    back = question("Tom has 3 figs. How many are they with two more?", "<<3+2=5>>", "5")
    child = perturb(back, MATH, CLAUSE, 1)
    assert isinstance(child, Problem) and child.prompt.endswith(back.prompt)  # "they" must go on meaning the figs


def test_foreign_problems_go_on_only_by_a_certain_rule() -> None:
    story = question("Tom has 9 red figs. He eats 3. How many red figs does Tom have now?", "<<9-3=6>>", "6")
    for seed in range(10):
        child = perturb(story, MATH, ONE_MORE_STEP, seed)
        assert isinstance(child, Problem)
        event = re.fullmatch(
            r"Tom has 9 red figs\. He eats 3\. Then Tom (gets|loses) (\d+) (more )?red figs\. How .*", child.prompt
        )
        assert event and int(child.answer) == 6 + int(event[2]) * (1 if event[1] == "gets" else -1) >= 0
    asked = perturb(question("If Tom eats 3 of 9 figs, how many are left?", "", "6"), MATH, ONE_MORE_STEP, 0)
    assert isinstance(asked, Problem) and re.search(
        r"left\? Then (add|subtract) \d+ (to|from) that number", asked.prompt
    )
    for text, answer in (
        ("Name it.", "6"),
        ("Is it 3? How many?", "6"),
        ("How many figs?", "Paris"),
        ("How much?", "2.5"),
    ):
        assert isinstance(perturb(question(text, "", answer), MATH, ONE_MORE_STEP, 0), Refusal)


def test_bad_calls_say_what_to_do() -> None:
    problem = drawn("chain", 0)
    with pytest.raises(UserError, match="did you mean 'renamed'"):
        perturb(problem, FAMILIES["chain"], "rename", 0)
    with pytest.raises(UserError, match="got one of chain"):
        perturb(problem, FAMILIES["coin"], RENAMED, 0)
    with pytest.raises(UserError, match="there is none for chain"):
        perturbations([problem], {"coin": FAMILIES["coin"]})
    twice = perturb(child_of(problem, CLAUSE), FAMILIES["chain"], RENAMED, 0)
    assert isinstance(twice, Refusal) and "already" in twice.reason


class Mine(Chain):
    """A family of somebody's own, whatever it is called, is a text of unknown making."""


def test_only_the_built_in_families_are_known() -> None:
    problem = drawn("chain", 0)
    made = perturb(problem, Mine(), RENUMBERED, 0)
    assert isinstance(made, Refusal) and made.reason == "there is no worked solution"
    assert pose("chain", Draft("", "", "x")).split in ("train", "val", "test")


SHARED = os.environ.get("THINKLING_SHARED_DATA")


@pytest.mark.skipif(SHARED is None, reason="set THINKLING_SHARED_DATA to a folder with reasoning/gsm8k to run this")
def test_gsm8k_solutions_lead_to_their_answers_by_their_graphs() -> None:
    """Every accepted solution, evaluated with the question's own numbers, gives the gold; so do the children's."""
    assert SHARED is not None
    with gzip.open(Path(SHARED) / "reasoning/gsm8k/train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, 600)]
    accepted = children = 0
    for row in rows:
        solution, _, gold = row["answer"].partition("####")
        try:
            graph = linked(row["question"], solution, gold.strip())
        except Refused:
            continue
        accepted += 1
        *_, values = graph.literals([one.value for one in graph.quantities])
        assert evaluate(graph.steps[-1].expression, values) == Fraction(gold.strip().replace(",", ""))
        child = renumbered(row["question"], solution, gold.strip())
        if isinstance(child, Problem):
            children += 1
            assert [last_result(step) for step in child.meta["solution"].split()][-1] == Fraction(child.answer)
    assert accepted > 270 and children > 260, (accepted, children)
