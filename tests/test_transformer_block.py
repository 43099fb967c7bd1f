"""The transformer block through the real grader: what every assignment must, and answers without content."""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

import pytest

from autograder.assignment import load
from tests.assignments import ROOT, Standard, grading, right_but

ASSIGNMENT = load("transformer_block", ROOT)
grade = grading(ASSIGNMENT)

LIBRARY = {
    "q1 by F.layer_norm": (
        "q1 q3 q6 q7",
        "def layer_norm(x, weight=None, bias=None, eps=1e-5):\n    return nn.functional.layer_norm(x, x.shape[-1:], weight, bias, eps)",
    ),
    "q1 by the operator": (
        "q1 q3 q6 q7",
        "def layer_norm(x, weight=None, bias=None, eps=1e-5):\n    return torch.ops.aten.layer_norm(x, x.shape[-1:], weight, bias, eps)",
    ),
    "q1 by group_norm": (
        "q1 q3 q6 q7",
        "def layer_norm(x, weight=None, bias=None, eps=1e-5):\n    return nn.functional.group_norm(x.reshape(-1, x.shape[-1]), 1, weight, bias, eps).reshape(x.shape)",
    ),
    "q1 by nn.LayerNorm": ("q1 q6 q7", "LayerNorm = nn.LayerNorm"),
    "q2 by autograd": (
        "q2",
        "def layer_norm_jacobian(x):\n    return torch.autograd.functional.jacobian(lambda t: to_sphere(center(t)), x)",
    ),
    "q2 by torch.func": (
        "q2",
        "def layer_norm_jacobian(x):\n    return torch.func.jacrev(lambda t: to_sphere(center(t)))(x)",
    ),
    "q3 by autograd": (
        "q3",
        "def layer_norm_vjp(x, weight, grad_output, eps=1e-5):\n    leaves = [x.detach().requires_grad_(), weight.detach().requires_grad_(), torch.zeros_like(weight).requires_grad_()]\n    return torch.autograd.grad((layer_norm(*leaves, eps) * grad_output).sum(), leaves)",
    ),
    "q3 by the operator": (
        "q3",
        "def layer_norm_vjp(x, weight, grad_output, eps=1e-5):\n    shape = x.shape[-1:]\n    _, mean, rstd = torch.ops.aten.native_layer_norm(x, shape, weight, None, eps)\n    return torch.ops.aten.native_layer_norm_backward(grad_output, x, shape, mean, rstd, weight, torch.zeros_like(weight), [True] * 3)",
    ),
    "q4 by F.dropout": (
        "q4 q6 q7",
        "def dropout(x, p=0.1, training=True, generator=None):\n    return nn.functional.dropout(x, p, training)",
    ),
    "q4 by nn.Dropout": ("q4 q6 q7", "Dropout = nn.Dropout"),
    "q4 by the operator": (
        "q4 q6 q7",
        "def dropout(x, p=0.1, training=True, generator=None):\n    return torch.native_dropout(x, p, training)[0]",
    ),
    "q6 by nn.MultiheadAttention": (
        "q6 q7",
        "class TransformerBlock(TransformerBlock):\n    def forward(self, x, mask=None):\n        nn.MultiheadAttention(2, 1)(*[torch.ones(1, 2)] * 3)\n        return super().forward(x, mask)",
    ),
    "q7 by nn.TransformerEncoderLayer": (
        "q7",
        "class Encoder(Encoder):\n    def forward(self, x, mask=None):\n        nn.TransformerEncoderLayer(2, 1, 4)(torch.ones(1, 2))\n        return super().forward(x, mask)",
    ),
}  # whatever calls a forbidden function runs what it must not, too

FEEDBACK = {
    "unbiased_variance": """\
Your `layer_norm` behaves exactly like layer normalisation with the unbiased variance.
Hint: By what is the sum of the d squares divided, d or d - 1? And what does x.var() do unless told otherwise?

passed: shape and dtype (1 of 1)
FAILED: a vector worked out by hand (0 of 2)
    layer_norm([7, 2, 2, 2, 2], eps=0) is wrong in 5 of 5 numbers. The first one is at index [0]: expected 2, found 1.78885. The largest error is 0.21; 1e-09 is allowed.
    Hint: The mean is 3, and the mean of the squares of (4, -1, -1, -1, -1) is 20 / 5 = 4. With eps = 0 divide by sqrt(4) = 2, with eps = 5 by sqrt(4 + 5) = 3. Then comes the weight, and last the bias.
passed: the module, and how its parameters start (1 of 1)\
""",
    "swapped": """\
Your `residual` behaves exactly like pre-norm and post-norm in each other's place.
Hint: norm_first=True: the norm is applied first, to what goes into the sublayer.

FAILED: pre-norm by hand (0 of 1)
    residual(x, sublayer, norm, norm_first=True) with sublayer(x) = 2 x, norm(x) = x + 1 is wrong in 2 of 2 numbers. The first one is at index [0]: expected 5, found 4. The largest error is 1; 1e-06 is allowed.
    Hint: With f(x) = 2 x and x + 1 in the place of the norm, x = 1: the norm gives 2, f gives 4, and 1 + 4 = 5.
FAILED: post-norm by hand (0 of 1)
    residual(x, sublayer, norm, norm_first=False) with sublayer(x) = 2 x, norm(x) = x + 1 is wrong in 2 of 2 numbers. The first one is at index [0]: expected 4, found 5. The largest error is 1; 1e-06 is allowed.
    Hint: With f(x) = 2 x and x + 1 in the place of the norm, x = 1: f gives 2, the sum is 3, and the norm of it 4.\
""",
}


class TestTransformerBlock(Standard):
    assignment = ASSIGNMENT
    figures = 3
    library = LIBRARY
    letters = FEEDBACK


SHARED = """
class Encoder(Encoder):
    def __init__(self, n_layers, *options, **more):
        super().__init__(n_layers, *options, **more)
        self.blocks = nn.ModuleList([self.blocks[0]] * n_layers)
"""


def test_one_block_in_every_place(grade):
    """A list of n times the same block is named, although no call can tell it from another layout."""
    graded = grade(right_but(ASSIGNMENT, SHARED))
    assert set(graded.lost) == {
        "q7",
        "q8",
    }  # there are fewer matrices than blocks, so q8 has nothing to measure
    assert graded.diagnoses["q7"] == "SharedBlocks"


EMPTY = """
def layer_norm(x, weight=None, bias=None, eps=1e-5): {0}
center = to_sphere = layer_norm
def layer_norm_jacobian(x): {1}
def layer_norm_vjp(x, weight, grad_output, eps=1e-5): {2}
def dropout(x, p=0.1, training=True, generator=None): {0}
def residual(x, sublayer, norm, norm_first=True): {0}
def gradient_norms(encoder, x, target): {3}
def stream_rms(encoder, x): {3}
for kind in (LayerNorm, Dropout, TransformerBlock, Encoder):
    kind.forward = lambda self, x, mask=None: layer_norm(x)
"""
WITHOUT_CONTENT = {
    "the input": ("return x.clone()", "return torch.eye(x.shape[-1], dtype=x.dtype)", "return grad_output, weight, grad_output", "return torch.ones(3)", 9),
    "zeros": ("return 0 * x", "return 0 * x", "return 0 * x, 0 * weight, 0 * weight", "return torch.zeros(3)", 7),
    "NaN": ("return x * math.nan", "return x * math.nan", "return x * math.nan, weight, weight", "return torch.full((3,), math.nan)", 6),
    "refusals": (*["raise ValueError('no')"] * 4, 6),
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT_CONTENT)
def test_answers_without_content(grade, name):
    """What knows nothing of the question earns little: the points for parameters, shapes and modes."""
    *answers, at_most = WITHOUT_CONTENT[name]
    graded = grade(right_but(ASSIGNMENT, EMPTY.format(*answers)))
    assert graded.report["extra_data"]["status"] == "graded"
    assert graded.report["score"] <= at_most, graded.scores
