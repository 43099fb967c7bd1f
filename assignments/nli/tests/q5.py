"""q5: confusion_matrix(labels, predictions, n_classes=3), precision_recall(matrix), macro_f1(matrix)."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_dtype, check_raises, check_shape, check_tuple

OK_FORMAT = False
name = "q5"
all_or_nothing = False
HAND = torch.tensor([[2, 1, 0], [1, 1, 0], [0, 0, 0]])
# rows true: class 1 is never predicted, class 3 never occurs, class 2 is always wrong
ODD = torch.tensor([[5, 0, 2, 1], [3, 0, 0, 0], [2, 0, 0, 4], [0, 0, 0, 0]])


def counted(labels, predictions, n):
    """What is expected, pair by pair."""
    matrix = torch.zeros(n, n, dtype=torch.long)
    for row, column in zip(labels.tolist(), predictions.tolist(), strict=True):
        matrix[row, column] += 1
    return matrix


def check_counts(found, expected, *, what):
    check_dtype(check_shape(found, expected.shape, what=what), torch.long, what=what)
    assert torch.equal(found, expected), f"{what} is {found.tolist()}, but {expected.tolist()} was expected."


def exact(values):
    return torch.tensor(values, dtype=torch.float64)


def scores(matrix):
    """What is expected: precision, recall and F1 of each class, number by number; 0/0 is 0."""
    table, n = matrix.tolist(), len(matrix)
    precision, recall, f1 = [], [], []
    for c in range(n):
        predicted, true = sum(row[c] for row in table), sum(table[c])
        p = table[c][c] / predicted if predicted else 0.0
        r = table[c][c] / true if true else 0.0
        precision.append(p)
        recall.append(r)
        f1.append(2 * p * r / (p + r) if p + r else 0.0)
    return exact(precision), exact(recall), math.fsum(f1) / n


def check_scores(found, precision, recall, *, what):
    first, second = check_tuple(found, ("precision", "recall"), what=what)
    check_close(first, precision, what=f"the precision that {what} returned")
    check_close(second, recall, what=f"the recall that {what} returned")


def check_float(found, expected, *, what):
    if found is None:
        raise AssertionError(
            f"{what} returned None: it is not implemented yet, or its return statement is missing."
        )
    assert isinstance(found, float), f"{what} returned a value of type {type(found).__name__}, not a float."
    assert abs(found - expected) < 1e-9, f"{what} is {found:.6g}, but {expected:.6g} was expected."


@test_case(
    name="five predictions counted by hand",
    points=2,
    hidden=False,
    failure_message="Row = true class, column = predicted class: two zeros found, one zero called 1, one 1 found, "
    "one 1 "
    "called 0.",
)
def test_matrix(confusion_matrix):
    found = confusion_matrix(torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 0, 1, 1, 0]))
    check_counts(found, HAND, what="confusion_matrix(labels, predictions)")


@test_case(
    name="precision and recall by hand",
    points=2,
    hidden=False,
    failure_message="Precision divides by the sum of the column (what was called so), recall by the sum of the row "
    "(what is "
    "so). Here 0/0 is 0.",
)
def test_hand(precision_recall):
    matrix = torch.tensor([[3, 1, 0], [0, 2, 0], [0, 0, 0]])
    expected = exact([1.0, 2 / 3, 0.0]), exact([0.75, 1.0, 0.0])
    check_scores(precision_recall(matrix), *expected, what="precision_recall(matrix)")


@test_case(
    name="macro F1 by hand",
    points=2,
    hidden=False,
    failure_message="The example has the F1 values 2/3, 1/2 and 0: their mean is 7/18.",
)
def test_f1(macro_f1):
    check_float(macro_f1(HAND.clone()), 7 / 18, what="macro_f1(matrix)")


@test_case(
    name="other counts and numbers of classes",
    points=2,
    hidden=True,
    failure_message="All n_classes are there, whether they occur or not, for no pairs at all as for many.",
)
def test_counts(confusion_matrix):
    generator = torch.Generator().manual_seed(1)
    for n, count in [(3, 200), (5, 40), (2, 1), (1, 3), (4, 0)]:
        labels, predictions = (torch.randint(n, (count,), generator=generator) for _ in range(2))
        what = f"confusion_matrix(labels, predictions, {n}) of {count} pairs"
        check_counts(confusion_matrix(labels, predictions, n), counted(labels, predictions, n), what=what)
    for count in (2, 3001):  # 3001 is no number in half precision
        zeros = torch.zeros(count, dtype=torch.long)
        what = f"confusion_matrix of {count} zeros alone"
        check_counts(confusion_matrix(zeros, zeros), counted(zeros, zeros, 3), what=what)


@test_case(
    name="0/0, column by column and row by row",
    points=1,
    hidden=True,
    failure_message="A class that is never predicted has precision 0, one that never occurs has recall 0. float64.",
)
def test_undefined(precision_recall):
    empty, large = torch.zeros(3, 3, dtype=torch.long), 123_456_789 * ODD + 1
    for matrix in (ODD, ODD.T.contiguous(), empty, ODD[:3, :3].contiguous(), large):
        what = f"precision_recall(torch.tensor({matrix.tolist()}))"
        check_scores(precision_recall(matrix), *scores(matrix)[:2], what=what)


@test_case(
    name="macro F1, class by class",
    points=2,
    hidden=True,
    failure_message="F1 of each class first, the mean over all n classes last; a class that does not occur counts "
    "with 0, and "
    "a rare class as much as a frequent one.",
)
def test_macro(macro_f1):
    large = torch.tensor([[900, 20, 80], [5, 3, 2], [1, 0, 9]])
    for matrix in (ODD, large, torch.zeros(2, 2, dtype=torch.long), torch.tensor([[7]])):
        check_float(macro_f1(matrix), scores(matrix)[2], what=f"macro_f1(torch.tensor({matrix.tolist()}))")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: labels and predictions that are not (N,) or of different "
    "length, a "
    "class outside of 0..n_classes-1, a matrix that is not square.",
)
def test_bad_arguments(confusion_matrix, precision_recall, macro_f1):
    three, two = torch.tensor([0, 1, 2]), torch.tensor([0, 1])
    check_counts(confusion_matrix(three, three), torch.eye(3).long(), what="confusion_matrix(labels, labels)")
    check_raises(
        ValueError, confusion_matrix, three, two, what="confusion_matrix of 3 labels and 2 predictions"
    )
    check_raises(
        ValueError, confusion_matrix, three[None], three[None], what="confusion_matrix of shape (1, 3)"
    )
    check_raises(
        ValueError, confusion_matrix, three, three - 1, what="confusion_matrix with a prediction of -1"
    )
    check_raises(ValueError, confusion_matrix, three, three, 2, what="confusion_matrix with a class 2 of 2")
    check_scores(
        precision_recall(torch.eye(2).long()), exact([1, 1]), exact([1, 1]), what="precision_recall(matrix)"
    )
    check_raises(
        ValueError, precision_recall, torch.ones(2, 3).long(), what="precision_recall of a 2 x 3 matrix"
    )
    check_float(macro_f1(torch.eye(2).long()), 1.0, what="macro_f1(matrix)")
    check_raises(ValueError, macro_f1, torch.ones(3, 2).long(), what="macro_f1 of a 3 x 2 matrix")
