"""A test may treat what the student defined as if it were here: values, gradients, modules, exceptions, callbacks."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from autograder.sandbox.errors import BadAnswer, Died, NotDefined, StudentError, StudentFailure
from autograder.sandbox.host import Bounds, Code
from autograder.sandbox.remote import Elsewhere, Namespace, RemoteFunction
from autograder.sandbox.session import Session
from autograder.sandbox.wire import Channel
from autograder.work import Work

ANSWER = """
import math
import numpy as np
import torch
from torch import nn

CONSTANTS = {"depth": 3, "sizes": (1, 2.5), "table": torch.eye(2)}

def cube(x):
    return x ** 3

def attention(q, k, v, *, causal=False):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), float("-inf"))
    return torch.softmax(scores, -1) @ v

def many(x):
    return {"double": 2 * x, "list": [x.sum(), (x > 0), None], "index": x.argmax(), "word": "ok", "array": np.arange(3)}

def first_only(x, unused):
    return x * 2

def constant(x):
    return torch.ones(2)

def detached(x):
    return (x * 2).detach()

def double_in_place(x, y=None):
    x.mul_(2)
    if y is not None:
        y += 1

def shorten(ids, pairs):
    del ids[1:]
    return len(pairs)

def sort_in_place(x):
    x.copy_(x.sort().values)
    return x

def sample(n, generator):
    return torch.randn(n, generator=generator)

def search(f, low, high):
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    return low

def gradient_of(f, x):
    return f(torch.tensor(x))

class OwnError(KeyError):
    pass

def fail(kind):
    raise {"value": ValueError("no numbers"), "own": OwnError("k"), "io": FileNotFoundError(2, "gone"),
           "unicode": UnicodeDecodeError("utf-8", b"x", 0, 1, "odd"), "stop": StopIteration("s"),
           "eof": EOFError("e"), "timeout": TimeoutError("slow"), "connection": ConnectionResetError("c"),
           "plain": Exception("just so")}[kind]

class Hostile(Exception):
    def __str__(self):
        raise RuntimeError("no message for you")

def fail_hostile():
    raise Hostile

def leave(kind):
    raise SystemExit(3) if kind == "exit" else KeyboardInterrupt

def meta():
    return torch.empty(3, device="meta")

def sparse():
    return torch.eye(2).to_sparse()

def nested():
    value = []
    for _ in range(100):
        value = [value]
    return value

class Net(nn.Module):
    def __init__(self, d, h=4):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(d, h), nn.Tanh())
        self.out = nn.Linear(h, 1, bias=False)
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("calls", torch.zeros(()))
        self.drop = nn.Dropout(0.5)
        self.width = h
        self.sizes = [d, h]

    def forward(self, x):
        self.calls += 1
        return self.scale * self.out(self.drop(self.inner(x)))

    def count(self):
        return sum(p.numel() for p in self.parameters())

def shrink(net):
    for p in net.parameters():
        p.data *= 0.5

def train(net, x, y, steps=50):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses

class Shadow(nn.Module):
    def __init__(self):
        super().__init__()
        self.target = nn.Linear(2, 1)
        self.root = nn.Parameter(torch.ones(3))
        self.session, self.type_name, self.construction = 4, "own", (5,)

    def forward(self, x):
        return self.target(x)

class Tokenizer:
    session, target = "s", "t"

    def __init__(self, words):
        self.words = list(words)
        self.best = Best()

    def encode(self, text):
        return [self.words.index(word) for word in text.split()]

    def decode(self, numbers):
        return " ".join(self.words[n] for n in numbers)

class Best:
    score = 7.5

    def improve(self, by):
        self.score += by
        return self.score

def use(tokenizer, text):
    return tokenizer.encode(text)

def ones(n):
    return torch.ones(n)

def fail_after_a_product():
    torch.ones(8, 8) @ torch.ones(8, 8)
    raise ValueError
"""


@pytest.fixture(scope="module")
def names(sandbox) -> Iterator[Namespace]:
    """The names of one submission, shared by the tests of this file that leave it as it was."""
    code = Code(((ANSWER, 1),), "answer.py", False, {})
    with Session(sandbox, code, Bounds(call_seconds=20)) as session:
        yield Namespace(session, lambda name: "")


def random(*shape: int, seed: int = 0, grad: bool = True) -> torch.Tensor:
    """Numbers that are the same in every run."""
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return made.requires_grad_(grad)


# ---------------------------------------------------------------------------------------------------------- values


def test_constants_come_as_data(names: Namespace):
    """A value that a submission defines arrives as plain data, tensors included."""
    constants = names.get("CONSTANTS")
    assert constants["depth"] == 3
    assert constants["sizes"] == (1, 2.5)
    assert torch.equal(constants["table"], torch.eye(2))


def test_a_name_that_is_missing(names: Namespace):
    """A name that the submission does not define is said so, by that name."""
    with pytest.raises(NotDefined, match="`softmax` is not defined in your submission"):
        names.get("softmax")


def test_mixed_results(names: Namespace):
    """Dicts, lists, numbers, texts and arrays of one result arrive with their structure."""
    x = torch.tensor([1.0, -2.0, 3.0])
    found = names.get("many")(x)
    assert found["double"].tolist() == [2.0, -4.0, 6.0]
    assert [found["list"][0].item(), found["list"][1].tolist(), found["list"][2]] == [
        2.0,
        [True, False, True],
        None,
    ]
    assert found["index"].item() == 2
    assert found["word"] == "ok"
    np.testing.assert_array_equal(found["array"], [0, 1, 2])


# ------------------------------------------------------------------------------------------------------- gradients


def test_gradients_equal_those_of_the_same_code_here(names: Namespace):
    """Backward through the proxy gives what the library's own attention gives, keyword arguments included."""
    inputs = [random(2, 4, 3, seed=n) for n in range(3)]
    copies = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    names.get("attention")(*inputs, causal=True).square().sum().backward()
    nn.functional.scaled_dot_product_attention(*copies, is_causal=True).square().sum().backward()
    for tensor, copy in zip(inputs, copies, strict=True):
        torch.testing.assert_close(tensor.grad, copy.grad, rtol=1e-10, atol=1e-12)


def test_gradcheck_through_the_confined_child(names: Namespace):
    """torch's own numerical checks of first and second derivatives work through the wire."""
    inputs = [random(2, 2, seed=n) for n in range(3)]
    assert torch.autograd.gradcheck(names.get("attention"), inputs)
    assert torch.autograd.gradgradcheck(names.get("cube"), (random(2),))


def test_third_derivatives(names: Namespace):
    """create_graph works to any order: the third derivative of x^3 is 6."""
    x = random(3)
    y = names.get("cube")(x).sum()
    for _ in range(3):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    torch.testing.assert_close(y, torch.full_like(y, 6.0))


def test_inputs_that_are_not_used_have_no_gradient(names: Namespace):
    """An input that the result does not depend on gets None, as in torch."""
    x, unused = random(2), random(2, seed=1)
    names.get("first_only")(x, unused).sum().backward()
    assert x.grad is not None
    assert unused.grad is None


@pytest.mark.parametrize("name", ["constant", "detached"])
def test_results_off_the_graph_are_seen_as_such(name: str, names: Namespace):
    """A result that the student cut off the graph does not require grad here either, so a test can notice."""
    assert not names.get(name)(random(2)).requires_grad


def test_no_grad_is_respected(names: Namespace):
    """Inside no_grad the result has no graph."""
    with torch.no_grad():
        assert not names.get("cube")(random(2)).requires_grad


def test_backward_twice_and_partial(names: Namespace):
    """retain_graph and the choice of an input work as they do in torch."""
    x = random(3)
    y = names.get("cube")(x).sum()
    first = torch.autograd.grad(y, x, retain_graph=True)[0]
    torch.testing.assert_close(torch.autograd.grad(y, x)[0], first)


# ----------------------------------------------------------------------------------- changes, generators, callbacks


def test_changes_in_place_come_back(names: Namespace):
    """What the student's code does to an argument is done to the test's tensor as well."""
    x, y = torch.ones(2), torch.zeros(2)
    names.get("double_in_place")(x, y=y)
    assert x.tolist() == [2.0, 2.0]
    assert y.tolist() == [1.0, 1.0]


def test_changes_of_lists_come_back(names: Namespace):
    """The same for lists of plain data, each by itself; a list that was left alone stays the same object's content."""
    ids, pairs = [1, 2, 3], [(1, 2)]
    assert names.get("shorten")(ids, pairs) == 1
    assert (ids, pairs) == ([1], [(1, 2)])


def test_a_changed_argument_that_is_returned(names: Namespace):
    """The result and the change to the argument are both right when they are the same tensor over there."""
    x = torch.tensor([3.0, 1.0, 2.0])
    assert names.get("sort_in_place")(x).tolist() == [1.0, 2.0, 3.0]
    assert x.tolist() == [1.0, 2.0, 3.0]


def test_one_tensor_as_two_arguments(names: Namespace):
    """A tensor that is passed twice is one tensor over there too."""
    x = torch.ones(2)
    names.get("double_in_place")(x, x)
    assert x.tolist() == [3.0, 3.0]


def test_a_leaf_that_requires_grad_may_not_be_changed(names: Namespace):
    """The student sees torch's usual error, as in a notebook."""
    with pytest.raises(RuntimeError, match="leaf"):
        names.get("double_in_place")(random(2))


def test_a_generator_comes_back_advanced(names: Namespace):
    """Numbers drawn over there are drawn from the test's own generator."""
    generator, twin = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    first = names.get("sample")(3, generator)
    second = names.get("sample")(3, generator=generator)
    assert torch.equal(
        torch.cat([first, second]), torch.cat([torch.randn(3, generator=twin) for _ in range(2)])
    )
    assert torch.equal(generator.get_state(), twin.get_state())


def test_functions_of_the_judge_are_called_back(names: Namespace):
    """A test may pass a function of its own, which runs here and not in the child."""
    seen: list[float] = []

    def f(x: float) -> float:
        seen.append(x)
        return x * x - 2

    assert names.get("search")(f, 0.0, 2.0) == pytest.approx(2**0.5, abs=1e-9)
    assert len(seen) == 40


def test_a_callback_that_fails_is_an_error_at_the_students_line(names: Namespace):
    """What the student passed to the test's function is the student's to mend; the child lives on."""

    def f(x: float) -> float:
        raise ZeroDivisionError("x must not be 1")

    with pytest.raises(RuntimeError, match="ZeroDivisionError: x must not be 1"):
        names.get("search")(f, 0.0, 2.0)
    assert names.get("search")(lambda x: x - 1, 0.0, 4.0) == pytest.approx(1.0)


# ------------------------------------------------------------------------------------------------------ exceptions


@pytest.mark.parametrize(
    ("kind", "builtin", "text"),
    [
        ("value", ValueError, "no numbers"),
        ("own", KeyError, "k"),
        ("io", FileNotFoundError, "gone"),
        ("stop", StopIteration, "s"),
        ("eof", EOFError, "e"),
        ("timeout", TimeoutError, "slow"),
        ("connection", ConnectionError, "c"),
        ("unicode", StudentError, "odd"),
        ("plain", StudentError, "just so"),
    ],
)
def test_exceptions_arrive_as_their_builtin_type(
    kind: str, builtin: type[Exception], text: str, names: Namespace
):
    """`except ValueError` in a test works, whatever the type says about the wire itself; the child lives on."""
    generations = []
    for _ in range(2):
        with pytest.raises(builtin, match=text) as caught:
            names.get("fail")(kind)
        generations.append(names._session.generation)
    assert isinstance(caught.value, StudentError)
    assert "answer.py" in caught.value.trace
    assert names._session.alive
    assert generations[0] == generations[1]


def test_an_exception_without_a_readable_message(names: Namespace):
    """A __str__ that raises is no way out."""
    with pytest.raises(StudentError, match="could not be read"):
        names.get("fail_hostile")()


@pytest.mark.parametrize(("kind", "type_name"), [("exit", "SystemExit"), ("interrupt", "KeyboardInterrupt")])
def test_leaving_is_an_exception_like_any_other(kind: str, type_name: str, names: Namespace):
    """sys.exit in a function ends nothing, here or there."""
    with pytest.raises(StudentError) as caught:
        names.get("leave")(kind)
    assert caught.value.kind == type_name
    assert names._session.alive


@pytest.mark.parametrize(
    ("name", "complaint"), [("meta", "meta"), ("sparse", "layout"), ("nested", "levels deep")]
)
def test_results_that_cannot_cross_are_said_so(name: str, complaint: str, names: Namespace):
    """A result that is no plain data is the student's failure, in words, and the child lives on."""
    with pytest.raises(StudentFailure, match=complaint):
        names.get(name)()
    assert names._session.alive


# --------------------------------------------------------------------------------------------------------- modules


def test_a_module_has_the_students_parameters(names: Namespace):
    """An instance of the student's module is an nn.Module here, with the same names, values and gradients."""
    net = names.get("Net")(3)
    assert isinstance(net, nn.Module)
    shapes = {name: tuple(p.shape) for name, p in net.named_parameters()}
    assert shapes == {"scale": (), "inner.0.weight": (4, 3), "inner.0.bias": (4,), "out.weight": (1, 4)}
    assert net.inner._modules["0"].weight is dict(net.named_parameters())["inner.0.weight"]
    assert net.out.weight.shape == (1, 4)
    assert set(net.state_dict()) == {*shapes, "calls"}
    assert net.width == 4
    assert net.sizes == [3, 4]
    assert net.count() == 21


def test_gradients_of_parameters(names: Namespace):
    """backward fills the gradients of the parameters here, equal to those of the same network built here."""
    net = names.get("Net")(3).eval()
    x = torch.linspace(-1, 1, 6).reshape(2, 3)
    net(x).sum().backward()
    hidden = torch.tanh(x @ net.inner._modules["0"].weight.T + net.inner._modules["0"].bias).detach()
    torch.testing.assert_close(net.out.weight.grad, hidden.sum(0, keepdim=True))
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_parameters_set_by_the_test_are_used(names: Namespace):
    """A test may write into the parameters; the next call sees it."""
    net = names.get("Net")(2).eval()
    with torch.no_grad():
        net.scale.fill_(0.0)
        assert net(torch.ones(1, 2)).item() == 0.0
        net.load_state_dict({name: torch.ones_like(value) for name, value in net.state_dict().items()})
        assert net(torch.ones(1, 2)).item() == pytest.approx(4 * np.tanh(3.0))


def test_training_by_the_judges_own_optimizer(names: Namespace):
    """A training loop in the test, with torch's optimizer, trains the student's network."""
    net = names.get("Net")(1, h=8).eval()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x = torch.linspace(-1, 1, 16).reshape(-1, 1)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (net(x) - x.sin()).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_train_and_eval(names: Namespace):
    """Dropout is on after train() and off after eval(), over there."""
    net = names.get("Net")(2, h=32)
    x = torch.ones(1, 2)
    assert net.training
    assert len({net(x).item() for _ in range(5)}) > 1
    net.eval()
    assert len({net(x).item() for _ in range(5)}) == 1


def test_double_precision(names: Namespace):
    """double() turns the student's module to float64, and gradcheck accepts it."""
    net = names.get("Net")(2).eval().double()
    x = random(1, 2)
    assert net(x).dtype is torch.float64
    assert torch.autograd.gradcheck(net, (x,))


def test_buffers_stay_with_the_student(names: Namespace):
    """Buffers are state of the child's module, and can be read."""
    net = names.get("Net")(2)
    net(torch.ones(1, 2))
    net(torch.ones(1, 2))
    assert net.calls.item() == 2


def test_a_module_passed_to_a_function_that_trains_it(names: Namespace):
    """The student's training function changes the parameters that the test holds."""
    net = names.get("Net")(1).eval()
    before = net.out.weight.detach().clone()
    x = torch.linspace(-1, 1, 8).reshape(-1, 1)
    losses = names.get("train")(net, x, x, steps=20)
    assert losses[-1] < losses[0]
    assert not torch.equal(net.out.weight, before)
    with torch.no_grad():
        assert (net(x) - x).square().mean().item() < losses[-1] * 1.01


def test_parameters_changed_behind_autograds_back(names: Namespace):
    """Fused optimizers and `.data` leave no trace in a tensor's version, but the test sees the new values."""
    net = names.get("Net")(1)
    before = net.out.weight.detach().clone()
    names.get("shrink")(net)
    assert torch.equal(net.out.weight, 0.5 * before)
    assert torch.equal(net.state_dict()["out.weight"], 0.5 * before)


def test_modules_called_by_their_parts(names: Namespace):
    """A submodule can be called by itself."""
    net = names.get("Net")(2).eval()
    x = torch.ones(1, 2)
    torch.testing.assert_close(net.out(net.inner(x)), net(x))


def test_members_of_a_sequence_by_number(names: Namespace):
    """As in the student's own code; one without parameters is there too, and one that is missing is an IndexError."""
    net = names.get("Net")(2).eval()
    x = torch.ones(1, 2)
    torch.testing.assert_close(net.inner[1](net.inner[0](x)), net.inner(x))
    assert net.inner[0].weight is net.inner._modules["0"].weight
    with pytest.raises(IndexError):
        net.inner[2]


def test_names_that_the_proxies_might_use_themselves(names: Namespace):
    """A student's attribute is the student's, whatever it is called."""
    module, tokenizer = names.get("Shadow")(), names.get("Tokenizer")("a")
    assert module.target.weight.shape == (1, 2)
    assert module.root.tolist() == [1.0, 1.0, 1.0]
    assert (module.session, module.type_name, module.construction) == (4, "own", (5,))
    torch.testing.assert_close(module.target(torch.ones(1, 2)), module(torch.ones(1, 2)))
    assert (tokenizer.session, tokenizer.target) == ("s", "t")


# --------------------------------------------------------------------------------------------------- circumstances


def test_the_default_dtype_of_a_test_is_the_students(names: Namespace):
    """What a test sets holds for the calls that it makes, and no longer."""
    found = []
    try:
        for dtype in (torch.float64, torch.bfloat16, torch.float32):
            torch.set_default_dtype(dtype)
            found.append(names.get("ones")(3).dtype)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found == [torch.float64, torch.bfloat16, torch.float32]
    assert names.get("ones")(3).dtype is torch.float32


def test_a_default_dtype_of_the_students_own_stays(start):
    """A test that sets none leaves a submission with its own, before and after one that does."""
    names = start("import torch\ntorch.set_default_dtype(torch.float64)\ndef ones(n): return torch.ones(n)")
    assert names.get("ones")(2).dtype is torch.float64
    try:
        torch.set_default_dtype(torch.float16)
        assert names.get("ones")(2).dtype is torch.float16
    finally:
        torch.set_default_dtype(torch.float32)
    assert names.get("ones")(2).dtype is torch.float64


def test_work_is_counted_where_it_is_done(names: Namespace):
    """The same count as for the same code here: products, the backward pass, what a test computes itself."""
    net, x = names.get("Net")(3, 5).eval(), torch.ones(7, 3, requires_grad=True)
    with Work() as forward:
        out = net(x)
    assert forward.flops == 2 * 7 * (3 * 5 + 5 * 1)
    with Work() as backward:
        out.sum().backward()
    assert backward.flops == 2 * forward.flops
    with Work() as both, Work() as inner:
        names.get("attention")(torch.ones(2, 3), torch.ones(4, 3), torch.ones(4, 5))
        torch.ones(2, 3) @ torch.ones(3, 1)
    assert both.flops == inner.flops == 2 * (2 * 3 * 4 + 2 * 4 * 5) + 2 * 2 * 3
    net(x)
    assert both.flops == inner.flops


def test_memory_and_numbers_written_are_counted_where_they_are(names: Namespace):
    """The largest tensor and all numbers written, the same here and there; a view is as large as what it looks at."""
    q, k, v = torch.ones(2, 3), torch.ones(40, 3), torch.ones(40, 5)
    with Work() as there:
        names.get("attention")(q, k, v)
    assert there.largest == 40 * 5  # the values; scores and weights are 2 * 40
    assert there.written >= 2 * 40 + 2 * 40 + 2 * 5  # scores, weights, outputs
    with Work() as here:
        torch.ones(6, 7).mT[0].expand(1000, 6)
    assert (here.flops, here.largest, here.written) == (0, 42, 42)
    indices = torch.tensor([[0], [1]])
    with Work() as stored:
        torch.sparse_coo_tensor(indices, torch.ones(1), (10**6, 10**6), check_invariants=False) * 2
    assert stored.largest == 1
    with Work() as elsewhere:
        torch.vmap(torch.dot)(torch.ones(4, 3), torch.ones(4, 3))
        torch.ones(3, 4).to_mkldnn()
    assert elsewhere.largest == 12


def test_a_call_that_fails_ends_no_count(names: Namespace):
    """An exception of the student's in between, and the count goes on."""
    with Work() as work:
        with pytest.raises(ValueError, match="ValueError"):
            names.get("fail_after_a_product")()
        names.get("Net")(3, 5).eval()(torch.ones(7, 3))
    assert work.flops >= 2 * 7 * 20


# --------------------------------------------------------------------------------------------------------- objects


def test_objects_with_methods_and_attributes(names: Namespace):
    """An object that is neither data nor a module is usable by its methods and attributes, also as an argument."""
    tokenizer = names.get("Tokenizer")(["a", "b", "c"])
    assert tokenizer.encode("c a") == [2, 0]
    assert tokenizer.decode([1, 1]) == "b b"
    assert tokenizer.words == ["a", "b", "c"]
    assert tokenizer.best.score == 7.5
    assert tokenizer.best.improve(0.5) == 8.0
    assert names.get("use")(tokenizer, "b a") == [1, 0]
    assert repr(tokenizer) == "<an object of type Tokenizer>"


def test_attributes_that_are_missing(names: Namespace):
    """A missing attribute is an AttributeError, so hasattr works."""
    tokenizer = names.get("Tokenizer")(["a"])
    with pytest.raises(AttributeError, match="decoed"):
        tokenizer.decoed([0])
    assert not hasattr(names.get("Net")(2), "no_such_thing")


# ------------------------------------------------------------------------------------------------- a hostile child

Reply = Callable[[dict[str, Any], list[torch.Tensor]], tuple[dict[str, Any], list[torch.Tensor]]]


class FakeSandbox:
    """Stands for a sandbox whose children answer what a test wants them to.

    Args:
        reply: makes the answer of a message.
    """

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.layers: list[str] = []

    def spawn(self, *_: object) -> tuple[int, Path, Channel]:
        """A thread in place of a child."""
        ours, theirs = socket.socketpair()
        threading.Thread(target=self._serve, args=(Channel(theirs),), daemon=True).start()
        return 0, Path("/nonexistent/box"), Channel(ours)

    def _serve(self, channel: Channel) -> None:
        while True:
            try:
                message, tensors = channel.receive()
            except (EOFError, OSError):
                return channel.close()
            if message["op"] != "free":
                channel.send(*self._reply(message, tensors))

    @staticmethod
    def end(_: int) -> dict[str, Any]:
        """How the child ended."""
        return {"status": -9}


@pytest.fixture
def hostile() -> Iterator[Callable[[Reply], RemoteFunction]]:
    """Makes a function of a submission whose process answers what a reply says."""
    with ExitStack() as stack:

        def begin(reply: Reply) -> RemoteFunction:
            made = Session(FakeSandbox(reply), Code((), "a.py", False, {}), Bounds(call_seconds=5))  # type: ignore[arg-type]
            return RemoteFunction(stack.enter_context(made), "f")

        yield begin


def answered(result: Any, tensors: list[torch.Tensor] | None = None, **more: Any) -> Reply:
    """A reply that is well-formed but for `more`."""
    tensors = tensors or []
    fields = {"ok": True, "result": result, "outputs": len(tensors), "changed": [], **more}
    return lambda message, inputs: (fields, tensors)


ONE = torch.ones(2)
HOSTILE_CALLS: dict[str, Reply] = {
    "no result": answered(None, outputs=None),
    "fewer tensors than outputs": answered({"t": 0}, [ONE], outputs=2),
    "more tensors than outputs": answered({"t": 0}, [ONE, ONE], outputs=1),
    "outputs negative": answered(None, [ONE], outputs=-1),
    "outputs true": answered({"t": 0}, [ONE], outputs=True),
    "outputs a text": answered({"t": 0}, [ONE], outputs="1"),
    "changed not a list": answered(None, changed={"0": 1}),
    "changed beyond the inputs": answered(None, [ONE], outputs=0, changed=[7]),
    "changed negative": answered(None, [ONE], outputs=0, changed=[-1]),
    "changed true": answered(None, [ONE], outputs=0, changed=[True]),
    "write-back of another shape": answered(None, [torch.ones(3)], outputs=0, changed=[0]),
    "write-back of another dtype": answered(None, [ONE.double()], outputs=0, changed=[0]),
    "tensor that points nowhere": answered({"t": 5}),
    "raw list": answered([1, 2]),
    "unknown tag": answered({"exec": "import os"}),
    "handle without a number": answered({"h": {}}),
    "handle with a text for a number": answered({"h": {"number": "1"}}),
    "handle that is none": answered({"h": 3}),
    "parameters that point nowhere": answered({"h": {"number": 0, "parameters": [["w", 4]]}}),
    "parameters by name": answered({"h": {"number": 0, "parameters": [["w", "0"]]}}, [ONE]),
    "parameters in threes": answered({"h": {"number": 0, "parameters": [["w", 0, 0]]}}, [ONE]),
    "parameters a dict": answered({"h": {"number": 0, "parameters": {"w": 0}}}, [ONE]),
    "too many parameters": answered({"h": {"number": 0, "parameters": [["w", 0]] * 1001}}, [ONE]),
    "parameter named training": answered({"h": {"number": 0, "parameters": [["training", 0]]}}, [ONE]),
    "lists not a list": answered(None, lists={"0": 1}),
    "lists of no list": answered(None, lists=[[0, {"l": []}]]),
    "lists beyond the arguments": answered(None, lists=[[7, {"l": []}]]),
    "lists negative": answered(None, lists=[[-1, {"l": []}]]),
    "lists in threes": answered(None, lists=[[0, {"l": []}, 0]]),
    "callback that was not offered": lambda message, inputs: ({"callback": 0, "arguments": {"l": []}}, []),
    "callback by name": lambda message, inputs: ({"callback": "eval", "arguments": {"l": []}}, []),
}


@pytest.mark.parametrize("reply", HOSTILE_CALLS.values(), ids=HOSTILE_CALLS)
def test_answers_that_break_the_rules(reply: Reply, hostile):
    """Whatever a child answers to a call, the test gets a BadAnswer and its own tensors are as they were."""
    argument = torch.zeros(2)
    with pytest.raises(BadAnswer):
        hostile(reply)(argument)
    assert argument.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("tree", [3, {"u": []}, {"l": 3}, {"l": [{"t": 0}]}, {"h": {"number": 0}}])
def test_lists_that_come_back_as_something_else(tree: Any, hostile):
    """A list stays a list of plain data, or as it was."""
    argument = [1, 2]
    with pytest.raises(BadAnswer):
        hostile(answered(None, lists=[[0, tree]]))(argument)
    assert argument == [1, 2]


def test_an_honest_answer_passes_the_same_checks(hostile):
    """The fake child can be right, so the refusals above are refusals of what is wrong with each answer."""
    assert hostile(answered({"t": 0}, [ONE]))(torch.zeros(2)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "state", [torch.zeros(5056, dtype=torch.uint8), torch.zeros(3, dtype=torch.uint8), torch.zeros(5056)],
    ids=["not a state", "too short", "floats"],
)  # fmt: skip
def test_generators_that_come_back_broken(state: torch.Tensor, hostile):
    """A generator's state that is none leaves the test's generator as it was."""
    generator = torch.Generator().manual_seed(3)
    size = generator.get_state().numel()
    if state.numel() == 5056:
        state = torch.zeros(size, dtype=state.dtype)
    with pytest.raises(BadAnswer):
        hostile(answered(None, [state], outputs=0))(generator)
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(3).get_state())


def gradients(present: Any, *tensors: torch.Tensor) -> Reply:
    """Answers calls properly and gradients like this."""
    output = torch.ones(2, requires_grad=True)

    def reply(
        message: dict[str, Any], inputs: list[torch.Tensor]
    ) -> tuple[dict[str, Any], list[torch.Tensor]]:
        if message["op"] == "gradient":
            return {"ok": True, "present": present}, list(tensors)
        return answered({"t": 0}, [output])(message, inputs)

    return reply


HOSTILE_GRADIENTS = {
    "another shape": gradients([True], torch.ones(3)),
    "a scalar that would broadcast": gradients([True], torch.tensor(1.0)),
    "another dtype": gradients([True], torch.ones(2, dtype=torch.float64)),
    "too few": gradients([True]),
    "too many": gradients([True], ONE, ONE),
    "for inputs that do not exist": gradients([True, True], ONE, ONE),
    "presence a text": gradients("yes", ONE),
    "presence nested": gradients([[True]], ONE),
    "nothing said": gradients(None),
}


@pytest.mark.parametrize("reply", HOSTILE_GRADIENTS.values(), ids=HOSTILE_GRADIENTS)
def test_gradients_that_break_the_rules(reply: Reply, hostile):
    """A gradient of the wrong shape, dtype or number is a BadAnswer, never a gradient."""
    x = torch.ones(2, requires_grad=True)
    out = hostile(reply)(x)
    with pytest.raises(BadAnswer):
        out.sum().backward()
    assert x.grad is None


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "a\0b", "text": "t", "bases": []},
        {"kind": "\ud800", "text": "t", "bases": ["ValueError"]},
        {"kind": "SystemExit", "text": {"l": 1}, "bases": "ValueError"},
        {"kind": "ExceptionGroup", "text": "t", "bases": [None, "BaseException", "type"]},
        {"kind": 5, "text": None, "trace": [], "bases": [["ValueError"]]},
        {"kind": "x" * 100_000, "text": "y" * 100_000},
        {},
    ],
    ids=["NUL", "surrogate", "exit", "group", "numbers", "long", "nothing"],
)
def test_errors_that_are_malformed(fields: dict[str, Any], hostile):
    """What a child says about an exception can be anything; the test sees a StudentError of bounded length."""
    with pytest.raises(StudentError) as caught:
        hostile(lambda message, inputs: ({"ok": False, **fields}, []))()
    assert len(caught.value.kind) <= 100
    assert len(caught.value.text) <= 4000


@pytest.mark.parametrize(
    "name", ["SandboxError", "SystemExit", "KeyboardInterrupt", "BaseException", "GeneratorExit"]
)
def test_no_answer_becomes_a_fault_of_the_grader(name: str, hostile):
    """A child that claims an error of the grader's, or one that would end the judge, is a failing student."""
    with pytest.raises(Exception, match="mine") as caught:
        hostile(lambda m, i: ({"ok": False, "kind": name, "text": "mine", "bases": [name]}, []))()
    assert isinstance(caught.value, StudentError)


def test_what_a_child_says_it_ran_is_bounded(hostile):
    """Names of operators are texts of bounded length, whatever the child claims."""
    function = hostile(answered(None, operators=["x" * 100_000, 5, None, ["aten::mm"], "aten::mm"]))
    function()
    assert {len(name) for name in function._session.operators} == {8, 200}


def test_a_result_that_repeats_one_tensor_is_cheap(hostile):
    """A large tensor that is named a hundred thousand times in one answer is copied once, if at all."""
    large = torch.zeros(1 << 20)
    function = hostile(answered({"l": [{"t": 0}] * 100_000}, [large]))
    function._session.recorder = []
    started = time.monotonic()
    assert len(function()) == 100_000
    assert time.monotonic() - started < 5


def test_huge_results_are_not_kept(hostile):
    """A result far beyond what a right one has is handed to the test, and not held until the question ends."""
    function = hostile(answered({"t": 0}, [torch.zeros(20 << 20, dtype=torch.uint8)]))
    function._session.recorder = []
    assert function().numel() == 20 << 20
    assert function._session.recorder == []


def test_objects_of_a_child_that_ended_say_so(start):
    """A handle into a process that is gone is reported, and the next call starts a fresh process."""
    names = start(ANSWER + "\nimport os\ndef end(): os._exit(0)")
    net, tokenizer = names.get("Net")(2), names.get("Tokenizer")(["a"])
    x = torch.ones(2, requires_grad=True)
    out = names.get("cube")(x)
    with pytest.raises(Died):
        names.get("end")()
    for use in (
        lambda: net(torch.ones(1, 2)),
        lambda: net.width,
        lambda: tokenizer.words,
        lambda: out.sum().backward(),
    ):
        with pytest.raises(Died, match="has ended"):
            use()
    assert names.get("cube")(torch.tensor(2.0)).item() == 8.0
    for use in (lambda: net(torch.ones(1, 2)), lambda: tokenizer.words, lambda: out.sum().backward()):
        with pytest.raises(Died, match="has ended"):
            use()


# ------------------------------------------------------------------------------------------------- another process

ORDER = """
import random

def of_texts(words):
    return list(set(words))

def of_numbers(numbers):
    return list(set(numbers))

def of_chance(n):
    return [random.random() for _ in range(n)]
"""
WORDS = ["lamp", "pier", "fog", "bell", "flag", "oil", "ink", "sea"]


def test_another_process_hashes_texts_differently(start):
    """A set of texts is in another order there; all else is as it is here, the random numbers too."""
    names = start(ORDER)
    with Elsewhere(names.session) as elsewhere:
        names.session.seed(3)
        here, there = names.get("of_texts")(WORDS), elsewhere(names.get("of_texts"), WORDS)
        assert here != there
        assert sorted(here) == sorted(there) == sorted(WORDS)
        assert names.get("of_numbers")([5, 3, 8]) == elsewhere(names.get("of_numbers"), [5, 3, 8])
        assert names.get("of_chance")(3) == elsewhere(names.get("of_chance"), 3)


def test_another_process_that_ends_is_replaced(start):
    """What happens there costs that call, and nothing here."""
    names = start(ORDER + "import os\n\ndef leave():\n    os._exit(1)\n")
    with Elsewhere(names.session) as elsewhere:
        with pytest.raises(Died):
            elsewhere(names.get("leave"))
        assert elsewhere(names.get("of_numbers"), [1]) == [1]
        assert names.get("of_numbers")([1]) == [1]
        assert names.session.generation == 1


def test_another_process_without_a_call_costs_nothing(sandbox, start):
    """Nobody waits for what no test asks for."""
    with Elsewhere(start(ORDER).session) as elsewhere:
        assert elsewhere._session is None
