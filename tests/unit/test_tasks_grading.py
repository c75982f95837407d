"""The traps of grading short answers."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkling.tasks.grading import grade_choice, grade_number, grade_numbers, grade_text, number, numbers

YES_NO = {"yes": "yes", "heads": "yes", "no": "no", "tails": "no"}


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("The answer is 27.", "27"),
        ("27", "27"),
        ("27.", "27"),
        ("$27.", "27"),
        ("The answer is 27.0.", "27"),
        ("The answer is 1,000.", "1000"),
        ("The answer is $1,000,000", "1000000"),
        ("The answer is 9.90.", "9.9"),
        ("The answer is -5.", "-5"),
        ("The answer is \u22125.", "-5"),
        ("The answer is 27 shells.", "27"),
        ("the ANSWER IS: **27**", "27"),
        ("The answer is \\boxed{27}", "27"),
        ("The answer is 4. Wait, no. The answer is 5.", "5"),
        ("The answer is 27. That took 3 steps.", "27"),
        ("Answer: 27", "27"),
        ("The answer is\n27", "27"),
        ("The answer is 1/2.", "0.5"),
        ("The answer is 4, that is 4.0.", "4"),
        ("The answer is 4 and not a single one more.", "4"),
        ("It is not 3. The answer is 4.", "4"),
    ],
)
def test_right_numbers(text: str, gold: str) -> None:
    verdict = grade_number(text, gold)
    assert (verdict.score, verdict.status) == (1.0, "graded")


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("The answer is 4 or 5.", "4"),
        ("The answer is 4 or 5.", "5"),
        ("The answer is 3-5.", "3"),
        ("The answer is 1,00.", "1"),
        ("The answer is 5. Wait, no. The answer is 4.", "5"),
        ("The answer is 9.11.", "9.9"),
        ("The answer is 5.", "-5"),
        ("The answer is -5.", "5"),
        ("The answer is 12+15=27.", "27"),
        ("The answer is not 5.", "5"),
        ("The answer isn't 5.", "5"),
        ("The answer is never 5.", "5"),
        ("The answer is 5. Wait, the answer isn\u2019t 5.", "5"),
        ("The answer is not 4 but 5.", "5"),
    ],
)
def test_wrong_or_ambiguous_numbers_are_graded_zero(text: str, gold: str) -> None:
    verdict = grade_number(text, gold)
    assert (verdict.score, verdict.status) == (0.0, "graded")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "The answer is",
        "The answer is .",
        "The answer is twenty.",
        "no idea",
        "1e3",
        "27th",
        "12 or 13",
    ],
)
def test_what_cannot_be_read_is_unparsed_and_scores_zero(text: str) -> None:
    verdict = grade_number(text, "3")
    assert (verdict.score, verdict.status, verdict.extracted) == (0.0, "unparsed", None)


def test_an_ambiguous_answer_says_so() -> None:
    assert "ambiguous" in grade_number("The answer is 4 or 5.", "4").reason
    assert "ambiguous" in grade_choice("The answer is yes and no.", "yes", YES_NO).reason


def test_a_gold_answer_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a number"):
        grade_number("The answer is 4.", "four")


@given(st.fractions(max_denominator=1000))
def test_every_fraction_is_read_back(value: Fraction) -> None:
    assert number(str(value)) == value
    assert grade_number(f"The answer is {value}.", str(value)).score == 1.0


@given(st.integers(-(10**9), 10**9), st.integers(0, 9999))
def test_decimals_and_thousands_are_read_back(whole: int, part: int) -> None:
    assert number(f"{whole:,}") == whole
    assert number(f"{abs(whole)}.{part:04d}") == Fraction(f"{abs(whole)}.{part:04d}")
    extracted = grade_number(f"The answer is {abs(whole)}.{part:04d}", "0").extracted
    assert extracted is not None and Fraction(extracted) == Fraction(f"{abs(whole)}.{part:04d}")


@given(st.text())
def test_no_text_crashes_a_grader(text: str) -> None:
    for verdict in (
        grade_number(text, "4"),
        grade_numbers(text, [1, 2]),
        grade_choice(text, "yes", YES_NO),
        grade_text(text, "amy"),
    ):
        assert verdict.score in (0.0, 1.0) and verdict.status in ("graded", "unparsed")


@given(st.text(alphabet="0123456789,.-/$x ", max_size=24))
def test_numbers_of_odd_strings_never_crash(text: str) -> None:
    assert all(isinstance(value, Fraction) for value in numbers(text))


def test_equal_values_are_extracted_alike() -> None:
    spellings = ("27", "27.0", "27.", "$27", "27.00")
    assert {grade_number(f"The answer is {s}", "1").extracted for s in spellings} == {"27"}
    assert grade_number("The answer is 0.05.", "1").extracted == "0.05"
    assert grade_number("The answer is 1/3.", "1").extracted == "1/3"


@pytest.mark.parametrize(
    ("text", "score", "status"),
    [
        ("The answer is 7, 19, 42.", 1.0, "graded"),
        ("7 19 42", 1.0, "graded"),
        ("The answer is [7,19,42].", 1.0, "graded"),
        ("The answer is 7, 19, and 42.", 1.0, "graded"),
        ("The answer is 7, 42, 19.", 0.0, "graded"),
        ("The answer is 7, 19.", 0.0, "graded"),
        ("The answer is 7, 19, 42, 42.", 0.0, "graded"),
        ("The answer is 7, 19, 42 or 42, 19, 7.", 0.0, "graded"),
        ("The answer is sorted.", 0.0, "unparsed"),
        ("", 0.0, "unparsed"),
    ],
)
def test_lists(text: str, score: float, status: str) -> None:
    verdict = grade_numbers(text, [7, 19, 42])
    assert (verdict.score, verdict.status) == (score, status)


@pytest.mark.parametrize(
    ("text", "score", "status"),
    [
        ("The answer is yes.", 1.0, "graded"),
        ("Yes", 1.0, "graded"),
        ("The answer is heads.", 1.0, "graded"),
        ("The answer is yes, heads.", 1.0, "graded"),
        ("The answer is no.", 0.0, "graded"),
        ("The answer is yes or no.", 0.0, "graded"),
        ("The answer is yes, it does not change.", 1.0, "graded"),
        ("The answer is **yes**.", 1.0, "graded"),
        ("Yes, it is.", 1.0, "graded"),
        ("It's heads.", 1.0, "graded"),
        ("Yes, it is heads.", 1.0, "graded"),
        ("No, it is heads.", 0.0, "graded"),
        ("The answer is not yes.", 0.0, "graded"),
        ("The answer isn't yes.", 0.0, "graded"),
        ("The answer is not no.", 0.0, "graded"),
        ("The answer is yes. But the answer isn't yes.", 0.0, "graded"),
        ("Is it heads?", 0.0, "unparsed"),
        ("It is not heads.", 0.0, "unparsed"),
        ("Yes, the moon is round", 0.0, "unparsed"),
        ("The answer is maybe.", 0.0, "unparsed"),
        ("Well, nobody can tell yes from what they say of the coin today", 0.0, "unparsed"),
        ("", 0.0, "unparsed"),
    ],
)
def test_choices(text: str, score: float, status: str) -> None:
    verdict = grade_choice(text, "yes", YES_NO)
    assert (verdict.score, verdict.status) == (score, status)


@pytest.mark.parametrize(
    ("text", "score", "status"),
    [
        ("The answer is no.", 1.0, "graded"),
        ("The answer is: No", 1.0, "graded"),
        ("no", 1.0, "graded"),
        ("No, it is tails.", 1.0, "graded"),
        ("The answer is no, it is not heads up any more.", 0.0, "graded"),
        ("There is no answer", 0.0, "unparsed"),
        ("I have no idea.", 0.0, "unparsed"),
    ],
)
def test_no_is_an_answer_and_also_a_word(text: str, score: float, status: str) -> None:
    verdict = grade_choice(text, "no", YES_NO)
    assert (verdict.score, verdict.status) == (score, status)


@pytest.mark.parametrize(
    ("text", "gold", "score", "status"),
    [
        ("The answer is Bo Reed.", "bo reed", 1.0, "graded"),
        ('The answer is "AME".', "ame", 1.0, "graded"),
        ("The answer is St. Orm.", "St. Orm", 1.0, "graded"),
        ("The answer is St. Orm. It lies in the hills.", "Orm", 0.0, "graded"),
        ("The answer is Elm. It lies in the hills.", "Elm", 1.0, "graded"),
        ("Elm", "Elm", 1.0, "graded"),
        ("The answer is Elm or Oak.", "Elm", 0.0, "graded"),
        ("The answer is .", "Elm", 0.0, "unparsed"),
        ("", "Elm", 0.0, "unparsed"),
        ("I have read a great many books about Elm", "Elm", 0.0, "unparsed"),
    ],
)
def test_texts(text: str, gold: str, score: float, status: str) -> None:
    verdict = grade_text(text, gold)
    assert (verdict.score, verdict.status) == (score, status)
