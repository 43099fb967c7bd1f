"""Ids as the characters of a str, so that merging is str.replace and counting overlaps is a regular expression."""

import re
from collections import Counter

import torch


def _as_text(ids):
    return "".join(map(_sign, ids))


def _sign(i):
    # surrogates are no characters, so step over them
    return chr(i if i < 0xD800 else i + 0x800)


def _id(sign):
    return ord(sign) if ord(sign) < 0xD800 else ord(sign) - 0x800


def pair_counts(ids):
    signs = _as_text(ids)
    pairs = re.findall(r"(?=(..))", signs, flags=re.DOTALL)
    return {(_id(a), _id(b)): n for (a, b), n in Counter(pairs).items()}


def merge(ids, pair, new_id):
    signs = _as_text(ids).replace(_as_text(pair), _sign(new_id))
    return [_id(sign) for sign in signs]


def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError("too small a vocabulary")
    signs, merges = text.encode().decode("latin-1"), []
    while len(merges) < vocab_size - 256 and len(signs) > 1:
        counts = Counter(re.findall(r"(?=(..))", signs, flags=re.DOTALL))
        (best, _), = counts.most_common(1)
        signs = signs.replace(best, _sign(256 + len(merges)))
        merges.append(tuple(_id(sign) for sign in best))
    return merges


def encode(text, merges):
    signs = text.encode().decode("latin-1")
    for number, pair in enumerate(merges):
        signs = signs.replace(_as_text(pair), _sign(256 + number))
    return list(map(_id, signs))


def decode(ids, merges):
    if ids and not (min(ids) >= 0 and max(ids) < 256 + len(merges)):
        raise ValueError("there is an id that no token has")
    signs = _as_text(ids)
    for number in range(len(merges) - 1, -1, -1):
        signs = signs.replace(_sign(256 + number), _as_text(merges[number]))
    return signs.encode("latin-1").decode("utf-8", errors="replace")


def compression_ratio(text, merges):
    return (len(text.encode()) or 1) / (len(encode(text, merges)) or 1)


def embedding_pca(embeddings, n_components=2):
    if len(embeddings.shape) != 2:
        raise ValueError("(n, d) is needed")
    if not 1 <= n_components <= min(embeddings.shape):
        raise ValueError("n_components is too small or too large")
    n = embeddings.shape[0]
    centring = torch.eye(n, dtype=embeddings.dtype) - 1 / n
    u, s, v = torch.svd(centring @ embeddings)
    return torch.einsum("ij,j->ij", u, s)[:, :n_components]
