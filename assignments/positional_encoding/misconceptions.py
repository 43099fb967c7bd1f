"""Known wrong answers, each right but for one thing, with its name and a hint.

First come the right steps, which they share; then, question by question, what goes wrong.
"""

import math

import torch
from torch import nn

from autograder.diagnosis import misconception


def require(condition, message):
    if not condition:
        raise ValueError(message)


def check_sizes(d_model, base, seq_len=0):
    require(seq_len >= 0, "seq_len must not be negative")
    require(d_model >= 1, "d_model must be at least 1")
    require(base > 0, "base must be above 0")


def check_pairs(d_model, base):
    check_sizes(d_model, base)
    require(d_model % 2 == 0, "d_model must be even")


def speeds(d_model, base):
    return base ** (-torch.arange(0, d_model, 2, dtype=torch.get_default_dtype()) / d_model)


def woven(angles, d_model, even=torch.sin, odd=torch.cos):
    """Angles (n, pairs) to columns that alternate; the partner of the last one is cut off for an odd d_model."""
    return torch.stack([even(angles), odd(angles)], dim=-1).flatten(1)[:, :d_model]


def table(seq_len, omega, first=0):
    return (torch.arange(seq_len, dtype=omega.dtype) + first).unsqueeze(1) * omega


def right_encoding(seq_len, d_model, base=10000.0):
    check_sizes(d_model, base, seq_len)
    return woven(table(seq_len, speeds(d_model, base)), d_model)


# ---------------------------------------------------------------------------------------------------------------- q1


@misconception(
    "q1",
    replaces="sinusoidal_encoding",
    name="an encoding with all sines first and all cosines behind them",
    hint="Sine and cosine of the same speed stand side by side, in columns 2i and 2i + 1.",
)
def halves_concatenated(seq_len, d_model, base=10000.0):
    check_sizes(d_model, base, seq_len)
    angles = table(seq_len, speeds(d_model, base))
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :d_model]


@misconception(
    "q1",
    replaces="sinusoidal_encoding",
    name="an encoding with the exponent i/d instead of 2i/d",
    hint="i counts pairs, so it ends near d/2: with i/d, the slowest speed is only the root of what it should be.",
)
def exponent_without_two(seq_len, d_model, base=10000.0):
    check_sizes(d_model, base, seq_len)
    return woven(table(seq_len, speeds(d_model, base).sqrt()), d_model)


@misconception(
    "q1",
    replaces="sinusoidal_encoding",
    name="an encoding in which each column has a speed of its own",
    hint="A hand of the clock needs the sine and the cosine of one angle. Which columns belong to the same pair?",
)
def speed_for_each_column(seq_len, d_model, base=10000.0):
    check_sizes(d_model, base, seq_len)
    columns = torch.arange(d_model, dtype=torch.get_default_dtype())
    angles = table(seq_len, base ** (-columns / d_model))
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos())


@misconception(
    "q1",
    replaces="sinusoidal_encoding",
    name="an encoding whose positions start at 1",
    hint="What should all sines be at the first position?",
)
def positions_from_one(seq_len, d_model, base=10000.0):
    check_sizes(d_model, base, seq_len)
    return woven(table(seq_len, speeds(d_model, base), first=1), d_model)


@misconception(
    "q1",
    replaces="sinusoidal_encoding",
    name="an encoding that uses 10000 whatever base is",
    hint="The function has a third parameter. Where does it enter?",
)
def base_forgotten(seq_len, d_model, base=10000.0):
    check_sizes(d_model, base, seq_len)
    return right_encoding(seq_len, d_model)


@misconception(
    "q1",
    replaces="sinusoidal_encoding",
    name="an encoding with cosines in the even columns and sines in the odd ones",
    hint="Column 0 is even. What is it at position 0?",
)
def cosine_where_sine(seq_len, d_model, base=10000.0):
    check_sizes(d_model, base, seq_len)
    return woven(table(seq_len, speeds(d_model, base)), d_model, torch.cos, torch.sin)


@misconception(
    "q1",
    replaces="sinusoidal_encoding",
    name="an encoding whose angles were taken as degrees",
    hint="p times omega is in radians already, and that is what torch.sin wants.",
)
def degrees(seq_len, d_model, base=10000.0):
    check_sizes(d_model, base, seq_len)
    return woven(table(seq_len, speeds(d_model, base)).deg2rad(), d_model)


@misconception(
    "q1",
    replaces="sinusoidal_encoding",
    name="an encoding with an integer division in the exponent",
    hint="All pairs turn at the same speed, for 2i // d is 0 for every i. Which division keeps the fraction?",
)
def integer_division(seq_len, d_model, base=10000.0):
    check_sizes(d_model, base, seq_len)
    return woven(table(seq_len, torch.ones_like(speeds(d_model, base))), d_model)


@misconception(
    "q1",
    replaces="sinusoidal_encoding",
    name="an encoding whose speeds grow instead of falling",
    hint="Is the angle divided by base ** (2i / d), or multiplied with it?",
)
def positive_exponent(seq_len, d_model, base=10000.0):
    check_sizes(d_model, base, seq_len)
    return woven(table(seq_len, 1 / speeds(d_model, base)), d_model)


@misconception(
    "q1",
    replaces="sinusoidal_encoding",
    name="an encoding that stops with an error for an odd d_model",
    hint="For an odd d_model there is one sine more than there are cosines. Which table of angles has a column too "
    "many?",
)
def odd_size_broken(seq_len, d_model, base=10000.0):
    check_sizes(d_model, base, seq_len)
    encoding, angles = torch.empty(seq_len, d_model), table(seq_len, speeds(d_model, base))
    encoding[:, 0::2], encoding[:, 1::2] = angles.sin(), angles.cos()
    return encoding


@misconception(
    "q1",
    replaces="sinusoidal_encoding",
    name="an encoding whose last column stays 0 for an odd d_model",
    hint="An odd d_model ends on a sine without a partner, of a speed of its own.",
)
def odd_column_left_out(seq_len, d_model, base=10000.0):
    encoding = right_encoding(seq_len, d_model, base).clone()
    if d_model % 2:
        encoding[:, -1] = 0.0
    return encoding


# ---------------------------------------------------------------------------------------------------------------- q2


def blocks(angles, sign=1.0):
    """The blocks [[cos, sin], [-sin, cos]] along the diagonal; sign -1 transposes them."""
    c, s = angles.cos(), sign * angles.sin()
    return torch.block_diag(*torch.stack([c, s, -s, c], dim=-1).reshape(-1, 2, 2))


@misconception(
    "q2",
    replaces="relative_rotation",
    name="the rotation transposed: it goes back instead of ahead",
    hint="The vectors are (sin, cos), not (cos, sin). Apply your matrix to PE[0] for a small offset: which sign must "
    "the sine have?",
)
def rotation_transposed(offset, d_model, base=10000.0):
    check_pairs(d_model, base)
    return blocks(offset * speeds(d_model, base), sign=-1.0)


@misconception(
    "q2",
    replaces="relative_rotation",
    name="a rotation that ignores the sign of the offset",
    hint="Going back three positions is not going ahead three: compare your matrices for 3 and -3.",
)
def sign_of_offset_ignored(offset, d_model, base=10000.0):
    check_pairs(d_model, base)
    return blocks(abs(offset) * speeds(d_model, base))


@misconception(
    "q2",
    replaces="relative_rotation",
    name="a rotation for an encoding with all sines first and all cosines behind them",
    hint="The sine and the cosine of a pair are neighbours, so each block of the matrix lies on the diagonal.",
)
def rotation_of_halves(offset, d_model, base=10000.0):
    check_pairs(d_model, base)
    angles = offset * speeds(d_model, base)
    c, s = angles.cos().diag(), angles.sin().diag()
    return torch.cat([torch.cat([c, s], dim=1), torch.cat([-s, c], dim=1)])


@misconception(
    "q2",
    replaces="relative_rotation",
    name="a rotation that turns every pair by the same angle",
    hint="Each pair has its own speed: which angle does pair i turn by in `offset` steps?",
)
def one_angle_for_all(offset, d_model, base=10000.0):
    check_pairs(d_model, base)
    return blocks(offset * torch.ones_like(speeds(d_model, base)))


@misconception(
    "q2",
    replaces="relative_rotation",
    name="a rotation that uses 10000 whatever base is",
    hint="The function has a third parameter. Where does it enter?",
)
def rotation_base_forgotten(offset, d_model, base=10000.0):
    check_pairs(d_model, base)
    return blocks(offset * speeds(d_model, 10000.0))


@misconception(
    "q2",
    replaces="relative_rotation",
    name="a matrix with sines of the same sign on both sides of the diagonal",
    hint="Is M.T @ M the identity? One of the two addition theorems has a minus sign.",
)
def reflection(offset, d_model, base=10000.0):
    check_pairs(d_model, base)
    c, s = (offset * speeds(d_model, base)).cos(), (offset * speeds(d_model, base)).sin()
    return torch.block_diag(*torch.stack([c, s, s, c], dim=-1).reshape(-1, 2, 2))


# ---------------------------------------------------------------------------------------------------------------- q3


def pair_angles(offset, d_model, base):
    check_pairs(d_model, base)
    dtype = offset.dtype if offset.is_floating_point() else torch.get_default_dtype()
    return offset.to(dtype).unsqueeze(-1) * base ** (-torch.arange(0, d_model, 2, dtype=dtype) / d_model)


@misconception(
    "q3",
    replaces="position_similarity",
    name="the mean over the pairs instead of the sum",
    hint="The dot product of an encoding with itself is d/2, not 1.",
)
def mean_of_cosines(offset, d_model, base=10000.0):
    return pair_angles(offset, d_model, base).cos().mean(-1)


@misconception(
    "q3",
    replaces="position_similarity",
    name="a sum of d cosines instead of d/2",
    hint="A pair of columns gives one cosine: sin sin + cos cos. How many pairs are there?",
)
def each_pair_twice(offset, d_model, base=10000.0):
    return 2 * pair_angles(offset, d_model, base).cos().sum(-1)


@misconception(
    "q3",
    replaces="position_similarity",
    name="a sum of sines",
    hint="At offset 0 you multiply an encoding with itself. Can that be 0?",
)
def sum_of_sines(offset, d_model, base=10000.0):
    return pair_angles(offset, d_model, base).sin().sum(-1)


@misconception(
    "q3",
    replaces="position_similarity",
    name="a dot product that uses 10000 whatever base is",
    hint="The function has a third parameter. Where does it enter?",
)
def similarity_base_forgotten(offset, d_model, base=10000.0):
    check_pairs(d_model, base)
    return pair_angles(offset, d_model, 10000.0).cos().sum(-1)


@misconception(
    "q3",
    replaces="position_similarity",
    name="a sum that leaves out the slowest pair",
    hint="i runs from 0 to d/2 - 1, both included. Check your result at offset 0.",
)
def last_pair_left_out(offset, d_model, base=10000.0):
    return pair_angles(offset, d_model, base)[..., :-1].cos().sum(-1)


# ---------------------------------------------------------------------------------------------------------------- q4


@misconception(
    "q4",
    replaces="plot_encoding",
    name="a plot that is drawn but not returned",
    hint="Whoever calls the function wants to go on with the axes, for example to set a title.",
)
def not_returned(encoding, ax=None):
    require(encoding.ndim == 2 and encoding.numel() > 0, "encoding must be a matrix that is not empty")


# ---------------------------------------------------------------------------------------------------------------- q5


def spectrum(gram, threshold=1e-10):
    eigenvalues = torch.linalg.eigvalsh(gram.double())
    if not len(eigenvalues):
        return eigenvalues, 0
    return eigenvalues, int((eigenvalues > threshold * eigenvalues[-1]).sum())


def check_matrix(encoding):
    require(encoding.ndim == 2, "encoding must have two dimensions")
    return encoding.double()


@misconception(
    "q5",
    replaces="encoding_spectrum",
    name="the singular values of the encoding instead of the eigenvalues of its Gram matrix",
    hint="The eigenvalues of E E^T are the squares of the singular values of E.",
)
def singular_values(encoding):
    values = torch.linalg.eigvalsh(check_matrix(encoding) @ check_matrix(encoding).T).clamp(min=0).sqrt()
    return values, int((values > 1e-10 * values[-1]).sum()) if len(values) else 0


@misconception(
    "q5",
    replaces="encoding_spectrum",
    name="eigenvalues in descending order",
    hint="Ascending order is asked for: the largest one comes last.",
)
def descending(encoding):
    eigenvalues, rank = spectrum(check_matrix(encoding) @ check_matrix(encoding).T)
    return eigenvalues.flip(0), rank


@misconception(
    "q5",
    replaces="encoding_spectrum",
    name="the eigenvalues of encoding.T @ encoding, of which there are d instead of n",
    hint="The Gram matrix holds the dot products of the n positions, so it is n by n.",
)
def wrong_side(encoding):
    return spectrum(check_matrix(encoding).T @ check_matrix(encoding))


@misconception(
    "q5",
    replaces="encoding_spectrum",
    name="a spectrum whose product was taken in the precision of the encoding, not in float64",
    hint="A float32 product carries noise near 1e-7 of the largest eigenvalue. When must you convert?",
)
def product_in_own_precision(encoding):
    check_matrix(encoding)
    return spectrum(encoding @ encoding.T)


@misconception(
    "q5",
    replaces="encoding_spectrum",
    name="a rank counted with an absolute threshold of 1e-10",
    hint="Multiply the encoding by 1e-8: its rank is the same. Compared with what must an eigenvalue be small?",
)
def absolute_threshold(encoding):
    eigenvalues, _ = spectrum(check_matrix(encoding) @ check_matrix(encoding).T)
    return eigenvalues, int((eigenvalues > 1e-10).sum())


# ---------------------------------------------------------------------------------------------------------------- q6


def marked(n, generator):
    """As the given marked_tokens."""
    tokens = torch.randint(2, 10, (n, 8), generator=generator)
    places = torch.rand(n, 8, generator=generator).argsort(dim=-1)[:, :2]
    tokens.scatter_(1, places, torch.tensor([[0, 1]]).expand(n, 2))
    return tokens, (places[:, 0] < places[:, 1]).long()


class Classifier(nn.Module):
    """As the given OrderClassifier."""

    def __init__(self, generator):
        super().__init__()

        def matrix(rows, columns):
            return nn.Parameter(torch.randn(rows, columns, generator=generator) / math.sqrt(rows))

        self.embedding = nn.Parameter(torch.randn(10, 32, generator=generator))
        self.q, self.k, self.v = (matrix(32, 32) for _ in range(3))
        self.w1, self.b1, self.w2 = matrix(32, 64), nn.Parameter(torch.zeros(64)), matrix(64, 2)

    def forward(self, tokens, positions):
        x = self.embedding[tokens] + positions
        scores = (x @ self.q) @ (x @ self.k).transpose(-2, -1) / math.sqrt(32)
        x = x + torch.softmax(scores, dim=-1) @ (x @ self.v)
        return (torch.relu(x @ self.w1 + self.b1) @ self.w2).mean(dim=-2)


def trained_accuracy(seed, in_training, in_test):
    """The right experiment, with the encoding added where it is said."""
    generator = torch.Generator().manual_seed(seed)
    model, encoding = Classifier(generator), right_encoding(8, 32)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(
        120
    ):  # fewer steps than the recipe: enough for seeds 0 to 3, and the mistakes are the same
        tokens, labels = marked(96, generator)
        loss = nn.functional.cross_entropy(model(tokens, encoding * in_training), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    tokens, labels = marked(2000, generator)
    with torch.no_grad():
        answers = model(tokens, encoding * in_test).argmax(dim=-1)
    return (answers == labels).double().mean().item()


@misconception(
    "q6",
    replaces="order_accuracy",
    name="an experiment that never uses the encoding",
    hint="Both accuracies are chance. Does the encoding reach the model when use_encoding is True?",
    replayed=False,
)
def never_used(use_encoding, seed=0):
    return trained_accuracy(seed, 0.0, 0.0)


@misconception(
    "q6",
    replaces="order_accuracy",
    name="an experiment that uses the encoding in both cases",
    hint="Without positions nothing but a coin is possible. What does your model get when use_encoding is False?",
    replayed=False,
)
def always_used(use_encoding, seed=0):
    return trained_accuracy(seed, 1.0, 1.0)


@misconception(
    "q6",
    replaces="order_accuracy",
    name="the share of wrong answers",
    hint="A model that has learned the task should come near 1.",
    replayed=False,
)
def share_of_errors(use_encoding, seed=0):
    return 1.0 - trained_accuracy(seed, float(use_encoding), float(use_encoding))


@misconception(
    "q6",
    replaces="order_accuracy",
    name="an accuracy in percent",
    hint="A share lies between 0 and 1.",
    replayed=False,
)
def in_percent(use_encoding, seed=0):
    return 100.0 * trained_accuracy(seed, float(use_encoding), float(use_encoding))
