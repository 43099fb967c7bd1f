"""The reference training of ising_ddpm with several seeds: what each trained network makes, beside the exact values.

    python benchmarks/ising_seeds.py --weights build/ising_seeds 0 1 2 3 4 5 6 7

Each seed makes its own data by the reference's Metropolis, initialises, trains (half a minute) and is judged by the
tests of q7 and q9. A seed whose weights are in the folder is not trained again, so the run may be cut into pieces.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from autograder import diagnosis, fixtures, suite
from autograder.assignment import load
from autograder.checks import ising
from autograder.checks.statistics import ks_distance

ASSIGNMENT = load("ising_ddpm")
STEPS = 1500


def train(names: dict, seed: int, path: Path) -> None:
    """The whole reference training from one seed; writes the weights."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(1000 + seed)
    spins, temperature = names["training_data"](2000, 8, names["TEMPERATURES"], generator)
    model = names["Denoiser"]()
    betas = names["linear_schedule"](names["N_STEPS"], names["BETA_START"], names["BETA_END"])
    names["train"](model, spins, temperature, betas, STEPS, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)


def report(names: dict, path: Path) -> list[str]:
    """One line a temperature, and one for the tests."""
    given = fixtures.Fixtures(
        ASSIGNMENT, fixtures.load_recipes(ASSIGNMENT), names, {"weights.safetensors": path.read_bytes()}
    )
    losses, lines = given.get("held_out_losses"), []
    others = given.get("reverse_process")["boards"]
    for temperature, boards in given.get("generated").items():
        lines.append(measured(temperature, boards, others[temperature]) + f" loss {losses[temperature]:.4f}")
    failed = [
        f"{question}: {case.name}: {error}"
        for question in ("q7", "q9")
        for case, error in failures(question, given)
    ]
    return [*lines, f"  failed cases of q7 and q9: {len(failed)}", *failed]


def failures(question: str, given: fixtures.Fixtures) -> list:
    """The cases of a question that fail, with what they say."""
    if not ASSIGNMENT.test_file(question).read_text():
        return []
    found = []
    for case in suite.JudgedTestFile.from_file(str(ASSIGNMENT.test_file(question))).test_cases:
        try:
            suite.call(case, given)
        except AssertionError as error:
            found.append((case, error))
    return found


def measured(temperature: float, boards: torch.Tensor, others: torch.Tensor) -> str:
    """What boards of a network are like; the last number is the energy by the judge's own reverse process."""
    exact = ising.transfer_matrix(8, temperature)
    spins = torch.where(boards > 0, 1.0, -1.0)
    m = spins.mean((1, 2))
    energies = ising.energy_per_spin(spins)
    other = ising.energy_per_spin(torch.where(others > 0, 1.0, -1.0)).mean()
    gap = (ising.correlation_function(spins).mean(0) - exact.correlation).abs().max()
    distance = ks_distance(m.abs(), *exact.abs_magnetization())
    domains = [ising.domain_sizes(board) for board in spins]
    return (
        f"  T {temperature:<8} de {float(energies.mean()) - exact.energy:+.4f} KS {distance:.3f}"
        f" dG {float(gap):.4f} P(m>0) {float((m > 0).double().mean() + 0.5 * (m == 0).double().mean()):.3f}"
        f" rms {float(boards.square().mean().sqrt()):.4f} domains {sum(map(len, domains)) / len(domains):.3f}"
        f" largest {sum(sizes[0] for sizes in domains) / len(domains) / 64:.4f}"
        f" distinct {len(spins.flatten(1).unique(dim=0)) / len(spins):.3f}"
        f" C {float(energies.var()) * 64 / temperature**2:.3f} (exact {exact.specific_heat:.3f})"
        f" judge's de {float(other) - exact.energy:+.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeds", type=int, nargs="*", default=list(range(8)))
    parser.add_argument("--weights", type=Path, default=Path("build/ising_seeds"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = diagnosis.load_reference(ASSIGNMENT)
    for seed in arguments.seeds:
        path, started = arguments.weights / f"seed{seed}.safetensors", time.process_time()
        if not path.exists():
            train(names, seed, path)
        print(f"seed {seed} (trained in {time.process_time() - started:.0f} s of one core)", flush=True)
        print("\n".join(report(names, path)), flush=True)


if __name__ == "__main__":
    main()
