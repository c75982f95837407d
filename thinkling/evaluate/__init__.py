"""Evaluation: run a model over problem families, put an interval on every number, write the report."""
