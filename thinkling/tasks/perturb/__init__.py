"""Perturbations: a problem asked again with something changed, and its gold answer known for certain.

Read `children.py` (the entry), then one file per kind: `rename.py`, `redraw.py` (built-in families) and
`renumber.py` (foreign word problems), `clause.py`, `extend.py`.
"""
