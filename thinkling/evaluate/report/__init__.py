"""The report: one self-contained page over all that a run has measured."""
