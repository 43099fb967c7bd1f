"""Each answer out of another one: the encoding by turning, the similarity from encodings, the spectrum by an SVD."""

import matplotlib.pyplot as plt
import torch
from torch import nn


def turning(d_model, base):
    if d_model < 1 or not base > 0:
        raise ValueError(f"d_model {d_model} or base {base} is too small")
    steps = torch.arange((d_model + 1) // 2, dtype=torch.get_default_dtype())
    return torch.pow(1 / torch.as_tensor(base, dtype=steps.dtype), 2 * steps / d_model)


def sinusoidal_encoding(seq_len, d_model, base=10000.0):
    omega = turning(d_model, base)
    if seq_len < 0:
        raise ValueError(f"seq_len {seq_len} is negative")
    angles = torch.einsum("p,i->pi", torch.linspace(0, max(seq_len - 1, 0), seq_len), omega)
    out = torch.zeros(seq_len, 2 * len(omega))
    out[:, ::2] += torch.cos(angles - torch.pi / 2)
    out[:, 1::2] += torch.cos(angles)
    return out.narrow(1, 0, d_model).clone()


def relative_rotation(offset, d_model, base=10000.0):
    omega = turning(d_model, base)
    if d_model % 2 == 1:
        raise ValueError("d_model is odd")
    c, s = torch.cos(offset * omega), torch.sin(offset * omega)
    unit, skew = torch.eye(2), torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    return torch.kron(torch.diag(c), unit) + torch.kron(torch.diag(s), skew)


def position_similarity(offset, d_model, base=10000.0):
    if d_model % 2 or d_model < 1 or base <= 0:
        raise ValueError("d_model is odd, or a size is too small")
    dtype = offset.dtype if offset.dtype.is_floating_point else torch.get_default_dtype()
    omega = torch.tensor([float(base) ** (-2 * i / d_model) for i in range(d_model // 2)], dtype=dtype)
    there = torch.cat(
        [torch.sin(offset.to(dtype)[..., None] * omega), torch.cos(offset.to(dtype)[..., None] * omega)], -1
    )
    here = torch.cat([torch.zeros_like(omega), torch.ones_like(omega)])  # PE[0]
    return there @ here


def plot_encoding(encoding, ax=None):
    if encoding.dim() - 2 or not encoding.numel():
        raise ValueError("encoding must be a matrix with something in it")
    ax = ax or plt.subplots(1, 1)[1]
    shown = ax.matshow(torch.t(encoding[:101]).numpy(), aspect="auto")
    ax.figure.colorbar(shown, ax=ax, orientation="horizontal")
    ax.set_xlabel("position in the sequence")
    ax.set_ylabel("model dimension")
    return ax


def encoding_spectrum(encoding):
    if encoding.dim() != 2:
        raise ValueError("encoding must be a matrix")
    gram = encoding.double().mm(encoding.double().t())
    values = torch.linalg.svdvals(gram).sort().values
    return values, 0 if values.numel() == 0 else (values > 1e-10 * values[-1]).sum().item()


class Reader(nn.Module):
    """PyTorch's own encoder layer, without dropout, and one logit."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(10, 32)
        self.layer = nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True)
        self.out = nn.Linear(32, 1)

    def forward(self, tokens, places):
        return self.out(self.layer(self.words(tokens) + places)).squeeze(-1).mean(-1)


def sequences(n, generator):
    """Noise everywhere, then A and B into two different places."""
    a = torch.randint(0, 8, (n,), generator=generator)
    b = (a + torch.randint(1, 8, (n,), generator=generator)) % 8
    tokens, rows = torch.randint(2, 10, (n, 8), generator=generator), torch.arange(n)
    tokens[rows, a], tokens[rows, b] = 0, 1
    return tokens, (a < b).float()


def order_accuracy(use_encoding, seed=0):
    """Smaller batches, fewer steps, and one logit; the global generator is put back afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, generator = Reader(), torch.Generator().manual_seed(seed + 1000)
    places = sinusoidal_encoding(8, 32) if use_encoding else torch.zeros(())
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.9, 0.99))
    for _ in range(180):
        tokens, labels = sequences(96, generator)
        nn.functional.binary_cross_entropy_with_logits(model(tokens, places), labels).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    with torch.no_grad():
        tokens, labels = sequences(2400, generator)
        return ((model(tokens, places) > 0) == (labels == 1)).sum().item() / 2400
