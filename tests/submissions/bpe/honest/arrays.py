"""Everything with numpy arrays: pairs as single numbers, runs taken apart by their parity; PCA by numpy's SVD."""

import numpy as np
import torch

SHIFT = 1 << 32


def pair_counts(ids):
    if len(ids) < 2:
        return {}
    row = np.asarray(ids, dtype=np.int64)
    keys, counts = np.unique(row[:-1] * SHIFT + row[1:], return_counts=True)
    return {(int(key) // SHIFT, int(key) % SHIFT): int(count) for key, count in zip(keys, counts)}


def merge(ids, pair, new_id):
    row = np.array(ids, dtype=np.int64)
    if len(row) < 2:
        return row.tolist()
    hits = np.flatnonzero((row[:-1] == pair[0]) & (row[1:] == pair[1]))
    kept, last = [], -2
    for hit in hits:
        if hit > last + 1:
            kept.append(hit)
            last = hit
    kept = np.array(kept, dtype=np.int64)
    row[kept] = new_id
    return np.delete(row, kept + 1).tolist()


def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError("at least the 256 bytes")
    ids, merges = list(text.encode("utf8")), []
    for step in range(vocab_size - 256):
        counts = pair_counts(ids)
        if not counts:
            return merges
        most = max(counts.values())
        pair = min(pair for pair, count in counts.items() if count == most)
        ids = merge(ids, pair, 256 + step)
        merges.append(pair)
    return merges


def encode(text, merges):
    ids = list(text.encode("utf8"))
    for number in range(len(merges)):
        ids = merge(ids, merges[number], 256 + number)
    return ids


def decode(ids, merges):
    ids = list(ids)
    if any(i < 0 or i >= 256 + len(merges) for i in ids):
        raise ValueError("unknown id")
    for number in reversed(range(len(merges))):
        parts = []
        for i in ids:
            parts.extend(merges[number] if i == 256 + number else (i,))
        ids = parts
    return np.array(ids, dtype=np.uint8).tobytes().decode("utf8", "replace")


def compression_ratio(text, merges):
    if text == "":
        return 1
    return np.float64(len(text.encode())) / np.float64(len(encode(text, merges)))


def embedding_pca(embeddings, n_components=2):
    if embeddings.ndim != 2:
        raise ValueError("two dimensions, please")
    if n_components not in range(1, min(embeddings.shape) + 1):
        raise ValueError("n_components")
    x = embeddings.detach().numpy()
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    return torch.from_numpy(np.ascontiguousarray((u * s)[:, :n_components]))
