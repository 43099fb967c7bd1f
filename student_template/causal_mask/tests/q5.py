"""q5: time_attention(n, d, repeats), judged on whether the times are real, never on how short they are."""

import math
from otter.test_files import test_case
from torch.overrides import TorchFunctionMode

OK_FORMAT = False
name = "q5"
all_or_nothing = False
KEYS = ("own_seconds", "torch_seconds", "ratio")

# One of these runs in every softmax, however it is written; none of them is the library's attention.
EXPONENTIALS = {
    "softmax", "log_softmax", "softmin", "exp", "exp2", "expm1", "logsumexp", "logcumsumexp", "logaddexp",
    "logaddexp2", "sigmoid", "logsigmoid", "tanh", "sinh", "cosh", "pow", "rpow", "float_power", "special_exp2",
    "special_expm1", "special_expit", "special_softmax", "special_log_softmax", "special_logsumexp",
}  # fmt: skip


class Listening(TorchFunctionMode):
    """While it is active, it collects the names of the torch functions that are called."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.names.add(getattr(function, "__name__", ""))
        return function(*args, **(kwargs or {}))


def functions_run(function, *args):
    """What the call returned, and the names of the torch functions that ran in it."""
    with Listening() as listening:
        found = function(*args)
    # In the grader, your code runs in a process of its own, which keeps the same list under full names.
    elsewhere = {path.split(".")[-1] for path in getattr(function, "operators", ()) if "::" not in path}
    return found, listening.names | elsewhere


def check_times(found, what):
    """Pass if it is a dict with the three keys, whose values are positive, finite and fit together."""
    assert found is not None, (
        f"{what} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert isinstance(found, dict), f"{what} returned a {type(found).__name__}, but a dict was expected."
    assert set(found) == set(KEYS), (
        f"{what} has the keys {sorted(map(str, found))}, but {sorted(KEYS)} were expected."
    )
    for key in KEYS:
        assert isinstance(found[key], float), (
            f"{key} of {what} is of type {type(found[key]).__name__}, but a float was expected."
        )
        assert math.isfinite(found[key]) and found[key] > 0, (
            f"{key} of {what} is {found[key]}, but a number above 0, and finite, was expected."
        )
    # A quotient of two floats is exact to 1e-16; 1e-6 leaves room for rounding to print.
    wanted = found["own_seconds"] / found["torch_seconds"]
    assert math.isclose(found["ratio"], wanted, rel_tol=1e-6), (
        f"The ratio of {what} is {found['ratio']:.6g}, but own_seconds / torch_seconds is {wanted:.6g}."
    )
    return found


# This case comes first: the grader writes down all functions only in the first call of a question.
@test_case(
    name="both attentions really ran",
    points=2,
    hidden=False,
    failure_message="Call your own causal_attention and F.scaled_dot_product_attention(q, k, v, "
    "is_causal=True), each between two readings of the clock.",
)
def test_both_ran(time_attention):
    found, names = functions_run(time_attention, 16, 8, 3)
    assert found is not None, (
        "time_attention(16, 8, 3) returned None: it is not implemented yet, or its return statement is missing."
    )
    assert "scaled_dot_product_attention" in names, (
        "F.scaled_dot_product_attention did not run in time_attention(16, 8, 3), so torch_seconds cannot be its time."
    )
    assert {part.strip("_") for part in names} & EXPONENTIALS, (
        "No softmax of your own ran in time_attention(16, 8, 3), so own_seconds cannot be the time of causal_attention."
    )


@test_case(
    name="three numbers that fit together",
    points=2,
    hidden=False,
    failure_message='Return {"own_seconds": ..., "torch_seconds": ..., "ratio": own_seconds / torch_seconds}: floats '
    "above 0.",
)
def test_keys(time_attention):
    check_times(time_attention(16, 8, 3), "time_attention(16, 8, 3)")
