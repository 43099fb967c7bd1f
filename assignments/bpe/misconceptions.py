"""Known wrong answers, each right but for one thing, with its name and a hint.

First come the right steps, which they share; then, question by question, what goes wrong.
"""

from collections import Counter
from itertools import pairwise

import torch

from autograder.diagnosis import misconception


def require(condition, message):
    if not condition:
        raise ValueError(message)


def right_counts(ids):
    return Counter(pairwise(ids))


def right_merge(ids, pair, new_id):
    merged, place = [], 0
    while place < len(ids):
        found = tuple(ids[place : place + 2]) == tuple(pair)
        merged.append(new_id if found else ids[place])
        place += 2 if found else 1
    return merged


def bytes_of(text):
    return list(text.encode("utf-8"))


def trained(
    text, vocab_size, *, begin=bytes_of, count=right_counts, choose=max, first_id=256, stop=lambda n, c: False
):
    """The right training, but for where it begins, how it counts, what it chooses and when it stops."""
    require(vocab_size >= 256, "vocab_size is too small")
    ids, merges = begin(text), []
    while len(merges) < vocab_size - 256:
        counts = count(ids)
        if not counts or stop(len(merges), counts):
            break
        pair = choose(counts, key=counts.get)
        ids = right_merge(ids, pair, first_id + len(merges))
        merges.append(pair)
    return merges


def right_encode(text, merges):
    ids = bytes_of(text)
    for new_id, pair in enumerate(merges, start=256):
        ids = right_merge(ids, pair, new_id)
    return ids


def table_of(merges):
    table = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        table.append(table[left] + table[right])
    return table


def looked_up(ids, merges):
    """The bytes of each id."""
    table = table_of(merges)
    require(all(0 <= id_ < len(table) for id_ in ids), "an id is unknown")
    return [table[id_] for id_ in ids]


# ---------------------------------------------------------------------------------------------------------------- q1


@misconception(
    "q1",
    replaces="pair_counts",
    name="a count of pairs that do not overlap",
    hint="Every place counts: how many pairs of neighbours are there in a, a, a, a?",
)
def counted_without_overlap(ids):
    counts, used = {}, {}
    for place, pair in enumerate(pairwise(ids)):
        if used.get(pair, -1) < place:
            counts[pair] = counts.get(pair, 0) + 1
            used[pair] = place + 1
    return counts


@misconception(
    "q1",
    replaces="pair_counts",
    name="a count that does not care which of the two comes first",
    hint="(a, b) and (b, a) are two pairs.",
)
def unordered(ids):
    return Counter(tuple(sorted(pair)) for pair in pairwise(ids))


@misconception(
    "q1",
    replaces="pair_counts",
    name="a count of the ids two by two",
    hint="The second id of one pair is the first of the next one: n ids have n - 1 pairs.",
)
def two_by_two(ids):
    return Counter(zip(ids[::2], ids[1::2], strict=False))


@misconception(
    "q1",
    replaces="merge",
    name="a merge in which one id takes part in two pairs",
    hint="Once two ids have become one, they are used up: where must you go on?",
)
def merged_twice(ids, pair, new_id):
    merged, place = [], 0
    while place < len(ids):
        if tuple(ids[place : place + 2]) == tuple(pair):
            merged.append(new_id)
            place += 1 if tuple(ids[place + 1 : place + 3]) == tuple(pair) else 2
        else:
            merged.append(ids[place])
            place += 1
    return merged


@misconception(
    "q1",
    replaces="merge",
    name="a merge from right to left",
    hint="In a, a, a the first two become one, and the last one stays.",
)
def right_to_left(ids, pair, new_id):
    return right_merge(ids[::-1], tuple(pair)[::-1], new_id)[::-1]


@misconception(
    "q1",
    replaces="merge",
    name="a merge of the first occurrence alone",
    hint="The pair is replaced wherever it stands.",
)
def first_occurrence(ids, pair, new_id):
    for place, found in enumerate(pairwise(ids)):
        if found == tuple(pair):
            return [*ids[:place], new_id, *ids[place + 2 :]]
    return list(ids)


@misconception(
    "q1",
    replaces="merge",
    name="a merge that loses the last id when it is not part of a pair",
    hint="If you look at place i and at place i + 1, what becomes of the last one?",
)
def last_id_lost(ids, pair, new_id):
    merged = right_merge(ids, pair, new_id)
    ends_in_pair = merged and merged[-1] == new_id and ids[-1] != new_id
    return merged if ends_in_pair else merged[:-1]


@misconception(
    "q1",
    replaces="merge",
    name="a merge that changes the list it was given",
    hint="Whoever calls merge still needs the row as it was: build a new list.",
)
def merged_in_place(ids, pair, new_id):
    ids[:] = right_merge(ids, pair, new_id)
    return ids


# ---------------------------------------------------------------------------------------------------------------- q2


@misconception(
    "q2",
    replaces="train_bpe",
    name="a training on characters instead of bytes",
    hint="Which numbers does your row begin with, for a text with an å or a 燈 in it? All must be below 256.",
)
def characters(text, vocab_size):
    return trained(text, vocab_size, begin=lambda text: [ord(letter) for letter in text])


@misconception(
    "q2",
    replaces="train_bpe",
    name="a training that makes one token too many",
    hint="The 256 bytes belong to the vocabulary. How many merges are left for vocab_size = 257?",
)
def one_too_many(text, vocab_size):
    require(vocab_size >= 256, "vocab_size is too small")
    return trained(text, vocab_size + 1)


@misconception(
    "q2",
    replaces="train_bpe",
    name="a training that stops one merge early",
    hint="Compare the length of your list with vocab_size - 256.",
)
def stops_early(text, vocab_size):
    return trained(text, vocab_size, stop=lambda done, counts: done == vocab_size - 257)


@misconception(
    "q2",
    replaces="train_bpe",
    name="a training that stops when no pair occurs twice",
    hint="A pair that occurs once is a pair, too: go on until the vocabulary is full or a single token "
    "is left.",
)
def stops_at_single_pairs(text, vocab_size):
    return trained(text, vocab_size, stop=lambda done, counts: max(counts.values()) < 2)


@misconception(
    "q2",
    replaces="train_bpe",
    name="a training that merges the least frequent pair",
    hint="Print the count of the pair that you merge first. Is there a larger one?",
)
def least_frequent(text, vocab_size):
    return trained(text, vocab_size, choose=min)


@misconception(
    "q2",
    replaces="train_bpe",
    name="a training that counts once and never again",
    hint="After a merge its neighbours have other counts, and there are new pairs. Count again in the "
    "row that is left.",
)
def counted_once(text, vocab_size):
    require(vocab_size >= 256, "vocab_size is too small")
    counts = right_counts(bytes_of(text))
    return sorted(counts, key=lambda pair: -counts[pair])[: vocab_size - 256]


@misconception(
    "q2",
    replaces="train_bpe",
    name="a training that counts pairs without overlap",
    hint="The most frequent pair is the one that pair_counts finds: in a, a, a, a the pair (a, a) counts "
    "three times.",
)
def trained_without_overlap(text, vocab_size):
    return trained(text, vocab_size, count=counted_without_overlap)


@misconception(
    "q2",
    replaces="train_bpe",
    replayed=False,  # what it does depends on the process that it runs in
    name="a training whose ties are decided by the order of a set",
    hint="The order of a set of texts or bytes changes from one run of Python to the next. Decide by the "
    "numbers of the pair, or by which pair came first: a dict keeps that order.",
)
def set_order(text, vocab_size):
    require(vocab_size >= 256, "vocab_size is too small")
    row, merges, number = [bytes([byte]) for byte in bytes_of(text)], [], {}
    ids = bytes_of(text)
    while len(merges) < vocab_size - 256 and len(row) > 1:
        counts = right_counts(ids)
        best = max(counts.values())
        named = {(row[i], row[i + 1]): (ids[i], ids[i + 1]) for i in range(len(ids) - 1)}
        pair = named[next(names for names in set(named) if counts[named[names]] == best)]
        merges.append(pair)
        number[256 + len(merges) - 1] = pair
        ids = right_merge(ids, pair, 255 + len(merges))
        table = table_of(merges)
        row = [table[id_] for id_ in ids]
    return merges


# ---------------------------------------------------------------------------------------------------------------- q3


@misconception(
    "q3",
    replaces="encode",
    name="an encoding that takes the longest token that fits",
    hint="Merges are applied in the order in which they were learned. An early merge may take away what "
    "a longer token needs.",
)
def longest_match(text, merges):
    data, table = text.encode("utf-8"), table_of(merges)
    ids_of = {token: id_ for id_, token in reversed(list(enumerate(table)))}
    ids, place = [], 0
    while place < len(data):
        token = max((t for t in ids_of if data.startswith(t, place)), key=len)
        ids.append(ids_of[token])
        place += len(token)
    return ids


@misconception(
    "q3",
    replaces="encode",
    name="an encoding that does not apply the merges",
    hint="The merges are not only for the text that they were learned from: every text is merged.",
)
def merges_not_applied(text, merges):
    return bytes_of(text)


@misconception(
    "q3",
    replaces="encode",
    name="an encoding that learns its merges from the text it is given",
    hint="encode gets the merges: it must not train. Otherwise the same word has another number in every "
    "text.",
)
def trained_again(text, merges):
    return right_encode(text, trained(text, 256 + len(merges)))


@misconception(
    "q3",
    replaces="encode",
    name="an encoding that applies the last merge first",
    hint="The list begins with the merge that was learned first. Later merges are made of what earlier "
    "ones have made.",
)
def last_merge_first(text, merges):
    ids = bytes_of(text)
    for new_id, pair in reversed(list(enumerate(merges, start=256))):
        ids = right_merge(ids, pair, new_id)
    return ids


@misconception(
    "q3",
    replaces="encode",
    name="an encoding that merges whatever comes first in the text",
    hint="Not the place in the text decides which merge is next, but which was learned first.",
)
def first_in_text(text, merges):
    ids, number = bytes_of(text), {}
    for new_id, pair in enumerate(merges, start=256):
        number.setdefault(tuple(pair), new_id)
    place = 0
    while place < len(ids) - 1:
        pair = (ids[place], ids[place + 1])
        if pair in number:
            ids[place : place + 2] = [number[pair]]
            place = max(place - 1, 0)
        else:
            place += 1
    return ids


@misconception(
    "q3",
    replaces="encode",
    name="an encoding whose new ids begin at 257",
    hint="The bytes are 0 to 255, so the first merge makes 256.",
)
def ids_off_by_one(text, merges):
    shifted = [tuple(half + (half > 255) for half in pair) for pair in merges]
    ids = bytes_of(text)
    for new_id, pair in enumerate(shifted, start=257):
        ids = right_merge(ids, pair, new_id)
    return ids


@misconception(
    "q3",
    replaces="encode",
    name="an encoding of characters instead of bytes",
    hint="Begin with text.encode('utf-8'): every id that no merge has made is below 256.",
)
def characters_encoded(text, merges):
    ids = [ord(letter) for letter in text]
    for new_id, pair in enumerate(merges, start=256):
        ids = right_merge(ids, pair, new_id)
    return ids


@misconception(
    "q3",
    replaces="decode",
    name="a decoding of each token by itself",
    hint="A letter may begin in one token and end in the next one. Join the bytes before you decode them.",
)
def token_by_token(ids, merges):
    return "".join(token.decode("utf-8", errors="replace") for token in looked_up(ids, merges))


@misconception(
    "q3",
    replaces="decode",
    name="a decoding that leaves out what is not UTF-8",
    hint="Whoever reads the text should see that something was there: replace it by U+FFFD.",
)
def invalid_left_out(ids, merges):
    return b"".join(looked_up(ids, merges)).decode("utf-8", errors="ignore")


@misconception(
    "q3",
    replaces="decode",
    name="a decoding that stops with an error at what is not UTF-8",
    hint="A model may well produce half of a letter. See the parameter errors of bytes.decode.",
)
def invalid_raises(ids, merges):
    return b"".join(looked_up(ids, merges)).decode("utf-8")


@misconception(
    "q3",
    replaces="decode",
    name="a decoding of bytes as Latin-1, each as a letter of its own",
    hint="chr(195) is a letter, but byte 195 is half of one. Make bytes of the ids, and decode these as "
    "UTF-8.",
)
def one_letter_a_byte(ids, merges):
    return b"".join(looked_up(ids, merges)).decode("latin-1")


@misconception(
    "q3",
    replaces="decode",
    name="a decoding that takes id -1 for the last token",
    hint="A list counts from its end for a negative index. Is -1 the id of a token?",
)
def negative_ids(ids, merges):
    table = table_of(merges)
    require(all(-len(table) <= id_ < len(table) for id_ in ids), "an id is unknown")
    return b"".join(table[id_] for id_ in ids).decode("utf-8", errors="replace")


@misconception(
    "q3",
    replaces="decode",
    name="a decoding that leaves out unknown ids",
    hint="An id that no token has is an error of the caller, who should hear of it: raise ValueError.",
)
def unknown_left_out(ids, merges):
    table = table_of(merges)
    return b"".join(table[id_] for id_ in ids if 0 <= id_ < len(table)).decode("utf-8", errors="replace")


# ---------------------------------------------------------------------------------------------------------------- q4


def ratio(text, merges, numerator):
    return numerator(text) / len(right_encode(text, merges)) if text else 1.0


@misconception(
    "q4",
    replaces="compression_ratio",
    name="a ratio of characters to tokens",
    hint="åå has two letters but four bytes. Without merges, the ratio of every text is 1.",
)
def characters_counted(text, merges):
    return ratio(text, merges, len)


@misconception(
    "q4",
    replaces="compression_ratio",
    name="a ratio of tokens to bytes",
    hint="Merges make the text shorter, and the ratio larger than 1. Which number belongs on top?",
)
def upside_down(text, merges):
    return 1.0 / ratio(text, merges, lambda text: len(text.encode("utf-8")))


@misconception(
    "q4",
    replaces="compression_ratio",
    name="a ratio that is 0 for the empty text",
    hint="The docstring says what the ratio of the empty text is.",
)
def empty_is_zero(text, merges):
    return ratio(text, merges, lambda text: len(text.encode("utf-8"))) if text else 0.0


@misconception(
    "q4",
    replaces="compression_ratio",
    name="a ratio that is rounded down to whole bytes",
    hint="// drops what is behind the decimal point.",
)
def whole_bytes(text, merges):
    return float(len(text.encode("utf-8")) // len(right_encode(text, merges))) if text else 1.0


# ---------------------------------------------------------------------------------------------------------------- q5


def decomposed(embeddings, n_components, centre=lambda x: x - x.mean(dim=0)):
    """U, S and V of the centred rows."""
    require(embeddings.ndim == 2, "embeddings needs two dimensions")
    require(1 <= n_components <= min(embeddings.shape), "n_components is out of range")
    return torch.linalg.svd(centre(embeddings), full_matrices=False)


@misconception(
    "q5",
    replaces="embedding_pca",
    name="principal axes of rows that are not centred",
    hint="Without subtracting the mean row, the first axis points at the mean.",
)
def not_centred(embeddings, n_components=2):
    U, S, _ = decomposed(embeddings, n_components, centre=lambda x: x)
    return U[:, :n_components] * S[:n_components]


@misconception(
    "q5",
    replaces="embedding_pca",
    name="coordinates that are whitened",
    hint="The columns of U all have length 1. What makes the first axis longer than the second?",
)
def whitened(embeddings, n_components=2):
    U, _, _ = decomposed(embeddings, n_components)
    return U[:, :n_components].clone()


@misconception(
    "q5",
    replaces="embedding_pca",
    name="coordinates that are divided by the standard deviation of each feature first",
    hint="Centre the rows, and leave their scale alone.",
)
def standardised(embeddings, n_components=2):
    def centre(x):
        centred = x - x.mean(dim=0)
        spread = centred.square().mean(dim=0).sqrt()
        return centred / torch.where(spread > 0, spread, 1.0)

    U, S, _ = decomposed(embeddings, n_components, centre)
    return U[:, :n_components] * S[:n_components]


@misconception(
    "q5",
    replaces="embedding_pca",
    name="a centring of each row instead of each column",
    hint="The mean row is subtracted from all rows: which dimension is the mean taken over?",
)
def rows_centred(embeddings, n_components=2):
    U, S, _ = decomposed(embeddings, n_components, centre=lambda x: x - x.mean(dim=1, keepdim=True))
    return U[:, :n_components] * S[:n_components]


@misconception(
    "q5",
    replaces="embedding_pca",
    name="coordinates along the axes of smallest variance",
    hint="svd gives the largest singular value first, eigh the smallest. Which axes show most?",
)
def smallest_axes(embeddings, n_components=2):
    U, S, _ = decomposed(embeddings, n_components)
    return (U * S).flip(-1)[:, :n_components]


@misconception(
    "q5",
    replaces="embedding_pca",
    name="coordinates along the original axes of largest variance",
    hint="The new axes are directions in space, not some of the old columns.",
)
def old_columns(embeddings, n_components=2):
    decomposed(embeddings, n_components)
    centred = embeddings - embeddings.mean(dim=0)
    order = centred.square().sum(dim=0).argsort(descending=True, stable=True)
    return centred[:, order[:n_components]]


@misconception(
    "q5",
    replaces="embedding_pca",
    name="coordinates divided by the square root of n - 1",
    hint="Singular values divided so are standard deviations. The coordinates are distances: they are "
    "not divided.",
)
def divided_by_n(embeddings, n_components=2):
    U, S, _ = decomposed(embeddings, n_components)
    return U[:, :n_components] * S[:n_components] / max(len(embeddings) - 1, 1) ** 0.5
