"""What is spent and the noise that a budget asks for, against figures of other accountants and of closed forms."""

import subprocess
import sys
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.stats import norm

from comity.privacy import accounting, gaussian
from comity.privacy.accounting import SampledGaussian, epsilon, epsilon_bound, noise_multiplier, stated
from comity.values.errors import InvalidInput

# (sampling rate, noise multiplier, steps, delta): epsilon by dp-accounting's PLD at intervals of 1e-4, with which
# prv-accountant 0.2.0 agrees to .011 (its own bounds), and by its RDP. The first is Abadi et al. 2016's example
# (1.26 by their moments accountant), the third TF-Privacy's MNIST tutorial.
TABLE = [
    (0.01, 4, 10_000, 1e-5, 0.9470, 1.03549),
    (256 / 60_000, 1.1, 14_062, 1e-5, 2.38169, 2.59656),
    (250 / 60_000, 1.3, 3_600, 1e-5, 0.85303, 0.9422),
    (0.01, 1, 1_000, 1e-5, 1.82824, 2.10137),
    (0.01, 0.8, 1_000, 1e-6, 3.70619, 4.29346),
    (0.004, 0.8, 2_500, 1e-6, 2.20014, 2.77456),
    (1, 10, 100, 1e-6, 4.88655, 5.22154),
]


@pytest.mark.parametrize(("rate", "noise", "steps", "delta", "pld", "rdp"), TABLE)
def test_the_reference_table(rate, noise, steps, delta, pld, rdp):
    mechanism = {"noise_multiplier": noise, "sampling_rate": rate, "steps": steps}
    assert epsilon(delta, **mechanism) == pytest.approx(pld, abs=1e-3)
    bound = epsilon_bound(delta, **mechanism)
    assert rdp - 1e-4 < bound < 1.02 * rdp  # whole orders only
    assert epsilon(delta, **mechanism) < bound


def test_the_closed_form_is_that_of_the_gaussian_mechanism():
    # 100 releases with noise of 10 are one with mu = 1: 4.886554 (an independent figure, by bisection of the δ below)
    assert epsilon(1e-6, noise_multiplier=10, sampling_rate=1, steps=100) == pytest.approx(4.886554, abs=1e-5)
    # theorem 8 of Balle and Wang, written down once more
    for mu, at in [(0.3, 0.5), (1.0, 1.0), (2.0, 4.0), (5.0, 12.0)]:
        wanted = norm.cdf(mu / 2 - at / mu) - np.exp(at) * norm.cdf(-mu / 2 - at / mu)
        assert gaussian.delta(at, mu) == pytest.approx(wanted, rel=1e-9)


def test_the_closed_form_is_the_integral_that_defines_it():
    mu, at = 1.3, 0.7
    x = np.linspace(-12, 14, 2_000_001)
    excess = np.maximum(norm.pdf(x, loc=mu) - np.exp(at) * norm.pdf(x), 0)
    assert gaussian.delta(at, mu) == pytest.approx(np.trapezoid(excess, x), abs=1e-9)


@settings(deadline=None, max_examples=200)
@given(some.floats(1e-3, 200), some.floats(-12, -1))
def test_epsilon_delta_and_deviation_are_inverse_to_one_another(budget, exponent):
    at = 10.0**exponent
    found = gaussian.deviation(budget, at)
    assert gaussian.delta(budget, 1 / found) <= at
    assert gaussian.epsilon(1 / found, at) == pytest.approx(budget, rel=1e-6)
    assert gaussian.delta(budget, 1.001 / found) > at


def test_no_noise_promises_nothing_and_much_promises_everything():
    assert epsilon(1e-5, noise_multiplier=0, sampling_rate=0.1, steps=3) == inf
    assert epsilon_bound(1e-5, noise_multiplier=0, sampling_rate=0.1, steps=3) == inf
    assert gaussian.epsilon(inf, 1e-5) == inf
    assert gaussian.epsilon(1e-7, 1e-5) == 0
    assert gaussian.delta(1.0, 0.0) == 0


@pytest.mark.parametrize(
    ("budget", "delta", "rate", "steps"),
    [
        (1, 1e-5, 0.01, 1_000),
        (10, 1e-3, 0.13, 1_500),
        (0.1, 1e-6, 0.001, 10_000),
        (1e-3, 1e-6, 0.5, 100),
        (3, 1e-5, 0.9, 10),
        (1, 1e-6, 1, 100),
        (0.5, 1e-9, 0.3, 1),
    ],
)
def test_noise_keeps_the_budget_and_hardly_less_would(budget, delta, rate, steps):
    noise = noise_multiplier(budget, delta, sampling_rate=rate, steps=steps)
    spent = epsilon(delta, noise_multiplier=noise, sampling_rate=rate, steps=steps)
    assert budget * 0.995 < spent <= budget * (1 + 1e-9)
    assert epsilon(delta, noise_multiplier=noise * 0.99, sampling_rate=rate, steps=steps) > budget


def test_next_to_no_noise_is_accounted_as_if_nothing_were_sampled():
    given = {"noise_multiplier": 0.29, "steps": 3}
    sampled, whole = (epsilon(1e-3, sampling_rate=rate, **given) for rate in (0.5, 1))
    assert sampled == whole > epsilon(1e-3, noise_multiplier=0.31, sampling_rate=0.5, steps=3)
    assert stated(SampledGaussian(1e-9, 0.5, 3), 1e-3, "record").epsilon == inf


def test_a_budget_that_asks_for_next_to_no_noise_gets_the_least():
    assert noise_multiplier(1e3, 1e-3, sampling_rate=0.01, steps=1) == accounting.LEAST_NOISE


def test_a_budget_that_no_noise_keeps_is_refused():
    with pytest.raises(InvalidInput, match="no noise keeps ε = 1e-09 over so many steps"):
        accounting.least(lambda noise: 1.0, 1e-9, 1e5)


def test_a_statement_is_never_a_number_alone():
    statement = stated(SampledGaussian(1.1, 0.1, 100), 1e-5, "record")
    assert (statement.unit, statement.neighbours, statement.delta) == ("record", "zero-out", 1e-5)
    assert (statement.sampling, statement.sampling_rate, statement.steps) == ("Poisson", 0.1, 100)
    assert statement.epsilon == epsilon(1e-5, noise_multiplier=1.1, sampling_rate=0.1, steps=100)
    for word in ("record", "zero-out", "1e-05", "Poisson", "0.1", "100", "PLD"):
        assert word in str(statement)
    alone = stated(SampledGaussian(1.1, 1, 100), 1e-5, "site")
    assert (alone.sampling, alone.accountant) == ("none", "closed form")
    assert "for each site" in str(alone)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: epsilon(0, noise_multiplier=1, sampling_rate=1, steps=1), "delta must be a number above 0"),
        (lambda: epsilon(1e-5, noise_multiplier=-1, sampling_rate=1, steps=1), "noise_multiplier must be a number of"),
        (lambda: epsilon(1e-5, noise_multiplier=1, sampling_rate=0, steps=1), "sampling_rate must be a number above 0"),
        (lambda: epsilon(1e-5, noise_multiplier=1, sampling_rate=1, steps=0), "steps must be a whole number"),
        (lambda: noise_multiplier(0, 1e-5, sampling_rate=1, steps=1), "epsilon must be a number above 0"),
        (lambda: noise_multiplier(1, 1, sampling_rate=1, steps=1), "delta must be a number above 0 and below 1"),
    ],
)
def test_what_makes_no_sense_is_named(call, match):
    with pytest.raises(InvalidInput, match=match):
        call()


def test_the_accountant_is_loaded_when_it_is_first_asked():
    code = "import sys, comity as co; co.privacy; co.Experiment; assert 'dp_accounting' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
