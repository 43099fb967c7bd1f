"""q6: order_accuracy(use_encoding, seed=0), the ablation.

The rates at which a right solution fails:
- With the encoding: 120 seeds of the reference gave 0.956 to 1, 0.999 on average; none of 120 below 0.9 means that the
  share of such seeds is under 3 %, with 97 % confidence. Three seeds are tried before the case fails: under 3e-5.
- Without: the answers are those of a coin whatever the model is, so on 2000 sequences the standard deviation is 0.0112,
  and a difference of 0.06 is 5.4 of them: 8e-8. Two seeds give the same number of right answers with a probability of
  0.013, four with 2e-6.
"""

from otter.test_files import test_case

OK_FORMAT = False
name = "q6"
all_or_nothing = False


def check_returned(found, *, what):
    """Pass if something was returned at all."""
    if found is None:
        raise AssertionError(
            f"{what} returned None: it is not implemented yet, or its return statement is missing."
        )


def check_share(found, *, what):
    """Pass if it is a Python float between 0 and 1; it is returned."""
    check_returned(found, what=what)
    if type(found) is not float:
        raise AssertionError(
            f"{what} returned a value of type {type(found).__name__}, but a Python float was expected."
        )
    if not 0 <= found <= 1:
        raise AssertionError(f"{what} is {found:.4g}, but a share between 0 and 1 was expected.")
    return found


def check_learned(order_accuracy, least):
    """Pass if one of three seeds reaches it; the first one nearly always does."""
    best = 0.0
    for seed in (0, 1, 2):
        best = max(best, check_share(order_accuracy(True, seed), what=f"order_accuracy(True, seed={seed})"))
        if best >= least:
            return
    raise AssertionError(
        f"With the encoding, the best accuracy for the seeds 0, 1 and 2 is {best:.3f}; at least {least} was expected."
    )


@test_case(
    name="a share of right answers",
    points=2,
    hidden=False,
    failure_message="Return how many of the fresh sequences were answered rightly, divided by how many there were, "
    "as a Python float (.item() makes one).",
)
def test_share(order_accuracy):
    check_share(order_accuracy(False), what="order_accuracy(False)")


@test_case(
    name="near-perfect with the encoding",
    points=3,
    hidden=False,
    failure_message="Does the encoding reach the model, in training and in the test? With Adam, learning rate 0.01, "
    "batches of 128 and 250 steps the accuracy is 0.99 and more.",
)
def test_near_perfect(order_accuracy):
    check_learned(order_accuracy, 0.9)
