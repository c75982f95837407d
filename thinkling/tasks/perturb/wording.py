"""A built-in problem's prompt taken apart by the template that wrote it, so that parts are exchanged in place."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thinkling.core.types import Problem
from thinkling.tasks import chain, coin, decimals, equation, letters, sort
from thinkling.tasks.perturb.change import Refused

# What has one value in a whole chain; any other slot is numbered by the sentence that it stands in.
_SHARED = frozenset({"n", "p", "f", "t", "box", "boxes"})


@dataclass(frozen=True, slots=True)
class Slots:
    """Where each slot of a template stands in ``prompt``, and where each of its sentences begins.

    A chain's people and things are called as in the template ("n"), every other slot with the number of
    its sentence ("a0" in the opening).
    """

    prompt: str
    spans: Mapping[str, Sequence[tuple[int, int]]]
    starts: Sequence[int]

    def word(self, slot: str) -> str | None:
        """What stands in a slot, None where the wording has no such slot."""
        for start, end in self.spans.get(slot, ()):
            return self.prompt[start:end]
        return None

    def filled(self, words: Mapping[str, str]) -> str:
        """The prompt with other words in the slots that ``words`` names (those that the wording lacks are left out)."""
        places = [(start, end, word) for slot, word in words.items() for start, end in self.spans.get(slot, ())]
        text = self.prompt
        for start, end, word in sorted(places, reverse=True):
            text = text[:start] + word + text[end:]
        return text

    def with_sentence(self, sentence: str, before: int) -> str:
        """The prompt with one more sentence before its sentence number ``before`` (negative: from the end)."""
        at = self.starts[before]
        return f"{self.prompt[:at]}{sentence} {self.prompt[at:]}"


def templates(problem: Problem) -> tuple[str, ...]:
    """The templates of a built-in problem's sentences. The wordings without sentences of their own are one."""
    meta, module = problem.meta, _MODULES[problem.family]
    wording: Any = (*module.SEEN, *module.HELD_OUT)[meta["template"]]
    if problem.family == "chain":
        return (wording["open"], *(wording[event[0]] for event in meta["events"]), wording["ask"])
    if problem.family == "coin":
        opening, flip, leave, question = wording
        return (opening, *(flip if flips else leave for flips in meta["flips"]), question)
    if problem.family == "sort":
        return (wording[meta["down"]],)
    return (wording[meta["small"]],) if problem.family == "decimals" else (wording,)


def take_apart(problem: Problem) -> Slots:
    """The slots of a built-in problem's prompt. Refused where the prompt is not what its template writes."""
    known = _values(problem)
    pattern = ""
    names: list[str] = []
    first: dict[str, str] = {}
    for number, template in enumerate(templates(problem)):
        pattern += f"{' ' if number else ''}(?P<s{number}>)"
        for literal, slot, _, _ in string.Formatter().parse(template):
            pattern += re.escape(literal)
            if slot is None:
                continue
            name = slot if problem.family == "chain" and slot in _SHARED else f"{slot}{number}"
            group = f"g{len(names)}"
            names.append(name)
            told = re.escape(known[name]) if name in known else "[A-Za-z]+"
            same = f"(?i:(?P={first[name]}))" if name in first else told  # "He" may come again as "he"
            pattern += f"(?P<{group}>{same})"
            first.setdefault(name, group)
    match = re.fullmatch(pattern, problem.prompt)
    if match is None:
        raise Refused("the prompt is not in its family's own wording")
    spans: dict[str, list[tuple[int, int]]] = {}
    for at, name in enumerate(names):
        spans.setdefault(name, []).append(match.span(f"g{at}"))
    return Slots(problem.prompt, spans, [match.start(f"s{n}") for n in range(len(templates(problem)))])


def numbers_told(start: int, events: Sequence[Sequence[Any]]) -> dict[str, str]:
    """Slot -> what a chain's story says there."""
    told = {"a0": str(start)}
    for number, (op, a, b) in enumerate(events, 1):
        told |= {f"a{number}": str(a), f"b{number}": str(b)}
        if op == "*":
            told |= dict.fromkeys((f"times{number}", f"grows{number}"), "doubles" if a == 2 else "triples")
    return told


def _values(problem: Problem) -> dict[str, str]:
    """What must stand in the slots, by the problem's meta."""
    meta = problem.meta
    if problem.family == "chain":
        return numbers_told(meta["start"], meta["events"])
    if problem.family == "equation":
        return {f"{slot}0": str(meta[key]) for slot, key in (("a", "a"), ("b", "b"), ("p", "p"), ("t", "total"))}
    if problem.family == "letters":
        return {"w0": " ".join(meta["words"]), "c0": ", ".join(meta["words"])}
    if problem.family == "coin":
        return {f"n{at}": name for at, name in enumerate(meta["names"], 1)}
    if problem.family == "sort":
        return {"l0": sort.listed(meta["numbers"])}
    return {"a0": meta["a"], "b0": meta["b"]}


_MODULES: Mapping[str, Any] = {
    "chain": chain,
    "equation": equation,
    "letters": letters,
    "coin": coin,
    "sort": sort,
    "decimals": decimals,
}
