"""BIG-Bench Hard: finding and grading the answers of its 27 task files.

Suzgun et al. 2022, "Challenging BIG-Bench Tasks and Whether Chain-of-Thought Can Solve Them" (arXiv:2210.09261).
Chain-of-thought outputs end in "So the answer is X.", answer-only outputs are X itself; the paper compares X with
the target as strings. Its table 2 counts 23 tasks: logical deduction and tracking shuffled objects, which have
files for three, five and seven objects, count once each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from thinkling.core.errors import UserError
from thinkling.core.types import Verdict
from thinkling.tasks import cleansing
from thinkling.tasks.answers import words
from thinkling.tasks.cleansing import Mode

ANSWER_PHRASE = "So the answer is"

_OF_KIND = {
    "yes-no": "causal_judgement navigate sports_understanding web_of_lies",
    "number": "multistep_arithmetic_two object_counting",
    "boolean": "boolean_expressions",
    "validity": "formal_fallacies",
    "brackets": "dyck_languages",
    "list": "word_sorting",
    "choice": (
        "date_understanding disambiguation_qa geometric_shapes hyperbaton logical_deduction_five_objects "
        "logical_deduction_seven_objects logical_deduction_three_objects movie_recommendation penguins_in_a_table "
        "reasoning_about_colored_objects ruin_names salient_translation_error_detection snarks temporal_sequences "
        "tracking_shuffled_objects_five_objects tracking_shuffled_objects_seven_objects "
        "tracking_shuffled_objects_three_objects"
    ),
}
TASKS: Mapping[str, str] = MappingProxyType({task: kind for kind, tasks in _OF_KIND.items() for task in tasks.split()})

_WORDS = {"boolean": {"true": "True", "false": "False"}, "validity": {"valid": "valid", "invalid": "invalid"}}
_BRACKETS = re.compile(r"[()\[\]{}<>]+")
_VARIANT = re.compile(r"_(?:three|five|seven)_objects$")


def is_chain_of_thought(predictions: Iterable[str]) -> bool:
    """Whether these are chain-of-thought outputs: any of them says "So the answer is"."""
    return any(ANSWER_PHRASE in prediction for prediction in predictions)


def answer_part(prediction: str, chain_of_thought: bool) -> str:
    """What follows the last "So the answer is" ("" without one), or a whole answer-only output; no full stop."""
    said = prediction.rpartition(ANSWER_PHRASE)[2] if ANSWER_PHRASE in prediction or not chain_of_thought else ""
    return said.strip().removesuffix(".")


def grade(task: str, question: str, prediction: str, target: str, mode: Mode, *, chain_of_thought: bool) -> Verdict:
    """The verdict on one output.

    ``paper`` compares strings. ``exact`` reads the answer by its kind, takes a choice also by its text, and leaves
    unscored a problem whose target is none of its choices (three of the published ones are broken that way).
    Raises UserError for an unknown task.
    """
    if task not in TASKS:
        raise UserError(f"{task!r} is no task of BIG-Bench Hard; expected one of {', '.join(sorted(TASKS))}")
    said = answer_part(prediction, chain_of_thought)
    if not target.strip():
        return Verdict(None, "unscored", said, "no gold answer")
    if not said:
        reason = f"no answer after {ANSWER_PHRASE!r}" if chain_of_thought else "empty answer"
        return Verdict(0.0, "unparsed", said if mode == "paper" else None, reason)
    if mode == "paper":
        right = said == target
        return Verdict(float(right), "graded", said, "" if right else f"expected {target}")
    kind = TASKS[task]
    if kind in _WORDS:
        return words(kind, _WORDS[kind]).grade(f"{cleansing.FEW_SHOT_TRIGGER} {said}", target)
    if kind in ("brackets", "list"):
        return _grade_sequence(kind, said, target)
    return cleansing.grade(kind, said, target, mode, question=question)


def paper_average(accuracies: Mapping[str, float]) -> float | None:
    """The mean over the paper's 23 tasks (table 2), from one accuracy per task file; None unless all 27 are there."""
    if set(accuracies) != set(TASKS):
        return None
    tasks: dict[str, list[float]] = {}
    for task, accuracy in accuracies.items():
        tasks.setdefault(_VARIANT.sub("", task), []).append(accuracy)
    return sum(sum(variants) / len(variants) for variants in tasks.values()) / len(tasks)


def _grade_sequence(kind: str, said: str, target: str) -> Verdict:
    """Comparison in order, whatever stands between the items: spaces, commas, quotes."""
    separators = r"[\s,\"']+" if kind == "brackets" else r"[\s,]+"
    items, wanted = (re.sub(separators, " ", text.lower()).strip() for text in (said, target))
    if kind == "brackets":
        items, wanted = items.replace(" ", ""), wanted.replace(" ", "")
        if not _BRACKETS.fullmatch(items):
            return Verdict(0.0, "unparsed", None, f"expected closing brackets; got {said[:60]!r}")
    right = items == wanted
    return Verdict(float(right), "graded", items, "" if right else f"expected {target}")
