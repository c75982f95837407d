"""Effects as the JSON bodies of OpenAI's chat and completions routes.

What an endpoint was not declared to do is refused here, before a token is spent. Temperature and top_p are
always sent, since servers have defaults of their own; ``top_k`` and ``min_p`` (which OpenAI's own API does not
know) only where they are on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.core.types import Message, Part, Sample, Sampled, Sampling, Score, Scored
from thinkling.remote.bills import Bill, estimate_tokens
from thinkling.remote.endpoint import TEMPLATE_FIELD, Endpoint
from thinkling.remote.replies import Question, read_chat, read_score, read_text
from thinkling.tokenizer.chat import END, START, TAGS

CHAT, TEXT = "/chat/completions", "/completions"
SEED_MASK = (1 << 31) - 1  # servers take a signed 32-bit integer

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its route and body, the tokens that it may cost at most (an estimate), how to read its reply.

    ``prompt`` is an estimate of the prompt's tokens. ``read`` raises Malformed for a reply of another shape.
    """

    route: str
    body: bytes
    prompt: int
    longest: int
    read: Callable[[Any], tuple[Sampled | Scored, Bill]]


def calls_for(endpoint: Endpoint, effect: Sample | Score) -> list[Call]:
    """The requests that serve an effect, one per sample. Raises UserError for what the endpoint cannot do."""
    if isinstance(effect, Score):
        return [_score(endpoint, effect)]
    if effect.n < 1:
        raise UserError(f"a Sample asks for at least 1 continuation, came n={effect.n}")
    _check(endpoint, effect)
    opening = _opening(effect)
    if effect.messages:
        route, prompt = CHAT, _chat_prompt(endpoint, effect, opening)
        text = "".join(message["content"] for message in prompt["messages"])
    else:
        route, text = TEXT, effect.prefix
        prompt = {"prompt": text}
    question = Question(endpoint.model, opening, estimate_tokens(text), effect.top_logprobs)
    read = partial(read_chat if effect.messages else read_text, question=question)
    body = {
        "model": endpoint.model,
        **endpoint.body,
        **prompt,
        **_sampling(endpoint, effect.sampling, route),
        **_logprobs(effect.top_logprobs, route),
    }
    seeds = [derive(effect.seed, i) for i in range(effect.n)] if effect.n > 1 else [effect.seed]
    bodies = _seeded(body, endpoint.seed_field, seeds)
    return [Call(route, data, question.tokens, effect.sampling.max_tokens, read) for data in bodies]


def _check(endpoint: Endpoint, effect: Sample) -> None:
    """Refuse what cannot be asked for: a request that drops half of its effect would measure something else."""
    wants = {
        "a prefix of the assistant's turn (option prefix=1, where the endpoint has it)": (
            bool(effect.messages) and (effect.prefix != "" or effect.thought is not None) and not endpoint.prefix
        ),
        "think (option think_switch=NAME, where the chat template has such a switch)": (
            bool(effect.messages) and effect.think is not None and not endpoint.think_switch
        ),
        "top_logprobs (option logprobs=1, where the endpoint has them)": (
            effect.top_logprobs > 0 and not endpoint.logprobs
        ),
        "forced token ids (no endpoint takes them)": bool(effect.forced),
        "until (a remote sample can only be ended by stop strings)": effect.until is not None,
    }
    missing = [what for what, wanted in wants.items() if wanted]
    if missing:
        raise UserError(f"{endpoint.name} is not known to serve {'; '.join(missing)}")
    if not effect.messages and not effect.prefix:
        raise UserError(f"{endpoint.name}: a Sample without messages continues its prefix, which is empty")


def _opening(effect: Sample) -> str:
    """What the assistant's turn says already; plain text has no turns."""
    if not effect.messages:
        return ""
    thought = "" if effect.thought is None else tagged(Part("think", effect.thought))
    return thought + effect.prefix


def _chat_prompt(endpoint: Endpoint, effect: Sample, opening: str) -> Json:
    messages = [chat_message(message) for message in effect.messages]
    prompt: Json = {"messages": messages}
    if effect.think is not None:
        given = endpoint.body.get(TEMPLATE_FIELD, {})
        prompt[TEMPLATE_FIELD] = {**given, endpoint.think_switch: effect.think}
    if opening:
        messages.append({"role": "assistant", "content": opening})
        prompt |= {"continue_final_message": True, "add_generation_prompt": False}
    return prompt


def chat_message(message: Message) -> dict[str, str]:
    """A turn as the chat route takes it.

    Earlier thinking is left out, as the chat templates of reasoning models do themselves. Calls and results of
    tools are told as tagged text, a tool's turn as the user's: the route's own tool messages need ids
    of calls, which this protocol has not.
    """
    content = "".join(tagged(part) for part in message.parts if part.kind != "think")
    return {"role": "user" if message.role == "tool" else message.role, "content": content}


def tagged(part: Part) -> str:
    """A part with the tags of its kind, as text."""
    before, after = TAGS.get(part.kind, ("", ""))
    return f"{before}{part.text}{after}"


def _sampling(endpoint: Endpoint, sampling: Sampling, route: str) -> Json:
    longest = endpoint.max_tokens_field if route == CHAT else "max_tokens"
    fields: Json = {"temperature": sampling.temperature, "top_p": sampling.top_p, longest: sampling.max_tokens}
    if sampling.top_k:
        fields["top_k"] = sampling.top_k
    if sampling.min_p:
        fields["min_p"] = sampling.min_p
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(sampling, name):
            fields[name] = getattr(sampling, name)
    if sampling.logit_bias:
        fields["logit_bias"] = {str(number): bias for number, bias in sampling.logit_bias}
    return fields


def _logprobs(top: int, route: str) -> Json:
    if not top:
        return {}
    return {"logprobs": True, "top_logprobs": top} if route == CHAT else {"logprobs": top}


def _seeded(body: Json, field: str, seeds: Sequence[int]) -> list[bytes]:
    """One body per seed; the rest, which may be long, is written as JSON once."""
    data = json.dumps(body).encode()
    if not field:
        return [data] * len(seeds)
    name = json.dumps(field).encode()
    return [b"%b, %b: %d}" % (data[:-1], name, seed & SEED_MASK) for seed in seeds]


def _score(endpoint: Endpoint, effect: Score) -> Call:
    if effect.verifier or effect.marks:
        raise UserError(f"{endpoint.name} has no verifier; values come from a local model with a value head")
    chat = bool(effect.messages)
    if not endpoint.scoring or (chat and endpoint.scoring != "chatml"):
        need = "scoring=chatml, where its model speaks ChatML" if chat else "scoring=text"
        raise UserError(f"{endpoint.name} is not known to score given text; option {need}, where it can echo logprobs")
    prompt = _chatml(effect.messages) if chat else effect.prefix
    turn = "".join(tagged(part) for part in effect.turn.parts)
    if not turn:
        raise UserError("score: the turn is empty; expected at least one token to score")
    if not prompt:
        raise UserError("score: nothing stands before the text; its first token has no logprob without a prefix")
    # One token is asked for, and dropped: not every server allows none.
    body: Json = {"model": endpoint.model, **endpoint.body, "prompt": prompt + turn}
    body |= {"max_tokens": 1, "temperature": 0.0, "echo": True, "logprobs": 1}
    size = estimate_tokens(prompt + turn)
    read = partial(read_score, before=prompt, text=turn, tokens=size)
    return Call(TEXT, json.dumps(body).encode(), size, 1, read)


def _chatml(messages: Sequence[Message]) -> str:
    """A chat as a ChatML model reads it, up to the beginning of the assistant's turn."""
    turns = [f"{START}{message.role}\n{''.join(map(tagged, message.parts))}{END}\n" for message in messages]
    return "".join(turns) + f"{START}assistant\n"
