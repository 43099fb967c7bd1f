"""q2: train_bpe(text, vocab_size) -> list[(int, int)].

Judged by what each merge must be: a most frequent pair, given the merges before it. Lists are compared only where
no tie decides.
"""

from itertools import pairwise

from otter.test_files import test_case

from autograder.checks import Mistake, check_equal, check_raises

OK_FORMAT = False
name = "q2"
all_or_nothing = False

LOGBOOK = """\
Fog in the morning. The first ship of the day was the ferry from the island, late as ever, with the mail and the milk.
The second one was the fishing boat of the brothers, who never say good morning and never wait for the answer. There is
something about the fog that makes people talk less, and the sea sound nearer than it is. I rang the bell, and something
in the fog rang back. It was the other bell, the one on the southern pier, that nobody has rung for eleven years.
In the evening the fog was gone. I went there with the lamp to see who had been ringing. There was nobody on the pier,
and no rope on the bell. The brothers say that the wind can do such things when it comes from the north. The wind came
from the west all day, and there was hardly any.
"""
ALPHABETS = """\
Åke Ångström på ångbåten såg två ålar; den ena ålen såg Åke.
燈台と燈台守は燈台の歌。 🙂🙂🐋🙂 Καλημέρα, καλημέρα!
"""


def check_pairs(merges, count, *, what):
    """Pass if this is a list of so many tuples (int, int)."""
    if not isinstance(merges, list):
        check_equal(merges, [], what=what)
    for number, pair in enumerate(merges):
        if not (isinstance(pair, tuple) and [type(half) for half in pair] == [int, int]):
            raise AssertionError(f"{what}[{number}] is {pair!r}, but a tuple of two ints was expected.")
    if len(merges) != count:
        raise AssertionError(f"{what} has {len(merges)} merges, but {count} were expected.")


def replaced(ids, pair, new_id):
    """The ids after a merge, from left to right."""
    result, place = [], 0
    while place < len(ids):
        found = tuple(ids[place : place + 2]) == pair
        result.append(new_id if found else ids[place])
        place += 2 if found else 1
    return result


def counted(ids):
    """How many places hold each pair."""
    counts = {}
    for pair in pairwise(ids):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def times(count):
    """In words, how often."""
    return "once" if count == 1 else f"{count} times"


def check_merges(merges, text, count, *, what):
    """Pass if there are so many merges, and each is a most frequent pair given those before it."""
    check_pairs(merges, count, what=what)
    ids = list(text.encode())
    for number, pair in enumerate(merges):
        counts = counted(ids)
        best = max(counts, key=counts.get)
        if counts.get(pair, 0) != counts[best]:
            raise AssertionError(
                f"{what}: merge number {number + 1} is {pair}, which occurs {times(counts.get(pair, 0))} after the "
                f"merges before it; {best} occurs {times(counts[best])}."
            )
        ids = replaced(ids, pair, 256 + number)


@test_case(
    name="banana bandana: one merge, and none",
    points=2,
    hidden=False,
    failure_message="'an' is the most frequent pair: (97, 110). A vocabulary of 257 tokens has room for one merge, "
    "one of 256 for none.",
)
def test_banana(train_bpe):
    check_equal(train_bpe("banana bandana", 257), [(97, 110)], what='train_bpe("banana bandana", 257)')
    check_equal(train_bpe("banana bandana", 256), [], what='train_bpe("banana bandana", 256)')


@test_case(
    name="two merges worked out by hand",
    points=3,
    hidden=False,
    failure_message="'an' stands in 7 places, more than any other pair. Once it is X, that is 256, the row is bXXa "
    "bXdXa bXXa bXd: (b, X) stands in 4 places, (X, a) in 3. Count again after each merge.",
)
def test_two_merges(train_bpe):
    text = "banana bandana banana band"
    check_equal(train_bpe(text, 258), [(97, 110), (98, 256)], what=f'train_bpe("{text}", 258)')


@test_case(
    name="the same twice",
    points=2,
    hidden=False,
    failure_message="Where several pairs are equally frequent, chance must not decide, and nothing may be left over "
    "from the call before.",
)
def test_twice(train_bpe):
    first = train_bpe("equal pairs: ab cd ef gh", 270)
    check_pairs(first, 14, what='train_bpe("equal pairs: ab cd ef gh", 270)')
    train_bpe("another text in between", 260)
    check_equal(train_bpe("equal pairs: ab cd ef gh", 270), first, what="the same call for the second time")


# What a wrong list looks like. Each rule says whether it follows from one mistake, whichever way ties are decided.


def follows(merges, ids, wrong_count=counted, choose=max, first_id=256):
    """Whether each merge is chosen by a rule, given those before it."""
    for number, pair in enumerate(merges):
        counts = wrong_count(ids)
        if not counts or counts.get(pair, 0) != choose(counts.values()):
            return False
        ids = replaced(ids, pair, first_id + number)
    return True


def without_overlap(ids):
    """How often each pair can be merged."""
    counts, used = {}, {}
    for place, pair in enumerate(pairwise(ids)):
        if used.get(pair, -1) < place:
            counts[pair] = counts.get(pair, 0) + 1
            used[pair] = place + 1
    return counts


def sorted_by_first_counts(merges, ids):
    """Whether these are the most frequent pairs of the text as it was, in order."""
    counts = counted(ids)
    found = [counts.get(pair, 0) for pair in merges]
    return found == sorted(counts.values(), reverse=True)[: len(merges)] and len(set(merges)) == len(merges)


def too_short(merges, ids, count):
    """Why a list that is right as far as it goes is too short."""
    for number, pair in enumerate(merges):
        ids = replaced(ids, pair, 256 + number)
    if len(merges) > 1 and max(counted(ids).values(), default=0) == 1 and len(merges) < count - 1:
        return "stops_at_single_pairs"
    return "stops_early" if len(merges) == count - 1 else None


def mistake_in(merges, text, count):
    """The misconception that a wrong list shows, if it can be no other."""
    ids, letters = list(text.encode()), [ord(letter) for letter in text]
    if follows(merges, ids):
        return "one_too_many" if len(merges) == count + 1 else too_short(merges, ids, count)
    rules = {
        "characters": ids != letters and follows(merges, letters),
        "least_frequent": follows(merges, ids, choose=min),
        "counted_once": len(merges) > 2 and sorted_by_first_counts(merges, ids),
        "trained_without_overlap": follows(merges, ids, without_overlap),
    }
    return next((key for key, holds in rules.items() if holds), None)


def judge(merges, text, count, *, what):
    """check_merges, which names the mistake where it can."""
    try:
        check_merges(merges, text, count, what=what)
    except AssertionError as error:
        readable = isinstance(merges, list) and merges and all(isinstance(pair, tuple) for pair in merges)
        key = mistake_in(merges, text, count) if readable else None
        if key is None:
            raise
        raise Mistake(key, str(error)) from None


@test_case(
    name="a page of a logbook",
    points=3,
    hidden=True,
    failure_message="After each merge the counts are other ones: merge in the whole row, then count it again. The "
    "first new id is 256, the next one 257.",
)
def test_logbook(train_bpe):
    judge(train_bpe(LOGBOOK, 296), LOGBOOK, 40, what="train_bpe(a page of 760 letters, 296)")
    judge(train_bpe(LOGBOOK, 257), LOGBOOK, 1, what="train_bpe(a page of 760 letters, 257)")


@test_case(
    name="letters of two, three and four bytes",
    points=2,
    hidden=True,
    failure_message="The row begins with the bytes of the text, text.encode('utf-8'), not with its letters.",
)
def test_alphabets(train_bpe):
    judge(train_bpe(ALPHABETS, 280), ALPHABETS, 24, what="train_bpe(a text in five alphabets, 280)")


@test_case(
    name="rows of equal letters",
    points=2,
    hidden=True,
    failure_message="Every place counts: in aaaa the pair (a, a) has the count 3 and is merged twice: XX. Then (X, "
    "X) has the count 1.",
)
def test_equal_letters(train_bpe):
    for length, count in ((2, 1), (9, 4), (16, 4), (23, 7)):
        judge(train_bpe("a" * length, 300), "a" * length, count, what=f'train_bpe("a" * {length}, 300)')
    text = "bc-bc=bc+aaaaa"
    judge(train_bpe(text, 259), text, 3, what=f'train_bpe("{text}", 259)')


@test_case(
    name="until no pair is left",
    points=2,
    hidden=True,
    failure_message="A pair that occurs once is a pair, too. Training ends early only when a single token is left, "
    "or none: then the list is shorter.",
)
def test_until_the_end(train_bpe):
    for text, size, count in (
        ("", 300, 0),
        ("x", 300, 0),
        ("å", 300, 1),
        ("abcdefgh", 300, 7),
        ("abcdefgh", 260, 4),
    ):
        judge(train_bpe(text, size), text, count, what=f'train_bpe("{text}", {size})')


@test_case(
    name="the same in every run",
    points=2,
    hidden=True,
    failure_message="In another run of Python, sets of texts or bytes are in another order. Where pairs are equally "
    "frequent, choose by something that stays: the order in which they come, or the smallest pair "
    "of ids.",
)
def test_every_run(train_bpe, elsewhere):
    text = "The quick brown fox jumps over a lazy dog, while my big sphinx of quartz vows to judge it."
    here, again, there = train_bpe(text, 290), train_bpe(text, 290), elsewhere(train_bpe, text, 290)
    check_pairs(here, 34, what="train_bpe(a text of equally frequent pairs, 290)")
    check_equal(again, here, what="the same call for the second time")
    if there != here:
        check_pairs(there, 34, what="train_bpe(a text of equally frequent pairs, 290)")
        place = next(place for place in range(34) if here[place] != there[place])
        told = (
            f"In another run of Python, the same call gives another list: merge number {place + 1} is "
            f"{there[place]} there and {here[place]} here."
        )
        ids = list(text.encode())
        raise (
            Mistake("set_order", told) if follows(here, ids) and follows(there, ids) else AssertionError(told)
        )


@test_case(
    name="vocabularies that are too small",
    points=2,
    hidden=True,
    failure_message="There are 256 bytes, so a vocabulary of fewer tokens is a ValueError, also for an empty text.",
)
def test_too_small(train_bpe):
    check_equal(train_bpe("fog", 256), [], what='train_bpe("fog", 256)')
    for text, size in (("fog", 255), ("fog", 0), ("fog", -1), ("", 100)):
        check_raises(ValueError, train_bpe, text, size, what=f'train_bpe("{text}", {size})')
