"""Replies of OpenAI's chat and completions routes as turns, scores and bills.

Endpoints give no token ids: a ``Sampled`` from here has none in its ``TokenSeq``, and id -1 in ``top``; the
texts of the tokens and their logprobs are there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from thinkling.core.types import Finish, Message, Origin, Part, Sampled, Scored, TokenSeq
from thinkling.remote.bills import Bill, Malformed, bill_for
from thinkling.remote.logprobs import Tokens, aligned, echoed, tokens_of_chat, tokens_of_text
from thinkling.tokenizer.chat import TAGS

# Everything else (content_filter, abort, no reason at all) is an end that the model did not choose.
_FINISH: dict[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool",
    "function_call": "tool",
}


@dataclass(frozen=True, slots=True)
class Question:
    """What a reply answers: the model, how the turn began already, an estimate of the prompt's tokens, and how
    many likeliest tokens were asked for."""

    model: str
    opening: str
    tokens: int
    top: int


def read_chat(payload: Any, question: Question) -> tuple[Sampled, Bill]:
    """A reply of the chat route. Raises Malformed for anything else."""
    choice = _choice(payload)
    said = choice.get("message")
    if not isinstance(said, dict):
        raise Malformed("its choice has no message", payload)
    content = said.get("content") or said.get("refusal") or ""
    thought = said.get("reasoning_content") or said.get("reasoning") or ""
    if not isinstance(content, str) or not isinstance(thought, str):
        raise Malformed("the content of its message is not text", payload)
    message = _with_calls(read_turn(question.opening, thought, content), said, payload)
    known = len(_split(question.opening)[0] or "")
    bill = bill_for(payload, question.tokens, thought + content, len(message.thinking or "") - known)
    tokens = Tokens()
    if question.top:
        tokens = aligned(message, question.opening, tokens_of_chat(choice, payload), payload)
    return _sampled(payload, choice, message, bill, tokens, question), bill


def read_text(payload: Any, question: Question) -> tuple[Sampled, Bill]:
    """A reply of the completions route: a continuation, as one text part. Raises Malformed for anything else."""
    choice = _choice(payload)
    text = choice.get("text")
    if not isinstance(text, str):
        raise Malformed("its choice has no text", payload)
    message = Message.assistant(text)
    bill = bill_for(payload, question.tokens, text)
    tokens = aligned(message, "", tokens_of_text(choice, payload), payload) if question.top else Tokens()
    return _sampled(payload, choice, message, bill, tokens, question), bill


def read_score(payload: Any, before: str, text: str, tokens: int) -> tuple[Scored, Bill]:
    """The logprobs of ``text`` after ``before`` in an echo of both, which are about ``tokens`` long together."""
    logprobs = echoed(_choice(payload), before, text, payload)
    bill = bill_for(payload, tokens, "")
    return Scored(logprobs, None, bill.usage), bill


def read_turn(opening: str, thought: str, content: str) -> Message:
    """The assistant's turn from what it said already, a separate field for its reasoning, and its content.

    Without such a field the thinking is in the content: inside leading ``<think>`` tags, or before a lone
    ``</think>`` where the chat template wrote the first tag. A think part that is not closed reaches to the end.
    """
    if thought:
        begun, rest = _split(opening)
        thinking, rest = (begun or "") + thought, (rest or "") + content
    else:
        found, rest = _split(opening + content)
        if found is None:
            return Message("assistant", _text_and_calls(rest or ""))
        thinking = found
    after = () if rest is None else _text_and_calls(rest)
    return Message("assistant", (Part("think", thinking), *after))


def _split(text: str) -> tuple[str | None, str | None]:
    """A turn's thinking (None: none) and what follows it (None: it is not closed)."""
    opened, closed = TAGS["think"]
    head = text.lstrip()
    begun = head.startswith(opened)
    thinking, found, rest = (head.removeprefix(opened) if begun else text).partition(closed)
    if begun or (found and opened not in thinking):
        return thinking, rest if found else None
    return None, text


def _text_and_calls(text: str) -> tuple[Part, ...]:
    opened, closed = TAGS["call"]
    parts: list[Part] = []
    while opened in text:
        before, _, rest = text.partition(opened)
        call, _, text = rest.partition(closed)
        parts += [Part("text", before)] if before else []
        parts.append(Part("call", call))
    return (*parts, Part("text", text)) if text or not parts else tuple(parts)


def _with_calls(message: Message, said: dict[str, Any], payload: Any) -> Message:
    """The message and the calls that the endpoint has parsed itself, as the JSON that a model writes in tags."""
    calls = []
    try:
        for call in said.get("tool_calls") or ():
            name, arguments = json.dumps(call["function"]["name"]), call["function"]["arguments"] or "{}"
            calls.append(Part("call", f'{{"name": {name}, "arguments": {arguments}}}'))
    except (KeyError, TypeError):
        raise Malformed("a tool call without name and arguments", payload) from None
    if not calls:
        return message
    return Message("assistant", (*(part for part in message.parts if part.text or part.kind != "text"), *calls))


def _choice(payload: Any) -> dict[str, Any]:
    choices = payload.get("choices") if isinstance(payload, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Malformed("it has no choices", payload)
    choice: dict[str, Any] = choices[0]
    return choice


def _sampled(
    payload: Any, choice: dict[str, Any], message: Message, bill: Bill, tokens: Tokens, question: Question
) -> Sampled:
    origins: list[Origin] = ["sampled"] * len(tokens.logprobs)
    sequence = TokenSeq((), tuple(origins), tokens.logprobs)
    finish = _FINISH.get(str(choice.get("finish_reason")), "abort")
    served = payload.get("model")
    weights = served if isinstance(served, str) and served else question.model
    return Sampled(message, sequence, finish, bill.usage, weights, tokens.top, tokens.pieces)
