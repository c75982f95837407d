"""A look inside, as JSON: what the page draws, in numbers of four digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thinkling.glass import attention
from thinkling.glass.activations import Activations, activations
from thinkling.glass.arguments import Asked, checked
from thinkling.glass.lens import lens
from thinkling.glass.walk import walk
from thinkling.model.config import ModelConfig
from thinkling.tokenizer.bpe import Tokenizer

LOGITS = 20  # likeliest next tokens of a walk


def look(
    config: ModelConfig, weights: Mapping[str, Tensor], tokenizer: Tokenizer, what: str, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Look at ``what`` in a model, as `checkpoint.load_checkpoint` gives it, reading ``arguments["tokens"]`` (ids).

    "walk" takes layer (0), head (0) and position (-1, the last): `walk.Walk` and the likeliest next tokens.
    "attention" takes nothing more: the weights [L, H, T, T]. "lens" takes top (5): the likeliest tokens with their
    probabilities, [T][top], at layer 0 (before the first) to L (after the last, the model's own).
    All numbers are finite and rounded to four significant digits; a score that looks ahead is None.
    Raises UserError naming the argument that is wrong (see `arguments.checked`).
    """
    asked = checked(config, what, arguments)
    seen = activations(config, weights, asked.tokens)
    tokens = [_token(tokenizer, number) for number in asked.tokens]
    if what == "walk":
        return {"tokens": tokens, **_walk(config, tokenizer, seen, asked)}
    if what == "attention":
        return {"tokens": tokens, "weights": rounded(attention.maps(seen))}
    layers = [
        {"layer": layer, "top": _likeliest(tokenizer, logits_TV, asked.top)}
        for layer, logits_TV in enumerate(lens(config, weights, seen))
    ]
    return {"tokens": tokens, "layers": layers, "final": layers[-1]}


def _walk(config: ModelConfig, tokenizer: Tokenizer, seen: Activations, asked: Asked) -> dict[str, Any]:
    steps = walk(seen, asked.layer, asked.head, asked.position)
    log_p_V = steps.logits_V.double().log_softmax(-1)
    likeliest = _likeliest(tokenizer, steps.logits_V[None], min(LOGITS, config.vocab_size))[0]
    for row in likeliest:
        row["logit"] = rounded(steps.logits_V[row["id"]])
    return {
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "kv_heads": config.num_key_value_heads,
        "width": config.hidden_size,
        "head_dim": config.head_dim,
        "vocabulary": config.vocab_size,
        "layer": asked.layer,
        "head": asked.head,
        "position": asked.position,
        "embedding": rounded(steps.embedding_TD),
        "residual": rounded(steps.residual_TD),
        "query": rounded(steps.query_TE),
        "key": rounded(steps.key_TE),
        "value": rounded(steps.value_TE),
        "scores": rounded(steps.scores_TT),
        "weights": rounded(steps.weights_TT),
        "context": rounded(steps.context_TE),
        "logits": likeliest,
        "entropy": rounded(-(log_p_V.exp() * log_p_V).sum()),
    }


def _likeliest(tokenizer: Tokenizer, logits_TV: Tensor, count: int) -> list[list[dict[str, Any]]]:
    """For each row the likeliest tokens, the likeliest first."""
    best = logits_TV.topk(count)
    probabilities = rounded((best.values - logits_TV.logsumexp(-1, keepdim=True)).exp())
    return [
        [
            {"id": number, "text": tokenizer.decode([number]), "probability": probability}
            for number, probability in zip(*row, strict=True)
        ]
        for row in zip(best.indices.tolist(), probabilities, strict=True)
    ]


def _token(tokenizer: Tokenizer, number: int) -> dict[str, Any]:
    return {"id": number, "text": tokenizer.decode([number]), "special": number in tokenizer.special.values()}


def rounded(x: Tensor) -> Any:
    """The tensor as nested lists of numbers with four significant digits; -inf becomes None, a zero 0."""
    return _rounded(x.detach().tolist())


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    if value == -torch.inf:
        return None
    return float(f"{value:.4g}") if value else 0
