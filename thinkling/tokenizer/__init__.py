"""Text to token ids and back: byte-level BPE, and the chat protocol.

Read in this order: ``split`` (cutting text into pieces), ``reference`` (BPE in sixty readable lines),
``train`` and ``bpe`` (the same, fast), ``huggingface`` (tokenizer.json in and out), ``chat``
(messages to ids and back), ``stream`` (ids to text while they are still being sampled).
"""
