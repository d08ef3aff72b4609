"""How much a mechanism's releases tell together, and the noise that a budget asks for.

The authority is the privacy loss distribution (Koskela, Jälkö and Honkela 2020; Doroshenko, Ghazi, Kamath, Kumar and
Manurangsi, "Connect the Dots", 2022), whose discretization errs upwards only; the fast bound is Rényi DP (Mironov,
Talwar and Zhang 2019); both are dp-accounting's, which is imported when first asked, for it takes a second.
Without sampling the closed form is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import expm1, inf, log, log1p, sqrt
from typing import Any, final

from comity.privacy import gaussian
from comity.privacy.statement import Accountant, Statement, Unit
from comity.values import bounds
from comity.values.errors import InvalidInput

FINE, COARSE = (0.01, 5e-4), (0.05, 1e-3)
"""Into how wide intervals privacy losses are put, for a statement and while noise is looked for: as a part of what a
release spends of ε, and at most. Wider ones are faster, and their ε is larger."""

LEAST_NOISE, MOST_NOISE = 0.3, 1e6
"""Multipliers between which noise is looked for: with less nothing is promised that is worth it."""

STRIDE = 1.15
"""By how much noise is multiplied, or divided, until what is looked for lies between."""

ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 512, 1024)
"""Of the Rényi divergences. Whole ones: the others are slow, and seldom the best."""

CLOSE = 1e-3
"""How much less than the budget the noise found may spend, as a part of it."""


@final
@dataclass(frozen=True, slots=True)
class SampledGaussian:
    """Sums of what Poisson-sampled units give, each clipped to norm 1, with Gaussian noise; released so many times."""

    noise_multiplier: float
    """Standard deviation of the noise; 0 for none."""
    sampling_rate: float
    """The probability with which a unit is in a sum, above 0 and up to 1."""
    steps: int

    def __post_init__(self) -> None:
        bounds.not_negative("noise_multiplier", self.noise_multiplier)
        check_rate(self.sampling_rate)
        bounds.count("steps", self.steps, least=1)

    @property
    def accountant(self) -> Accountant:
        """How its ε is found: with next to no noise as if nothing were sampled, which is an upper bound."""
        return "closed form" if self.sampling_rate == 1 or self.noise_multiplier < LEAST_NOISE else "PLD"


def check_rate(rate: float) -> None:
    """Raises InvalidInput unless this is a probability above 0."""
    if not (isinstance(rate, int | float) and not isinstance(rate, bool) and 0 < rate <= 1):
        raise InvalidInput(f"sampling_rate must be a number above 0 and up to 1, not {rate!r}")


def check_delta(delta: float) -> None:
    """Raises InvalidInput unless δ may be spoken of: 0 is never reached by Gaussian noise."""
    if not (isinstance(delta, int | float) and not isinstance(delta, bool) and 0 < delta < 1):
        raise InvalidInput(f"delta must be a number above 0 and below 1, not {delta!r}")


def epsilon(delta: float, *, noise_multiplier: float, sampling_rate: float, steps: int) -> float:
    """ε at δ of so many releases; infinite without noise.

    >>> round(epsilon(1e-6, noise_multiplier=10, sampling_rate=1, steps=100), 4)
    4.8866
    """
    check_delta(delta)
    return _stated(SampledGaussian(noise_multiplier, sampling_rate, steps), delta)


def epsilon_bound(delta: float, *, noise_multiplier: float, sampling_rate: float, steps: int) -> float:
    """An upper bound of ε, by Rényi DP: for a quick look, and to check the authority by."""
    check_delta(delta)
    return _bound(SampledGaussian(noise_multiplier, sampling_rate, steps), delta)


def noise_multiplier(epsilon: float, delta: float, *, sampling_rate: float, steps: int) -> float:
    """The noise with which so many releases stay within the budget: the least, up to a thousandth of ε.

    Raises InvalidInput for a budget that no noise keeps.
    """
    bounds.positive("epsilon", epsilon)
    check_delta(delta)
    return _noise(float(epsilon), float(delta), float(SampledGaussian(1.0, sampling_rate, steps).sampling_rate), steps)


def stated(mechanism: SampledGaussian, delta: float, unit: Unit) -> Statement:
    """What may be said of a mechanism."""
    return Statement(
        epsilon=_stated(mechanism, delta),
        delta=delta,
        unit=unit,
        sampling_rate=mechanism.sampling_rate,
        steps=mechanism.steps,
        noise_multiplier=mechanism.noise_multiplier,
        accountant=mechanism.accountant,
    )


@lru_cache(4096)
def _stated(mechanism: SampledGaussian, delta: float) -> float:
    if not mechanism.noise_multiplier:
        return inf
    about = gaussian.epsilon(_mu(mechanism), delta)
    return _epsilon(mechanism, delta, _interval(about, mechanism.steps, FINE))


def _bound(mechanism: SampledGaussian, delta: float) -> float:
    if not mechanism.noise_multiplier:
        return inf
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
    from dp_accounting.rdp import RdpAccountant

    accountant: Any = RdpAccountant(ORDERS)
    rate, event = mechanism.sampling_rate, GaussianDpEvent(mechanism.noise_multiplier)
    accountant.compose(PoissonSampledDpEvent(rate, event) if rate < 1 else event, mechanism.steps)
    return float(accountant.get_epsilon(delta))


def _epsilon(mechanism: SampledGaussian, delta: float, interval: float) -> float:
    noise = mechanism.noise_multiplier
    if mechanism.accountant == "closed form":
        return gaussian.epsilon(sqrt(mechanism.steps) / noise, delta)
    from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism

    loss: Any = from_gaussian_mechanism(
        noise, sampling_prob=mechanism.sampling_rate, value_discretization_interval=interval
    )
    return float(loss.self_compose(mechanism.steps).get_epsilon_for_delta(delta))


def _mu(mechanism: SampledGaussian) -> float:
    """Of the one Gaussian mechanism that all releases are like, by the central limit (Bu et al. 2020, theorem 5)."""
    exponent = min(mechanism.noise_multiplier**-2, 50.0)
    return mechanism.sampling_rate * sqrt(mechanism.steps * expm1(exponent))


def _interval(epsilon: float, steps: int, width: tuple[float, float]) -> float:
    part, most = width
    return max(min(part * epsilon / sqrt(steps), most), 1e-7)


@lru_cache(4096)
def _noise(epsilon: float, delta: float, rate: float, steps: int) -> float:
    if rate == 1:
        return gaussian.deviation(epsilon, delta) * sqrt(steps)
    interval = _interval(epsilon, steps, COARSE)
    alone = gaussian.deviation(epsilon, delta)  # 1 ÷ mu
    guess = log1p((rate * alone) ** -2 / steps) ** -0.5
    return least(lambda noise: _epsilon(SampledGaussian(noise, rate, steps), delta, interval), epsilon, guess)


def least(spent: Callable[[float], float], budget: float, guess: float) -> float:
    """The least noise multiplier, nearly, with which a decreasing ε is within the budget: LEAST_NOISE at least.

    By the secant rule on logarithms, which are nearly a line; what is given back is within the budget.
    """
    low = high = min(max(guess, LEAST_NOISE), MOST_NOISE)
    at_low = at_high = spent(high)
    while at_high > budget:
        low, at_low = high, at_high
        if (high := high * STRIDE) > MOST_NOISE:
            raise InvalidInput(
                f"no noise keeps ε = {budget:g} over so many steps; take fewer steps or a larger epsilon"
            )
        at_high = spent(high)
    while at_low <= budget:
        high, at_high = low, at_low
        if high <= LEAST_NOISE:
            return high
        low = max(low / STRIDE, LEAST_NOISE)
        at_low = spent(low)
    while at_high < budget * (1 - CLOSE) and high / low > 1 + 1e-9:
        ends = log(max(at_high, 1e-12) / budget), log(at_low / budget) + CLOSE / 2
        middle = high * (low / high) ** (ends[0] / (ends[0] - ends[1]))
        if not low * (1 + 1e-9) < middle < high * (1 - 1e-9):
            middle = sqrt(low * high)
        at_middle = spent(middle)
        if at_middle <= budget:
            high, at_high = middle, at_middle
        else:
            low, at_low = middle, at_middle
    return high
