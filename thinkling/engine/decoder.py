"""The model as the engine runs it: fused weights, preallocated buffers, one ragged batch of tokens.

Matrix products are torch's (oneDNN or MKL); everything between them is in kernels.py.

Legend: R rows (one token each), D model width, H query heads, G key/value heads, E head
width, F feed-forward width, V vocabulary, T positions.
"""

from __future__ import annotations

from collections.abc import Mapping

import numba
import numpy as np
import torch

from thinkling.core.errors import UserError
from thinkling.engine import kernels
from thinkling.engine.blocks import Blocks
from thinkling.engine.vectors import LANES, TILE
from thinkling.model.config import ModelConfig


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """A NumPy view of the tensor's memory; bfloat16 shows as uint16."""
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def round_rows(rows: int) -> int:
    """Rows to multiply for ``rows`` wanted: oneDNN prepares (and keeps) a kernel per shape, so there
    should be few shapes; the surplus rows are computed and ignored."""
    step = 16 if rows <= 256 else 64
    return -(-rows // step) * step if rows > 4 else rows


class Layer:
    """One decoder layer's weights: query, key and value in one matrix, gate and up in another."""

    def __init__(self, config: ModelConfig, dtype: torch.dtype) -> None:
        d, e, f = config.hidden_size, config.head_dim, config.intermediate_size
        heads, groups = config.num_attention_heads, config.num_key_value_heads
        self.qkv = torch.empty((heads + 2 * groups) * e, d, dtype=dtype)
        self.out = torch.empty(d, heads * e, dtype=dtype)
        self.gate_up = torch.empty(2 * f, d, dtype=dtype)
        self.down = torch.empty(d, f, dtype=dtype)
        self.attention_norm, self.mlp_norm = np.empty(d, np.float32), np.empty(d, np.float32)
        self.q_norm, self.k_norm = np.empty(e, np.float32), np.empty(e, np.float32)


class Decoder:
    """Runs tokens through the model. ``max_rows`` bounds the tokens, ``max_logits`` the logit rows of a run.

    Raises UserError where a head is no multiple of 16 wide (the attention kernel's vectors).
    """

    def __init__(self, config: ModelConfig, dtype: torch.dtype, max_rows: int, max_logits: int, max_len: int) -> None:
        if config.head_dim % LANES:
            raise UserError(f"engine: head_dim must be a multiple of {LANES}, came {config.head_dim}")
        self.config, self.dtype = config, dtype
        d, e, f, v = config.hidden_size, config.head_dim, config.intermediate_size, config.vocab_size
        heads, groups = config.num_attention_heads, config.num_key_value_heads
        self.layers = [Layer(config, dtype) for _ in range(config.num_hidden_layers)]
        self.embedding = torch.empty(v, d, dtype=dtype)
        self.head = self.embedding if config.tie_word_embeddings else torch.empty(v, d, dtype=dtype)
        self.final_norm = np.empty(d, np.float32)
        self.value_head: tuple[np.ndarray, float] | None = None
        rows = round_rows(max_rows)
        self.residual = np.zeros((rows, d), np.float32)
        self.hidden = torch.zeros(rows, d, dtype=dtype)
        self.qkv = torch.zeros(rows, (heads + 2 * groups) * e, dtype=dtype)
        self.attended = torch.zeros(rows, heads * e, dtype=dtype)
        self.gate_up = torch.zeros(rows, 2 * f, dtype=dtype)
        self.activated = torch.zeros(rows, f, dtype=dtype)
        self.branch = torch.zeros(rows, d, dtype=dtype)
        self.gathered = torch.zeros(round_rows(max_logits), d, dtype=dtype)
        self.logits = torch.zeros(round_rows(max_logits), v, dtype=dtype)
        repeat = heads // groups  # query heads that share keys, taken a tile at a time; tuples for their length
        self.tile, self.rest = (0,) * min(repeat, TILE), (0,) * (repeat % TILE if repeat > TILE else 0)
        self.eps = np.float32(config.rms_norm_eps)
        frequency = 1.0 / config.rope_theta ** (torch.arange(0, e, 2).float() / e)
        angle_TE = torch.arange(max_len).float()[:, None] * frequency
        self.cos, self.sin = angle_TE.cos().numpy(), angle_TE.sin().numpy()

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Copy a state dict with Hugging Face's Qwen3 names into the fused matrices.

        Raises UserError naming the first tensor that is missing or of the wrong shape.
        """

        def fetch(name: str, shape: tuple[int, ...]) -> torch.Tensor:
            if name not in weights:
                raise UserError(f"engine: the weights lack {name}; expected Hugging Face's Qwen3 names")
            tensor = weights[name].detach()
            if tuple(tensor.shape) != shape:
                raise UserError(f"engine: {name} has shape {tuple(tensor.shape)}, the config says {shape}")
            return tensor

        config = self.config
        d, e, f, v = config.hidden_size, config.head_dim, config.intermediate_size, config.vocab_size
        q, kv = config.num_attention_heads * e, config.num_key_value_heads * e
        self.embedding.copy_(fetch("model.embed_tokens.weight", (v, d)))
        self.final_norm[:] = fetch("model.norm.weight", (d,)).float().numpy()
        if not config.tie_word_embeddings:
            self.head.copy_(fetch("lm_head.weight", (v, d)))
        for number, layer in enumerate(self.layers):
            at = f"model.layers.{number}."
            for part, rows, start in (("q", q, 0), ("k", kv, q), ("v", kv, q + kv)):
                layer.qkv[start : start + rows].copy_(fetch(f"{at}self_attn.{part}_proj.weight", (rows, d)))
            layer.out.copy_(fetch(at + "self_attn.o_proj.weight", (d, q)))
            layer.gate_up[:f].copy_(fetch(at + "mlp.gate_proj.weight", (f, d)))
            layer.gate_up[f:].copy_(fetch(at + "mlp.up_proj.weight", (f, d)))
            layer.down.copy_(fetch(at + "mlp.down_proj.weight", (d, f)))
            layer.attention_norm[:] = fetch(at + "input_layernorm.weight", (d,)).float().numpy()
            layer.mlp_norm[:] = fetch(at + "post_attention_layernorm.weight", (d,)).float().numpy()
            layer.q_norm[:] = fetch(at + "self_attn.q_norm.weight", (e,)).float().numpy() / np.sqrt(e)
            layer.k_norm[:] = fetch(at + "self_attn.k_norm.weight", (e,)).float().numpy()
        self.value_head = None
        if "value_head.weight" in weights:
            bias = float(weights["value_head.bias"]) if "value_head.bias" in weights else 0.0
            self.value_head = (fetch("value_head.weight", (1, d))[0].float().numpy().copy(), bias)

    def run(
        self,
        tokens: np.ndarray,
        sequences: np.ndarray,
        positions: np.ndarray,
        tables: np.ndarray,
        cache: Blocks,
    ) -> np.ndarray:
        """Feed R tokens (int32), each at its position of its sequence; returns the final hidden rows.

        Row r attends to positions 0..positions[r] of the blocks in ``tables[sequences[r]]``;
        what it depends on must be cached already or be in the same run.
        """
        rows = len(tokens)
        m = round_rows(rows)
        hidden, qkv, attended = self.hidden[:m], self.qkv[:m], self.attended[:m]
        gate_up, activated, branch = self.gate_up[:m], self.activated[:m], self.branch[:m]
        hidden_, qkv_, attended_ = as_array(hidden), as_array(qkv), as_array(attended)
        gate_up_, activated_, branch_ = as_array(gate_up), as_array(activated), as_array(branch)
        residual, eps, heads = self.residual, self.eps, self.config.num_attention_heads
        threads = numba.get_num_threads()
        first = self.layers[0].attention_norm
        kernels.embed(as_array(self.embedding), tokens, first, eps, residual, hidden_)
        for number, layer in enumerate(self.layers):
            torch.mm(hidden, layer.qkv.t(), out=qkv)
            kernels.attention(
                threads, self.tile, self.rest, qkv_, heads, layer.q_norm, layer.k_norm, eps, self.cos, self.sin,
                cache.keys[number], cache.values[number], tables, sequences, positions, attended_,
            )  # fmt: skip
            torch.mm(attended, layer.out.t(), out=branch)
            kernels.add_normalize(rows, branch_, layer.mlp_norm, eps, residual, hidden_)
            torch.mm(hidden, layer.gate_up.t(), out=gate_up)
            kernels.swiglu(rows, gate_up_, activated_)
            torch.mm(activated, layer.down.t(), out=branch)
            last = number + 1 == len(self.layers)
            norm = self.final_norm if last else self.layers[number + 1].attention_norm
            kernels.add_normalize(rows, branch_, norm, eps, residual, hidden_)
        return hidden_[:rows]

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Final hidden rows of the last run, copied."""
        return as_array(self.hidden)[numbers]

    def project(self, hidden: np.ndarray) -> np.ndarray:
        """Logits [N, V] of hidden rows [N, D], in the storage dtype; overwritten by the next call."""
        count = len(hidden)
        m = round_rows(count)
        gathered, logits = self.gathered[:m], self.logits[:m]
        as_array(gathered)[:count] = hidden
        torch.mm(gathered, self.head.t(), out=logits)
        return as_array(logits)[:count]

    def top(self, row: int, count: int) -> tuple[tuple[int, float], ...]:
        """The ``count`` likeliest (id, plain logprob) of one row of the last projection."""
        if not count:
            return ()
        best = torch.log_softmax(self.logits[row].float(), dim=0).topk(min(count, self.config.vocab_size))
        return tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))

    def values(self, rows: np.ndarray) -> np.ndarray:
        """The scalar head's output [len(rows)] for rows of the last run. Raises UserError without one."""
        if self.value_head is None:
            raise UserError("engine: these weights have no value_head.weight; train a scalar head first")
        weight, bias = self.value_head
        return self.hidden[torch.from_numpy(rows)].float().numpy() @ weight + bias
