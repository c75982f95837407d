"""A walk through one head of one layer, step by step, with the numbers that the model computes.

1. The tokens become vectors: the embedding, to which every layer adds; this layer reads the sum so far.
2. The head makes a query, a key and a value of each token's vector (normalized first). Position enters here: rotary
   embedding turns query and key by an angle that grows with the position.
3. Each query meets the keys of its own token and of those before it: scores, scaled by the root of the head's width.
4. Softmax turns a row of scores into weights that sum to 1.
5. The context: the values, mixed by those weights. It goes through the output projection back into the stream.
6. After the last layer the stream, normalized, meets the output head: logits, and by softmax the next token's
   probabilities.

Legend as in ``activations``.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from thinkling.glass import attention
from thinkling.glass.activations import Activations


@dataclass(frozen=True, slots=True)
class Walk:
    """The numbers of a walk; ``residual_TD`` is what the layer reads, ``logits_V`` predict what follows a position.

    ``key_TE`` and ``value_TE`` are those of the key-value head that the query head shares.
    """

    embedding_TD: Tensor
    residual_TD: Tensor
    query_TE: Tensor
    key_TE: Tensor
    value_TE: Tensor
    scores_TT: Tensor
    weights_TT: Tensor
    context_TE: Tensor
    logits_V: Tensor


def walk(seen: Activations, layer: int, head: int, position: int) -> Walk:
    """Layer, head and position count from 0."""
    group = seen.query_LHTE.shape[1] // seen.key_LKTE.shape[1]
    query_TE, key_TE = seen.query_LHTE[layer, head], seen.key_LKTE[layer, head // group]
    scores_TT = attention.scores(query_TE[None], key_TE[None])[0]
    return Walk(
        embedding_TD=seen.residual_MTD[0],
        residual_TD=seen.residual_MTD[layer],
        query_TE=query_TE,
        key_TE=key_TE,
        value_TE=seen.value_LKTE[layer, head // group],
        scores_TT=scores_TT,
        weights_TT=attention.weights(scores_TT),
        context_TE=seen.context_LHTE[layer, head],
        logits_V=seen.logits_TV[position],
    )
