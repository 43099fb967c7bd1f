"""Byte pair encoding through the real grader: what every assignment must."""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

from autograder.assignment import load
from tests.assignments import ROOT, Standard, grading, right_but

ASSIGNMENT = load("bpe", ROOT)
grade = grading(ASSIGNMENT)

PCA_LOWRANK = """
def embedding_pca(embeddings, n_components=2):
    require(embeddings.ndim == 2 and 1 <= n_components <= min(embeddings.shape), "out of range")
    U, S, _ = torch.pca_lowrank(embeddings, q=min(embeddings.shape), niter=8)
    return (U * S)[:, :n_components]
"""
LIBRARY = {"pca_lowrank": ("q5", PCA_LOWRANK)}

FEEDBACK = {
    "merged_twice": """\
Your `merge` behaves exactly like a merge in which one id takes part in two pairs.
Hint: Once two ids have become one, they are used up: where must you go on?

passed: the pairs of banana bandana (2 of 2)
passed: an becomes one token (2 of 2)
FAILED: pairs that overlap (0 of 2)
    merge([7, 7, 7], (7, 7), 256) is [256, 256], but [256, 7] was expected.
    Hint: In a, a, a the pair (a, a) is counted twice, for every place counts. But merging it gives X, a: go on behind both, for an id that was merged is used up.\
""",
    "counted_once": """\
Your `train_bpe` behaves like a training that counts once and never again.
Hint: After a merge its neighbours have other counts, and there are new pairs. Count again in the row that is left.

passed: banana bandana: one merge, and none (2 of 2)
FAILED: two merges worked out by hand (0 of 3)
    train_bpe("banana bandana banana band", 258) is [(97, 110), (110, 97)], but [(97, 110), (98, 256)] was expected.
    Hint: 'an' stands in 7 places, more than any other pair. Once it is X, that is 256, the row is bXXa bXdXa bXXa bXd: (b, X) stands in 4 places, (X, a) in 3. Count again after each merge.
passed: the same twice (2 of 2)\
""",
}

SEEN = (
    "characters", "one_too_many", "stops_early", "least_frequent", "counted_once", "trained_without_overlap",
    "negative_ids", "unknown_left_out",
)  # fmt: skip


class TestBpe(Standard):
    assignment = ASSIGNMENT
    figures = 4
    library = LIBRARY
    letters = FEEDBACK
    seen_by_tests = SEEN


def test_what_is_forbidden_is_named(grade):
    """The student is told which function it was."""
    assert "your code ran torch.pca_lowrank" in grade(right_but(ASSIGNMENT, PCA_LOWRANK)).text("q5")
