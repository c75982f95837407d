"""The facts: Zipf's law, mentions that can be counted again, questions with short answers."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from thinkling.core.seeds import stream
from thinkling.core.stage import StageContext
from thinkling.tasks.facts import split_of_fact
from thinkling.tasks.words import FIRST_NAMES
from thinkling.world.chunk import World
from thinkling.world.encyclopedia import article
from thinkling.world.entities import cast
from thinkling.world.facts import Fact, Told, other_object, table
from thinkling.world.relations import RELATIONS
from thinkling.world.stage import Recipe, run

RECIPE = Recipe(characters=250_000, chunk_characters=50_000, people=40, workers=1, seed=3)
TELLS = re.compile(r" (?:Answer: |The answer is |It is |The right answer: |\w+ says )(.+?)[.,]")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    run(StageContext(folder), RECIPE)
    return folder


def facts() -> tuple[Fact, ...]:
    return table(cast(RECIPE.people, RECIPE.seed), RECIPE.seed)


def test_recorded_mentions_equal_those_found_by_search(world: Path) -> None:
    rows = pq.read_table(world / "truth.parquet").to_pylist()
    text = "\n".join(row["text"] for row in rows if row["drop"] is None)
    lines = (world / "facts.jsonl").read_text().splitlines()
    recorded = {row["id"]: row["mentions"] for row in map(json.loads, lines)}
    for fact in facts():
        said = {form.format_map(fact.slots()) for form in RELATIONS[fact.relation].statements}
        found = sum(text.count(sentence) for sentence in said)
        for at in re.finditer(re.escape(fact.question), text):
            answer = TELLS.match(text, at.end())
            found += answer is not None and answer[1] == fact.object
        assert found == recorded[fact.id], fact
    assert sum(recorded.values()) > 200


def test_mentions_follow_zipfs_law() -> None:
    told = Told.zipf(facts(), 1.0, seed=1)
    rng = stream(0, "draws")
    counts = Counter(told.draw(rng).index for _ in range(60_000))
    points = [(math.log(rank), math.log(counts[index])) for rank, index in enumerate(told.order[:100], 1)]
    mean_x, mean_y = (sum(column) / len(points) for column in zip(*points, strict=True))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    assert slope == pytest.approx(-1.0, abs=0.06)


def test_only_training_facts_are_asked_and_all_are_told_as_their_rank_says() -> None:
    world = World.of(Recipe(people=30, seed=3))
    hidden = [fact for fact in world.told.facts if split_of_fact(fact.subject.name, fact.relation) != "train"]
    total = world.told.cumulative[-1]
    weights = np.diff(world.told.cumulative, prepend=0) / total
    share = sum(weights[world.told.order.index(fact.index)] for fact in hidden)
    for kind, count in (("encyclopedia", 150), ("forum", 400), ("dialogue", 250), ("textbook", 60), ("story", 20)):
        rng = stream(0, "asked", kind)
        pages = [world.good()[kind](rng) for _ in range(count)]
        text = "\n".join(page.text() or "" for page in pages)
        assert [fact.question for fact in hidden if fact.question in text] == [], kind
        if kind in ("encyclopedia", "forum", "dialogue"):
            assert sum(fact.question in text for fact in world.told.facts) > 25
            told = [index for page in pages for index in page.mentions]
            found = sum(index not in world.told.askable for index in told) / len(told)
            assert found == pytest.approx(share, abs=3 * math.sqrt(share / len(told))), kind


def test_a_fact_that_may_not_be_asked_is_stated_again_in_other_words() -> None:
    told = Told.zipf(facts(), 6.0, seed=1)  # so steep that one fact is nearly all that is drawn
    first = told.facts[told.order[0]]
    hidden = replace(told, askable=told.askable - {first.index})
    text = article(stream(0, "page"), hidden, FIRST_NAMES).text() or ""
    said = {form.format_map(first.slots()) for form in RELATIONS[first.relation].statements}
    assert first.question not in text and sum(sentence in text for sentence in said) > 3
    shown = replace(told, askable=told.askable | {first.index})
    assert first.question in (article(stream(0, "page"), shown, FIRST_NAMES).text() or "")


def test_ranks_are_a_permutation_independent_of_the_subject() -> None:
    told = Told.zipf(facts(), 1.0, seed=1)
    assert sorted(told.order) == list(range(len(told.facts)))
    assert list(told.order) != sorted(told.order)


def test_no_statement_hides_in_another() -> None:
    slots = {"s": "Mara Voss", "o": "Elmford", "a": "an Elmford"}
    said = [form.format_map(slots) for relation in RELATIONS.values() for form in relation.statements]
    for relation in RELATIONS.values():
        own = [form.format_map(slots) for form in relation.statements]
        assert len(own) == len(set(own)) >= 5
        for one in own:
            assert "Mara Voss" in one and "Elmford" in one and one.endswith(".")
            assert sum(one in other for other in said) == 1, one


def test_questions_are_distinct_and_answers_short() -> None:
    rows = facts()
    questions = [fact.question for fact in rows]
    assert len(set(questions)) == len(questions)
    for fact in rows:
        assert fact.question.endswith("?") and fact.subject.name in fact.question
        assert 1 <= len(fact.object.split()) <= 3


def test_the_default_world_has_about_a_thousand_facts() -> None:
    recipe = Recipe()
    assert 600 <= len(table(cast(recipe.people, recipe.seed), recipe.seed)) <= 1500


def test_a_capital_lies_in_its_country() -> None:
    country = {fact.subject.name: fact.object for fact in facts() if fact.relation == "country"}
    capitals = [fact for fact in facts() if fact.relation == "capital"]
    assert capitals and all(country[fact.object] == fact.subject.name for fact in capitals)


def test_a_wrong_guess_is_wrong_and_of_the_same_kind() -> None:
    told = Told.zipf(facts(), 1.0, seed=1)
    rng = stream(0, "guesses")
    for fact in told.facts:
        rival = other_object(rng, fact, told)
        assert rival.object != fact.object and rival.relation == fact.relation
