"""What is promised of a run: never a number alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, final

Unit: TypeAlias = Literal["record", "site"]

Neighbours: TypeAlias = Literal["zero-out", "add-or-remove", "replace-one"]

Accountant: TypeAlias = Literal["closed form", "PLD", "RDP"]

MEANS = {
    "zero-out": "whether it is this {unit}'s own or one that adds nothing",
    "add-or-remove": "whether a {unit} is there or not",
    "replace-one": "which {unit} it is of all that there might be",
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """(ε, δ)-differential privacy, of what, between which data, and how it was counted.

    >>> print(Statement(epsilon=1.0, delta=1e-05, unit="record", noise_multiplier=1.1, sampling_rate=0.1, steps=100))
    (ε = 1, δ = 1e-05) for each record: what leaves tells hardly whether it is this record's own or one that adds \
nothing (zero-out); 100 releases, each of a Poisson sample of 0.1 of the rows, with noise of 1.1 times the clip; by PLD
    """

    epsilon: float
    delta: float
    unit: Unit
    """Whose data may be any without its showing: a row's, or a whole site's."""
    neighbours: Neighbours = "zero-out"
    """Which data are hardly told apart. zero-out: a unit's own or nothing in its place, where how many units there are
    is known (the figures of add-or-remove; to replace a unit by another takes two such steps, so twice the ε)."""
    sampling_rate: float | None = None
    """The probability with which a unit is in a release, drawn anew for each (Poisson); 1 where all always are."""
    steps: int | None = None
    """How many releases there are; None where that hangs on a site's rows, for which noise and sampling are chosen."""
    noise_multiplier: float | None = None
    """Standard deviation of the noise of each release, in units of the largest norm that a unit can add."""
    accountant: Accountant = "PLD"
    """How ε follows from the rest: privacy loss distributions, Rényi DP, or the exact closed form."""

    @property
    def sampling(self) -> Literal["Poisson", "none"]:
        """How units get into a release."""
        return "none" if self.sampling_rate == 1 else "Poisson"

    def __str__(self) -> str:
        means = MEANS[self.neighbours].format(unit=self.unit)
        promise = f"(ε = {self.epsilon:.4g}, δ = {self.delta:g}) for each {self.unit}: what leaves tells hardly {means}"
        return f"{promise} ({self.neighbours}); {self._how()}; by {self.accountant}"

    def _how(self) -> str:
        if self.steps is None or self.noise_multiplier is None or self.sampling_rate is None:
            return "noise and Poisson samples as its number of rows asks for"
        what = "rows" if self.unit == "record" else "sites"
        sampled = (
            f"a Poisson sample of {self.sampling_rate:.3g} of the {what}" if self.sampling_rate < 1 else f"all {what}"
        )
        return f"{self.steps} releases, each of {sampled}, with noise of {self.noise_multiplier:.4g} times the clip"
