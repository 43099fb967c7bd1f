"""q2: class Gate and gate_entropy."""

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_parameters, check_shape

OK_FORMAT = False
name = "q2"
all_or_nothing = False


def expected_gate(gate, x):
    return torch.softmax(x @ gate.W, dim=-1)


@test_case(name="shape of the gate", points=1, hidden=False, failure_message="W has the shape (d, n).")
def test_shape(Gate):
    gate = Gate(3, 2)
    check_parameters(gate, {"W": (3, 2)}, what="Gate(3, 2)")
    check_shape(gate(torch.ones(4, 3)), (4, 2), what="Gate(3, 2)(x)")


@test_case(
    name="values", points=2, hidden=True, failure_message="Multiply x by W from the right, then use softmax."
)
def test_values(Gate):
    gate = Gate(3, 4)
    with torch.no_grad():
        gate.W.copy_(torch.arange(12.0).reshape(3, 4).cos())
    x = torch.linspace(-1, 1, 6).reshape(2, 3)
    check_close(gate(x), expected_gate(gate, x), tolerance=1e-6, what="Gate(3, 4)(x)")


@test_case(name="entropy", points=1, hidden=False, failure_message="Four equal shares have the entropy ln 4.")
def test_entropy(gate_entropy):
    shares = torch.full((4,), 0.25, dtype=torch.float64)
    expected = torch.tensor(4.0, dtype=torch.float64).log()
    check_close(gate_entropy(shares), expected, what="gate_entropy([1/4, 1/4, 1/4, 1/4])")
