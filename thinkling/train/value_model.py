"""A decoder with a scalar head: what a verifier is while it learns.

Shape suffixes: D model width, N positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from thinkling.model.checkpoint import load_checkpoint
from thinkling.model.config import ModelConfig
from thinkling.model.transformer import Packed, Transformer

# The head's names in a checkpoint, where the engine finds it.
WEIGHT, BIAS = "value_head.weight", "value_head.bias"


class ValueModel(Transformer):
    """A Transformer whose ``weights`` also hold a head [D] and its bias [1], in float32 like the norms.

    The head begins at zero: every answer is as likely to be right as to be wrong.
    """

    def __init__(self, config: ModelConfig, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(config, dtype=dtype)
        head: dict[str, dict[str, tuple[int, ...]]] = {
            "value_head": {WEIGHT: (config.hidden_size,)},
            "value_bias": {BIAS: (1,)},
        }
        self._layout = {**self._layout, **head}
        self.weights["value_head"] = nn.Parameter(torch.zeros(config.hidden_size))
        self.weights["value_bias"] = nn.Parameter(torch.zeros(1))
        self.refresh()

    def logits(self, batch: Packed, row_N: Tensor) -> tuple[Tensor, Tensor]:
        """(the head's outputs [N] in float32, the hidden rows [N, D]) at rows of the flattened windows."""
        y_ND = self.ops.take_rows(self.hidden(batch), row_N)
        return y_ND.float() @ self.weights["value_head"] + self.weights["value_bias"], y_ND

    def state(self) -> dict[str, Tensor]:
        """As in ``Transformer``, with the head as a linear layer of one output, [1, D]."""
        made = super().state()
        return made | {WEIGHT: made[WEIGHT][None]}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """As in ``Transformer``; a head that the tensors lack stays as it is."""
        super().load_state({**self.state(), **tensors, WEIGHT: tensors.get(WEIGHT, self.state()[WEIGHT]).reshape(-1)})


def load_value_model(folder: Path | str, *, dtype: torch.dtype = torch.float32) -> ValueModel:
    """A model from a local checkpoint with a new head, or with the one that it has."""
    config, tensors = load_checkpoint(folder)
    model = ValueModel(config, dtype=dtype)
    model.load_state(tensors)
    return model
