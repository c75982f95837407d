"""Mathematical answers: found, compared exactly or by math-verify, and never at more than the time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.tasks import math_grading, math_notation, math_worker
from thinkling.tasks.isolated import Isolated
from thinkling.tasks.math_grading import compare, equivalent, grade_math, last_boxed, read_math

needs_math_verify = pytest.mark.skipif(find_spec("math_verify") is None, reason="install math-verify to run this")


@pytest.fixture
def no_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is decided under this is decided without math-verify."""

    class Absent:
        def ask(self, request: object) -> None:
            raise AssertionError(f"asked math-verify about {request}")

    monkeypatch.setattr(math_grading, "_VERIFIER", Absent())


# (said, gold) that are the same, and such that are not, by exact rules alone.
SAME = [
    ("0.5", r"\frac{1}{2}"),
    (r"\dfrac12", "1/2"),
    (r"-\frac{3}{4}", r"\frac{-3}{4}"),
    (r"3\frac{1}{2}", "3.5"),
    ("3 1/2", r"\frac72"),
    ("1,000", "1000"),
    (r"11,\! 111,\! 100", "11111100"),
    (r"10{,}000", "10000"),
    (r"1.5 \times 10^{3}", "1500"),
    (r"\$36", "36"),
    (r"50\%", "50"),
    (r"50\%", "0.5"),
    (r"90^\circ", "90"),
    (r"5.4 \text{ cents}", "5.4"),
    ("5 cm", r"5\,\mathrm{cm}"),
    (r"12\text{ sq. cm}", r"12\text{ cm}^2"),
    ("025", "25"),
    ("x = 5", "5"),
    ("5", "x=5"),
    (r"x \in [-2,7]", "[-2,7]"),
    (r"\left(-\infty, 3\right]", r"(-\infty,3]"),
    ("1, -2", "-2,1"),
    (r"1 \text{ and } -2", "-2,1"),
    ("x=1, x=-2", "1,-2"),
    (r"\{1, 2\}", "2, 1"),
    (r"\text{(C)}", "C"),
    (r"\text{Even}", "even"),
    ("2516_{8}", "2516_8"),
    ("2516", "2516_8"),
    ("25_{10}", "25"),
    (r"$\frac{\pi}{2}$", r"\frac{\pi}{2}"),
    ("0.25", ".25"),
]
DIFFERENT = [
    ("0.333333", r"\frac13"),
    ("4=3", "3"),
    ("x=4=3", "3"),
    ("2516_7", "2516_8"),
    ("0.5", "50"),
    ("5 cm", r"5\text{ meters}"),
    ("(1,2)", "(2,1)"),
    ("[1,2)", "(1,2)"),
    ("1,1", "1"),
    ("1,1", "1,2"),
    ("1,2,2", "1,1,2"),
    (r"\infty", r"-\infty"),
    (r"\text{west}", r"\text{east}"),
    ("3 or 4", "3"),
    ("1,2,3", "1,2"),
    (r"\{1,2\}", "(1,2)"),
]


@pytest.mark.parametrize(("said", "gold"), SAME)
def test_the_same_by_exact_rules(no_verifier: None, said: str, gold: str) -> None:
    assert equivalent(said, gold) is True


@pytest.mark.parametrize(("said", "gold"), DIFFERENT)
def test_different_by_exact_rules(no_verifier: None, said: str, gold: str) -> None:
    assert equivalent(said, gold) is False


def written(value: Fraction, form: int) -> str:
    """One of the ways in which people write a number."""
    sign, top, bottom = "-" if value < 0 else "", abs(value.numerator), value.denominator
    if form == 0 and bottom == 1:
        return f"{sign}{top:,}"
    if form == 1 and bottom != 1 and top > bottom:
        return f"{sign}{top // bottom}\\frac{{{top % bottom}}}{{{bottom}}}"
    if form == 2:
        return f"${sign}{top}/{bottom}$"
    return f"{sign}\\dfrac{{ {top} }}{{ {bottom} }}"


fractions = st.fractions(min_value=-9999, max_value=9999, max_denominator=99)


@given(one=fractions, other=fractions, forms=st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_numbers_compare_as_fractions(one: Fraction, other: Fraction, forms: tuple[int, int]) -> None:
    assert equivalent(written(one, forms[0]), written(other, forms[1])) is (one == other)
    assert math_notation.canonical(written(one, forms[0])) == math_notation.canonical(written(one, forms[1]))


@given(entries=st.lists(fractions, min_size=2, max_size=4, unique=True), shuffled=st.randoms())
def test_lists_have_no_order_and_tuples_have_one(entries: list[Fraction], shuffled: object) -> None:
    other = list(entries)
    shuffled.shuffle(other)  # type: ignore[attr-defined]
    bare, mixed = (", ".join(written(entry, 2).strip("$") for entry in order) for order in (entries, other))
    assert equivalent(mixed, bare) is True
    assert equivalent(f"({mixed})", f"({bare})") is (entries == other)


@given(st.text(alphabet="\\{}()[]$^_=,.0123 axfracboxedtext", max_size=80))
def test_no_text_breaks_the_reading(text: str) -> None:
    reading = read_math(text)
    if reading.answer is not None:
        assert text[reading.start : reading.end].strip()
    math_notation.canonical(text)


# text -> what it answers; None: nothing, or more than one thing.
FOUND = {
    r"so $\boxed{\frac{1}{2}}$ and": r"\frac{1}{2}",
    r"\boxed{1} then \boxed{2}": "2",
    r"\boxed{\boxed{3}}": "3",
    r"\boxed{1} then \boxed{2": "1",
    r"\boxed{\{1,2\}}": r"\{1,2\}",
    r"\boxed 5 .": "5",
    r"\fbox{7}": "7",
    "The final answer is $[2,5)$. I hope it is correct.": "$[2,5)$",
    "**Answer:** 5": "5",
    r"The answer is \(3\).": r"\(3\)",
    "The answer is $1$ and $2$.": "$1$ and $2$",
    "The answer is 25 dollars.": "25 dollars",
    "The answer is 1. No: the answer is 2.": "2",
    "42": "42",
    r"$\frac34$": r"$\frac34$",
    "I think it is 42": None,
    "The answer is $x=3$ since $y=2$.": None,
    "The answer is not $5$.": None,
    "The answer is that nobody can tell it from the data that are given": None,
    r"\boxed{}": None,
    "": None,
}


@pytest.mark.parametrize(("text", "answer"), FOUND.items())
def test_where_the_answer_stands(text: str, answer: str | None) -> None:
    reading = read_math(text)
    assert (reading.answer is None) is (answer is None)
    if answer is not None:
        assert text[reading.start : reading.end] == answer


def slow_last_boxed(text: str) -> str | None:
    """The readable twin: from every box, the last first, walk until its brace is closed."""
    for start in reversed(range(len(text))):
        if text.startswith(r"\boxed{", start):
            depth = 0
            for place in range(start + 6, len(text)):
                depth += {"{": 1, "}": -1}.get(text[place], 0)
                if depth == 0:
                    return text[start + 7 : place]
    return None


@given(st.lists(st.sampled_from([r"\boxed{", "{", "}", "1", "+", " "]), max_size=30).map("".join))
def test_the_last_box_with_balanced_braces(text: str) -> None:
    found = last_boxed(text)
    assert (found.text if found else None) == slow_last_boxed(text)
    assert found is None or text[found.start : found.end] == found.text


def test_a_long_response_is_read_in_linear_time() -> None:
    start = time.perf_counter()
    read_math(r"\boxed{" * 50_000)
    read_math("The answer is " + r"\( " * 50_000)
    read_math("$$ " * 50_000)
    assert time.perf_counter() - start < 5


def test_verdicts(no_verifier: None) -> None:
    assert grade_math(r"\boxed{0.5}", r"\frac12").score == 1.0
    wrong = grade_math(r"\boxed{0.25}", r"\frac12")
    assert (wrong.score, wrong.status, wrong.extracted) == (0.0, "graded", "1/4")
    assert grade_math("dunno", "1").status == "unparsed"
    assert grade_math("The answer is not $1$.", "1").score == 0.0
    unscored = grade_math(r"\boxed{7}", "")
    assert (unscored.score, unscored.status, unscored.extracted) == (None, "unscored", "7")


def test_length_is_bounded_before_anything_is_read(no_verifier: None) -> None:
    start = time.perf_counter()
    verdict = grade_math(f"\\boxed{{{'9' * 1_000_000}}}", "9")
    assert (verdict.score, verdict.status) == (0.0, "unparsed")
    assert "1000 characters" in verdict.reason
    assert compare("9" * 1_000_000, "9").equal is None
    assert time.perf_counter() - start < 2


# What needs algebra.

EQUAL = [
    ("x^2+2x+1", "(x+1)^2"),
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt2}"),
    ("1+2=3", "3"),
    ("2x+3", "y = 2x+3"),
    (r"(-\infty,2)\cup(3,\infty)", r"(3,\infty)\cup(-\infty,2)"),
    ("x > 2", r"(2,\infty)"),
    (r"(0.5,\sqrt{2})", r"(\frac12,\sqrt2)"),
    (r"144\pi\text{ in}^3", r"144\pi"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix} 1 \\ \frac42 \end{pmatrix}"),
    (r"\sqrt21", r"\sqrt{21}"),
    (r"\pm 3", "3,-3"),
]
UNEQUAL = [
    ("x^2+2x", "(x+1)^2"),
    ("3.141593", r"\pi"),
    ("7=2k", "2k"),
    ("3m", "3"),
    ("3 4", "34"),
    ("3 4", "12"),
    ("5x", "5"),
    (r"x \ge 2", r"(2,\infty)"),
    (r"\pm 3", "3"),
    (r"5\sqrt{2}\text{ cm}", r"5\sqrt{2}\text{ inches}"),
    ("x=1, y=2", "y=1, x=2"),
    (r"\text{no solution}", "3"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\3\end{pmatrix}"),
]


@needs_math_verify
@pytest.mark.parametrize(("said", "gold"), EQUAL)
def test_equal_by_algebra(said: str, gold: str) -> None:
    assert equivalent(said, gold) is True


@needs_math_verify
@pytest.mark.parametrize(("said", "gold"), UNEQUAL)
def test_unequal_by_algebra(said: str, gold: str) -> None:
    assert equivalent(said, gold) is False


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch) -> Iterator[Isolated]:
    made = Isolated(math_worker.__name__, seconds=2.0, memory=1 << 30)
    monkeypatch.setattr(math_grading, "_VERIFIER", made)
    assert made.ask(["2x", "x+x"]) == (True, "")
    yield made
    made.close()


@needs_math_verify
@pytest.mark.parametrize("bomb", ["9^{9^{9^{9}}}", "10^{10^{10}}", "{" * 300 + "2x" + "}" * 300, "(x+1)^{5000}"])
def test_a_bomb_costs_at_most_the_limit(verifier: Isolated, bomb: str) -> None:
    start = time.perf_counter()
    verdict = grade_math(f"\\boxed{{{bomb}}}", "3")
    assert time.perf_counter() - start < 2 + 3  # the limit, and the rounding up of processor time
    assert verdict.score == 0.0
    assert equivalent("x+x", "2x") is True  # the next one starts another process


@needs_math_verify
def test_the_reason_why_it_could_not_be_decided(verifier: Isolated) -> None:
    assert "longer than 2 s" in compare("9^{9^{9^{9}}}", "3").reason
    assert "cannot read the answer" in compare(r"\foo{", "3x").reason
    assert "cannot read the gold answer" in compare("3x", r"\foo{").reason


@needs_math_verify
def test_from_many_threads(verifier: Isolated) -> None:
    found: dict[int, bool | None] = {}

    def work(i: int) -> None:
        found[i] = equivalent(f"{i}x+x", f"{i + 1 + i % 2}x")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2, 22)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: i % 2 == 0 for i in range(2, 22)}


@needs_math_verify
def test_a_process_killed_from_outside_is_started_again(verifier: Isolated) -> None:
    assert verifier._process is not None
    os.kill(verifier._process.pid, signal.SIGKILL)
    verifier._process.wait()
    assert equivalent("x+x", "2x") is True


@needs_math_verify
def test_a_forked_child_asks_a_process_of_its_own(verifier: Isolated) -> None:
    assert verifier._process is not None
    before = verifier._process.pid
    child = os.fork()
    if child == 0:
        fine = verifier._process is None and equivalent("x+x", "2x") is True
        verifier.close()
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert equivalent("x+x+x", "3x") is True
    assert verifier._process.pid == before


_PARENT = """
import sys
from thinkling.tasks import math_grading
assert math_grading.equivalent("x+x", "2x") is True
print(math_grading._VERIFIER._process.pid, flush=True)
{then}
"""


@needs_math_verify
@pytest.mark.parametrize("then", ["sys.exit(0)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_no_process_outlives_the_one_that_started_it(then: str) -> None:
    done = subprocess.run([sys.executable, "-c", _PARENT.format(then=then)], capture_output=True, text=True)
    assert done.stdout.strip(), done.stderr
    pid = int(done.stdout)
    for _ in range(100):
        if not alive(pid):
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("it still runs")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"  # a zombie of the container's init is gone


def test_without_math_verify_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Isolated("thinkling.tasks.no_such_module")
    monkeypatch.setattr(math_grading, "_VERIFIER", absent)
    assert equivalent("0.5", "1/2") is True  # exact rules need nothing
    with pytest.raises(UserError, match=r"thinkling\[math\]"):
        equivalent("x+x", "2x")


def test_what_evaluates_answers_can_do_little(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(tmp_path)
    with open(f"{folder}/hostile.py", "w") as file:
        file.write("def load():\n    return lambda request: eval(request)\n")
    monkeypatch.setenv("PYTHONPATH", folder)
    hostile = Isolated("hostile", seconds=3.0, memory=1 << 30)
    try:
        assert hostile.ask("1 + 1") == (2, "")
        for trick in (
            f"open({folder!r} + '/made', 'w')",
            f"__import__('os').system('touch {folder}/made')",
            f"__import__('os').open({folder!r} + '/made', 65)",
            "__import__('subprocess').run(['true'])",
            "__import__('socket').socket()",
        ):
            reply, reason = hostile.ask(trick)
            assert reply is None and "refused" in reason, trick
        assert hostile.ask("exit()")[0] is None
        assert hostile.ask("input()")[0] is None
        assert "MiB" in hostile.ask("len(bytearray(2 << 30))")[1]
        assert hostile.ask("print('[3, \"\"]')") == (None, "")
        assert hostile.ask("__import__('os')._exit(3)") == (
            None,
            "its process ended with status 3 (memory is limited to 1024 MiB)",
        )
        assert hostile.ask("2 + 2") == (4, "")
    finally:
        hostile.close()
    assert not os.path.exists(f"{folder}/made")
