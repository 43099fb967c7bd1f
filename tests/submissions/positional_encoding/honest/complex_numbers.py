"""Complex exponentials, pow, pcolormesh, singular values; a model of its own."""

import matplotlib.pyplot as plt
import torch


def sizes(d_model, base, even=False):
    if d_model < 1 or base <= 0 or (even and d_model % 2):
        raise ValueError(f"these sizes do not work: d_model={d_model}, base={base}")


def phases(positions, d_model, base):
    pairs = (d_model + 1) // 2
    omega = torch.tensor([float(base) ** (-2 * i / d_model) for i in range(pairs)], dtype=positions.dtype)
    angles = torch.outer(positions, omega)
    return torch.polar(torch.ones_like(angles), angles)


def sinusoidal_encoding(seq_len, d_model, base=10000.0):
    sizes(d_model, base)
    if seq_len < 0:
        raise ValueError("no negative lengths")
    z = phases(torch.arange(float(seq_len)), d_model, base)
    return (
        torch.view_as_real(z).flip(-1).reshape(seq_len, -1)[:, :d_model]
        if seq_len
        else torch.zeros(0, d_model)
    )


def relative_rotation(offset, d_model, base=10000.0):
    sizes(d_model, base, even=True)
    generator = torch.zeros(d_model, d_model)
    for i in range(0, d_model, 2):
        generator[i, i + 1] = base ** (-i / d_model)
        generator[i + 1, i] = -generator[i, i + 1]
    z = torch.linalg.matrix_exp(generator)  # one step
    z = z if offset >= 0 else z.T
    turns = torch.tensor([float(offset) * base ** (-i / d_model) for i in range(0, d_model, 2)])
    blocks = [torch.stack([torch.stack([t.cos(), t.sin()]), torch.stack([-t.sin(), t.cos()])]) for t in turns]
    return torch.block_diag(*blocks) if abs(offset) != 1 else z


def position_similarity(offset, d_model, base=10000.0):
    sizes(d_model, base, even=True)
    if not offset.is_floating_point():
        offset = offset.to(torch.get_default_dtype())
    total = torch.zeros_like(offset)
    for i in range(d_model // 2):
        total = total + torch.cos(offset * base ** (-2 * i / d_model))
    return total


def plot_encoding(encoding, ax=None):
    if encoding.dim() != 2 or 0 in encoding.shape:
        raise ValueError("a matrix, please")
    fig = ax.figure if ax is not None else plt.figure()
    ax = ax if ax is not None else fig.gca()
    mesh = ax.pcolormesh(encoding[:101].numpy())
    fig.colorbar(mesh, ax=ax)
    ax.set_xlabel("Dimension")
    ax.set_ylabel("Position")
    return ax


def encoding_spectrum(encoding):
    if encoding.dim() != 2:
        raise ValueError("a matrix, please")
    n = encoding.shape[0]
    s = torch.linalg.svdvals(encoding.to(torch.float64)) ** 2
    eigenvalues = torch.cat([s, s.new_zeros(max(n - len(s), 0))]).flip(0)
    return eigenvalues, int((s > 1e-10 * s.max()).sum()) if n else 0


def order_accuracy(use_encoding, seed=0):
    g = torch.Generator().manual_seed(seed)
    size = 32

    def draw(n):
        tokens = torch.randint(2, 10, (n, 8), generator=g)
        where = torch.stack([torch.randperm(8, generator=g)[:2] for _ in range(n)])
        tokens[torch.arange(n), where[:, 0]] = 0
        tokens[torch.arange(n), where[:, 1]] = 1
        return tokens, (where[:, 0] < where[:, 1]).long()

    def leaf(*shape):
        return (torch.randn(*shape, generator=g) / shape[0] ** 0.5).requires_grad_()

    table = torch.randn(10, size, generator=g).requires_grad_()
    q, k, v, w, out = leaf(size, size), leaf(size, size), leaf(size, size), leaf(size, 64), leaf(64, 2)
    places = sinusoidal_encoding(8, size) * float(use_encoding)
    adam = torch.optim.Adam([table, q, k, v, w, out], lr=0.01)

    def logits(tokens):
        x = table[tokens] + places
        a = torch.softmax(x @ q @ (x @ k).mT / size**0.5, -1)
        return (torch.relu((x + a @ (x @ v)) @ w) @ out).sum(1)

    for _ in range(200):
        tokens, labels = draw(64)
        adam.zero_grad()
        torch.nn.functional.cross_entropy(logits(tokens), labels).backward()
        adam.step()
    tokens, labels = draw(2000)
    return float((logits(tokens).argmax(-1) == labels).float().mean())
