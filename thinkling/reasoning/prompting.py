"""The words that strategies add to a question, in a chat and in plain text.

In plain text (a base model) a question reads ``Q: ...`` with ``A:`` on the next line, as in the papers on
few-shot prompting; the model goes on from there, and the next ``Q:`` ends its answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thinkling.core.types import Capabilities, Message, Sample, Sampled
from thinkling.tasks.answers import AnswerKind
from thinkling.tasks.exemplars import Exemplar
from thinkling.tasks.kojima import KINDS, trigger

STOP = "\nQ:"


def plain_question(question: str) -> str:
    """A question as plain text to continue."""
    return f"Q: {question.strip()}\nA:"


def ask_for(question: str, ask: Sample, text: bool) -> Sample:
    """``ask`` (its sampling, its seed) for ``question``: as a user's turn, or as plain text to continue."""
    if not text:
        return replace(ask, messages=(Message.user(question),))
    return replace(_stopping(ask, STOP), messages=(), prefix=plain_question(question))


def begin_answer(ask: Sample, words: str, capabilities: Capabilities) -> Sample:
    """The answer begun with ``words``; where a chat cannot be begun for the model, they follow the question."""
    if not ask.messages:
        return replace(ask, prefix=f"{ask.prefix} {words}")
    if capabilities.prefix:
        return replace(ask, prefix=ask.prefix + words)
    return add_to_question(ask, words)


def answer_trigger(kind: AnswerKind) -> str:
    """The sentence that asks for an answer of this kind, to be continued; kinds the paper lacks are asked as text."""
    name = kind.name.partition(":")[0]
    return trigger(name if name in KINDS else "text", kind.options)


def add_to_question(ask: Sample, words: str) -> Sample:
    """``words`` as a further paragraph of the last user turn (in plain text: of the question)."""
    if not ask.messages:
        return replace(ask, prefix=ask.prefix.removesuffix("\nA:") + f" {words}\nA:")
    last = ask.messages[-1]
    return replace(ask, messages=(*ask.messages[:-1], Message.user(f"{last.text}\n\n{words}")))


def with_exemplars(ask: Sample, exemplars: Sequence[Exemplar], rationale: bool) -> Sample:
    """Worked examples before the question: as finished turns, or as text in the same form as the question."""
    pairs = [(made.question.strip(), _answer(made, rationale)) for made in exemplars]
    if not ask.messages:  # an empty line ends each example, and so the answer as well
        shown = "".join(f"{plain_question(q)} {a}\n\n" for q, a in pairs)
        return replace(_stopping(ask, "\n\n"), prefix=shown + ask.prefix)
    turns = [turn for q, a in pairs for turn in (Message.user(q), Message.assistant(a))]
    return replace(ask, messages=(*ask.messages[:-1], *turns, ask.messages[-1]))


def whole_answer(ask: Sample, sampled: Sampled) -> Sampled:
    """A plain continuation with the words that its prefix had begun the answer with, so that it reads as a whole."""
    if ask.messages:
        return sampled
    begun = ask.prefix.rpartition("\nA:")[2].lstrip()
    return replace(sampled, message=Message.assistant(begun + sampled.message.text)) if begun else sampled


def _stopping(ask: Sample, stop: str) -> Sample:
    if stop in ask.sampling.stop:
        return ask
    return replace(ask, sampling=replace(ask.sampling, stop=(*ask.sampling.stop, stop)))


def _answer(made: Exemplar, rationale: bool) -> str:
    work = " ".join(made.rationale.split()) if rationale else ""
    return f"{work} The answer is {made.answer}.".strip()
