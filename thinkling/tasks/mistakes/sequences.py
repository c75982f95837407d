"""The work of last letters, coin flips and sorting: rows laid beside the true ones.

Which row is which is found by edit distance, so that one name left out does not make all that follow wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from thinkling.core.types import Problem
from thinkling.tasks.coin import side
from thinkling.tasks.mistakes.findings import COPIED, EXTRA, MISREAD, MISSING, SLIP, WRONG_ANSWER, Finding

_T = TypeVar("_T")
_S = TypeVar("_S")
_ENDING = re.compile(r"(\w+) ends in (\w+)")
_LISTED_ENDINGS = re.compile(r"^([A-Za-z]+(?: [A-Za-z]+)*): ([a-z](?:\+[a-z])*)")
_SHORT_ENDING = re.compile(r"\b([A-Z]\w+) (\w)\b")
_FLIP = re.compile(r"(\w+) (flips|does not), (heads|tails)")
_FLIPPERS = re.compile(r"Flips: ([^.:]*)\. (\d+) (even|odd), (heads|tails)")
_BY_TENS = re.compile(r"\b\d:(\d+(?:,\d+)*)")
_TENS_FIRST = re.compile(r"^\d(?: \d)*: (\d+(?: \d+)*)")
_IN_ORDER = re.compile(r"\d+(?:[<>]\d+)+")


def aligned(
    true: Sequence[_T], said: Sequence[_S], same: Callable[[_T, _S], bool]
) -> list[tuple[int | None, int | None]]:
    """Pairs of indexes (true, said) by the fewest edits that turn one into the other; None for a missing partner."""
    rows, columns = len(true), len(said)
    cost = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows, -1, -1):
        for j in range(columns, -1, -1):
            ways = [cost[i + 1][j + 1] + (not same(true[i], said[j]))] if i < rows and j < columns else []
            ways += [cost[i + 1][j] + 1] if i < rows else []
            ways += [cost[i][j + 1] + 1] if j < columns else []
            cost[i][j] = min(ways, default=0)
    pairs: list[tuple[int | None, int | None]] = []
    i = j = 0
    while i < rows or j < columns:
        if i < rows and j < columns and cost[i][j] == cost[i + 1][j + 1] + (not same(true[i], said[j])):
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif i < rows and cost[i][j] == cost[i + 1][j] + 1:
            pairs.append((i, None))
            i += 1
        else:
            pairs.append((None, j))
            j += 1
    return pairs


def letters(problem: Problem, work: str, again: str, answer: str | None) -> list[Finding] | None:
    """What is wrong with a work on last letters (``again``: done once more); None where there is none to be read."""
    corrected = _letters(problem, again, answer)
    return _letters(problem, work, answer) if corrected is None else corrected


def _letters(problem: Problem, work: str, answer: str | None) -> list[Finding] | None:
    names = [str(name) for name in problem.meta["words"]]
    listed = _LISTED_ENDINGS.search(work)
    pairs = _ENDING.findall(work) or _SHORT_ENDING.findall(work)
    if listed:
        said, endings = listed.group(1).split(), listed.group(2).split("+")
        places = aligned(said, endings, lambda name, letter: name[-1] == letter)
    elif pairs:
        said, endings = [name for name, _ in pairs], [letter for _, letter in pairs]
        places = [(at, at) for at in range(len(pairs))]
    else:
        return None
    letter_of = {i: endings[j] for i, j in places if i is not None and j is not None}
    found = []
    for i, j in aligned(names, said, str.__eq__):
        if j is None:
            found.append(Finding(MISSING, i, "", "" if i is None else names[i]))
            continue
        if i is None or names[i] != said[j]:
            found.append(Finding(EXTRA if i is None else MISREAD, i, said[j], "" if i is None else names[i]))
        if j not in letter_of:
            found.append(Finding(MISSING, i, "", said[j][-1]))
        elif letter_of[j] != said[j][-1]:
            found.append(Finding(SLIP, i, f"{said[j]} {letter_of[j]}", said[j][-1]))
    found += [Finding(EXTRA, None, endings[j]) for i, j in places if i is None and j is not None]
    joined = "".join(endings)
    return found if answer == joined else [*found, Finding(WRONG_ANSWER, None, answer or "", joined)]


def coin(problem: Problem, work: str, again: str, answer: str | None) -> list[Finding] | None:
    """What is wrong with a work on coin flips; None where there is none to be read.

    The answer is "yes" for heads. Somebody left out who does not flip is no mistake. The rows of ``again``
    take the place of the last ones of ``work``: of as many as leaves the fewest mistakes.
    """
    counted, rows, after = _FLIPPERS.search(work), _FLIP.findall(work), _FLIP.findall(again)
    ways: list[tuple[list[Finding], str]] = []
    if rows or after:
        ways = [
            _walked(problem, [*rows[:cut], *after]) for cut in (range(len(rows), -1, -1) if after else (len(rows),))
        ]
    elif counted:
        ways = [_counted(problem, *counted.groups())]
    judged = [_concluded(*way, answer) for way in ways]
    return min(judged, key=lambda found: sum(one.kind != COPIED for one in found), default=None)


def _concluded(found: list[Finding], up: str, answer: str | None) -> list[Finding]:
    concluded = "yes" if up == "heads" else "no"
    return found if answer == concluded else [*found, Finding(WRONG_ANSWER, None, answer or "", concluded)]


def _counted(problem: Problem, who: str, count: str, parity: str, up: str) -> tuple[list[Finding], str]:
    """ "Flips: Mara Nora. 2 even, heads.": the row of those who flip, their number, and what follows."""
    steps = [(str(name), bool(flips)) for name, flips, _ in problem.meta["steps"]]
    places = [at for at, (_, flips) in enumerate(steps) if flips]
    said = [] if who.strip() == "none" else re.findall(r"\w+", who)
    found = []
    for i, j in aligned([steps[at][0] for at in places], said, str.__eq__):
        step = None if i is None else places[i]
        if j is None:
            found.append(Finding(MISSING, step, "", steps[places[i or 0]][0]))
        elif step is None or steps[step][0] != said[j]:
            found.append(Finding(MISREAD, step, said[j], "" if step is None else steps[step][0]))
    true = len(places)
    if int(count) != len(said):
        found.append(Finding(SLIP, None, count, str(len(said))))
    if parity != ("odd" if int(count) % 2 else "even") or up != side(parity == "even"):
        found.append(Finding(SLIP, None, f"{count} {parity}, {up}", f"{count} {'odd' if int(count) % 2 else 'even'}"))
    elif int(count) == len(said) and up != side(true % 2 == 0):
        found.append(Finding(COPIED, None, f"{count} {parity}, {up}", side(true % 2 == 0)))
    return found, up


def _walked(problem: Problem, rows: Sequence[tuple[str, str, str]]) -> tuple[list[Finding], str]:
    """ "Mara flips, tails. Nora does not, tails.": one row a person, with the side that is up after it."""
    steps = [(str(name), bool(flips), str(up)) for name, flips, up in problem.meta["steps"]]
    found, before = [], "heads"
    for i, j in aligned(steps, rows, lambda step, row: step[0] == row[0]):
        if j is None:
            assert i is not None
            if steps[i][1]:
                found.append(Finding(MISSING, i, "", f"{steps[i][0]} flips"))
            continue
        name, act, up = rows[j]
        text = f"{name} {act}, {up}"
        if i is None:
            found.append(Finding(EXTRA, None, text))
        elif (name, act == "flips") != steps[i][:2]:
            found.append(Finding(MISREAD, i, text, f"{steps[i][0]} {'flips' if steps[i][1] else 'does not'}"))
        follows = side((before == "heads") != (act == "flips"))
        if up != follows:
            found.append(Finding(SLIP, i, text, follows))
        elif i is not None and up != steps[i][2] and (name, act == "flips") == steps[i][:2]:
            found.append(Finding(COPIED, i, text, steps[i][2]))
        before = up
    return found, before


def sort(problem: Problem, work: str, again: str, answer: str | None) -> list[Finding] | None:
    """What is wrong with a work on sorting (``again``: done once more); None where there is none to be read.

    A number in another's place is misread, one too few is missing, one too many extra; a number on the wrong
    side of the one before it is a slip.
    """
    said = sorted_numbers(again) or sorted_numbers(work)
    if said is None:
        return None
    down = bool(problem.meta["down"])
    true = sorted((int(item) for item in problem.meta["numbers"]), reverse=down)
    lacking = list((Counter(true) - Counter(said)).elements())
    seen: Counter[int] = Counter()
    found: list[tuple[int, Finding]] = []  # with the place in the true order
    before: int | None = None
    for item in said:
        seen[item] += 1
        if item not in true or seen[item] > 1:
            lost = min(lacking, key=lambda one: abs(one - item)) if lacking else None
            if lost is None:
                found.append((true.index(item) if item in true else len(true), Finding(EXTRA, None, str(item))))
            else:
                lacking.remove(lost)
                found.append((true.index(lost), Finding(MISREAD, _bucket(problem, lost), str(item), str(lost))))
        elif before is not None and (item > before) == down:
            found.append((true.index(item), Finding(SLIP, _bucket(problem, item), f"{before} {item}")))
        before = item if item in true else before
    found += [(true.index(item), Finding(MISSING, _bucket(problem, item), "", str(item))) for item in lacking]
    ordered = [one for _, one in sorted(found, key=lambda pair: pair[0])]
    listed = ", ".join(map(str, said))
    return ordered if answer == listed else [*ordered, Finding(WRONG_ANSWER, None, answer or "", listed)]


def _bucket(problem: Problem, item: int) -> int:
    """The true step that gathers the numbers with the tens digit of ``item``, one of the problem's."""
    return next(at for at, (ten, _) in enumerate(problem.meta["steps"]) if ten == item // 10)


def sorted_numbers(work: str) -> list[int] | None:
    """The row of numbers that a work on sorting comes to: by tens, tens first, or compared ("7<19<42")."""
    first = _TENS_FIRST.match(work)
    if first:
        return [int(item) for item in first.group(1).split()]
    by_tens = _BY_TENS.findall(work)
    if by_tens:
        return [int(item) for group in by_tens for item in group.split(",")]
    compared = _IN_ORDER.search(work)
    return [int(item) for item in re.split("[<>]", compared.group())] if compared else None
