"""Bulls and Cows: a game of pure deduction, as an environment and a benchmark of reasoning.

``rules.py`` is the game, ``knowledge.py`` what its answers tell, ``reading.py`` how a turn is read, ``env.py``
the environment, ``players.py`` and ``tree.py`` the baselines, ``record.py`` games on disk.
"""
