"""LayerNorm as a matrix product with the projection, bernoulli masks, one packed attention matrix by einsum."""

import torch
from torch import nn


def projection(d, like):
    return torch.eye(d, dtype=like.dtype, device=like.device) - torch.full((d, d), 1 / d, dtype=like.dtype, device=like.device)


def need(ok, why):
    if not ok:
        raise ValueError(why)


def vectors(x):
    need(x.dim() > 0 and x.size(-1) > 0, "no vectors in x")


def center(x):
    vectors(x)
    return x @ projection(x.size(-1), x)


def to_sphere(x):
    vectors(x)
    radius = x.size(-1) ** 0.5
    return nn.functional.normalize(x, dim=-1) * radius


def layer_norm_jacobian(x):
    vectors(x)
    c = center(x)
    n2 = torch.einsum("...i,...i->...", c, c)
    need(not (n2 == 0).any(), "constant vector")
    d = x.size(-1)
    outer = torch.einsum("...i,...j,...->...ij", c, c, 1 / n2)
    return (projection(d, x) - outer) * torch.sqrt(d / n2)[..., None, None]


def layer_norm(x, weight=None, bias=None, eps=1e-5):
    vectors(x)
    need(eps >= 0, "eps < 0")
    for p in (weight, bias):
        need(p is None or tuple(p.shape) == (x.size(-1),), "parameter of the wrong shape")
    c = center(x)
    out = c * torch.rsqrt(torch.einsum("...i,...i->...", c, c)[..., None] / x.size(-1) + eps)
    if weight is not None:
        out = torch.einsum("...i,i->...i", out, weight)
    if bias is not None:
        out = out + bias
    return out


class LayerNorm(nn.Module):
    def __init__(self, d_model, eps=1e-5):
        super().__init__()
        need(d_model > 0 and eps >= 0, "bad size or eps")
        self.register_parameter("weight", nn.Parameter(torch.full((d_model,), 1.0)))
        self.register_parameter("bias", nn.Parameter(torch.full((d_model,), 0.0)))
        self.eps = eps

    def forward(self, x):
        return layer_norm(x, **dict(self.named_parameters()), eps=self.eps)


def layer_norm_vjp(x, weight, grad_output, eps=1e-5):
    vectors(x)
    need(tuple(weight.shape) == (x.size(-1),) and grad_output.shape == x.shape and eps >= 0, "does not fit")
    d = x.size(-1)
    c = center(x)
    s2 = (c * c).mean(-1) + eps
    g = center(grad_output * weight)
    inner = (g * c).sum(-1) / (d * s2)
    grad_x = (g - c * inner[..., None]) * s2[..., None] ** -0.5
    xhat = c * s2[..., None] ** -0.5
    return grad_x, torch.einsum("...i,...i->i", xhat, grad_output), torch.einsum("...i->i", grad_output)


def dropout(x, p=0.1, training=True, generator=None):
    need(0.0 <= p <= 1.0, "p")
    if not training or p == 0.0:
        return x.clone()
    keep = torch.bernoulli(torch.full_like(x, 1.0 - p), generator=generator)
    return x * keep if p == 1.0 else x * keep.div(1.0 - p)


class Dropout(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        need(0.0 <= p <= 1.0, "p")
        self.rate = p

    def forward(self, x):
        return dropout(x, self.rate, training=self.training)


def residual(x, sublayer, norm, norm_first=True):
    def checked(z):
        out = sublayer(z)
        need(out.shape == x.shape, "shape of the sublayer's output")
        return out

    if norm_first:
        return checked(norm(x)) + x
    return norm(checked(x) + x)


class Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        need(d > 0 and heads > 0 and d % heads == 0, "heads")
        self.heads = heads
        for n in "QKVO":
            self.register_parameter("W_" + n, nn.Parameter(torch.empty(d, d).normal_(0, d**-0.5)))
            self.register_parameter("b_" + n, nn.Parameter(torch.zeros(d)))

    def forward(self, x, mask=None):
        need(x.dim() > 1 and x.size(-1) == self.W_Q.size(0), "x")
        h, e = self.heads, x.size(-1) // self.heads
        packed = torch.stack([self.W_Q, self.W_K, self.W_V]).view(3, x.size(-1), h, e)
        shift = torch.stack([self.b_Q, self.b_K, self.b_V]).view(3, h, 1, e)
        qkv = torch.einsum("...ld,pdhe->p...hle", x, packed)
        q, k, v = (part + one for part, one in zip(qkv, shift))
        scores = torch.einsum("...hle,...hme->...hlm", q, k) * e**-0.5
        if mask is not None:
            need(mask.dtype is torch.bool, "mask dtype")
            try:
                mask = torch.broadcast_to(mask, scores.shape[:-3] + scores.shape[-2:])[..., None, :, :]
            except RuntimeError as error:
                raise ValueError(str(error)) from error
            scores = scores.where(mask, torch.tensor(float("-inf"), dtype=x.dtype))
            scores = scores - scores.amax(-1, keepdim=True).clamp(min=-1e30).detach()
            e_scores = scores.exp()
            weights = e_scores / e_scores.sum(-1, keepdim=True).clamp(min=1e-30)
        else:
            weights = scores.softmax(-1)
        return torch.einsum("...hlm,...hme,hed->...ld", weights, v, self.W_O.view(h, e, -1)) + self.b_O


class Network(nn.Module):
    def __init__(self, d, hidden, activation):
        super().__init__()
        need(d > 0 and hidden > 0, "sizes")
        need(activation in {"gelu", "relu"}, "activation")
        self.kind = activation
        self.W_1 = nn.Parameter(torch.randn(d, hidden) * d**-0.5)
        self.b_1 = nn.Parameter(torch.zeros(hidden))
        self.W_2 = nn.Parameter(torch.randn(hidden, d) * hidden**-0.5)
        self.b_2 = nn.Parameter(torch.zeros(d))

    def forward(self, x):
        z = torch.einsum("...d,de->...e", x, self.W_1) + self.b_1
        z = z.clamp(min=0) if self.kind == "relu" else z * torch.special.ndtr(z)
        return torch.einsum("...e,ed->...d", z, self.W_2) + self.b_2


class TransformerBlock(nn.Module):
    def __init__(self, d_model, n_heads, d_ff, norm_first=True, dropout=0.0, activation="gelu"):
        super().__init__()
        self.norm_1 = LayerNorm(d_model)
        self.attention = Attention(d_model, n_heads)
        self.norm_2 = LayerNorm(d_model)
        self.feed_forward = Network(d_model, d_ff, activation)
        self.drop_1, self.drop_2 = Dropout(dropout), Dropout(dropout)
        self.first = norm_first

    def forward(self, x, mask=None):
        if self.first:
            x = x + self.drop_1(self.attention(self.norm_1(x), mask))
            return x + self.drop_2(self.feed_forward(self.norm_2(x)))
        x = self.norm_1(x + self.drop_1(self.attention(x, mask)))
        return self.norm_2(x + self.drop_2(self.feed_forward(x)))


class Encoder(nn.Module):
    def __init__(self, n_layers, d_model, n_heads, d_ff, norm_first=True, dropout=0.0, activation="gelu"):
        super().__init__()
        need(n_layers > 0, "n_layers")
        self.blocks = nn.ModuleList()
        while len(self.blocks) < n_layers:
            self.blocks.append(TransformerBlock(d_model, n_heads, d_ff, norm_first, dropout, activation))
        self.norm = LayerNorm(d_model) if norm_first else nn.Identity()

    def forward(self, x, mask=None):
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)


def gradient_norms(encoder, x, target):
    need(x.shape == target.shape, "target")
    wanted = [p for n, p in encoder.named_parameters() if n.endswith("feed_forward.W_2")]
    loss = nn.functional.mse_loss(encoder(x), target)
    return torch.stack([torch.linalg.matrix_norm(g) for g in torch.autograd.grad(loss, wanted)])


def stream_rms(encoder, x):
    need(x.numel() > 0, "empty")
    seen = [x]
    hooks = [b.register_forward_hook(lambda m, i, o: seen.append(o)) for b in encoder.blocks]
    try:
        with torch.no_grad():
            encoder(x)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack([(s.detach() ** 2).mean() ** 0.5 for s in seen])
