"""q3: windows(trajectory, length), split(trajectories, n_test) and normalise(train, test): data that leak nothing."""

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_raises, check_tuple, check_unchanged

OK_FORMAT = False
name = "q3"
all_or_nothing = False
WINDOWS = "windows(trajectory, length)"
PAIR = ("inputs", "targets")
SETS = ("train", "test")
FOUR = ("train", "test", "mean", "std")


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def check_all(found, expected, names, *, tolerance=1e-9, what):
    for number, (part, right) in enumerate(zip(check_tuple(found, names, what=what), expected, strict=True)):
        check_close(part, right, tolerance=tolerance, what=f"item {number} ({names[number]}) of {what}")


@test_case(
    name="windows of five samples",
    points=2,
    hidden=False,
    failure_message="Samples 0 to 4 in windows of 2: [0, 1] with target 2, [1, 2] with target 3, [2, 3] with target 4. "
    "Return both tensors: inputs (3, 2, 1), targets (3, 1).",
)
def test_windows_by_hand(windows):
    inputs = torch.tensor([[[0.0], [1.0]], [[1.0], [2.0]], [[2.0], [3.0]]])
    targets = torch.tensor([[2.0], [3.0], [4.0]])
    check_all(windows(torch.arange(5.0)[:, None], 2), (inputs, targets), PAIR, what=WINDOWS)


@test_case(
    name="three trajectories, one for testing",
    points=1,
    hidden=False,
    failure_message="The first dimension counts trajectories: the last n_test of them, whole, are the test set.",
)
def test_split_by_hand(split):
    trajectories = torch.arange(24.0).reshape(3, 4, 2)
    expected = (trajectories[:2], trajectories[2:])
    check_all(split(trajectories, 1), expected, SETS, what="split(trajectories, 1)")


@test_case(
    name="the example of the text, scaled",
    points=2,
    hidden=False,
    failure_message="Training data 1, 3, 5, 7 have mean 4 and mean squared deviation 5; 4 and 9 "
    "become 0 and 5 / sqrt(5).",
)
def test_normalise_by_hand(normalise):
    train = torch.tensor([[[1.0], [3.0]], [[5.0], [7.0]]], dtype=torch.float64)
    test = torch.tensor([[[4.0], [9.0]]], dtype=torch.float64)
    mean, std = torch.tensor([4.0], dtype=torch.float64), torch.tensor([5.0], dtype=torch.float64).sqrt()
    expected = ((train - mean) / std, (test - mean) / std, mean, std)
    check_all(normalise(train, test), expected, FOUR, what="normalise(train, test)")


@test_case(
    name="all windows, and what comes right after each",
    points=3,
    hidden=True,
    failure_message="Window i holds the samples i to i + length - 1; its target is sample i + "
    "length, the first that it "
    "does not hold. There are T - length of them.",
)
def test_windows(windows):
    for n_samples, length, d in [(9, 4, 3), (6, 1, 2), (5, 4, 1)]:
        trajectory = normal(n_samples, d, seed=n_samples)
        inputs = torch.stack([trajectory[i : i + length] for i in range(n_samples - length)])
        what = f"windows(trajectory, {length}) of {n_samples} samples"
        check_all(windows(trajectory, length), (inputs, trajectory[length:]), PAIR, what=what)
    whole = normal(4, 2, seed=1)
    expected = (whole.new_zeros(0, 4, 2), whole.new_zeros(0, 2))
    check_all(windows(whole, 4), expected, PAIR, what="windows(trajectory, 4) of 4 samples")


@test_case(
    name="whole trajectories on either side",
    points=2,
    hidden=True,
    failure_message="No trajectory may be in both sets, not even with different parts of it.",
)
def test_split(split):
    trajectories = normal(7, 5, 2, seed=2)
    for n_test in (1, 3, 6):
        expected = (trajectories[: 7 - n_test], trajectories[7 - n_test :])
        check_all(split(trajectories, n_test), expected, SETS, what=f"split(trajectories, {n_test}) of 7")


@test_case(
    name="the statistics are those of the training data",
    points=3,
    hidden=True,
    failure_message="Mean and standard deviation of each coordinate, over all trajectories and "
    "samples of train, and of "
    "nothing else; the test data are scaled with the same numbers.",
)
def test_normalise(normalise):
    for dtype, tolerance in [(torch.float64, 1e-9), (torch.float32, 1e-5)]:
        train = 3 * normal(4, 6, 3, seed=3, dtype=dtype) + torch.tensor([1.0, -2.0, 20.0], dtype=dtype)
        test = 5 * normal(2, 8, 3, seed=4, dtype=dtype) - 7
        flat = train.double().flatten(0, 1)
        mean = flat.mean(0)
        std = (flat - mean).square().mean(0).sqrt()
        expected = [(train - mean) / std, (test - mean) / std, mean, std]
        expected = [part.to(dtype) for part in expected]
        what = f"normalise(train, test) in {str(dtype)[6:]}"
        check_all(normalise(train, test), expected, FOUR, tolerance=tolerance, what=what)


@test_case(
    name="nothing is changed, and bad arguments are refused",
    points=1,
    hidden=True,
    failure_message="Return new tensors. Raise ValueError for a length or n_test out of range and "
    "for a wrong number of "
    "dimensions.",
)
def test_care(windows, split, normalise):
    trajectory, train, test = normal(6, 2, seed=5), normal(3, 4, 2, seed=6), normal(2, 4, 2, seed=7)
    before = [tensor.clone() for tensor in (trajectory, train, test)]
    windows(trajectory, 2), split(train, 1), normalise(train, test)
    for label, old, new in zip(
        ("trajectory", "train", "test"), before, (trajectory, train, test), strict=True
    ):
        check_unchanged(old, new, what=label)
    for length in (0, 7):
        check_raises(
            ValueError, windows, trajectory, length, what=f"windows of 6 samples with length {length}"
        )
    check_raises(ValueError, windows, train, 2, what="windows of a tensor of three dimensions")
    for n_test in (0, 3):
        check_raises(ValueError, split, train, n_test, what=f"split(trajectories, {n_test}) of 3")
    check_raises(ValueError, split, trajectory, 1, what="split of a tensor of two dimensions")
    check_raises(ValueError, normalise, train, test[..., :1], what="normalise with 2 and 1 coordinates")
    check_raises(ValueError, normalise, train[0], test, what="normalise with a train of two dimensions")
    check_raises(ValueError, normalise, train, test[0], what="normalise with a test of two dimensions")
    check_raises(ValueError, normalise, train[0], test[0], what="normalise with two dimensions each")
