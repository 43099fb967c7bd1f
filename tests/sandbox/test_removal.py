"""What is taken away from a process stays away, by whatever door it is looked for; what is left works."""

import pytest
import torch

from autograder import doubt
from autograder.assignment import Question
from autograder.sandbox.errors import StudentFailure
from autograder.sandbox.host import Bounds, Code
from autograder.sandbox.remote import Namespace
from autograder.sandbox.session import Session
from tests.sandbox.test_operators import BY_HAND, FORBIDDEN, READY_MADE, SETTING

AUTOGRAD = ("torch.autograd.grad", "torch.autograd.backward", "torch.Tensor.backward", "torch.func.vjp")
BY_AUTOGRAD = {
    "grad": "torch.autograd.grad(x.exp().sum(), x)[0]",
    "under another name": "grad(x.exp().sum(), x)[0]",
    "backward": "(x.exp().sum().backward(), x.grad)[1]",
    "the engine": "by(engine, x)",
    "another engine": "by(type(engine)(), x)",
    "vjp": "torch.func.vjp(torch.exp, x)[1](torch.ones(3))[0]",
    "jvp": "torch.func.jvp(torch.exp, (x,), (torch.ones(3),))[1]",
    "jacfwd": "torch.func.jacfwd(torch.exp)(x).sum(0)",
    "functional": "torch.autograd.functional.vjp(torch.exp, x, torch.ones(3))[1]",
    "a second library": "again(x)",
}
AUTOGRAD_SETTING = """
import torch
from torch.autograd import Variable, grad
engine = Variable._execution_engine

def by(engine, x):
    return engine.run_backward((x.exp().sum(),), (torch.ones(()),), False, False, (x,), True, False)[0]

def again(x):
    torch.library.Library("aten", "IMPL")._destroy()
    return torch.autograd.grad(x.exp().sum(), x)[0]
"""


def inside(sandbox, source, forbidden):
    """The names of a submission in a process without what is forbidden."""
    code = Code(((source, 1),), "answer.py", False, {"answer.py": source.encode()})
    removed = doubt.removal(Question("q1", "", 1.0, ("f",), forbidden))
    return Session(sandbox, doubt.by_statement(code), Bounds(), removed=removed)


@pytest.fixture(scope="module")
def without_attention(sandbox):
    """All ready-made and hand-written attentions in one such process."""
    sources = [*READY_MADE.values(), *BY_HAND.values()]
    functions = [f"def f{n}(q, k, v):\n    return {source}\n" for n, source in enumerate(sources)]
    with inside(sandbox, SETTING + "\n" + "\n".join(functions), FORBIDDEN) as session:
        yield Namespace(session)


@pytest.mark.parametrize("number", range(len(READY_MADE)), ids=list(READY_MADE))
def test_the_librarys_attention_is_gone(without_attention, number):
    """Nothing comes back, or something else: also from what was imported under another name before."""
    q, k, v = torch.randn(3, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    attention = without_attention.get(f"f{number}")
    for _ in range(3):
        try:
            found = attention(q, k, v)
        except StudentFailure:
            continue
        if found is not None and "only later" not in list(READY_MADE)[number]:
            right = torch.nn.functional.scaled_dot_product_attention(q, k, v)
            assert not torch.allclose(found, right)
            return
    if "only later" in list(READY_MADE)[number]:
        with pytest.raises(StudentFailure, match="write it from scratch"):
            attention(q, k, v)


@pytest.mark.parametrize("number", range(len(READY_MADE), len(READY_MADE) + len(BY_HAND)), ids=list(BY_HAND))
def test_what_is_written_by_hand_works(without_attention, number):
    """With its gradient."""
    inputs = torch.randn(3, 2, 3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    result = without_attention.get(f"f{number}")(*inputs)
    result.sum().backward()
    assert result.shape == (2, 3, 4)
    assert inputs.grad is not None


@pytest.fixture(scope="module")
def without_autograd(sandbox):
    """The same for gradients."""
    functions = [f"def f{n}(x):\n    return {source}\n" for n, source in enumerate(BY_AUTOGRAD.values())]
    by_hand = "def by_hand(x):\n    return x.exp()\n"
    with inside(sandbox, AUTOGRAD_SETTING + "\n".join([*functions, by_hand]), AUTOGRAD) as session:
        yield Namespace(session)


@pytest.mark.parametrize("number", range(len(BY_AUTOGRAD)), ids=list(BY_AUTOGRAD))
def test_nothing_can_be_differentiated(without_autograd, number):
    """No door of autograd's leads to the gradient of exp."""
    x = torch.tensor([0.5, 1.0, 2.0], requires_grad=True)
    try:
        found = without_autograd.get(f"f{number}")(x)
    except StudentFailure:
        return
    assert found is None or not torch.allclose(found.detach(), x.detach().exp())


@pytest.fixture(scope="module")
def with_autograd(sandbox):
    """The same functions where nothing is forbidden."""
    functions = [f"def f{n}(x):\n    return {source}\n" for n, source in enumerate(BY_AUTOGRAD.values())]
    with inside(sandbox, AUTOGRAD_SETTING + "\n".join(functions), ()) as session:
        yield Namespace(session)


@pytest.mark.parametrize("number", range(len(BY_AUTOGRAD)), ids=list(BY_AUTOGRAD))
def test_each_door_leads_to_the_gradient_where_it_is_open(with_autograd, number):
    """A door that is never open would show nothing above."""
    x = torch.tensor([0.5, 1.0, 2.0], requires_grad=True)
    assert torch.allclose(with_autograd.get(f"f{number}")(x).detach(), x.detach().exp())


def test_a_formula_still_works(without_autograd):
    """Numbers are computed as ever."""
    x = torch.tensor([0.5, 1.0, 2.0])
    assert torch.equal(without_autograd.get("by_hand")(x), x.exp())
