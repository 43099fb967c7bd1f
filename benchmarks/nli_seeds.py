"""Trains the reference of nli from several seeds, in its three variants, and judges each model as the grader does.

    python benchmarks/nli_seeds.py                        eight seeds: eight minutes on one core
    python benchmarks/nli_seeds.py --seeds 0 1 --variant sparse

The threshold stands in `assignments/nli/tests/q4.py`, beside the table that this prints.
"""

import argparse
import time

import torch

from autograder.assignment import load
from autograder.diagnosis import load_reference

LEAST = 0.80


def loaded():
    """The reference's names, and those of `fixtures.py`, private ones included."""
    assignment = load("nli")
    judge = {"__name__": "fixtures"}
    exec(compile(assignment.fixtures.read_text(encoding="utf-8"), str(assignment.fixtures), "exec"), judge)
    return load_reference(assignment), judge


def judged(reference, judge, variant, seed):
    """One training from one seed: processor seconds and the grader's scores."""
    torch.manual_seed(seed)
    model = reference["NLIClassifier"](*judge["SIZES"], variant=variant)
    data = judge["_data"](judge["N_TRAINING"], False, judge["TRAINING_SEED"])
    started = time.process_time()
    reference["train"](model, *data, judge["STEPS"], seed)
    return time.process_time() - started, judge["_scores"](model.eval())


def short(reference, judge, seed):
    """The short training of q6 from one seed: the accuracies on its toy data."""
    torch.manual_seed(seed)
    return judge["short_training"](reference["NLIClassifier"], reference["train"])["accuracy"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--variant", choices=["vanilla", "sparse", "moe", "all", "none"], default="all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    reference, judge = loaded()
    variants = [v for v in judge["VARIANTS"] if arguments.variant in (v, "all")]
    print("seed  variant  training s  accuracy  premises exchanged: unmoved  verdict", flush=True)
    for seed in arguments.seeds:
        for variant in variants:
            seconds, scores = judged(reference, judge, variant, seed)
            verdict = "passes" if scores["accuracy"] >= LEAST else "FAILS"
            row = f"{seed:4}  {variant:8} {seconds:9.1f} {scores['accuracy']:9.3f} {scores['unmoved']:28.3f}"
            print(f"{row}  {verdict}", flush=True)
        print(f"{seed:4}  short training: {short(reference, judge, seed)}", flush=True)


if __name__ == "__main__":
    main()
