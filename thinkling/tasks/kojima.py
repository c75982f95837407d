"""Zero-shot chain of thought: its prompts, and the kind of answer that each of its data sets asks for.

Kojima et al. 2022, "Large Language Models are Zero-Shot Reasoners" (arXiv:2205.11916). Two stages: the question
and `STEP_BY_STEP` bring out the reasoning; question, reasoning and a trigger sentence (appendix A.5) bring out
the answer. The strings are those in the authors' logs; they put a line break before the second. How an answer
is then cut out of what follows the trigger (appendix A.6) is in `cleansing.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from thinkling.core.errors import UserError

STEP_BY_STEP = "Let's think step by step."
KINDS = ("number", "choice", "yes-no", "letters", "text")
A_TO_E = "ABCDE"

# "letters" (last letter concatenation) is asked for like any text; the kinds differ in how they are read.
_TRIGGERS = {
    "number": "Therefore, the answer (arabic numerals) is",
    "choice": "Therefore, among {first} through {last}, the answer is",
    "yes-no": "Therefore, the answer (Yes or No) is",
    "letters": "Therefore, the answer is",
    "text": "Therefore, the answer is",
}


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """What a data set's answers are: one of `KINDS`, and the letters of its choices."""

    kind: str
    choices: str = ""


# The twelve data sets, by the names of the authors' log files.
DATASETS: Mapping[str, AnswerFormat] = MappingProxyType(
    {
        "addsub": AnswerFormat("number"),
        "aqua": AnswerFormat("choice", A_TO_E),
        "coin_flip": AnswerFormat("yes-no"),
        "commonsensqa": AnswerFormat("choice", A_TO_E),
        "date_understanding": AnswerFormat("choice", "ABCDEF"),
        "gsm8k": AnswerFormat("number"),
        "last_letters": AnswerFormat("letters"),
        "multiarith": AnswerFormat("number"),
        "shuffled_objects": AnswerFormat("choice", "ABC"),
        "singleeq": AnswerFormat("number"),
        "strategyqa": AnswerFormat("yes-no"),
        "svamp": AnswerFormat("number"),
    }
)

# Whether a method's output is a whole response, in which the answer must be found, rather than what follows a trigger.
METHODS: Mapping[str, bool] = MappingProxyType(
    {"zero_shot": False, "zero_shot_cot": False, "few_shot": True, "few_shot_cot": True}
)


def trigger(kind: str, choices: str = "") -> str:
    """The sentence that asks for the answer after the reasoning, to be continued by the model.

    ``choices`` are the letters of a multiple choice, such as "ABC"; none means A to E, as in AQuA-RAT and
    CommonsenseQA. Other kinds do not look at them. Raises UserError for an unknown kind.
    """
    check_kind(kind)
    letters = choice_letters(choices)
    return _TRIGGERS[kind].format(first=letters[0], last=letters[-1])


def check_kind(kind: str) -> None:
    """Raises UserError unless ``kind`` is one of `KINDS`."""
    if kind not in KINDS:
        raise UserError(f"expected a kind of answer out of {', '.join(KINDS)}; got {kind!r}")


def choice_letters(choices: str) -> str:
    """``choices``, or A to E where it is empty. Raises UserError unless it is capital letters, as in "ABCD"."""
    if choices and not re.fullmatch("[A-Z]+", choices):
        raise UserError(f"expected the letters of the choices in capitals, as in ABCD; got {choices!r}")
    return choices or A_TO_E
