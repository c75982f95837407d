"""reasoning-gym's procedural problem sets (Stojanovski et al. 2025, arXiv:2505.24760), scored by their own scorers.

A set is named as ``chain_sum`` or with options of its configuration, ``chain_sum:min_terms=3,max_terms=3``.

**Seeds.** In nearly every set, problem i of a data set with seed s is drawn from the seed s + i, so two data sets
with neighbouring seeds share all problems but one: a training set with seed 0 and a test set with seed 1 are the
same problems. Here each problem is number 0 of a data set of its own, whose seed hashes (seed, set, i); and the
split of a problem hashes its content, so that no problem is ever in two splits.

**Scores** are floats in [0, 1]: many sets give part of the credit for an answer that is partly right, or merely
there. Some scorers evaluate the answer as Python, so all of them run in a process of their own (`isolated.py`).
"""

from __future__ import annotations

import base64
import difflib
import importlib
import json
import pickle
import re
from dataclasses import dataclass
from typing import Any

from thinkling.core.errors import UserError
from thinkling.core.seeds import content_key, derive
from thinkling.core.types import Problem, Verdict
from thinkling.tasks import gym_worker
from thinkling.tasks.family import split_of
from thinkling.tasks.grading import claim
from thinkling.tasks.isolated import Isolated, NotLoaded

LONGEST = 20_000  # characters of an answer; the largest boards need a few thousand
_PATIENCE = 200  # draws without a new problem before a set counts as exhausted
_SCORER = Isolated(gym_worker.__name__, seconds=10.0)
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_SPEC = re.compile(r"(?P<name>\w+)(?::(?P<options>.+))?")
_OPTION = re.compile(r"\s*(\w+)\s*=\s*(\[[^\]]*\]|[^,\[\]]+)\s*(?:,|$)")


@dataclass(frozen=True, slots=True)
class Gym:
    """Problems of one set, and their scorer. ``entries`` holds the set's own record of each problem by its key."""

    name: str
    dataset: str
    options: dict[str, Any]
    problems: tuple[Problem, ...]
    entries: dict[str, dict[str, Any]]

    def grade(self, problem: Problem, text: str) -> Verdict:
        """The verdict on a response, with the scorer's float; what it cannot read within its limits scores 0."""
        said = answer_in(text)
        if not said or len(said) > LONGEST:
            return Verdict(0.0, "unparsed", None, f"expected an answer of 1 to {LONGEST} characters; got {len(said)}")
        entry = base64.b64encode(pickle.dumps(self.entries[problem.key])).decode()
        try:
            score, reason = _SCORER.ask([self.dataset, self.options, entry, said])
        except NotLoaded as error:
            raise UserError(
                f"reasoning-gym cannot be loaded ({error}); mend its installation: thinkling[gym]"
            ) from None
        if score is None:
            return Verdict(0.0, "unparsed", said, f"the scorer could not read it: {reason}")
        wanted = f"expected {problem.answer}" if problem.answer and score < 1 else ""
        return Verdict(score, "graded", said, wanted)


def load(spec: str, n: int, seed: int, split: str | None = None) -> Gym:
    """``n`` different problems of the set that ``spec`` names; with ``split`` only those whose content falls there.

    "test" and "val" hold a twentieth of the problems each, so asking for them draws twenty times as many. A problem
    with many right answers has the answer "". Raises UserError for an unknown set or option, where the set has fewer
    problems, and where reasoning-gym is not installed.
    """
    name, options = _parsed(spec)
    family = f"gym:{spec}"
    problems: dict[str, Problem] = {}
    entries: dict[str, dict[str, Any]] = {}
    idle = index = 0
    patience = _PATIENCE * (20 if split else 1)
    while len(problems) < n and idle < patience:
        own = item_seed(seed, name, index)
        entry = _create(name, options, own)[0]
        index += 1
        key = content_key(f"gym:{name}|{' '.join(entry['question'].split())}")
        if key in problems or split not in (None, split_of(key)):
            idle += 1
            continue
        idle = 0
        answer = entry["answer"] if isinstance(entry["answer"], str) else ""
        meta = {"dataset": name, "options": options, "item_seed": own}
        problems[key] = Problem(key, split_of(key), family, entry["question"], answer, seed=own, meta=meta)
        entries[key] = entry
    if len(problems) < n:
        where = f" of the split {split}" if split else ""
        raise UserError(f"expected {n} different problems{where} of {family}; found {len(problems)}: ask for fewer")
    return Gym(family, name, options, tuple(problems.values()), entries)


def item_seed(seed: int, name: str, index: int) -> int:
    """The seed of the data set whose problem 0 is number ``index``; 31 bits, as some sets hand it to numpy."""
    return derive(seed, "gym", name, index) >> 32


def answer_in(text: str) -> str:
    """The last <answer>...</answer> of a response, else what follows its last "answer is", else all of it."""
    tagged = _TAGGED.findall(text)
    if tagged:
        return str(tagged[-1]).strip()
    start, end, marked = claim(text)
    if not marked:
        return text.strip()
    # A board begins on the claim's own line or on the next; a sentence ends with its line.
    said = text[start:].strip()
    return said.removesuffix(".") if "\n" not in said else said


def _parsed(spec: str) -> tuple[str, dict[str, Any]]:
    match = _SPEC.fullmatch(spec)
    written = match["options"] or "" if match else ""
    pairs = _OPTION.findall(written)
    if not match or _OPTION.sub("", written).strip() or (written and not pairs):
        raise UserError(f"expected a set of reasoning-gym as NAME or NAME:option=value,option=value; got {spec!r}")
    options = {key: _value(value.strip()) for key, value in pairs}
    for taken in {"seed", "size"} & set(options):
        raise UserError(f"gym:{spec}: {taken} is not an option: it follows from how many problems are asked for")
    return match["name"], options


def _value(written: str) -> Any:
    """A value as JSON, or Python's True, False and None; anything else is text."""
    plain = {"True": True, "False": False, "None": None}
    try:
        return plain[written] if written in plain else json.loads(written)
    except ValueError:
        return written


def _create(name: str, options: dict[str, Any], seed: int) -> Any:
    """A data set of one problem."""
    try:
        factory = importlib.import_module("reasoning_gym.factory")
    except ImportError as error:
        raise UserError(
            f"gym:{name} needs reasoning-gym, which cannot be loaded ({error}); install it with: "
            "pip install 'thinkling[gym]'"
        ) from None
    importlib.import_module("reasoning_gym")  # registers the sets
    known = sorted(set(factory.DATASETS) - {"composite"})
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise UserError(f"expected a set of reasoning-gym; it has no {name!r}: {hint}")
    try:
        return factory.create_dataset(name, **options, seed=seed, size=1)
    except (TypeError, AssertionError, ValueError) as error:
        fields = factory.DATASETS[name][1].__dataclass_fields__
        allowed = ", ".join(field for field in fields if field not in ("seed", "size"))
        raise UserError(
            f"gym:{name}: expected options out of {allowed}; {error or 'a value is out of range'}"
        ) from None
