"""Error bars, limits and messages of the statistical checks; their rates are counted, not believed."""

import math

import pytest
import torch

from autograder.checks import statistics as stats


def generator(seed):
    return torch.Generator().manual_seed(seed)


def autoregressive(n, rho, seed):
    """A Gaussian chain x' = rho x + noise, whose integrated time is (1 + rho) / (2 (1 - rho)) exactly."""
    noise = torch.randn(n, generator=generator(seed), dtype=torch.float64) * math.sqrt(1 - rho * rho)
    chain = [noise[0] / math.sqrt(1 - rho * rho)]
    for kick in noise[1:]:
        chain.append(rho * chain[-1] + kick)
    return torch.stack(chain)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_integrated_time_of_a_known_chain(rho):
    """Within 15 %: 20,000 steps."""
    exact = (1 + rho) / (2 * (1 - rho))
    assert stats.integrated_time(autoregressive(20_000, rho, seed=3)) == pytest.approx(exact, rel=0.15)


def test_integrated_time_of_extremes():
    """Constant and alternating series have no time below that of independent values."""
    assert stats.integrated_time(torch.ones(50)) == 0.5
    assert stats.integrated_time(torch.tensor([1.0, -1.0] * 50)) == 0.5


def test_error_of_a_correlated_mean():
    """The error bar of one chain is the spread over many chains."""
    chains = [autoregressive(2000, 0.8, seed) for seed in range(60)]
    spread = torch.stack([chain.mean() for chain in chains]).std().item()
    errors = [stats.series_mean(chain).error for chain in chains]
    assert sum(errors) / len(errors) == pytest.approx(spread, rel=0.25)
    naive = stats.independent_mean(chains[0]).error
    assert naive < spread / 2  # and it would have been three times too small


def test_mean_of_independent_values():
    """By hand: 1, 2, 3 have the mean 2 and the standard error 1 / sqrt 3."""
    estimate = stats.independent_mean(torch.tensor([1.0, 2.0, 3.0]))
    assert (estimate.mean, estimate.error) == pytest.approx((2, 1 / math.sqrt(3)))


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (-1.62, 0.0123, "-1.620 +- 0.012"),
        (3.0, 0.0, "3"),
        (12.34, 2.5, "12.3 +- 2.5"),
        (250.0, 31.0, "250 +- 31"),
    ],
)
def test_estimates_read_well(mean, error, text):
    assert str(stats.Estimate(mean, error)) == text


def test_limits_known_from_tables():
    """Normal quantiles, Massart's inequality, Clopper and Pearson's rule of three."""
    assert stats.z_limit(0.05) == pytest.approx(1.95996, abs=1e-5)
    assert stats.z_limit(1e-4) == pytest.approx(3.89059, abs=1e-5)
    assert stats.ks_limit(100, 0.05) == pytest.approx(0.13581, abs=1e-5)
    assert stats.binomial_upper(0, 1000) == pytest.approx(1 - 0.05 ** (1 / 1000), abs=1e-9)
    assert stats.binomial_upper(5, 5) == 1.0
    assert stats.binomial_upper(2, 10) == pytest.approx(0.50690, abs=1e-5)


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0])
def test_rates_that_are_none(rate):
    with pytest.raises(ValueError, match="false_fail"):
        stats.z_limit(rate)


def test_message():
    """The text that a student reads."""
    with pytest.raises(AssertionError) as caught:
        stats.check_estimate(stats.Estimate(-1.62, 0.01), -1.7456, false_fail=1e-4, what="energy per spin")
    expected = "energy per spin -1.620 +- 0.010, exact -1.7456: 12.6 standard errors apart (3.9 are allowed)."
    assert str(caught.value) == expected


def test_no_spread_and_no_number():
    """A constant that is right passes, one that is wrong and one that is NaN do not."""
    stats.check_estimate(stats.Estimate(1.0, 0.0), 1.0, false_fail=1e-4, what="x")
    with pytest.raises(AssertionError, match="without any spread"):
        stats.check_estimate(stats.Estimate(1.1, 0.0), 1.0, false_fail=1e-4, what="x")
    with pytest.raises(AssertionError, match="finite"):
        stats.check_estimate(stats.Estimate(math.nan, 1.0), 1.0, false_fail=1e-4, what="x")


def passes(check):
    try:
        check()
    except AssertionError:
        return False
    return True


def test_stated_rates_are_met():
    """Two-sided tests at a rate of 5 %, 2000 times: the number of failures is within 4 standard errors of it."""
    x = torch.randn(2000, 100, generator=generator(5), dtype=torch.float64)
    failed = sum(
        not passes(
            lambda row=row: stats.check_estimate(
                stats.Estimate(float(row.mean()), 0.1), 0, false_fail=0.05, what="x"
            )
        )
        for row in x
    )
    assert abs(failed - 100) < 4 * math.sqrt(2000 * 0.05 * 0.95)


def test_distribution():
    """A fair die passes at most as often as stated, a loaded one fails."""
    values, fair = torch.arange(1.0, 7.0), torch.full((6,), 1 / 6)
    rolls = torch.randint(1, 7, (1000, 200), generator=generator(6)).double()
    distances = torch.tensor([stats.ks_distance(row, values, fair) for row in rolls])
    assert (distances > stats.ks_limit(200, 0.05)).double().mean() <= 0.05
    loaded = torch.cat([rolls[0], torch.full((100,), 6.0)])
    with pytest.raises(AssertionError, match="Kolmogorov-Smirnov distance"):
        stats.check_distribution(loaded, values, fair, false_fail=1e-4, what="the die")


def test_distance_by_hand():
    """Two of three at the lower of two equally likely values: 2/3 - 1/2."""
    distance = stats.ks_distance(torch.tensor([0.0, 0.0, 1.0]), [0.0, 1.0], torch.tensor([0.5, 0.5]))
    assert distance == pytest.approx(1 / 6)


def test_share():
    """8 of 1000 where half were expected is far off; 480 is not."""
    stats.check_share(480, 1000, 0.5, false_fail=1e-3, what="the share")
    with pytest.raises(AssertionError, match="standard errors apart"):
        stats.check_share(8, 1000, 0.5, false_fail=1e-3, what="the share")
