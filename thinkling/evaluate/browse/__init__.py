"""The page of an evaluation: its results, and every problem with every answer, in one file that needs no network."""
