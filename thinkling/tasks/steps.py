"""Steps of a thought: the pieces after which it can be judged, or continued in another way.

A step ends with a sentence, a line, a plan ("6x+2*10=56:") or an equation ("13+5=18"), whichever comes
first. Blanks belong to the step that follows them: a byte-level tokenizer writes them with the next word, so
that a text up to the end of a step consists of whole tokens.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from thinkling.core.types import Message

_WORD = re.compile(r"\s*\S+")
_SENTENCE = re.compile(r"[.!?;][\"'\u2019)\]*]*$")
_RELATION = re.compile(r"[\w)%][=<>\u2264\u2265]+[-\w($.]|\d:\d")  # 13+5=18, 11<90, and 4:43 of a sorted row
_LABEL = re.compile(r"\s*[A-Za-z]+(?:\s+\d+)?:$|\s*\d+[.)]$")  # "Check:", "Step 2:", "3." name what follows

# How a turn's values, one after each step and one after its end, become one: Lightman et al. (arXiv:2305.20050, section
# 2.6 and appendix F) multiply them, Math-Shepherd (arXiv:2312.08935, section 3) takes the least.
AGGREGATIONS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "product": math.prod,
    "minimum": min,
    "last": lambda values: values[-1],
}


def split_steps(text: str) -> tuple[str, ...]:
    """The steps of ``text``; put together they are the text again, blanks at its end included.

    Whether the last one is complete cannot be told from a text that is still being written.
    """
    steps: list[str] = []
    step = ""
    for match in _WORD.finditer(text):
        word = match.group()
        if step and "\n" in word[: len(word) - len(word.lstrip())]:
            steps.append(step)
            step = ""
        step += word
        if _ends(step, word):
            steps.append(step)
            step = ""
    rest = text[sum(map(len, steps)) + len(step) :]
    if step or (rest and not steps):
        steps.append(step)
    return (*steps[:-1], steps[-1] + rest) if steps else ()


def step_marks(turn: Message) -> tuple[int, ...]:
    """Characters of a turn's thinking up to the end of each step, as the ``marks`` of a ``Score`` count them.

    Of a turn that did not think, those of its text, but for the last step: that one is the end of the turn,
    whose value every ``Score`` has.
    """
    steps = split_steps(turn.thinking) if turn.thinking else split_steps(turn.text)[:-1]
    return tuple(accumulate(map(len, steps)))


def _ends(step: str, word: str) -> bool:
    """Whether a step that ends in ``word`` is over."""
    if _LABEL.fullmatch(step):
        return False
    return bool(word.endswith(":") or _SENTENCE.search(word) or _RELATION.search(word))
