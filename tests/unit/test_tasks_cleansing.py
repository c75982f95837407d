"""Answer cleansing: the paper's quirks to the letter, and what reading what was said corrects."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.tasks import bbh
from thinkling.tasks.cleansing import MODES, cleanse, grade, options_in, paper_answer
from thinkling.tasks.kojima import DATASETS, KINDS, STEP_BY_STEP, trigger

ROOMS = "Where do you put a lamp? Answer Choices: (A) shelf (B) board (C) new york (D) new york city (E) not here"


@pytest.mark.parametrize(
    ("kind", "choices", "expected"),
    [
        ("number", "", "Therefore, the answer (arabic numerals) is"),
        ("choice", "", "Therefore, among A through E, the answer is"),
        ("choice", "ABCDEF", "Therefore, among A through F, the answer is"),
        ("choice", "ABC", "Therefore, among A through C, the answer is"),
        ("yes-no", "", "Therefore, the answer (Yes or No) is"),
        ("letters", "", "Therefore, the answer is"),
        ("text", "", "Therefore, the answer is"),
    ],
)
def test_the_triggers_are_those_of_the_paper(kind: str, choices: str, expected: str) -> None:
    assert trigger(kind, choices) == expected
    assert STEP_BY_STEP == "Let's think step by step."


def test_every_data_set_has_a_known_kind() -> None:
    assert len(DATASETS) == 12
    for answers in DATASETS.values():
        assert answers.kind in KINDS and (answers.kind == "choice") == bool(answers.choices)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("number", " $1,234.50 in all.", "1234.50"),
        ("number", "8.", "8"),
        ("number", ".25", "25"),
        ("number", "3/4", "3"),
        ("number", "2,2,2.", "222"),
        ("number", "10-4 = 6", "10"),
        ("number", "5 + 3 = 8", "5"),
        ("number", "seven", ""),
        ("choice", "California.", "C"),
        ("choice", "probably (B) or (D)", "B"),
        ("choice", "b) lamp", ""),
        ("choice", "F", ""),
        ("yes-no", ":\n\nYes, it is", "yes"),
        ("yes-no", "There is no evidence.", "no"),
        ("yes-no", "(yes)", ""),
        ("yes-no", "yes; it is", ""),
        ("letters", ' "f n e l".', "fnel"),
        ("letters", "'f-n.e\nl'", "f-nel"),
        ("text", " St. Orm.", "St. Orm"),
    ],
)
def test_the_first_candidate_after_a_trigger_wins_in_the_paper(kind: str, text: str, expected: str) -> None:
    assert paper_answer(kind, text) == expected
    assert cleanse(kind, text, "paper") == (expected or None)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("number", "2 and 3 make 5. The answer is 5, not 6.", "5"),
        ("number", "2 and 3 make 5.", "5"),
        ("number", "The answer is 1. The answer is 2 or 3.", "2"),
        ("number", "The answer is unknown.", ""),
        ("choice", "A is out. The answer is B or C.", "B"),
        ("choice", "Not A but B", "B"),
        ("yes-no", "No? Yes", "yes"),
    ],
)
def test_a_whole_response_is_read_after_its_last_answer_or_from_its_end(kind: str, text: str, expected: str) -> None:
    assert paper_answer(kind, text, whole=True) == expected


def scanned(kind: str, text: str, letters: str) -> str:
    """The paper's first candidate, letter by letter and without regular expressions."""
    if kind == "choice":
        return next((sign for sign in text if sign in letters), "")
    if kind == "letters":
        kept = "".join(sign for sign in text if sign not in "\"'." and not sign.isspace())
        return kept
    if kind == "yes-no":
        spaced = "".join(" " if sign in "\"'.:," or sign.isspace() else sign for sign in text.lower())
        return next((word for word in spaced.split(" ") if word in ("yes", "no")), "")
    text = text.replace(",", "")
    start = next((place for place, sign in enumerate(text) if sign in "0123456789"), None)
    if start is None:
        return ""
    sign = "-" if start and text[start - 1] == "-" else ""
    end = start
    seen_point = False
    while end < len(text) and (text[end] in "0123456789" or (text[end] == "." and not seen_point)):
        seen_point |= text[end] == "."
        end += 1
    found = sign + text[start:end]
    return found[:-1] if found.endswith(".") else found


@given(
    st.sampled_from(("number", "choice", "yes-no", "letters")), st.text("0189-.,$ ABCDEFabyesno\"':;\n", max_size=30)
)
def test_paper_equals_a_slow_twin(kind: str, text: str) -> None:
    assert paper_answer(kind, text, choices="ABC") == scanned(kind, text, "ABC")


@pytest.mark.parametrize(
    ("kind", "text", "gold"),
    [
        ("number", "1,000", "1000"),
        ("number", "1000.", "1,000"),
        ("number", "8.00", "8"),
        ("number", "8", "8.0"),
        ("number", "$5.", "5"),
        ("number", ".25", "0.25"),
        ("number", "-.5", "-0.5"),
        ("number", "$.25", "0.25"),
        ("number", "3/4.", "0.75"),
        ("number", "3/8 or .375.", "0.375"),
        ("number", "20%", "20"),
        ("number", ":\n\n0.7 light-years", "0.7"),
        ("number", "_____.\n\n$80", "80"),
        ("number", "7.\n\nQ: What is 2 and 2? The answer is 4.", "7"),
        ("number", "1/6.", "0.16666666666666666"),
        ("number", "0.8333333333333333", "0.8333333333333334"),
        ("choice", "(B).", "B"),
        ("choice", "b) board", "B"),
        ("choice", "most likely B, the board", "B"),
        ("choice", "Board.", "B"),
        ("choice", "a board", "B"),
        ("choice", "B", "board"),
        ("choice", "New York", "C"),
        ("choice", "New York City", "D"),
        ("choice", "not here", "E"),
        ("choice", "A shelf", "A"),
        ("choice", "A", "(A)"),
        ("choice", "A is right", "A"),
        ("choice", "B lamp", "B"),
        ("yes-no", "Yes, they have no choice.", "yes"),
        ("yes-no", 'most likely "No."', "no"),
        ("yes-no", "No because it is late", "No"),
        ("letters", '"f-n-e-l".', "fnel"),
        ("letters", "f n e l", "fnel"),
        ("letters", "FNEL", "fnel"),
        ("text", '"St. Orm".', "st. orm"),
    ],
)
def test_exact_takes_what_is_right_however_it_is_written(kind: str, text: str, gold: str) -> None:
    verdict = grade(kind, text, gold, "exact", question=ROOMS)
    assert (verdict.score, verdict.status) == (1.0, "graded"), verdict


@pytest.mark.parametrize(
    ("kind", "text", "gold", "why"),
    [
        ("number", "4 or 5", "4", "2 different numbers"),
        ("number", "5 + 5 = 10", "5", "2 different numbers"),
        ("number", "not 5", "5", "what the answer is not"),
        ("choice", "A or C", "A", "A and C"),
        ("choice", "C or D.", "D", "C and D"),
        ("choice", "probably (A), (B), or d)", "A", "A and B and D"),
        ("choice", "not B", "B", "what the answer is not"),
        ("choice", "isn't the board", "B", "what the answer is not"),
        ("choice", "A, board", "A", "A with the text of B"),
        ("choice", "shelf or board", "A", "the texts of A and B"),
        ("yes-no", "both yes and no", "yes", "yes and no"),
        ("yes-no", "not yes", "yes", "what the answer is not"),
    ],
)
def test_exact_names_what_is_ambiguous_and_calls_it_wrong(kind: str, text: str, gold: str, why: str) -> None:
    verdict = grade(kind, text, gold, "exact", question=ROOMS)
    assert (verdict.score, verdict.status) == (0.0, "graded")
    assert verdict.reason.startswith("ambiguous: ") and why in verdict.reason


@pytest.mark.parametrize(
    ("kind", "text", "gold"),
    [
        ("number", "seven", "7"),
        ("number", "", "7"),
        ("number", "_____8142_____", "8142"),
        ("choice", "California", "C"),
        ("choice", "(F)", "E"),
        ("choice", "a B-52 or Washington D.C", "B"),
        ("yes-no", "There is no evidence.", "no"),
        ("yes-no", "not known.\n\nNo, it is not.", "no"),
        ("letters", " \n", "fnel"),
    ],
)
def test_exact_tells_unparsed_from_wrong(kind: str, text: str, gold: str) -> None:
    verdict = grade(kind, text, gold, "exact", question=ROOMS)
    assert (verdict.score, verdict.status, verdict.extracted) == (0.0, "unparsed", None) and verdict.reason
    assert cleanse(kind, text, "exact") is None


@pytest.mark.parametrize(
    ("kind", "gold", "mode"),
    [
        ("number", "seven", "exact"),
        ("number", "1" * 5000, "exact"),
        ("choice", "lamp", "exact"),
        ("choice", "F", "exact"),
    ]
    + [("yes-no", "maybe", "exact")]
    + [(kind, " ", mode) for kind in KINDS for mode in MODES],
)
def test_a_gold_answer_that_cannot_be_one_leaves_the_output_unscored(kind: str, gold: str, mode: str) -> None:
    assert mode in MODES
    verdict = grade(kind, "B", gold, mode, question=ROOMS)  # type: ignore[arg-type]
    assert (verdict.score, verdict.status) == (None, "unscored") and "gold answer" in verdict.reason


def test_near_is_equal_only_where_the_gold_answer_is_rounded() -> None:
    assert grade("number", "2/3", "0.6666666666666666", "exact").score == 1.0
    assert grade("number", "0.667", "0.6666666666666666", "exact").score == 0.0
    assert grade("number", "0.30000000000000004", "0.3", "exact").score == 0.0
    assert grade("number", "1/3", "0.333", "exact").score == 0.0


@given(st.integers(-(10**9), 10**9), st.integers(0, 3), st.booleans(), st.sampled_from(("", "$")))
def test_exact_gold_scores_1_in_every_spelling_and_its_neighbour_0(
    value: int, zeros: int, commas: bool, currency: str
) -> None:
    digits = f"{abs(value):,}" if commas else str(abs(value))
    written = f"{'-' if value < 0 else ''}{currency}{digits}{'.' if zeros else ''}{'0' * zeros}"
    assert grade("number", f" {written}.", str(value), "exact").score == 1.0
    assert grade("number", f" {written}.", str(value + 1), "exact").score == 0.0
    assert cleanse("number", written, "exact") == str(value)


@given(st.fractions(max_denominator=999), st.fractions(max_denominator=999))
def test_exact_compares_fractions(said: Fraction, gold: Fraction) -> None:
    verdict = grade("number", str(said), str(gold), "exact")
    assert verdict.score == float(said == gold)


@given(st.sampled_from(KINDS), st.text(max_size=40), st.sampled_from(MODES), st.booleans())
def test_cleanse_and_grade_read_the_same(kind: str, text: str, mode: str, whole: bool) -> None:
    assert mode in MODES
    said = cleanse(kind, text, mode, whole=whole)  # type: ignore[arg-type]
    gold = {"number": "7", "choice": "A", "yes-no": "no"}.get(kind, "seven")
    verdict = grade(kind, text, gold, mode, whole=whole)  # type: ignore[arg-type]
    assert verdict.status in ("graded", "unparsed")
    if said is None:
        assert verdict.score == 0.0 and (verdict.status == "unparsed" or verdict.reason.startswith("ambiguous"))
    else:
        assert verdict.extracted == said and verdict.status == "graded"


@pytest.mark.parametrize(
    "text",
    ["1" * 10**6, "1," + "111," * 250_000 + "11", ".5" * 500_000, "A " * 500_000, "(" * 10**6, "no " * 300_000],
    ids=["digits", "commas", "points", "letters", "brackets", "words"],
)
def test_an_endless_answer_is_bounded(text: str) -> None:
    begun = time.process_time()
    for kind in KINDS:
        for mode in MODES:
            assert (
                grade(kind, text, "5" if kind == "number" else "A", mode, question=ROOMS).score != 1.0
                or mode == "paper"
            )
    assert time.process_time() - begun < 20


def test_a_response_is_read_where_it_claims_something() -> None:
    thought = "There are 15 trees, then 21. So 21 - 15 = 6.\nTherefore, the answer (arabic numerals) is 6."
    assert cleanse("number", thought, "exact", whole=True) == "6"
    assert cleanse("number", "There are 15 trees, then 21.", "exact", whole=True) is None
    assert cleanse("choice", "Let me see. B it is, I think", "exact", whole=True) is None
    assert cleanse("choice", "(B) because A is out", "exact", whole=True) is None  # two letters
    assert cleanse("choice", "**B**", "exact", whole=True) == "B"


def test_choices_are_read_off_the_question() -> None:
    assert options_in(ROOMS)["D"] == "new york city" and list(options_in(ROOMS)) == list("ABCDE")
    assert options_in("(A) of the law? Options:\n(A) 5\n(B) 15\nA: Let's think") == {"A": "5", "B": "15"}
    assert options_in("(B) (A)") == {"A": ""}
    assert options_in("Is it (B)?") == {}
    asked = "How many? (A) 5 (B) 15 (C) 2.5"
    assert [grade("choice", said, "A", "exact", question=asked).extracted for said in ("5 km", "15", "2.5")] == list(
        "ABC"
    )


@pytest.mark.parametrize("call", [lambda: trigger("numbers"), lambda: cleanse("prose", "5", "exact")])
def test_an_unknown_kind_is_told(call: object) -> None:
    assert callable(call)
    with pytest.raises(UserError, match="number, choice, yes-no, letters, text"):
        call()


def test_unknown_modes_and_odd_choices_are_told() -> None:
    with pytest.raises(UserError, match="expected a mode out of paper, exact; got 'float'"):
        cleanse("number", "5", "float")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="letters of the choices in capitals"):
        trigger("choice", "A-E")


def bbh_score(task: str, prediction: str, target: str, *, cot: bool = False, question: str = "") -> float | None:
    return bbh.grade(task, question, prediction, target, "exact", chain_of_thought=cot).score


def test_big_bench_hard_answers_follow_the_last_phrase() -> None:
    assert bbh.answer_part("So the answer is 1. No. So the answer is ] ].", True) == "] ]"
    assert bbh.answer_part("not True = not True = not", True) == ""
    assert bbh.answer_part(" valid\n", False) == "valid"
    assert bbh.is_chain_of_thought(["cut off", "So the answer is 1."]) and not bbh.is_chain_of_thought(["1"])
    for mode in MODES:
        cut_off = bbh.grade("object_counting", "", "1 + 1 + 1", "3", mode, chain_of_thought=True)
        assert (cut_off.score, cut_off.status) == (0.0, "unparsed")


def test_big_bench_hard_kinds() -> None:
    assert bbh_score("navigate", "no", "No") == 1.0
    assert bbh_score("boolean_expressions", "False.", "False") == 1.0
    assert bbh_score("boolean_expressions", "not False", "False") == 0.0
    assert bbh_score("formal_fallacies", "valid", "invalid") == 0.0
    assert bbh_score("multistep_arithmetic_two", "So the answer is -1,260.", "-1260", cot=True) == 1.0
    assert bbh_score("dyck_languages", "]]", "] ]") == 1.0
    assert bbh_score("dyck_languages", "] >", "> ]") == 0.0
    assert bbh_score("word_sorting", "ash, Elm oak", "ash elm oak") == 1.0
    assert bbh_score("word_sorting", "elm ash oak", "ash elm oak") == 0.0
    assert bbh_score("snarks", "B", "(B)", question="Options:\n(A) fine\n(B) sure") == 1.0
    assert bbh_score("ruin_names", "(A)", "rain, man", question="Options:\n(A) rain\n(B) man") is None
    paper = bbh.grade("dyck_languages", "", "]]", "] ]", "paper", chain_of_thought=False)
    assert (paper.score, paper.extracted) == (0.0, "]]")
    with pytest.raises(UserError, match="'sums' is no task of BIG-Bench Hard"):
        bbh_score("sums", "1", "1")


def test_the_average_counts_three_variants_as_one_task() -> None:
    shares = dict.fromkeys(bbh.TASKS, 0.0)
    shares |= {task: 1.0 for task in shares if task.startswith("tracking")}
    assert len(bbh.TASKS) == 27
    assert bbh.paper_average(shares) == pytest.approx(1 / 23)
    del shares["snarks"]
    assert bbh.paper_average(shares) is None
