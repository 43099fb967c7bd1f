"""q5: time_attention(n, d, repeats), judged on whether the times are real, never on how short they are."""

import math
import time

import torch
from otter.test_files import test_case
from torch.overrides import TorchFunctionMode

from autograder.checks import Mistake, Work, check_raises

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


def name_functions(names):
    """Raise Mistake if one of the two attentions never ran."""
    if "scaled_dot_product_attention" not in names:
        raise Mistake("library_never_ran", "F.scaled_dot_product_attention did not run in time_attention.")
    if not {part.strip("_") for part in names} & EXPONENTIALS:
        raise Mistake("own_never_ran", "No softmax of your own ran in time_attention.")


def name_structure(found, what):
    """Raise Mistake if the three numbers are there, but not as they should be."""
    if isinstance(found, tuple | list) and len(found) == 3 and all(isinstance(x, float) for x in found):
        raise Mistake(
            "tuple_instead_of_dict", f"{what} returned a {type(found).__name__}, but a dict was expected."
        )
    if not isinstance(found, dict) or not all(isinstance(found.get(key), float) for key in KEYS):
        return
    own, library, ratio = (found[key] for key in KEYS)
    if own == 0 or library == 0:
        raise Mistake("zero_seconds", f"{what} says {own} and {library} seconds, but no call takes no time.")
    if math.isclose(ratio, library / own, rel_tol=1e-6) and not math.isclose(own, library, rel_tol=1e-3):
        text = f"The ratio of {what} is {ratio:.6g}, but own_seconds / torch_seconds is {own / library:.6g}."
        raise Mistake("ratio_upside_down", text)


def name_repeats(time_attention):
    """Raise Mistake if 21 repeats do no more arithmetic than one: nothing was called again."""
    with Work() as one:
        time_attention(8, 4, 1)
    with Work() as many:
        time_attention(8, 4, 21)
    # Not every attention multiplies matrices, and that of the library is not always counted: 0 says nothing.
    if many.flops == one.flops > 0:
        text = f"time_attention(8, 4, 21) did {many.flops} floating-point operations, as many as for repeats = 1."
        raise Mistake("repeats_ignored", text)


def name_invented(found, other):
    """Raise Mistake if two calls for different sizes give the same times to the last digit."""
    if all(found[key] == other[key] for key in KEYS[:2]):
        raise Mistake(
            "invented_times", f"Both times are {found[KEYS[0]]} and {found[KEYS[1]]}, whatever n is."
        )


def name_unit(shares, text):
    """Raise Mistake if the two times were more than all of the time of each call, or most of that of one (sums)."""
    if min(shares) > 1:
        raise Mistake("not_in_seconds", text)
    if max(shares) > 0.5:
        raise Mistake("sums_instead_of_medians", text)


def timed(time_attention, *sizes):
    """What it returned, what ran, and the seconds that the call took."""
    start = time.perf_counter()
    found, names = functions_run(time_attention, *sizes)
    return found, names, time.perf_counter() - start


def share_of_calls(time_attention, repeats):
    """The two times together as a share of the time that the call took.

    Sums over the repeats came to 0.60 to 0.96 of it on a machine with four times the work that it has cores for;
    medians come to 0.04 at most.
    """
    found, _, passed = timed(time_attention, 256, 16, repeats)
    return (found["own_seconds"] + found["torch_seconds"]) / passed


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


@test_case(
    name="real times of both functions",
    points=2,
    hidden=True,
    failure_message="Report the median time of ONE call, in seconds: no sum over the repeats, no "
    "milliseconds; and time as many calls of each function as repeats says.",
)
def test_real_times(time_attention):
    # What cannot be told is a mean from a median: both are real times. The rest leaves traces.
    # Half of the readings are at least the median, so repeats / 2 medians of each must fit into the time that passed
    # outside: true for every honest clock, however slow or busy the machine. A sum in place of a median misses it by a
    # factor of about 20 at 50 repeats, milliseconds by 400.
    repeats = 50
    what = f"time_attention(64, 16, {repeats})"
    found, names, passed = timed(time_attention, 64, 16, repeats)
    name_functions(names)
    name_structure(found, what)
    both = check_times(found, what)["own_seconds"] + found["torch_seconds"]
    name_invented(found, check_times(time_attention(256, 4, 1), "time_attention(256, 4, 1)"))
    name_repeats(time_attention)
    if repeats / 2 * both > passed:
        text = (
            f"{what} took {passed:.2g} seconds in all, but {repeats} calls with its medians would take at least "
            f"{repeats / 2 * both:.2g}."
        )
        name_unit([share_of_calls(time_attention, repeats) for _ in range(3)], text)
        raise AssertionError(text)


@test_case(
    name="longer sequences take longer",
    points=1,
    hidden=True,
    failure_message="Both functions must work on q, k and v of length n and width d.",
)
def test_growth(time_attention, causal_attention):
    # As much arithmetic at least as in one call with these sizes; an attention without matrix products has none that is
    # counted.
    q = torch.randn(1, 1, 64, 8, generator=torch.Generator().manual_seed(0))
    with Work() as one:
        causal_attention(q, q, q)
    with Work() as timing:
        time_attention(64, 8, 1)
    assert timing.flops >= one.flops, (
        f"time_attention(64, 8, 1) did {timing.flops} floating-point operations, but causal_attention alone needs "
        f"{one.flops} for q, k and v of length 64 and width 8."
    )
    # 16000 times as many scores; measured: 20 times the time or more for both, on an idle machine. On a busy one a
    # short reading may be interrupted for longer than a long one takes, so the shortest of up to five tries counts.
    # Any growth passes, and times that were made up do not grow.
    short, long = dict.fromkeys(KEYS, math.inf), dict.fromkeys(KEYS, math.inf)
    for _ in range(5):
        for times, n, repeats in ((short, 4, 25), (long, 512, 3)):
            found = check_times(time_attention(n, 64, repeats), f"time_attention({n}, 64, {repeats})")
            times.update({key: min(times[key], found[key]) for key in KEYS})
        if all(short[key] < long[key] for key in KEYS[:2]):
            return
    for key in KEYS[:2]:
        assert short[key] < long[key], (
            f"{key} is {short[key]:.2g} for n = 4 and {long[key]:.2g} for n = 512: a longer sequence must take longer."
        )


@test_case(
    name="the smallest sizes, and sizes that are refused",
    points=1,
    hidden=True,
    failure_message="n, d and repeats may be 1; raise ValueError with a message if one of them is less.",
)
def test_sizes(time_attention):
    check_times(time_attention(1, 1, 1), "time_attention(1, 1, 1)")
    check_times(time_attention(5, 3, 2), "time_attention(5, 3, 2)")
    for sizes in [(0, 4, 2), (4, 0, 2), (4, 4, 0), (-1, 4, 2)]:
        check_raises(ValueError, time_attention, *sizes, what=f"time_attention{sizes}")
