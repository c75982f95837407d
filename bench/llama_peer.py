"""llama.cpp as a peer in `sampling.py`: the same weights as a GGUF file, decoded in one batch with its own KV cache.

Needs ``llama-cpp-python`` (which compiles llama.cpp when it is installed) and ``gguf``. The loop below does what
llama.cpp's server does: all prompts in one go, then one token per unfinished sequence and step; finished
sequences leave the batch. Tokens are drawn from the full softmax with numpy, for all rows at once.
"""

from __future__ import annotations

import ctypes
import json
import time
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
import torch

from thinkling.model.config import ModelConfig

VERSION = f"llama-cpp-python {llama_cpp.__version__}"
_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(
    path: Path, weights: dict[str, torch.Tensor], config: ModelConfig, tokenizer: Path | None = None
) -> None:
    """The weights as GGUF: matrices in bfloat16, norms in float32.

    ``tokenizer``: the folder whose vocabulary and chat template go into the file; without it, tokens are numbers.
    """
    writer = gguf.GGUFWriter(str(path), "qwen3")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    if tokenizer is None:
        writer.add_tokenizer_model("no_vocab")
    else:
        _write_vocabulary(writer, tokenizer)
    for name, tensor in weights.items():
        if name == "lm_head.weight":
            continue  # tied to the embedding
        data = tensor.detach().float().numpy()
        kind = gguf.GGMLQuantizationType.BF16 if data.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(_name(name), gguf.quants.quantize(data, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_vocabulary(writer: gguf.GGUFWriter, folder: Path) -> None:
    file = json.loads((folder / "tokenizer.json").read_text())
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    special = {row["content"]: row["id"] for row in file["added_tokens"]}
    tokens = {**file["model"]["vocab"], **special}
    kinds = gguf.TokenType
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(sorted(tokens, key=tokens.__getitem__))
    writer.add_token_types(
        [kinds.CONTROL if number in special.values() else kinds.NORMAL for number in sorted(tokens.values())]
    )
    merges = file["model"]["merges"]
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in merges])
    writer.add_eos_token_id(special["<|im_end|>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(settings.get("chat_template") or (folder / "chat_template.jinja").read_text())


def _name(name: str) -> str:
    if name in ("model.embed_tokens.weight", "model.norm.weight"):
        return "token_embd.weight" if "embed" in name else "output_norm.weight"
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{_LAYER[rest.removesuffix('.weight')]}.weight"


class LlamaPeer:
    """A context for ``batch`` sequences of up to ``length`` tokens each."""

    def __init__(self, path: Path, batch: int, length: int, threads: int) -> None:
        llama_cpp.llama_log_set(_QUIET, ctypes.c_void_p(0))
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_seq_max = batch * length, batch
        params.n_batch, params.n_ubatch = batch * length, 2048
        params.n_threads = params.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        assert self.model and self.context, "llama.cpp could not open the model"
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.batch = llama_cpp.llama_batch_init(batch * length, 0, 1)

    def run(self, work: list[tuple[list[int], int]], seed: int) -> float:
        """Seconds for one batch of (prompt, tokens to sample)."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        random = np.random.default_rng(seed)
        start = time.perf_counter()
        rows = [(t, i, s, i == len(p) - 1) for s, (p, _) in enumerate(work) for i, t in enumerate(p)]
        self._decode(rows)
        last = np.flatnonzero([wanted for *_, wanted in rows])
        live = list(range(len(work)))
        made = [0] * len(work)
        while live:
            drawn = self._draw(last, random)
            for place, sequence in enumerate(live):
                made[sequence] += 1
                assert 0 <= drawn[place] < self.vocabulary
            kept = [(place, sequence) for place, sequence in enumerate(live) if made[sequence] < work[sequence][1]]
            live = [sequence for _, sequence in kept]
            if live:
                at = [len(work[s][0]) + made[s] - 1 for s in live]
                self._decode([(int(drawn[p]), i, s, True) for (p, s), i in zip(kept, at, strict=True)])
                last = np.arange(len(live))
        return time.perf_counter() - start

    def logits(self, ids: list[int]) -> np.ndarray:
        """Logits after each token of one sequence; [T, V]. To check that the weights are the same."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        self._decode([(token, i, 0, True) for i, token in enumerate(ids)])
        return self._rows(np.arange(len(ids))).copy()

    def _decode(self, rows: list[tuple[int, int, int, bool]]) -> None:
        batch = self.batch
        batch.n_tokens = len(rows)
        for place, (token, position, sequence, wanted) in enumerate(rows):
            batch.token[place], batch.pos[place], batch.n_seq_id[place] = token, position, 1
            batch.seq_id[place][0], batch.logits[place] = sequence, wanted
        status = llama_cpp.llama_decode(self.context, batch)
        assert status == 0, f"llama_decode: {status}"

    def _rows(self, places: np.ndarray) -> np.ndarray:
        """The wanted rows lie one after the other, in the order of the batch."""
        first = llama_cpp.llama_get_logits(self.context)
        return np.ctypeslib.as_array(first, shape=(len(places), self.vocabulary))

    def _draw(self, places: np.ndarray, random: np.random.Generator) -> np.ndarray:
        logits = self._rows(places)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        sums = np.cumsum(weights, axis=1)
        wanted = random.random((len(logits), 1)) * sums[:, -1:]
        return np.minimum((sums < wanted).sum(axis=1), self.vocabulary - 1)


@llama_cpp.llama_log_callback
def _QUIET(level: int, text: bytes, data: object) -> None:
    pass
