"""q1: pair_counts(ids) -> dict, merge(ids, pair, new_id) -> list."""

from otter.test_files import test_case

from autograder.checks import check_equal

OK_FORMAT = False
name = "q1"
all_or_nothing = False

BANANA = list(b"banana bandana")


def counted(ids):
    """What is expected: every place counts."""
    counts = {}
    for place in range(len(ids) - 1):
        pair = (ids[place], ids[place + 1])
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def merged(ids, pair, new_id):
    """What is expected: from left to right, on behind both."""
    result = []
    for id_ in ids:
        if result and (result[-1], id_) == (("old", pair[0]), pair[1]):
            result[-1] = ("new", new_id)
        else:
            result.append(("old", id_))
    return [id_ for _, id_ in result]


@test_case(
    name="the pairs of banana bandana",
    points=2,
    hidden=False,
    failure_message="14 letters have 13 pairs of neighbours. The keys are tuples (left, right): (97, 110) is 'an'.",
)
def test_counts_by_hand(pair_counts):
    a, b, d, n, blank = b"abdn "
    expected = {(b, a): 2, (a, n): 4, (n, a): 3, (a, blank): 1, (blank, b): 1, (n, d): 1, (d, a): 1}
    check_equal(pair_counts(list(BANANA)), expected, what="pair_counts(list(b'banana bandana'))")


@test_case(
    name="an becomes one token",
    points=2,
    hidden=False,
    failure_message="Write new_id wherever the pair stands, and copy all other ids: b X X a _ b X d X a.",
)
def test_merge_by_hand(merge):
    a, b, d, n, blank = b"abdn "
    expected = [b, 256, 256, a, blank, b, 256, d, 256, a]
    check_equal(
        merge(list(BANANA), (a, n), 256), expected, what="merge(list(b'banana bandana'), (97, 110), 256)"
    )


@test_case(
    name="pairs that overlap",
    points=2,
    hidden=False,
    failure_message="In a, a, a the pair (a, a) is counted twice, for every place counts. But merging it gives X, "
    "a: go on behind both, for an id that was merged is used up.",
)
def test_overlap(pair_counts, merge):
    check_equal(pair_counts([7, 7, 7]), {(7, 7): 2}, what="pair_counts([7, 7, 7])")
    check_equal(merge([7, 7, 7], (7, 7), 256), [256, 7], what="merge([7, 7, 7], (7, 7), 256)")


@test_case(
    name="counts of short and long rows",
    points=2,
    hidden=True,
    failure_message="No id or one id has no pair, so the dict is empty. In a run of n equal ids there are n - 1 "
    "places, and (a, b) is another pair than (b, a).",
)
def test_counts(pair_counts):
    rows = [
        [],
        [5],
        [5, 5],
        [5, 6],
        [1, 1, 1, 1, 1, 1],
        [1, 2, 1, 2, 1],
        [300, 256, 256, 300, 256, 256, 256, 0],
    ]
    for ids in [*rows, list("fog, fog and no fåg".encode())]:
        check_equal(pair_counts(list(ids)), counted(ids), what=f"pair_counts({ids})")


@test_case(
    name="merges at both ends, in runs, and of pairs that are not there",
    points=3,
    hidden=True,
    failure_message="Look at the first and the last id, at runs of equal ids (two by two from the left), and at a "
    "left half without its right half.",
)
def test_merges(merge):
    rows = [
        [],
        [1],
        [2],
        [1, 2],
        [2, 1],
        [1, 1],
        [1, 2, 1, 2],
        [1, 1, 2, 2],
        [2, 1, 2, 1],
        [3, 1, 2, 1],
        [1, 1, 2, 1, 2],
    ]
    for ids in rows:
        check_equal(
            merge(list(ids), (1, 2), 256), merged(ids, (1, 2), 256), what=f"merge({ids}, (1, 2), 256)"
        )
    for length in (1, 2, 4, 5, 7):
        ids = [9] * length + [1] + [9] * length
        check_equal(
            merge(list(ids), (9, 9), 256), merged(ids, (9, 9), 256), what=f"merge({ids}, (9, 9), 256)"
        )


@test_case(
    name="merges of ids that were made by merges",
    points=2,
    hidden=True,
    failure_message="The halves of a pair may be any ids, and new_id may be any new number. What was just merged is "
    "not merged again in the same call.",
)
def test_merges_of_merges(merge):
    for ids, pair, new_id in [
        ([256, 97, 256, 97], (256, 97), 257),
        ([300, 300, 300, 300, 300], (300, 300), 301),
        ([256, 257, 256], (257, 256), 1000),
        ([1000, 70000, 3, 1000, 70000], (1000, 70000), 70001),
        ([4, 4, 4, 4], (4, 4), 4),
    ]:
        what = f"merge({ids}, {pair}, {new_id})"
        check_equal(merge(list(ids), pair, new_id), merged(ids, pair, new_id), what=what)


@test_case(
    name="the row that was given",
    points=1,
    hidden=True,
    failure_message="The list given must be as it was after the call: build a new list instead of deleting from "
    "that one.",
)
def test_unchanged(pair_counts, merge):
    ids, expected = list(BANANA), merged(BANANA, (97, 110), 256)
    check_equal(merge(ids, (97, 110), 256), expected, what="merge(ids, (97, 110), 256)")
    check_equal(ids, BANANA, what="ids after merge(ids, (97, 110), 256)")
    check_equal(pair_counts(ids), counted(BANANA), what="pair_counts(ids)")
    check_equal(ids, BANANA, what="ids after pair_counts(ids)")
