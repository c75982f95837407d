"""Batched sampling: requests of any lengths in one batch, on a CPU, with a paged KV cache."""
