"""q3: class MoE once more: with top_k, an expert computes the rows that are routed to it and no others.

Nothing here compares values with those of a right mixture, which is q2's matter. An expert is spoiled (its parameters
become NaN), and the rows that use it must show it and all others must not, forwards and backwards: outputs that are
computed and then multiplied by 0 or left out do. Work that leaves no trace in numbers is counted.
"""

import math

import torch
from otter.test_files import test_case

from autograder.checks import Work, check_close, check_parameters, check_shape

OK_FORMAT = False
name = "q3"
all_or_nothing = False


def mixture(MoE, d_model, d_ff, n_experts, top_k):
    """A mixture in float64 with that many experts, and what messages call it."""
    what = f"MoE({d_model}, {d_ff}, n_experts={n_experts}, top_k={top_k})"
    model = MoE(d_model, d_ff, n_experts, top_k).double()
    check_parameters(model, {"W_g": (d_model, n_experts)}, what=what)
    experts = getattr(model, "_modules", {}).get("experts")
    found = len(list(experts.children())) if experts is not None else 0
    assert found == n_experts, (
        f"{what} has {found} different experts in self.experts, but {n_experts} were expected."
    )
    return model, what


def set_gate(model, W_g):
    """Give the gate these weights."""
    with torch.no_grad():
        model.W_g.copy_(W_g)


def spoil(model, e):
    """Fill the parameters of an expert with NaN."""
    with torch.no_grad():
        for parameter in model.experts[e].parameters():
            parameter.fill_(math.nan)


def round_robin(n):
    """Gate weights (n, n) that send row number i, about 3 times the unit vector i, to experts i, i + 1, i + 2, ...
    with logits of about 6, 3, 0, -3: every expert gets its even share, for any top_k up to 4."""
    eye = torch.eye(n, dtype=torch.float64)
    return 2 * eye + eye.roll(1, 1) - eye.roll(3, 1)


def even_rows(n, rows):
    """Inputs (rows, n) for `round_robin`, all of them different."""
    noise = torch.randn(rows, n, generator=torch.Generator().manual_seed(rows), dtype=torch.float64)
    return 3 * torch.eye(n, dtype=torch.float64).repeat(rows // n, 1) + 0.05 * noise


def users(x, W_g, e, top_k):
    """Which rows use expert e, as a mask of shape (...)."""
    return ((x @ W_g).topk(top_k, -1).indices == e).any(-1)


def check_notice(rows, e, *, what):
    """Pass if rows that use a spoiled expert show it: who does not ask the experts at all computes no mixture."""
    assert rows.isnan().all(), f"In {what}(x), rows that use expert {e} do not notice that it is spoiled."


@test_case(
    name="an expert that nobody chose",
    points=2,
    hidden=False,
    failure_message="With top_k = 2 no row here uses expert 2, which is spoiled: its parameters are NaN. It "
    "must not be asked, for 0 times NaN is NaN.",
)
def test_nobody(MoE):
    model, what = mixture(MoE, 2, 4, 3, 2)
    set_gate(model, torch.tensor([[1.0, 0.0, -5.0], [0.0, 1.0, -5.0]]).double())
    x = torch.tensor([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]]).double()
    before = check_shape(model(x), (3, 2), what=f"{what}(x)")
    spoil(model, 2)
    check_close(model(x), before.detach(), what=f"{what}(x), once expert 2 is spoiled,")


@test_case(
    name="a row and an expert that it does not use",
    points=2,
    hidden=False,
    failure_message="Row 0 uses experts 0 and 1, row 1 uses experts 1 and 2, which is spoiled (its parameters are "
    "NaN). Only row 1 may notice: call an expert with the rows that have a weight for it.",
)
def test_one_row(MoE):
    model, what = mixture(MoE, 2, 4, 3, 2)
    set_gate(model, torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]).double())
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()
    before = check_shape(model(x), (2, 2), what=f"{what}(x)")
    spoil(model, 2)
    after = model(x)
    check_close(after[0], before[0].detach(), what=f"row 0 of {what}(x), once expert 2 is spoiled,")
    assert after[1].isnan().all(), (
        f"Row 1 of {what}(x) uses expert 2, but does not notice that it is spoiled."
    )


@test_case(
    name="every expert and every top_k",
    points=3,
    hidden=True,
    failure_message="Whatever expert is spoiled, the rows that use it show it and no others do. Leading dimensions "
    "are a stack of rows.",
)
def test_every_expert(MoE):
    x, W_g = even_rows(4, 12).reshape(2, 6, 4), round_robin(4)
    for top_k in (1, 2, 3):
        model, what = mixture(MoE, 4, 5, 4, top_k)
        set_gate(model, W_g)
        before = check_shape(model(x), (2, 6, 4), what=f"{what}(x)").detach()
        for e in range(4):
            kept = {key: value.clone() for key, value in model.experts[e].named_parameters()}
            spoil(model, e)
            use, after = users(x, W_g, e, top_k), model(x)
            what_now = f"{what}(x), in rows that do not use the spoiled expert {e},"
            check_close(after[~use], before[~use], what=what_now)
            check_notice(after[use], e, what=what)
            with torch.no_grad():
                for key, parameter in model.experts[e].named_parameters():
                    parameter.copy_(kept[key])


@test_case(
    name="the way back",
    points=2,
    hidden=True,
    failure_message="In the backward pass, too, an expert has nothing to do with rows that do not use it. Choose the "
    "rows before the expert is called, not from its outputs.",
)
def test_backward(MoE):
    x, W_g = even_rows(4, 12), round_robin(4)
    model, what = mixture(MoE, 4, 5, 4, 2)
    set_gate(model, W_g)
    gradients = []
    for _ in range(2):
        leaf = x.clone().requires_grad_()
        out = check_shape(model(leaf), (12, 4), what=f"{what}(x)")
        keep = ~users(x, W_g, 1, 2)
        gradients.append(torch.autograd.grad((out[keep] * x[keep]).sum(), leaf)[0][keep])
        spoil(model, 1)
    check_notice(out[~keep], 1, what=what)
    what = f"the gradient of {what}(x) with respect to rows of x that do not use the spoiled expert 1"
    check_close(gradients[1], gradients[0], what=what)


@test_case(
    name="rows counted",
    points=3,
    hidden=True,
    failure_message="All experts together compute rows * top_k rows. Rows that are set to 0, or whose results are not "
    "used, are work all the same.",
)
def test_work(MoE):
    """Counts the products' operations and divides by those of one row in one expert: right solutions come out at the
    number of rows routed and an eighth of the rows for the gate, one that computes everything at four times as many."""
    x = even_rows(8, 64)
    for lead in [(64,), (4, 16)]:
        model, what = mixture(MoE, 8, 64, 8, 2)
        set_gate(model, round_robin(8))
        with torch.no_grad():
            with Work() as one_row:
                model.experts[0](x[:1])
            with Work() as all_rows:
                found = model(x.reshape(*lead, 8))
        check_shape(found, (*lead, 8), what=f"{what}(x)")
        assert found.isfinite().all(), f"{what}(x) is not finite."
        assert all_rows.flops <= 1.5 * 128 * one_row.flops or not one_row.flops, (
            f"{what}(x) with 64 rows does the work of about {all_rows.flops / one_row.flops:.0f} rows in experts, but"
            " 64 * 2 = 128 rows were expected."
        )
        spoil(model, 5)
        check_notice(model(x)[users(x, round_robin(8), 5, 2)], 5, what=what)
