"""Graded deep-learning and physics assignments, and the grader that judges them."""

__version__ = "0.1.0"
