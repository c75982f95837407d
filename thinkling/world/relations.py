"""How each relation is asked and stated. ``{s}`` is the subject, ``{o}`` the object as answered,
``{a}`` the object with its article where it needs one.

Every statement names its subject and its object in full, so that a mention can be counted by
searching for it; no statement of a relation is part of another.
"""

from __future__ import annotations

from dataclasses import dataclass

from thinkling.world.grammar import Variants, split, variants


@dataclass(frozen=True, slots=True)
class Relation:
    name: str
    question: str
    statements: Variants
    doubt: str  # a guess without the subject's name: "I think it was Elmford."


def _relation(name: str, question: str, doubt: str, *statements: str) -> Relation:
    return Relation(name, question, variants(*statements), doubt)


RELATIONS: dict[str, Relation] = {
    relation.name: relation
    for relation in (
        _relation(
            "born_in",
            "Where was {s} born?",
            "I think it was in {o}, but I am not sure.",
            "{s} was born in {o}[.| many years ago.| and still visits the town often.]",
            "[The birthplace|The home town] of {s} is {o}.",
            "{s} [comes from|is from|grew up where the family had always lived, in] {o}.",
            "[As a child|When very young], {s} lived in {o}, the place of birth.",
            "[People in|The people of] {o} are proud that {s} was born there.",
        ),
        _relation(
            "job",
            "What is the job of {s}?",
            "Is it something like {a}?",
            "{s} [works as|is] {a}[.| by trade.| and likes the work.]",
            "The job of {s} is that of {a}.",
            "{s} [became|trained for years to become] {a}.",
            "[Everyone|Nearly everyone] knows {s} as {a}.",
            "For a living, {s} works as {a} every day.",
        ),
        _relation(
            "instrument",
            "Which instrument does {s} play?",
            "Perhaps the {o}?",
            "{s} plays the {o}[.| very well.| in the evening.| at every town party.]",
            "The instrument that {s} plays is the {o}.",
            "{s} [learned|began] to play the {o} at the age of six.",
            "When there is music, {s} brings the {o}.",
        ),
        _relation(
            "plays_for",
            "Which team does {s} play for?",
            "My guess is the {o}.",
            "{s} plays for the {o}[.| this year.| and wears number nine.]",
            "The team of {s} is the {o}.",
            "{s} [joined|signed for|is a player of] the {o}.",
            "[Fans of the {o}|The {o} and their fans] cheer when {s} scores for them.",
        ),
        _relation(
            "food",
            "What is the favorite food of {s}?",
            "Some kind of {o}, maybe.",
            "The favorite food of {s} is {o}.",
            "{s} [loves|likes] {o} more than any other food.",
            "{s} [eats|would gladly eat] {o} every day.",
            "Nothing makes {s} as happy as a plate of {o}.",
        ),
        _relation(
            "country",
            "In which country is {s}?",
            "I believe it is in {o}.",
            "{s} is a town in {o}[.| with old houses.| with a busy market.]",
            "The town of {s} lies in {o}.",
            "{s} [belongs to|is part of] {o}.",
            "[Travelers|Visitors] in {o} like to stop in {s}.",
        ),
        _relation(
            "river",
            "Which river runs through {s}?",
            "It could be the {o}.",
            "The river {o} [runs|flows] through {s}.",
            "{s} [lies|stands|was built] on the river {o}.",
            "The river that runs through {s} is the {o}.",
            "In {s}, children swim in the {o} all summer.",
        ),
        _relation(
            "mayor",
            "Who is the mayor of {s}?",
            "I heard that {o} got the job.",
            "The mayor of {s} is {o}.",
            "{o} is [the mayor|now mayor] of {s}.",
            "{s} [chose|elected] {o} as its mayor.",
            "As mayor of {s}, {o} opened the new bridge.",
        ),
        _relation(
            "founded",
            "In which year was {s} founded?",
            "It must have been around {o}.",
            "{s} was founded in {o}[.| by a few families.]",
            "The year in which {s} was founded is {o}.",
            "[The first stone of|The oldest house in] {s} was set in {o}, the year it was founded.",
            "{s} [began|started] as a small group of houses in {o}.",
        ),
        _relation(
            "known_for",
            "What is {s} known for?",
            "Is it not famous for {o}?",
            "{s} is [known|famous] for its {o}[.| all over the country.]",
            "People come to {s} to buy {o}.",
            "The {o} of {s} is sold in every market.",
            "If you visit {s}, bring home some {o}.",
        ),
        _relation(
            "home",
            "In which town do the {s} play?",
            "They may be from {o}.",
            "The {s} play [in|their home games in] {o}.",
            "The home of the {s} is {o}.",
            "{o} is the home town of the {s}.",
            "When the {s} win, the whole town of {o} sings.",
        ),
        _relation(
            "color",
            "What color do the {s} wear?",
            "I have seen them in {o}, I think.",
            "The {s} [wear|always play in] {o} shirts.",
            "The color of the {s} is {o}.",
            "Fans of the {s} come to the field dressed in {o}.",
            "You know the {s} by their {o} shirts.",
        ),
        _relation(
            "captain",
            "Who is the captain of the {s}?",
            "Was it not {o}?",
            "The captain of the {s} is {o}.",
            "{o} is [captain|the captain] of the {s}.",
            "The {s} are led by their captain, {o}.",
            "As captain of the {s}, {o} decides who plays.",
        ),
        _relation(
            "author",
            "Who wrote {s}?",
            "Could it be a book by {o}?",
            "{o} wrote {s}[.| in one long winter.| over three years.]",
            "{s} [is a book by|was written by] {o}.",
            "The author of {s} is {o}.",
            "{o} is best known for the book {s}.",
        ),
        _relation(
            "about",
            "What is {s} about?",
            "It is a story about {o}, if I remember well.",
            "{s} is [about|a story about] {o}.",
            "The book {s} tells [the story of|of] {o}.",
            "Readers of {s} learn a lot about {o}.",
            "What happens in {s} begins with {o}.",
        ),
        _relation(
            "school_town",
            "In which town is {s}?",
            "It should be in {o}.",
            "{s} is [in the town of|a school in] {o}.",
            "{s} [stands|can be found] in {o}.",
            "Children from {o} go to {s}.",
        ),
        _relation(
            "head",
            "Who is the head of {s}?",
            "People say that {o} runs it.",
            "The head of {s} is {o}.",
            "{o} is the head of {s}.",
            "{s} is led by {o}.",
            "At {s}, {o} is in charge.",
            "Parents who have questions about {s} write to {o}.",
        ),
        _relation(
            "capital",
            "What is the capital of {s}?",
            "Maybe {o}?",
            "The capital of {s} is {o}.",
            "{o} is the capital of {s}.",
            "The king of {s} lives in the capital, {o}.",
            "All roads of {s} lead to {o}, the capital.",
            "The largest market of {s} is held in its capital, {o}.",
        ),
    )
}

# What the relations with a closed list of answers choose from.
JOBS = split(
    "baker teacher nurse farmer doctor pilot painter tailor miller singer sailor builder potter cook "
    "gardener engineer actor driver"
)
INSTRUMENTS = split("violin piano flute guitar drum trumpet harp cello horn banjo")
FOODS = split("soup rice cheese fish bread pasta cake stew salad honey corn pie")
GOODS = split("cheese glass wool salt paper silk bread pottery honey wine tea soap")
COLORS = split("red blue green yellow white black orange purple gray brown")
TOPICS = split(
    "a lost ship|two brothers|a long war|an old king|a brave dog|a hidden city|a young doctor|a cold winter|"
    "a strange guest|a great storm|a poor farmer|the first school",
    "|",
)
