"""Statistics for tests of random answers: error bars, and two-sided tests whose false-fail rate is stated.

A test of random numbers can fail a right answer by bad luck. Each check here is told how often it may
(`false_fail`), and takes its limit from that. With several checks in one test, give each its share: `false_fail / k`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import torch


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        """The mean to the second digit of its error: "-1.7412 +- 0.0031"."""
        if not (math.isfinite(self.error) and self.error > 0):
            return f"{self.mean:.6g}"
        digits = max(0, 1 - math.floor(math.log10(self.error)))
        return f"{self.mean:.{digits}f} +- {self.error:.{digits}f}"


# ------------------------------------------------------------------------------------------------------- error bars


def independent_mean(values: torch.Tensor) -> Estimate:
    """The mean of independent values, such as one measurement of each of many chains.

    Args:
        values: (n,), n >= 2.
    """
    values = _series(values)
    return Estimate(float(values.mean()), float(values.std() / math.sqrt(len(values))))


def integrated_time(values: torch.Tensor, window: float = 6.0) -> float:
    """The integrated autocorrelation time of a time series: 1/2 + the sum of its autocorrelations.

    The sum is cut at the first lag that is at least `window` times the sum so far: longer sums add noise only.
    Independent values have 1/2.

    Source: Madras and Sokal 1988, J. Stat. Phys. 50, 109, appendix C (automatic windowing).

    Args:
        values: (n,), n >= 2, in order of time.
        window: in units of the time itself; larger: less bias, more noise.
    """
    centred = _series(values) - _series(values).mean()
    n = len(centred)
    spectrum = torch.fft.rfft(centred, 2 * n).abs() ** 2  # zeros to 2n: no wrap-around
    covariance = torch.fft.irfft(spectrum)[:n] / n
    if not covariance[0] > 0:
        return 0.5
    times = 0.5 + torch.cumsum((covariance / covariance[0])[1:], 0)
    enough = (torch.arange(1, n) >= window * times).nonzero()
    return max(0.5, float(times[enough[0, 0] if len(enough) else -1]))


def series_mean(values: torch.Tensor) -> Estimate:
    """The mean of a time series of one chain; its error counts 2 tau correlated steps as one.

    Args:
        values: (n,), in equilibrium, many times longer than its `integrated_time`.
    """
    values = _series(values)
    error = values.std() * math.sqrt(2 * integrated_time(values) / len(values))
    return Estimate(float(values.mean()), float(error))


def _series(values: torch.Tensor) -> torch.Tensor:
    if values.dim() != 1 or len(values) < 2:
        raise ValueError(f"a series (n,) with n >= 2 is needed, got shape {tuple(values.shape)}")
    return values.double()


# ----------------------------------------------------------------------------------------------------------- limits


def z_limit(false_fail: float) -> float:
    """How many standard errors a normal estimate may be off, either way, to fail a right one this often.

    Example:
        >>> round(z_limit(0.05), 2)
        1.96
    """
    _check_rate(false_fail)
    return NormalDist().inv_cdf(1 - false_fail / 2)


def ks_limit(n: int, false_fail: float) -> float:
    """The Kolmogorov-Smirnov distance that n right samples exceed at most this often, whatever the distribution.

    Source: Dvoretzky, Kiefer and Wolfowitz 1956, with the constant of Massart 1990, Ann. Probab. 18, 1269. For
    discrete distributions the true rate is lower.
    """
    _check_rate(false_fail)
    return math.sqrt(math.log(2 / false_fail) / (2 * n))


def variance_limit(n: int, false_fail: float) -> float:
    """The relative error that the sample variance of n normal numbers exceeds about this often, for n >= 1000."""
    return z_limit(false_fail) * math.sqrt(2 / (n - 1))


def binomial_upper(successes: int, trials: int, confidence: float = 0.95) -> float:
    """The largest rate that is compatible with so few successes: a one-sided Clopper-Pearson limit.

    Example:
        >>> round(binomial_upper(0, 1000), 4)
        0.003
    """
    if successes >= trials:
        return 1.0
    low, high = successes / trials, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        if _binomial_cdf(successes, trials, rate) > 1 - confidence:
            low = rate
        else:
            high = rate
    return high


def _binomial_cdf(successes: int, trials: int, rate: float) -> float:
    """The probability of at most so many successes."""
    if rate <= 0 or rate >= 1:
        return float(rate <= 0 or successes >= trials)
    log_n = math.lgamma(trials + 1)
    return sum(
        math.exp(
            log_n
            - math.lgamma(k + 1)
            - math.lgamma(trials - k + 1)
            + k * math.log(rate)
            + (trials - k) * math.log1p(-rate)
        )
        for k in range(successes + 1)
    )


def _check_rate(false_fail: float) -> None:
    if not 0 < false_fail < 1:
        raise ValueError(f"false_fail must be between 0 and 1, got {false_fail}")


# ----------------------------------------------------------------------------------------------------------- checks


def standard_errors_apart(estimate: Estimate, exact: float) -> float:
    """How far an estimate is from the exact value, in its standard errors; inf if it has none and is off."""
    if estimate.mean == exact:
        return 0.0
    return abs(estimate.mean - exact) / estimate.error if estimate.error > 0 else math.inf


def check_estimate(
    estimate: Estimate, exact: float, *, false_fail: float, what: str, bias: float = 0.0
) -> None:
    """Pass if an estimate agrees with the exact value, by a two-sided test.

    Args:
        estimate: the mean and its standard error. Where the true spread is known, give the error that follows from
            it: it is the same for everybody, and a sample that never varies cannot hide behind it.
        exact: what it should be.
        false_fail: how often a right answer may fail.
        what: what was estimated, for the message.
        bias: a systematic deviation that is allowed on top.

    Raises:
        AssertionError: "energy per spin -1.62 +- 0.01, exact -1.7456: 12 standard errors apart".
    """
    if not math.isfinite(estimate.mean):
        raise AssertionError(f"{what} is {estimate.mean}; a finite number was expected.")
    allowed = z_limit(false_fail) * estimate.error + bias
    if abs(estimate.mean - exact) > allowed:
        apart = standard_errors_apart(estimate, exact)
        raise AssertionError(
            f"{what} {estimate}, exact {exact:.6g}: {apart:.3g} standard errors apart"
            f" ({allowed / estimate.error:.2g} are allowed)."
            if math.isfinite(apart)
            else f"{what} {estimate.mean:.6g} without any spread, exact {exact:.6g}."
        )


def check_share(
    successes: int, trials: int, share: float, *, false_fail: float, what: str, bias: float = 0.0
) -> None:
    """Pass if so many of so many independent trials agree with the share that is expected of them (normal limit)."""
    error = math.sqrt(share * (1 - share) / trials)
    check_estimate(Estimate(successes / trials, error), share, false_fail=false_fail, what=what, bias=bias)


def ks_distance(
    samples: torch.Tensor, values: torch.Tensor | Sequence[float], probabilities: torch.Tensor
) -> float:
    """The largest difference between the distribution function of samples and that of a discrete distribution.

    Args:
        samples: (n,). One between two values counts for the upper one; one above all is missing everywhere.
        values: the possible values, ascending, (k,).
        probabilities: of each, (k,), summing to 1.
    """
    samples, values = samples.double().sort().values, torch.as_tensor(values, dtype=torch.float64)
    tolerance = 1e-9 * max(1.0, float(values.abs().max()))  # samples are rounded differently from values
    found = torch.searchsorted(samples, values + tolerance, right=True).double() / len(samples)
    return float((found - probabilities.double().cumsum(0)).abs().max())


def check_distribution(
    samples: torch.Tensor,
    values: torch.Tensor,
    probabilities: torch.Tensor,
    *,
    false_fail: float,
    what: str,
    bias: float = 0.0,
) -> None:
    """Pass if independent samples come from a discrete distribution, by their Kolmogorov-Smirnov distance.

    Args:
        samples: (n,).
        values, probabilities: the exact distribution, as for `ks_distance`.
        false_fail: how often right samples may fail, at most.
        what: what the samples are, for the message.
        bias: a distance that is allowed on top, for samples of a model that is good and not exact.
    """
    distance = ks_distance(samples, values, probabilities)
    limit = ks_limit(len(samples), false_fail) + bias
    if not distance <= limit:
        mean, exact = float(samples.double().mean()), float(values @ probabilities)
        raise AssertionError(
            f"The distribution of {what} is off: its Kolmogorov-Smirnov distance from the exact one is"
            f" {distance:.3f} ({limit:.3f} is allowed; its mean is {mean:.4g}, exact {exact:.4g})."
        )
