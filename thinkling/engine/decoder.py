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
from thinkling.model.rotary import rotary_tables


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """A NumPy view of the tensor's memory; bfloat16 shows as uint16."""
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


class Buffer:
    """The same memory as a tensor, for torch, and as an array, for the kernels."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor, self.array = tensor, as_array(tensor)


def round_rows(rows: int) -> int:
    """Rows to multiply for ``rows`` wanted: oneDNN prepares (and keeps) a kernel per shape, so there
    should be few shapes; the surplus rows are computed and ignored."""
    step = 16 if rows <= 256 else 64
    return -(-rows // step) * step if rows > 4 else rows


class Layer:
    """One decoder layer's weights: query, key and value in one matrix, gate and up in another.

    Matrices are [out, in], as in checkpoints; ``*_t`` are views of them as the products want them. Without
    norms on queries and keys, ``q_norm`` and ``k_norm`` hold only the scale of attention's scores.
    """

    def __init__(self, config: ModelConfig, dtype: torch.dtype) -> None:
        d, e, f = config.hidden_size, config.head_dim, config.intermediate_size
        self.qkv = torch.empty(config.q_size + 2 * config.kv_size, d, dtype=dtype)
        self.qkv_bias = torch.empty(len(self.qkv), dtype=dtype) if config.has("qkv_bias") else None
        self.out = torch.empty(d, config.q_size, dtype=dtype)
        self.out_bias = torch.empty(d, dtype=dtype) if config.has("o_bias") else None
        self.gate_up = torch.empty(2 * f, d, dtype=dtype)
        self.down = torch.empty(d, f, dtype=dtype)
        self.qkv_t, self.out_t = self.qkv.t(), self.out.t()
        self.gate_up_t, self.down_t = self.gate_up.t(), self.down.t()
        self.attention_norm, self.mlp_norm = np.empty(d, np.float32), np.empty(d, np.float32)
        self.q_norm, self.k_norm = np.full(e, 1.0 / np.sqrt(e), np.float32), np.ones(e, np.float32)

    def load(self, weights: Mapping[str, list[torch.Tensor]]) -> None:
        """Copy the tensors of each kind of the name table, those of a fused matrix one below the other."""
        wholes = {
            "qkv": self.qkv, "qkv_bias": self.qkv_bias, "o": self.out, "o_bias": self.out_bias,
            "gate_up": self.gate_up, "down": self.down,
        }  # fmt: skip
        for kind, whole in wholes.items():
            if whole is not None:
                stack(whole, weights[kind])
        self.attention_norm[:] = vector(weights["norm_attention"][0])
        self.mlp_norm[:] = vector(weights["norm_mlp"][0])
        if "q_norm" in weights:
            # the scale of attention's scores is folded into the queries' norm
            self.q_norm[:] = vector(weights["q_norm"][0]) / np.sqrt(len(self.q_norm))
            self.k_norm[:] = vector(weights["k_norm"][0])


def stack(whole: torch.Tensor, parts: list[torch.Tensor]) -> None:
    """Copy ``parts`` into ``whole``, one below the other."""
    for rows, part in zip(whole.split([len(part) for part in parts]), parts, strict=True):
        rows.copy_(part)


def vector(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().numpy()


def multiply(x: torch.Tensor, weight_t: torch.Tensor, bias: torch.Tensor | None, out: torch.Tensor) -> None:
    """out = x @ weight_t, plus the bias if there is one."""
    if bias is None:
        torch.mm(x, weight_t, out=out)
    else:
        torch.addmm(bias, x, weight_t, out=out)


class Decoder:
    """Runs tokens through the model. ``max_rows`` bounds the tokens, ``max_logits`` the logit rows of a run.

    Raises UserError where a head is no multiple of 16 wide (the attention kernel's vectors).
    """

    def __init__(self, config: ModelConfig, dtype: torch.dtype, max_rows: int, max_logits: int, max_len: int) -> None:
        if config.head_dim % LANES:
            raise UserError(f"engine: head_dim must be a multiple of {LANES}, came {config.head_dim}")
        self.config, self.dtype = config, dtype
        d, v = config.hidden_size, config.vocab_size
        self.layers = [Layer(config, dtype) for _ in range(config.num_hidden_layers)]
        self.embedding = torch.empty(v, d, dtype=dtype)
        self.head = self.embedding if config.tie_word_embeddings else torch.empty(v, d, dtype=dtype)
        self.embedding_array, self.head_t = as_array(self.embedding), self.head.t()
        self.final_norm = np.empty(d, np.float32)
        self.value_head: tuple[np.ndarray, float] | None = None
        self.residual = np.zeros((round_rows(max_rows), d), np.float32)
        widths = {
            "hidden": d,
            "qkv": config.q_size + 2 * config.kv_size,
            "attended": config.q_size,
            "gate_up": 2 * config.intermediate_size,
            "activated": config.intermediate_size,
            "branch": d,
        }
        self._memory = {name: torch.zeros(round_rows(max_rows), n, dtype=dtype) for name, n in widths.items()}
        self._cuts: dict[int, tuple[Buffer, ...]] = {}
        self.hidden = as_array(self._memory["hidden"])
        self.gathered = torch.zeros(round_rows(max_logits), d, dtype=dtype)
        self.logits = torch.zeros(round_rows(max_logits), v, dtype=dtype)
        repeat = config.num_attention_heads // config.num_key_value_heads
        # the query heads that share keys are taken a tile at a time; tuples, for their length is compiled in
        self.tile, self.rest = (0,) * min(repeat, TILE), (0,) * (repeat % TILE if repeat > TILE else 0)
        self.eps = np.float32(config.rms_norm_eps)
        self.head_eps = self.eps if config.has("q_norm") else None
        self.cos, self.sin = (table.numpy() for table in rotary_tables(config, max_len))

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Copy a state dict with Hugging Face's names into the fused matrices.

        Raises UserError naming the first tensor that is missing or of the wrong shape.
        """
        for name, shape in self.config.tensor_shapes().items():
            if name not in weights:
                raise UserError(f"engine: the weights lack {name}, which {self.config.architecture} has")
            if tuple(weights[name].shape) != shape:
                raise UserError(f"engine: {name} has shape {tuple(weights[name].shape)}, expected {shape}")
        ours = {own: [weights[name] for name in parts] for own, parts in self.config.layout().items()}
        with torch.no_grad():
            stack(self.embedding, ours["embed"])
            if not self.config.tie_word_embeddings:
                stack(self.head, ours["head"])
            for number, layer in enumerate(self.layers):
                at = f"{number}_"
                layer.load({own.removeprefix(at): parts for own, parts in ours.items() if own.startswith(at)})
        self.final_norm[:] = vector(ours["norm"][0])
        self.value_head = None
        if "value_head.weight" in weights:
            bias = float(weights["value_head.bias"]) if "value_head.bias" in weights else 0.0
            self.value_head = (vector(weights["value_head.weight"]).reshape(-1).copy(), bias)

    def _cut(self, rows: int) -> tuple[Buffer, ...]:
        """The buffers' first ``rows`` rows; kept, because making views takes longer than a small product."""
        if rows not in self._cuts:
            self._cuts[rows] = tuple(Buffer(tensor[:rows]) for tensor in self._memory.values())
        return self._cuts[rows]

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
        rows, threads = len(tokens), numba.get_num_threads()
        hidden, qkv, attended, gate_up, activated, branch = self._cut(round_rows(rows))
        x, eps, head_eps, heads = self.residual, self.eps, self.head_eps, self.config.num_attention_heads
        kernels.embed(self.embedding_array, tokens, self.layers[0].attention_norm, eps, x, hidden.array)
        for number, layer in enumerate(self.layers):
            multiply(hidden.tensor, layer.qkv_t, layer.qkv_bias, qkv.tensor)
            kernels.attention(
                threads, self.tile, self.rest, qkv.array, heads, layer.q_norm, layer.k_norm, head_eps, self.cos,
                self.sin, cache.keys[number], cache.values[number], tables, sequences, positions, attended.array,
            )  # fmt: skip
            multiply(attended.tensor, layer.out_t, layer.out_bias, branch.tensor)
            kernels.add_normalize(rows, branch.array, layer.mlp_norm, eps, x, hidden.array)
            torch.mm(hidden.tensor, layer.gate_up_t, out=gate_up.tensor)
            kernels.swiglu(rows, gate_up.array, activated.array)
            torch.mm(activated.tensor, layer.down_t, out=branch.tensor)
            last = number + 1 == len(self.layers)
            norm = self.final_norm if last else self.layers[number + 1].attention_norm
            kernels.add_normalize(rows, branch.array, norm, eps, x, hidden.array)
        return hidden.array[:rows]

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Final hidden rows of the last run, copied."""
        return self.hidden[numbers]

    def project(self, hidden: np.ndarray) -> np.ndarray:
        """Logits [N, V] of hidden rows [N, D], in the storage dtype; overwritten by the next call."""
        count = len(hidden)
        m = round_rows(count)
        gathered, logits = self.gathered[:m], self.logits[:m]
        as_array(gathered)[:count] = hidden
        torch.mm(gathered, self.head_t, out=logits)
        return as_array(logits)[:count]

    def top(self, row: int, count: int, token: int) -> tuple[tuple[int, float], ...]:
        """The ``count`` likeliest (id, plain logprob) of one row of the last projection, and ``token``'s."""
        if not count:
            return ()
        logprobs = torch.log_softmax(self.logits[row].float(), dim=0)
        best = logprobs.topk(min(count, self.config.vocab_size))
        ids = best.indices.tolist()
        pairs = zip(ids, best.values.tolist(), strict=True)
        return (*pairs,) if token in ids else (*pairs, (token, logprobs[token].item()))

    def values(self, rows: np.ndarray) -> np.ndarray:
        """The scalar head's output [len(rows)] for rows of the last run. Raises UserError without one."""
        if self.value_head is None:
            raise UserError("engine: these weights have no value_head.weight; train a scalar head first")
        weight, bias = self.value_head
        hidden = self._memory["hidden"][torch.from_numpy(rows)].float().numpy()
        return np.asarray(hidden @ weight + bias)
