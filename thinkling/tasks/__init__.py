"""Verifiable problems: each family draws them, writes worked solutions, and grades answers exactly.

Read `family.py` (the interface), then `chain.py` (one family from end to end), then `sets.py`.
"""
