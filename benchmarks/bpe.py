"""How the time of training a tokenizer grows with the text: the reference, and the textbook version.

    python benchmarks/bpe.py [--merges 256] [--longest 256] [-o build/bpe]

The textbook version counts all pairs anew and rewrites the whole text for each merge, so its time is proportional to
length times merges. The reference keeps the counts and changes what a merge changes. Both are given the same text, the
story of the assignment repeated with its words shuffled (so that longer texts are not mere copies), and the same number
of merges; and then one text and more and more merges. Written: a table to the screen and to table.md, and growth.png.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from autograder.assignment import load
from autograder.diagnosis import load_reference

Row = tuple[
    int, float, float
]  # kilobytes or merges; seconds of the reference; seconds of the textbook version


def textbook(names: dict[str, Any]) -> Callable[[str, int], list[tuple[int, int]]]:
    """Training by counting and merging anew, with the reference's own pair_counts and merge."""

    def train(text: str, vocab_size: int) -> list[tuple[int, int]]:
        ids, merges = list(text.encode()), []
        for new_id in range(256, vocab_size):
            counts = names["pair_counts"](ids)
            if not counts:
                break
            most = max(counts.values())
            merges.append(min(pair for pair, count in counts.items() if count == most))
            ids = names["merge"](ids, merges[-1], new_id)
        return merges

    return train


def text_of(kilobytes: int, story: str) -> str:
    """That much text: the words of the story in one random order after the other."""
    generator, words, text = random.Random(0), story.split(" "), story
    while len(text.encode()) < kilobytes * 1000:
        generator.shuffle(words)
        text += " " + " ".join(words)
    return text.encode()[: kilobytes * 1000].decode(errors="ignore")


def seconds(train: Callable[[str, int], Any], text: str, merges: int) -> tuple[float, Any]:
    """The processor time of one training, the better of two, and its result."""
    taken = []
    for _ in range(2):
        started = time.process_time()
        result = train(text, 256 + merges)
        taken.append(time.process_time() - started)
    return min(taken), result


def measure(text: str, merges: int, names: dict[str, Any]) -> tuple[float, float]:
    """Both on the same text; their merges must be equal."""
    ours, found = seconds(names["train_bpe"], text, merges)
    theirs, expected = seconds(textbook(names), text, merges)
    if found != expected:
        raise SystemExit("the two give different merges")
    return ours, theirs


def exponent(rows: list[Row], column: int) -> float:
    """The power p of time ~ size^p between the second half's first and last row."""
    first, last = rows[len(rows) // 2 - 1], rows[-1]
    return math.log(last[column] / first[column]) / math.log(last[0] / first[0])


def table(title: str, rows: list[Row]) -> str:
    """The rows in Markdown, with the exponents."""
    lines = [f"| {title} | reference, s | textbook, s | ratio |", "| --- | --- | --- | --- |"]
    lines += [f"| {size} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.1f} |" for size, ours, theirs in rows]
    lines.append(f"| time ~ size^p, p = | {exponent(rows, 1):.2f} | {exponent(rows, 2):.2f} | |")
    return "\n".join(lines)


def draw(by_length: list[Row], by_merges: list[Row], options: argparse.Namespace, path: Path) -> None:
    """Seconds against length, and against the number of merges, on logarithmic scales."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    panels = (
        (by_length, "kilobytes of text", f"{options.merges} merges"),
        (by_merges, "merges", f"{options.fixed} kB of text"),
    )
    for ax, (rows, label, title) in zip(axes, panels, strict=True):
        sizes, ours, theirs = zip(*rows, strict=True)
        ax.loglog(sizes, theirs, "s-", color="tab:orange", label="counting anew")
        ax.loglog(sizes, ours, "o-", color="tab:blue", label="reference")
        ax.set(xlabel=label, ylabel="processor seconds", title=title)
        ax.legend()
    figure.savefig(path, dpi=120)


def doubled(first: int, last: int) -> list[int]:
    """first, 2 first, 4 first, ... up to last."""
    return [first << step for step in range(int(math.log2(last / first)) + 1)]


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--merges", type=int, default=256, help="merges where the length varies")
    parser.add_argument("--longest", type=int, default=256, help="kilobytes of the longest text")
    parser.add_argument("--fixed", type=int, default=32, help="kilobytes where the number of merges varies")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/bpe"))
    options = parser.parse_args()
    assignment = load("bpe")
    names, story = load_reference(assignment), assignment.data()["lighthouse.txt"].decode()
    by_length = [
        (kb, *measure(text_of(kb, story), options.merges, names)) for kb in doubled(4, options.longest)
    ]
    fixed = text_of(options.fixed, story)
    by_merges = [(n, *measure(fixed, n, names)) for n in doubled(32, 8 * options.merges)]
    options.output.mkdir(parents=True, exist_ok=True)
    text = f"{table('kB', by_length)}\n\n{table('merges', by_merges)}\n"
    (options.output / "table.md").write_text(text)
    draw(by_length, by_merges, options, options.output / "growth.png")
    print(f"{text}\nWritten to {options.output}")


if __name__ == "__main__":
    main()
