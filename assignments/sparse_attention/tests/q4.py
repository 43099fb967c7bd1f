"""q4: attended_pairs(n, window, stride) -> int."""

import math

from otter.test_files import test_case

from autograder.checks import check_int, check_raises

OK_FORMAT = False
name = "q4"
all_or_nothing = False


def counted(n, window, stride):
    """What is expected, distance by distance."""
    return sum(n - distance for distance in range(n) if distance < window or distance % stride == 0)


def summed(n, window, stride):
    """The same for sizes at which nobody counts: two arithmetic series."""
    near, first, last = min(window, n), -(-window // stride), (n - 1) // stride
    count = max(0, last - first + 1)
    return near * (2 * n - near + 1) // 2 + count * (2 * n - stride * (first + last)) // 2


def check_count(attended_pairs, n, window, stride, expected):
    what = f"attended_pairs({n}, {window}, {stride})"
    check_int(attended_pairs(n, window, stride), expected, what=what)


@test_case(
    name="counted by hand",
    points=2,
    hidden=False,
    failure_message="The mask of q1, n = 8, window 2 and stride 3, has the distances 0, 1, 3 and 6. They occur 8, "
    "7, 5 and 2 times, together 22. The result is a Python int.",
)
def test_hand(attended_pairs):
    check_count(attended_pairs, 8, 2, 3, 22)


@test_case(
    name="all earlier positions, and oneself alone",
    points=2,
    hidden=False,
    failure_message="A window of n, or a stride of 1, permits every pair with j <= i: n (n + 1) / 2 of them, 10 "
    "for n = 4. With window 1 and a stride of n or more, each position sees itself alone.",
)
def test_extremes(attended_pairs):
    check_count(attended_pairs, 4, 4, 4, 10)
    check_count(attended_pairs, 4, 1, 1, 10)
    check_count(attended_pairs, 4, 1, 4, 4)


@test_case(
    name="small sizes",
    points=3,
    hidden=True,
    failure_message="Compare with int(sparse_mask(n, window, stride).sum()). A distance that is in the window and a "
    "multiple of the stride counts once; position i has no more than i + 1 keys.",
)
def test_small(attended_pairs):
    for sizes in [
        (0, 1, 1), (0, 5, 2), (1, 4, 2), (2, 1, 2), (5, 2, 2), (7, 1, 3), (9, 3, 3), (9, 4, 3), (10, 12, 3),
        (10, 3, 12), (12, 6, 4), (30, 5, 6),
    ]:  # fmt: skip
        check_count(attended_pairs, *sizes, counted(*sizes))


@test_case(
    name="a million positions, and more",
    points=2,
    hidden=True,
    failure_message="No mask of this size can be built: sum over distances, or find the closed form. Whole numbers "
    "this large are exact as int and not as float: use // and no /, and no power 0.5.",
)
def test_large(attended_pairs):
    million = 10**6
    for sizes in [
        (million, 1000, 1000), (million, 1, million), (million + 7, 5, 3), (million, million, 7),
        (million**2, million, million), (million**2 + 11, million + 1, million + 3),
    ]:  # fmt: skip
        check_count(attended_pairs, *sizes, summed(*sizes))


@test_case(
    name="the growth law: n sqrt(n) when window and stride are sqrt(n)",
    points=2,
    hidden=True,
    failure_message="With n = r * r and window = stride = r, the count is r (3 r r - 2 r + 1) / 2. So it lies "
    "between n sqrt(n) and 1.5 n sqrt(n): derive it in w1, part 1.",
)
def test_growth(attended_pairs):
    """The executable proof: the exact law at squares, its bounds elsewhere, and the exponent over eight decades."""
    for root in (1, 2, 3, 10, 31, 1000, 10**6):
        law = root * (3 * root * root - 2 * root + 1) // 2
        check_count(attended_pairs, root * root, root, root, law)
    for n in (3, 12, 99, 5000, 10**6 - 1):
        root = math.isqrt(n)
        what, found = f"attended_pairs({n}, {root}, {root})", attended_pairs(n, root, root)
        check_int(found, summed(n, root, root), what=what)
        assert found**2 <= 2.25 * n**3, f"{what} is above 1.5 n sqrt(n): {found}."
    first, last = attended_pairs(10**4, 100, 100), attended_pairs(10**12, 10**6, 10**6)
    exponent = math.log(last / first) / math.log(10**8)
    assert abs(exponent - 1.5) < 1e-3, (
        f"From n = 10**4 to 10**12, attended_pairs grows like n**{exponent:.3f}."
    )


@test_case(
    name="arguments that are refused",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message when n is negative, or when window or stride is less than 1.",
)
def test_bad_arguments(attended_pairs):
    check_count(attended_pairs, 3, 1, 2, 4)
    for sizes in [(-1, 2, 2), (4, 0, 2), (4, 2, 0), (4, -1, 2), (4, 2, -3), (0, 0, 1)]:
        check_raises(ValueError, attended_pairs, *sizes, what=f"attended_pairs{sizes}")
