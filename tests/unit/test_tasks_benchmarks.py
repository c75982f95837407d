"""Benchmark files: every published form is known by its content, read in full, and refused where it is broken."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.core.types import Problem
from thinkling.tasks.benchmarks import FORMATS, Fields, load, load_all
from thinkling.tasks.benchmarks.benchmark import canonical_number
from thinkling.tasks.benchmarks.records import Record, read_source

Row = dict[str, Any]


def stemmed(key: str | None, labels: str = "ABC", **more: str) -> Row:
    texts = ["a bank", "a mall", "a lake"]
    listed = [{"label": label, "text": text} for label, text in zip(labels, texts, strict=True)]
    row: Row = {"id": "7", "question": {"stem": "Where do fish live?", "choices": listed, **more}}
    return row if key is None else {**row, "answerKey": key}


def scored(question: str, right: int, *targets: str) -> Row:
    return {"input": question, "target_scores": {target: int(i == right) for i, target in enumerate(targets)}}


COIN = 'A coin is heads up. Ann flips the coin. Is the coin still heads up? Note that "flip" here means "reverse".'
LETTERS = 'Take the last letters of each words in "Ann Bob" and concatenate them.'
OPTIONS = "Which is red?\nOptions:\n(A) grass\n(B) blood"
AGIEVAL: Row = {"passage": None, "question": "2+2?", "options": None, "label": None, "answer": None, "other": None}

# format -> (what the file holds: a list is JSONL, else JSON; name, kind, answer, prompt of the first problem)
FILES: dict[str, tuple[Any, str, str, str, str]] = {
    "gsm8k": (
        [{"question": "How many?", "answer": "10*123 = <<10*123=1230>>1230.\n#### 1,230"}],
        "gsm8k", "number", "1230", "How many?",
    ),
    "gsm-symbolic": (
        [{"question": "How many?", "answer": "half\n#### 32.50", "original_id": 3, "instance": 0, "id": 1}],
        "gsm-symbolic", "number", "32.5", "How many?",
    ),
    "gsm-hard": ([{"input": "Sum?", "code": "\ndef solution(): ...", "target": 3244047.0999999996}],
                 "gsm-hard", "number", "3244047.1", "Sum?"),
    "pal": ([{"input": "Sum?", "target": 14.0}], "some_file", "number", "14", "Sum?"),
    "svamp": (
        [{"ID": "chal-1", "Body": "Two cats and a dog.", "Question": "How many?", "Answer": 3.0, "Type": "Addition"}],
        "svamp", "number", "3", "Two cats and a dog. How many?",
    ),
    "mawps": ([{"iIndex": 0, "sQuestion": " How many ? ", "lEquations": ["X=1"], "lSolutions": ["43"]}],
              "some_file", "number", "43", "How many ?"),
    "aqua": (
        [{"question": "2+2?", "options": ["A)3", "B)4", "C)5(√3 + 1)"], "rationale": "...", "correct": "B"}],
        "aqua", "choice:A-C", "B", "2+2? Answer Choices: (A) 3 (B) 4 (C) 5(√3 + 1)",
    ),
    "agieval": (
        [{**AGIEVAL, "passage": "Read this.", "options": ["(A)3", "(C) 5", "(B)4"], "label": "B"}],
        "agieval-some_file", "choice:A-C", "B", "Read this.\n2+2? Answer Choices: (A) 3 (B) 4 (C) 5",
    ),
    "commonsenseqa": (
        [stemmed("C", question_concept="fish")],
        "commonsenseqa", "choice:A-C", "C", "Where do fish live? Answer Choices: (A) a bank (B) a mall (C) a lake",
    ),
    "arc": (
        [stemmed("3", "123")],
        "some_file", "choice:A-C", "C", "Where do fish live? Answer Choices: (A) a bank (B) a mall (C) a lake",
    ),
    "strategyqa": ([{"qid": "8", "term": "x", "description": "y", "question": "Is it?", "answer": False}],
                   "strategyqa", "yes-no", "no", "Is it?"),
    "coin-flip": ({"examples": [{"question": COIN, "answer": "no"}]}, "coin-flip", "yes-no", "no", COIN),
    "last-letters": ({"examples": [{"question": LETTERS, "answer": "nb"}]},
                     "last-letters", "letters", "nb", LETTERS),
    "big-bench": (
        {"name": "objects", "canary": "x", "examples": [scored("So Ann has the ", 1, "cat.", "dog.")]},
        "objects", "choice:A-B", "B", "So Ann has the\nWhich choice is true ? Answer Choices: (A) cat. (B) dog.",
    ),
    "bbh": ({"canary": "x", "examples": [{"input": OPTIONS, "target": "(B)"}]},
            "bbh-some_file", "choice:A-B", "B", OPTIONS),
    "bbh-lines": ([{"task": "colours", "input": OPTIONS, "target": "(A)"}],
                  "bbh-colours", "choice:A-B", "A", OPTIONS),
    "math": (
        [{"problem": "Find $x$.", "solution": "It is $\\boxed{\\frac{1}{2}}$.", "level": "Level 4", "type": "Algebra"}],
        "some_file", "math", "\\frac{1}{2}", "Find $x$.",
    ),
    "competition": ([{"id": "60", "problem": "Find $m+n$.", "answer": "025", "url": "https://example.org/AIME"}],
                    "some_file", "math", "25", "Find $m+n$."),
}  # fmt: skip


def write(folder: Path, content: Any, name: str = "some_file.json") -> Path:
    file = folder / name
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in content) if isinstance(content, list) else ""
    file.write_text(lines or json.dumps(content), encoding="utf-8")
    return file


def test_every_format_has_a_file_here() -> None:
    assert set(FILES) == {format.name for format in FORMATS}


@pytest.mark.parametrize("format", FILES)
def test_each_form_is_known_by_its_content_alone(tmp_path: Path, format: str) -> None:
    content, name, kind, answer, prompt = FILES[format]
    file = write(tmp_path, content)
    assert [known.name for known in FORMATS if known.fits(read_source(file))] == [format]
    made = load(file)
    (problem,) = made.problems
    assert (made.name, made.kind, problem.answer, problem.prompt) == (name, kind, answer, prompt)
    assert (problem.family, problem.split, problem.meta["line"]) == (name, "test", 1)
    json.dumps(problem.meta)
    assert load(file, format) == made
    zipped = tmp_path / "some_file.jsonl.gz"
    zipped.write_bytes(gzip.compress(file.read_bytes()))
    assert load(zipped) == made


@pytest.mark.parametrize("format", FILES)
def test_a_list_reads_like_lines(tmp_path: Path, format: str) -> None:
    content = FILES[format][0]
    if isinstance(content, list):
        made = load(write(tmp_path, content))
        (tmp_path / "list").mkdir()
        listed = tmp_path / "list" / "some_file.json"
        listed.write_text(json.dumps(content, indent=1))
        assert load(listed) == made


RIGHT = {"number": "The answer is {}.", "math": "so \\boxed{{{}}}"}
WRONG = {"number": "7{}", "yes-no": "maybe", "letters": "{}q", "math": "7+{}"}


@pytest.mark.parametrize("format", FILES)
def test_every_gold_passes_its_own_grader_and_a_mutated_one_fails(tmp_path: Path, format: str) -> None:
    made = load(write(tmp_path, FILES[format][0]))
    problem = made.problems[0]
    say = RIGHT.get(made.kind, "So the answer is {}.")
    assert made.grade(problem, say.format(problem.answer)).score == 1.0
    wrong = WRONG.get(made.kind, "A" if problem.answer != "A" else "B").format(problem.answer)
    assert made.grade(problem, say.format(wrong)).score == 0.0


def test_a_choice_may_be_named_by_its_text(tmp_path: Path) -> None:
    made = load(write(tmp_path, FILES["commonsenseqa"][0]))
    assert made.grade(made.problems[0], "The answer is a lake.").score == 1.0
    assert made.grade(made.problems[0], "The answer is a mall.").score == 0.0


@pytest.mark.parametrize(
    ("answers", "said", "canonical", "place"),
    [
        (["0.25", "7"], "So it is .5 + .5, and the answer is .25.", "0.25", ".25"),
        (["0.25", "7"], "The answer is 0.250 km.", "0.25", "0.250"),
        (["yes", "no"], "There is no doubt: the answer is no.", "no", "no"),
        (["fnel", "x"], "The answer is f n e l.", "f n e l", "f n e l"),
    ],
)
def test_a_vote_reads_what_grading_reads(
    tmp_path: Path, answers: list[str], said: str, canonical: str, place: str
) -> None:
    path = write(tmp_path, [{"q": f"{n}?", "a": answer} for n, answer in enumerate(answers)])
    bench = load(path, fields=Fields("q", "a"))
    for problem in bench.problems:
        reading, verdict = bench.kind_of(problem).read(said), bench.grade(problem, said)
        assert reading.answer == verdict.extracted == canonical
        assert said[reading.start : reading.end] == place


def test_a_choice_named_by_its_text_is_a_ballot(tmp_path: Path) -> None:
    row = {"question": "Where?", "options": ["A)shelf", "B)Cold  and Flu", "C)x"], "rationale": "", "correct": "B"}
    bench = load(write(tmp_path, [row]))
    (problem,) = bench.problems
    for said, letter, place in (
        ("The answer is cold and flu.", "B", "cold and flu"),
        ("Hm.\nThe answer is (b) cold and flu.", "B", "(b)"),
        ("The answer is B, shelf.", None, ""),
    ):
        reading = bench.kind_of(problem).read(said)
        assert reading.answer == letter and said[reading.start : reading.end] == place
        assert (bench.grade(problem, said).score == 1.0) == (letter == "B")


def test_a_bracketed_letter_in_a_choice_is_no_mark_of_one(tmp_path: Path) -> None:
    row = {"question": "Which?", "options": ["A)a cap", "B)a poly(A) tail"], "rationale": "", "correct": "B"}
    made = load(write(tmp_path, [row]))
    assert made.grade(made.problems[0], "The answer is (B).").score == 1.0
    assert made.grade(made.problems[0], "The answer is a cap.").score == 0.0


def test_meta_keeps_what_the_record_says_besides(tmp_path: Path) -> None:
    (problem,) = load(write(tmp_path, FILES["math"][0])).problems
    assert (problem.level, problem.meta["subject"]) == (4, "Algebra")
    assert problem.meta["source"] == {"solution": "It is $\\boxed{\\frac{1}{2}}$."}
    (problem,) = load(write(tmp_path, FILES["aqua"][0])).problems
    assert problem.meta["choices"] == {"A": "3", "B": "4", "C": "5(√3 + 1)"}
    (problem,) = load(write(tmp_path, FILES["gsm8k"][0])).problems
    assert problem.meta["solution"] == "10*123 = <<10*123=1230>>1230."


def test_repeated_problems_are_kept_and_counted(tmp_path: Path) -> None:
    row = FILES["gsm8k"][0][0]
    made = load(write(tmp_path, [row, {**row, "question": "Other?"}, {**row, "question": "How  many?"}]))
    assert (len(made.problems), made.duplicates) == (3, 1)
    assert made.problems[0].key == made.problems[2].key != made.problems[1].key


def test_a_file_published_without_answers_is_unscored(tmp_path: Path) -> None:
    made = load(write(tmp_path, [stemmed(None, question_concept="fish")] * 2))
    assert [problem.answer for problem in made.problems] == ["", ""] and made.unscored == 2
    verdict = made.grade(made.problems[0], "The answer is (C).")
    assert (verdict.score, verdict.status, verdict.extracted) == (None, "unscored", "C")
    with pytest.raises(UserError, match=r":2: .*answerKey"):
        load(write(tmp_path, [stemmed("A", question_concept="fish"), stemmed(None, question_concept="fish")]))


def test_a_target_that_is_no_option_leaves_its_problem_unscored(tmp_path: Path) -> None:
    rows = [{"input": OPTIONS, "target": "(A)"}, {"input": OPTIONS, "target": "grass, blood"}]
    made = load(write(tmp_path, {"canary": "x", "examples": rows}))
    assert [problem.answer for problem in made.problems] == ["A", ""]
    assert made.problems[1].meta["target"] == "grass, blood"


def test_tasks_of_one_file(tmp_path: Path) -> None:
    rows = [
        {"task": "colours", "input": OPTIONS, "target": "(A)"},
        {"task": "navigate", "input": "Back?\nOptions:\n- Yes\n- No", "target": "Yes"},
        {"task": "counting", "input": "How many?", "target": "8"},
        {"task": "brackets", "input": "Complete: [ (", "target": ") ]"},
        {"task": "colours", "input": OPTIONS, "target": "(B)"},
    ]
    file = write(tmp_path, rows)
    kinds = {made.name: (made.kind, len(made.problems)) for made in load_all(file)}
    assert kinds == {
        "bbh-colours": ("choice:A-B", 2),
        "bbh-navigate": ("yes-no", 1),
        "bbh-counting": ("number", 1),
        "bbh-brackets": ("text", 1),
    }
    assert load(file, task="colours").problems[1].meta["line"] == 5
    for task in (None, "sports"):
        with pytest.raises(UserError, match="one of its 4 tasks: bbh-colours"):
            load(file, task=task)


def test_choices_are_shuffled_where_their_order_tells_the_answer(tmp_path: Path) -> None:
    rows = [scored(f"Day {i}?", 0, "first", "second", "third", "fourth") for i in range(200)]
    file = write(tmp_path, {"name": "dates", "examples": rows})
    made = load(file)
    letters = Counter(problem.answer for problem in made.problems)
    assert set(letters) == set("ABCD") and max(letters.values()) < 80
    assert all(problem.meta["choices"][problem.answer] == "first" for problem in made.problems)
    assert load(file) == made
    other = load(write(tmp_path, {"name": "dates", "examples": rows[50:60] + rows[:10]}))
    assert {p.prompt for p in other.problems} <= {p.prompt for p in made.problems}  # a question's own hash decides
    even = [scored(f"Day {i}?", i % 4, "first", "second", "third", "fourth") for i in range(200)]
    for problem in load(write(tmp_path, {"name": "dates", "examples": even})).problems:
        assert list(problem.meta["choices"].values()) == ["first", "second", "third", "fourth"]


def test_yes_and_no_are_words_not_choices(tmp_path: Path) -> None:
    rows = [scored("Is it?", 1, "Yes", "No"), scored("Was it?", 0, "Yes", "No")]
    made = load(write(tmp_path, {"name": "strategyqa", "examples": rows}))
    assert (made.kind, [problem.answer for problem in made.problems]) == ("yes-no", ["no", "yes"])


def record_of(value: str) -> Record:
    return Record("file:1", 1, {"answer": value})


@given(st.integers(-(10**12), 10**12), st.integers(0, 4))
def test_numbers_have_one_spelling(value: int, places: int) -> None:
    sign, digits = "-" if value < 0 else "", str(abs(value)).rjust(places + 1, "0")
    plain = f"{sign}{digits[: len(digits) - places]}{'.' if places else ''}{digits[len(digits) - places :]}"
    wanted = canonical_number(record_of(plain), "answer", plain)
    whole, point, rest = plain.partition(".")
    for other in (f"{int(whole):,}{point}{rest}" if whole != "-0" else plain, plain + ("0" if places else ".0")):
        assert canonical_number(record_of(other), "answer", other) == wanted
    assert float(wanted) == float(plain)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("1.4e-05", "0.000014"), ("1E3", "1000"), ("0.6666666666666666", "0.6666666666666666"), ("-0.50", "-0.5"),
        ("43.00000000000001", "43"), ("3/6", "1/2"), ("$1,200", "1200"), ("8710408.772727273", "8710408.772727273"),
    ],
)  # fmt: skip
def test_floats_are_freed_of_noise_only(written: str, canonical: str) -> None:
    assert canonical_number(record_of(written), "answer", written) == canonical


def broken(format: str, change: Row) -> Any:
    """A file whose second record is broken."""
    content = json.loads(json.dumps(FILES[format][0]))
    rows = content if isinstance(content, list) else content["examples"]
    rows.append({**rows[0], **change})
    return content


@pytest.mark.parametrize(
    ("format", "change", "message"),
    [
        ("gsm8k", {"answer": "no mark"}, "ends in '####'"),
        ("gsm8k", {"answer": "#### many"}, "a number in the field 'answer'"),
        ("gsm8k", {"question": " "}, "text in the field 'question'"),
        ("gsm8k", {"answer": "#### " + "9" * 5000}, "at most 300 characters"),
        ("gsm-hard", {"target": float("nan")}, "a number in the field 'target'"),
        ("svamp", {"Body": None}, "text in the field 'Body'"),
        ("mawps", {"lSolutions": [1, 2]}, "a list of one number"),
        ("aqua", {"correct": "D"}, "one of the letters A, B, C in the field 'correct'; got 'D'"),
        ("aqua", {"options": ["A)1", "C)2"]}, "lettered A, B, ..."),
        ("aqua", {"options": ["one", "two"]}, "choices such as"),
        ("agieval", {"label": "AB"}, "one of the letters"),
        ("commonsenseqa", {"question": "text"}, "stem and choices"),
        ("arc", {"answerKey": "E"}, "one of the labels 1, 2, 3"),
        ("strategyqa", {"answer": "maybe"}, "yes or no"),
        ("last-letters", {"answer": "n b"}, "letters in the field 'answer'"),
        ("big-bench", {"target_scores": {"a": 1, "b": 1}}, "1 for one target"),
        ("bbh", {"target": "(C)"}, "out of the options"),
        ("math", {"solution": "no box"}, "boxed in 'solution'"),
        ("competition", {"answer": None}, "text in the field 'answer'"),
        ("gsm8k", {"split": "exam"}, "a split out of"),
    ],
)
def test_a_broken_record_is_named(tmp_path: Path, format: str, change: Row, message: str) -> None:
    content = broken(format, change)
    place = "some_file.json:2: " if isinstance(content, list) else "some_file.json: record 2: "
    with pytest.raises(UserError) as error:
        load(write(tmp_path, content))
    assert place in str(error.value) and message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "at least one record"),
        (b'{"question": "a", "answer": "#### 1"}\n{"question"', ":2: expected one JSON object"),
        (b'{"question": "a", "answer": "#### 1"}\n[1]', ":2: expected a JSON object; got list"),
        (b"[1, 2]", "record 1: expected a JSON object; got int"),
        (b"3", "expected JSON objects"),
        (b'{"a": "\xff"}', ":1: expected text in UTF-8"),
        (gzip.compress(b'{"question": "a"}', mtime=0)[:-9], "damaged gzip"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"examples": []}', "at least one record"),
        (b'{"foo": 1, "bar": 2}', "expected a known format; none has the fields foo, bar. Known are gsm8k"),
        (b'{"examples": [{"question": "Why?", "answer": "so"}]}', "under 'examples'"),
        (b'{"question": "a {x}", "question_annotated": "{x, 3}", "answer": "#### 3"}', "expected a known format"),
    ],
)
def test_a_file_of_no_known_form_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "file.jsonl"
    file.write_bytes(content)
    with pytest.raises(UserError) as error:
        load(file)
    assert message in str(error.value)


def test_what_fits_several_formats_must_be_named(tmp_path: Path) -> None:
    both = {**FILES["svamp"][0][0], **FILES["mawps"][0][0]}
    with pytest.raises(UserError, match="svamp and mawps: name the one"):
        load(write(tmp_path, [both]))
    assert load(write(tmp_path, [both]), "mawps").problems[0].answer == "43"
    with pytest.raises(UserError, match="expected a format out of gsm8k"):
        load(write(tmp_path, [both]), "gsm")


def test_names_and_splits(tmp_path: Path) -> None:
    file = write(tmp_path, [{**FILES["pal"][0][0], "split": "dev"}, FILES["pal"][0][0]])
    assert [problem.split for problem in load(file).problems] == ["val", "test"]
    renamed = load(file, name="sums", split="train")
    assert renamed.name == "sums" and {(p.family, p.split) for p in renamed.problems} == {("sums", "train")}
    with pytest.raises(UserError, match="train, val, test"):
        load(file, split="exam")


# Fields that the user names.


def own(folder: Path, rows: list[Row], **fields: Any) -> tuple[str, list[Problem]]:
    made = load(write(folder, rows), fields=Fields("q", "a", **fields))
    return made.kind, list(made.problems)


@pytest.mark.parametrize(
    ("answers", "kind", "canonical"),
    [
        (["1,000", 2.50], "number", ["1000", "2.5"]),
        (["Yes", "no"], "yes-no", ["yes", "no"]),
        ([True, False], "yes-no", ["yes", "no"]),
        (["\\frac12", "3"], "math", ["\\frac12", "3"]),
        (["Paris", "3"], "text", ["Paris", "3"]),
        (["7", None], "number", ["7", ""]),
    ],
)
def test_named_fields(tmp_path: Path, answers: list[Any], kind: str, canonical: list[str]) -> None:
    found, problems = own(tmp_path, [{"q": f"{i}?", "a": answer} for i, answer in enumerate(answers)])
    assert (found, [problem.answer for problem in problems]) == (kind, canonical)
    assert own(tmp_path, [{"q": "?", "a": "yajo", "n": 3}], kind="letters", level="n")[1][0].level == 3


CHOICES = [
    ["4", "5"], ["A) 4", "B) 5"], [{"label": "B", "text": "5"}, {"label": "A", "text": "4"}],
    {"A": "4", "B": "5"}, {"label": ["A", "B"], "text": ["4", "5"]},
]  # fmt: skip


@pytest.mark.parametrize("choices", CHOICES)
@pytest.mark.parametrize(("answer", "first"), [("B", None), ("(B)", None), ("5", None), (1, 0), ("2", 1)])
def test_named_choices(tmp_path: Path, choices: Any, answer: Any, first: int | None) -> None:
    kind, (problem,) = own(tmp_path, [{"q": "2+3?", "a": answer, "c": choices}], choices="c", first_choice=first)
    assert (kind, problem.answer) == ("choice:A-B", "B")
    assert problem.prompt == "2+3? Answer Choices: (A) 4 (B) 5"


@pytest.mark.parametrize(
    ("row", "fields", "message"),
    [
        ({"q": "?"}, {}, "the field 'a'"),
        ({"q": "?", "a": "C", "c": ["x", "y"]}, {"choices": "c"}, "the letter or the text of one choice"),
        ({"q": "?", "a": "A", "c": ["B", "A"]}, {"choices": "c"}, "the letter or the text of one choice"),
        ({"q": "?", "a": 1, "c": ["x", "y"]}, {"choices": "c"}, "needs the number of the first"),
        ({"q": "?", "a": 2, "c": ["x", "y"]}, {"choices": "c", "first_choice": 0}, "a number from 0 to 1"),
        ({"q": "?", "a": "A", "c": ["x"]}, {"choices": "c"}, "2 to 26 choices"),
        ({"q": "?", "a": "x"}, {"kind": "number"}, "a number in the field 'a'"),
        ({"q": "?", "a": "x", "n": "hard"}, {"level": "n"}, "a whole number in the field 'n'"),
    ],
)
def test_named_fields_that_do_not_fit(tmp_path: Path, row: Row, fields: Row, message: str) -> None:
    with pytest.raises(UserError, match="some_file.json:1: ") as error:
        own(tmp_path, [row], **fields)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "fields", [{"kind": "maths"}, {"kind": "choice:A-C"}, {"first_choice": 0}, {"choices": "c", "first_choice": 2}]
)
def test_settings_that_contradict_each_other(fields: Row) -> None:
    with pytest.raises(UserError):
        Fields("q", "a", **fields)
