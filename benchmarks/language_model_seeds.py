"""How surely a solution of language_model reaches the goal: a training for each of several seeds, as a table.

    python benchmarks/language_model_seeds.py [--seeds 10] [--steps 1000] [--file SOLUTION] [--save PATH [--half]]

Measured as the judge measures: on held-out problems, from the logits of prefixes. Each seed is that of the initial
weights and that of the batches. About 20 s a seed on one core. The reference's weights are those of

    python benchmarks/language_model_seeds.py --seeds 1 --save reference/language_model.weights.safetensors

and those beside a file FILE.py of tests/submissions/language_model/honest, in half precision, of

    python benchmarks/language_model_seeds.py --seeds 1 --file FILE.py --save FILE.safetensors --half

(with --steps 2000 for heads_one_by_one.py).
"""

from __future__ import annotations

import argparse
import math
import runpy
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

REFERENCE = Path(__file__).resolve().parents[1] / "reference" / "language_model.py"


def main() -> None:
    """Trains, prints a row a seed, and saves the first seed's weights where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="how many trainings")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--save", type=Path, help="where to save the weights of the first seed")
    parser.add_argument("--steps", type=int, default=1000, help="updates in each training")
    parser.add_argument("--half", action="store_true", help="save in half precision")
    parser.add_argument("--file", type=Path, default=REFERENCE, help="whose TinyGPT and train")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    reference = runpy.run_path(str(REFERENCE), run_name="reference")
    solution = runpy.run_path(str(chosen.file), run_name="solution")
    reference |= {name: solution[name] for name in ("TinyGPT", "train")}
    print("seed  perplexity  exact match  CPU seconds")
    rows = [measured(reference, seed, chosen) for seed in range(chosen.first, chosen.first + chosen.seeds)]
    passed = sum(row[0] < 1.5 and row[1] >= 0.80 for row in rows)
    print(f"worst {max(row[0] for row in rows):10.3f} {min(row[1] for row in rows):12.3f}")
    print(f"{passed} of {len(rows)} below 1.5 and at 0.80 or more")


def measured(reference: dict[str, Any], seed: int, chosen: argparse.Namespace) -> tuple[float, float]:
    """Trains with one seed and prints its row; perplexity and exact match."""
    print(f"{seed:4d}  training ...", end="\r", flush=True)
    torch.manual_seed(seed)
    model = reference["TinyGPT"](**reference["SIZES"])
    started = time.process_time()
    history = reference["train"](model, reference["all_problems"](), chosen.steps, seed)
    seconds = time.process_time() - started
    row = score(reference, model.eval())
    print(f"{seed:4d} {row[0]:11.3f} {row[1]:12.3f} {seconds:12.1f}", flush=True)
    if chosen.save and seed == chosen.first:
        reference["save_weights"](model.half() if chosen.half else model, history, str(chosen.save))
    return row


@torch.no_grad()
def score(reference: dict[str, Any], model: torch.nn.Module) -> tuple[float, float]:
    """Perplexity of the held-out answers from prefixes, one at a time, and the share of answers right in full."""
    losses, right = [], []
    for problem in filter(reference["is_held_out"], reference["all_problems"]()):
        ids = reference["encode_problem"](problem + ";")
        first = problem.index("=") + 1
        logits = torch.stack([model(torch.tensor([ids[:n]]))[0, -1] for n in range(first, len(ids))])
        targets = torch.tensor(ids[first:])
        losses.append(F.cross_entropy(logits, targets, reduction="none"))
        right.append(bool((logits.argmax(-1) == targets).all()))
    return math.exp(torch.cat(losses).mean()), sum(right) / len(right)


if __name__ == "__main__":
    main()
