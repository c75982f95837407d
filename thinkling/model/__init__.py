"""The decoder-only Transformer: configuration, layers, kernels, checkpoints."""
