"""q3: encode(text, merges) -> list of ids, decode(ids, merges) -> text."""

from collections import Counter
from itertools import pairwise

from otter.test_files import test_case

from autograder.checks import Mistake, check_equal, check_raises

OK_FORMAT = False
name = "q3"
all_or_nothing = False

# "cd", then "ab", then "abc"
HAND = [(99, 100), (97, 98), (257, 99)]
LEARNED_FROM = """\
The keeper of the lighthouse keeps the light, and the light keeps the ships.
Ships keep to the sea: the sea keeps nothing.
Åke Ångström såg ångbåten; 燈台は燈台の歌。 Καλημέρα, καλησπέρα. 🙂🙂 ... the theatre of the weather ......
"""
# Found by hypothesis (text of up to ten characters): one to four bytes long, control characters, unassigned ones.
FOUND = [
    "\xee\x80\U0002ab8e\xb3\x11e\U00071dab\x15",
    "\x8b\xf6\U0008da6f\U000e8dca\U00106eca",
    "\x0f\xbeZJq\U000481d8\xba\x07\u7fac\U0001836a",
    "\u44bf\xa6\xd7\U0001b937\U0006086f\x9a&\xec1U",
    "\xdb\xfa\x13\xe6?\U0008f015\x00n\x06\xab",
    "V@~\x0c\xa5\x1e",
    "\xa0(:\xe9<\x96",
    "\xe6\u0153\xc6\u0152\ufb00\u02a4\u02a8\xdf",
]
# What an editor, a normalisation, a strip or a line-wise reading would change.
FRAGILE = [
    "  two blanks before and after  ",
    "windows\r\nold mac\rnewline\n\n",
    "\ufeffwith a byte order mark",
    "e\u0301 is not \u00e9, and \u212b is not \u00c5",
    "\U0001f469\u200d\U0001f680 \U0001f1ec\U0001f1f7 \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\x00\x01\x1f\x7f\x80\x85\u2028\uffff\U0010ffff",
    "\ufffd",
]


def replaced(ids, pair, new_id):
    """The ids after a merge, from left to right."""
    result, place = [], 0
    while place < len(ids):
        found = tuple(ids[place : place + 2]) == pair
        result.append(new_id if found else ids[place])
        place += 2 if found else 1
    return result


def learned(count):
    """Merges as training gives them: the most frequent pair again and again."""
    ids, merges = list(LEARNED_FROM.encode()), []
    for new_id in range(256, 256 + count):
        counts = Counter(pairwise(ids))
        merges.append(max(counts, key=counts.get))
        ids = replaced(ids, merges[-1], new_id)
    return merges


def encoded(text, merges):
    """What is expected: the merges in their order."""
    ids = list(text.encode())
    for new_id, pair in enumerate(merges, start=256):
        ids = replaced(ids, pair, new_id)
    return ids


@test_case(
    name="abcd by hand",
    points=2,
    hidden=False,
    failure_message="cd was learned first, so it is merged first; then ab. After that no c is left for the third "
    "merge. Without merges, the ids are the bytes.",
)
def test_encode_by_hand(encode):
    check_equal(encode("abcd", HAND), [257, 256], what='encode("abcd", [(99, 100), (97, 98), (257, 99)])')
    check_equal(encode("h\u00e5", []), [104, 195, 165], what='encode("h\u00e5", [])')


@test_case(
    name="half a letter and a whole one",
    points=2,
    hidden=False,
    failure_message="Join the bytes of all ids first, then decode them once, with errors='replace'.",
)
def test_decode_by_hand(decode):
    check_equal(
        decode([257, 99, 258], HAND),
        "abcabc",
        what="decode([257, 99, 258], [(99, 100), (97, 98), (257, 99)])",
    )
    check_equal(decode([104, 195, 165], []), "h\u00e5", what="decode([104, 195, 165], [])")
    check_equal(decode([104, 195], []), "h\ufffd", what="decode([104, 195], [])")


@test_case(
    name="merges in the order in which they were learned",
    points=4,
    hidden=True,
    failure_message="Apply the first merge in the whole row, then the second one, and so on: not the longest token "
    "that fits, and not whatever comes first in the text. The text need not be the one that the "
    "merges were learned from.",
)
def test_ranks(encode):
    what = 'encode("abc", [(98, 99), (97, 98), (97, 256)])'
    check_equal(encode("abc", [(98, 99), (97, 98), (97, 256)]), [258], what=what)
    merges = learned(60)
    texts = [
        "the theatre keeps the lighthouse",
        "nothing of the kind",
        LEARNED_FROM,
        ".......................",
    ]
    for text in [*texts, "Åke såg 燈台 🙂🙂🙂"]:
        check_equal(
            encode(text, list(merges)), encoded(text, merges), what=f"encode({text[:40]!r}, 60 merges)"
        )
    for text in ("abcabcd", "cdcd", "abab", "aabbccdd"):
        check_equal(encode(text, list(HAND)), encoded(text, HAND), what=f'encode("{text}", {HAND})')
    check_equal(
        encode("aaaaa", [(97, 97), (256, 256)]), [257, 97], what='encode("aaaaa", [(97, 97), (256, 256)])'
    )


@test_case(
    name="every text comes back",
    points=4,
    hidden=True,
    failure_message="decode(encode(text, merges), merges) must be the text itself, sign by sign: nothing is "
    "stripped, normalised or left out. Go by way of the bytes in both directions.",
)
def test_round_trip(encode, decode):
    merges = learned(40)
    for text in [*FRAGILE, *FOUND, LEARNED_FROM, "\ufffd".join(FRAGILE + FOUND)]:
        check_equal(
            decode(encode(text, list(merges)), list(merges)),
            text,
            what="decode(encode(text, merges), merges)",
        )
    size, tokens = len(LEARNED_FROM.encode()), len(encode(LEARNED_FROM, merges))
    assert tokens < size, (
        f"With 40 merges, encode makes {tokens} tokens of {size} bytes: there should be fewer."
    )


@test_case(
    name="ids that are no text",
    points=2,
    hidden=True,
    failure_message="A token may end in the middle of a letter, so bytes.decode('utf-8', errors='replace') comes "
    "once, at the end. What is not UTF-8 becomes U+FFFD.",
)
def test_invalid(decode):
    smile = [(0xF0, 0x9F), (256, 0x99)]
    for ids, merges in (
        ([255], []),
        ([104, 255, 105], []),
        ([0xE7, 0x87, 0x88, 0xE7, 0x87], []),
        ([0x80, 65], []),
        ([257, 0x82], smile),
        ([256, 0x99, 0x82, 257, 65], smile),
    ):
        table = {256: b"\xf0\x9f", 257: b"\xf0\x9f\x99"}
        expected = b"".join(table.get(id_, bytes([id_ % 256])) for id_ in ids).decode("utf-8", "replace")
        check_equal(decode(list(ids), list(merges)), expected, what=f"decode({ids}, {merges})")


def outcome(decode, ids):
    """The text that unknown ids are decoded to, if it is one."""
    try:
        return decode(list(ids), list(HAND))
    except (ValueError, LookupError):
        return None


@test_case(
    name="ids that are unknown",
    points=2,
    hidden=True,
    failure_message="There are 256 + len(merges) tokens. Any other id is a ValueError: also -1, which a list would "
    "take for its last item.",
)
def test_unknown(decode):
    check_equal(decode([258, 0, 255], HAND), "abc\x00\ufffd", what=f"decode([258, 0, 255], {HAND})")
    last, left_out = outcome(decode, [-1]), outcome(decode, [97, 259, 98])
    if last == "abc":
        raise Mistake("negative_ids", f"decode([-1], {HAND}) must raise ValueError, but it returned 'abc'.")
    if left_out == "ab":
        raise Mistake(
            "unknown_left_out", f"decode([97, 259, 98], {HAND}) must raise ValueError, but it returned 'ab'."
        )
    for ids in ([259], [-1], [97, 98, 10**6], [-259, 97]):
        check_raises(ValueError, decode, ids, list(HAND), what=f"decode({ids}, {HAND})")
    check_raises(ValueError, decode, [256], [], what="decode([256], [])")


@test_case(
    name="nothing, one byte, one token; what was given",
    points=2,
    hidden=True,
    failure_message="The empty text has no tokens. One byte is one token. The lists given must be as they were "
    "after the call.",
)
def test_small(encode, decode):
    for merges in ([], HAND):
        check_equal(encode("", list(merges)), [], what=f'encode("", {merges})')
        check_equal(decode([], list(merges)), "", what=f"decode([], {merges})")
        check_equal(encode("x", list(merges)), [120], what=f'encode("x", {merges})')
    check_equal(encode("ab", [(97, 98)]), [256], what='encode("ab", [(97, 98)])')
    ids, merges = [258, 100, 257], list(HAND)
    decode(ids, merges)
    check_equal(ids, [258, 100, 257], what="ids after decode(ids, merges)")
    encode("abcd", merges)
    check_equal(merges, HAND, what="merges after encode and decode")
