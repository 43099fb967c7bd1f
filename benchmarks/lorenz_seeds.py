"""Trains the reference of lorenz_attention from several seeds and judges each network as the grader does.

    python benchmarks/lorenz_seeds.py                       eight seeds of both tasks: three minutes on one core
    python benchmarks/lorenz_seeds.py --seeds 0 1 --task full

The thresholds stand in `assignments/lorenz_attention/tests/q5.py`, beside the table that this prints.
"""

import argparse
import time

import torch

from autograder.assignment import load
from autograder.diagnosis import load_reference

LEAST = {"full": 1.8, "observed": 0.6}
MOST_ERROR = {"full": 0.005, "observed": 0.04}


def loaded():
    """The reference's names, and those of `fixtures.py`, private ones included."""
    assignment = load("lorenz_attention")
    judge = {"__name__": "fixtures"}
    exec(compile(assignment.fixtures.read_text(encoding="utf-8"), str(assignment.fixtures), "exec"), judge)
    return load_reference(assignment), judge


def judged(reference, judge, task, seed):
    """One training from one seed: seconds, one-step error, median valid time."""
    torch.manual_seed(seed)
    model = reference["AttentionForecaster"](task.d, task.length)
    started = time.perf_counter()
    reference["train"](model, judge["_training_set"](task), task.steps, seed)
    seconds = time.perf_counter() - started
    report = judge["_report"](reference["AttentionForecaster"], model.state_dict(), task)
    return seconds, report["error"], report["median"], report["baselines"]


def small_trainings(reference, judge, seed):
    """The small trainings of q5 from one seed: the error reported on noise, that on new waves before and after."""
    torch.manual_seed(seed)
    names = [reference[name] for name in ("AttentionForecaster", "train")]
    noise = judge["training_on_noise"](*names)["history"]["held_out"][-1]
    waves = judge["training_on_waves"](*names)
    return noise, waves["before"], waves["after"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--task", choices=["full", "observed", "both", "none"], default="both")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    reference, judge = loaded()
    tasks = [t for t in (judge["_FULL"], judge["_OBSERVED"]) if arguments.task in (t.name, "both")]
    print("task      seed  training s  one-step error  median valid time  verdict", flush=True)
    for task in tasks:
        for seed in arguments.seeds:
            seconds, error, median, baselines = judged(reference, judge, task, seed)
            passed = error <= MOST_ERROR[task.name] and median >= LEAST[task.name]
            row = f"{task.name:9} {seed:4} {seconds:11.1f} {error:15.5f} {median:18.2f}"
            print(f"{row}  {'passes' if passed else 'FAILS'}", flush=True)
        print(f"{task.name}: {baselines}", flush=True)
    print("small trainings: seed, error on noise (0.7 to 3), on waves before and after", flush=True)
    for seed in arguments.seeds:
        print(
            f"{seed:4} " + " ".join(f"{value:8.3f}" for value in small_trainings(reference, judge, seed)),
            flush=True,
        )


if __name__ == "__main__":
    main()
