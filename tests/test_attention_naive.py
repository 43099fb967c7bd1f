"""Students make their mistake in the plainest code, which also lacks everything else: it is named all the same.

Each solution here checks no argument and gives NaN for a query that may attend to nothing, on top of its one mistake.
"""

from __future__ import annotations

import pytest

from autograder.assignment import load
from tests.assignments import ROOT, grading

grade = grading(load("attention", ROOT))
PLAIN = """
import math
import torch

def attention_weights(q, k, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return torch.softmax(scores, dim=-1)
"""
MISTAKES = {
    "no_scale": ("/ math.sqrt(q.shape[-1])", ""),
    "scale_by_d_k": ("math.sqrt(q.shape[-1])", "q.shape[-1]"),
    "scale_by_root_of_length": ("math.sqrt(q.shape[-1])", "math.sqrt(k.shape[-2])"),
    "softmax_over_queries": ("dim=-1", "dim=-2"),
    "mask_inverted": ("~mask", "mask"),
    "mask_filled_with_zero": ('float("-inf")', "0.0"),
    "weights_detached": ("dim=-1)", "dim=-1).detach()"),
}


@pytest.mark.parametrize("key", MISTAKES)
def test_named_in_plain_code(grade, key):
    """The one mistake is named in spite of what is missing beside it."""
    graded = grade({"attention.py": PLAIN.replace(*MISTAKES[key])})
    assert graded.diagnoses["q1"] == key


def test_plain_code_without_a_mistake(grade):
    """Without one, what is left is named: NaN for a query that may attend to nothing."""
    graded = grade({"attention.py": PLAIN})
    assert graded.lost["q1"] > 0
    assert graded.diagnoses["q1"] == "nan_where_nothing_allowed"
