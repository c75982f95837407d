"""Failures told from each other: where a wrong answer's work first went wrong, found against the true steps.

Read `diagnosis.py` (kinds of mistakes, the entry), then `arithmetic.py` and `sequences.py` (how work is read).
"""
