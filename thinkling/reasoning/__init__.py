"""Strategies: ways to ask a model, one per file. Read `strategy.py`, then `self_consistency.py`."""
