"""Ready-made attention is noticed under whatever name it was used, and attention written by hand is not."""

from fnmatch import fnmatchcase

import pytest
import torch

from autograder.sandbox.errors import StudentFailure
from autograder.sandbox.operators import matching, watchable

FORBIDDEN = (
    "torch.nn.functional.scaled_dot_product_attention",
    "torch.nn.functional.multi_head_attention_forward",
    "torch.nn.modules.activation.MultiheadAttention",
    "aten::scaled_dot_product_attention",
    "aten::_scaled_dot_product*",
    "aten::_native_multi_head_attention",
)

READY_MADE = {
    "by its name": "F.scaled_dot_product_attention(q, k, v)",
    "by the operator": "torch.ops.aten.scaled_dot_product_attention(q, k, v)",
    "by the operator's overload": "torch.ops.aten.scaled_dot_product_attention.default(q, k, v)",
    "by the kernel": "torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)[0]",
    "by the mathematical form": "torch.ops.aten._scaled_dot_product_attention_math(q, k, v)[0]",
    "by an alias": "alias(q, k, v)",
    "by an import under another name": "attend(q, k, v)",
    "by the C module": "torch._C._nn.scaled_dot_product_attention(q, k, v)",
    "by getattr": "getattr(F, 'scaled_dot' + '_product_attention')(q, k, v)",
    "in a thread": "in_thread(lambda: F.scaled_dot_product_attention(q, k, v))",
    "in a thread pool": "pool.submit(F.scaled_dot_product_attention, q, k, v).result()",
    "in a module": "Attend()(q, k, v)",
    "without gradients": "no_grad(q, k, v)",
    "in vmap": "torch.vmap(F.scaled_dot_product_attention)(q, k, v)",
    "only later": "later(q, k, v)",
    "with the mode switched off": "unseen(lambda: F.scaled_dot_product_attention(q, k, v))",
    "hidden by an except": "caught(lambda: F.scaled_dot_product_attention(q, k, v), q)",
    "MultiheadAttention, training": "multihead(q, k, v)[0]",
    "MultiheadAttention, evaluating": "multihead.eval()(q, k, v, need_weights=False)[0]",
    "MultiheadAttention, its forward": "multihead.forward(q, k, v)[0]",
    "MultiheadAttention, its fast path": "fast(q)",
    "TransformerEncoderLayer": "layer(q)",
    "by the functional form": "F.multi_head_attention_forward(q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1),"
    "4, 2, w3, b3, None, None, False, 0.0, w1, b1)[0]",
    "scripted": "scripted(q, k, v)",
}

BY_HAND = {
    "softmax": "torch.softmax(q @ k.mT / 2, -1) @ v",
    "einsum and exp": "by_exp(q, k, v)",
    "baddbmm": "torch.baddbmm(torch.zeros(2, 3, 3), q, k.mT, alpha=0.5).softmax(-1) @ v",
    "with a linear layer": "linear(torch.softmax(linear(q) @ k.mT, -1) @ v)",
    "a function of the same name": "scaled_dot_product_attention(q, k, v)",
}

SETTING = """
import math, threading
from concurrent.futures import ThreadPoolExecutor
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.functional import scaled_dot_product_attention as attend

alias = F.scaled_dot_product_attention
pool = ThreadPoolExecutor(1)
multihead = nn.MultiheadAttention(4, 2, batch_first=True)
linear = nn.Linear(4, 4)
layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
fast_layer = nn.MultiheadAttention(4, 2, batch_first=True).eval()
w3, b3, w1, b1 = torch.ones(12, 4), torch.ones(12), torch.ones(4, 4), torch.ones(4)
warmed = F.scaled_dot_product_attention(*[torch.ones(1, 2, 4)] * 3)  # a comparison in a cell is nobody's business

class Attend(nn.Module):
    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v)

def in_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]

def unseen(work):
    from torch.utils._python_dispatch import _disable_current_modes
    with _disable_current_modes():
        return work()

def no_grad(q, k, v):
    with torch.inference_mode():
        return F.scaled_dot_product_attention(q, k, v)

def caught(work, instead):
    try:
        return work()
    except BaseException:
        return instead

calls = []
def later(q, k, v):
    calls.append(1)
    return by_exp(q, k, v) if len(calls) < 3 else F.scaled_dot_product_attention(q, k, v)

def fast(q):
    with torch.inference_mode():
        return fast_layer(q, q, q, need_weights=False)[0]

def by_exp(q, k, v):
    powers = torch.exp(torch.einsum("bid,bjd->bij", q, k) / math.sqrt(q.shape[-1]))
    return torch.einsum("bij,bjd->bid", powers / powers.sum(-1, keepdim=True), v)

def scaled_dot_product_attention(q, k, v):
    return by_exp(q, k, v)

@torch.jit.script
def scripted(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor):
    return torch._C._nn.scaled_dot_product_attention(q, k, v)
"""


SETUP = {
    "watched": watchable(FORBIDDEN),
    "files": {"answer.py": SETTING.encode()},
}  # torch.jit reads the file


def used(source: str, start, calls: int = 3) -> list[str]:
    """The names that are forbidden among those that a few calls with gradients ran."""
    names = start(SETTING, f"def attention(q, k, v):\n    return {source}", **SETUP)
    names.session.begin_question(matching(FORBIDDEN))
    assert names.get("scripted") is not None
    for seed in range(calls):
        generator = torch.Generator().manual_seed(seed)
        q, k, v = (torch.randn(2, 3, 4, generator=generator, requires_grad=True) for _ in range(3))
        try:
            names.get("attention")(q, k, v).sum().backward()
        except (StudentFailure, RuntimeError):
            pass  # the operator was refused; that it was noticed is what counts
    return sorted(n for n in names.session.operators if any(fnmatchcase(n, pattern) for pattern in FORBIDDEN))


@pytest.mark.parametrize("source", READY_MADE.values(), ids=READY_MADE)
def test_ready_made_attention_is_noticed(source: str, start):
    """Whatever way it is reached, the library's attention leaves a name that the question forbids."""
    assert used(source, start)


@pytest.mark.parametrize("source", BY_HAND.values(), ids=BY_HAND)
def test_attention_by_hand_is_not(source: str, start):
    """Honest attention, with the library's softmax and matrix products, is accused of nothing, and gets its answer."""
    assert used(source, start) == []
    names = start(SETTING, f"def attention(q, k, v):\n    return {source}", **SETUP)
    names.session.begin_question(matching(FORBIDDEN))
    assert names.get("attention")(torch.ones(2, 3, 4), torch.ones(2, 3, 4), torch.ones(2, 3, 4)).shape == (
        2,
        3,
        4,
    )


def test_three_kinds_of_names(start):
    """Operators, functions and modules are told by their full names."""
    names = start(
        "import torch\nlayer = torch.nn.Linear(2, 2)\ndef f(x):\n    return torch.nn.functional.gelu(layer(x))"
    )
    names.session.begin_question([])
    names.get("f")(torch.ones(1, 2))
    told = names.session.operators
    assert {"aten::addmm", "aten::gelu", "torch.nn.modules.linear.Linear"} <= told
    assert any(name.endswith("linear") and name.startswith("torch.") for name in told)


def test_each_question_is_judged_by_its_own_calls(start):
    """What one question forbids and used is forgotten when the next begins."""
    source = "import torch.nn.functional as F\ndef f(x):\n    return F.scaled_dot_product_attention(x, x, x)"
    names = start(source)
    names.session.begin_question(matching(FORBIDDEN))
    x = torch.ones(1, 2, 4)
    with pytest.raises(StudentFailure, match="is not allowed in this question"):
        names.get("f")(x)
    names.session.begin_question([])
    assert names.get("f")(x).shape == (1, 2, 4)
    assert any("scaled_dot_product" in name for name in names.session.operators)
    names.session.begin_question([])
    assert names.session.operators == set()


def test_a_fresh_process_is_watched_too(start):
    """A process that replaces one that died forbids the same."""
    source = (
        "import os, torch.nn.functional as F\ndef end():\n    os._exit(0)\n"
        "def f(x):\n    return F.scaled_dot_product_attention(x, x, x)"
    )
    names = start(source, watched=watchable(FORBIDDEN))
    names.session.begin_question(matching(FORBIDDEN))
    for name in ("end", "f"):
        with pytest.raises(StudentFailure):
            names.get(name)(*([torch.ones(1, 2, 4)] if name == "f" else []))
    assert "aten::scaled_dot_product_attention" in names.session.operators


def test_patterns_stand_for_operators():
    """A pattern is expanded to the operators that exist, overloads included; others are for functions."""
    found = matching(("aten::_softmax*", "torch.softmax", "aten::no_such_thing"))
    assert "aten::_softmax" in {name.split(".")[0] for name in found}
    assert all(name.startswith("aten::_softmax") for name in found)
    assert watchable(["torch.softmax", "torch.*", "aten::mm"]) == ["torch.softmax"]


def test_the_judges_own_backward_pass_accuses_nobody(start):
    """Where autograd is forbidden, a gradient that the test asks for is not held against the student."""
    names = start("def f(x):\n    return x * x", watched=["torch.autograd.grad"])
    names.session.begin_question([])
    x = torch.ones(3, requires_grad=True)
    names.get("f")(x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]
    assert "torch.autograd.grad" not in names.session.operators
