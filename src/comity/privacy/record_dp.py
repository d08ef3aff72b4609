"""The setting of an experiment whose local training tells little of any row: DP-SGD at every site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from comity.privacy.accounting import SampledGaussian, check_delta, check_rate, noise_multiplier, stated
from comity.privacy.statement import Statement
from comity.values import bounds
from comity.values.dp_sgd import DPSGD
from comity.values.errors import InvalidInput, NotSupported
from comity.values.metric import Metric
from comity.values.model import Ability, Train
from comity.values.noise import Random
from comity.values.strategy import SeesEach, Strategy
from comity.values.transform import Transform


@final
@dataclass(frozen=True, kw_only=True)
class RecordDP(Transform):
    """Record-level differential privacy of each site's training rows, by DP-SGD in its local training.

    A step takes a Poisson sample of the rows, clips each row's gradient, and adds Gaussian noise to their sum. Give
    `epsilon`, and each site finds the noise that all its steps of all rounds need, from its own number of rows; or give
    `noise_multiplier`, and ε is what follows from it. How many rows a site has is known (zero-out neighbours); test
    rows are not protected. Noise and samples come from the system's generator, but in simulations, which repeat.

    >>> RecordDP(epsilon=1.0, delta=1e-5).clip
    1.0
    """

    epsilon: float | None = None
    """What all rounds together may spend at each site."""
    delta: float
    """The δ at which ε is meant; below one over a site's number of rows, or the site refuses."""
    clip: float = 1.0
    """The largest Euclidean norm of a row's gradient, over all parameters together."""
    noise_multiplier: float | None = None
    """Standard deviation of the noise on a step's sum, in units of clip."""
    sampling_rate: float | None = None
    """The probability with which a row is in a step's sample; `Train.batch_size` over the site's rows when None."""

    def __post_init__(self) -> None:
        bounds.plain(self)
        if (self.epsilon is None) == (self.noise_multiplier is None):
            raise InvalidInput(
                f"give RecordDP either epsilon or noise_multiplier, not {self.epsilon} and {self.noise_multiplier}"
            )
        if self.epsilon is not None:
            bounds.positive("epsilon", self.epsilon)
        if self.noise_multiplier is not None:
            bounds.positive("noise_multiplier", self.noise_multiplier)
        if self.sampling_rate is not None:
            check_rate(self.sampling_rate)
        bounds.positive("clip", self.clip)
        check_delta(self.delta)

    def accepts(self, strategy: Strategy | SeesEach, metrics: Sequence[Metric]) -> None:
        """Raises NotSupported for a strategy that reads rows or gradients itself."""
        name = type(strategy).__name__
        if not strategy.needs:
            raise NotSupported(
                f"RecordDP protects the training of a model, and {name} trains none but reads rows itself"
            )
        if Ability.GRADIENT in strategy.needs:
            raise NotSupported(f"{name} takes {Ability.GRADIENT.value}, which RecordDP neither clips nor noises")

    def mechanism(self, rows: int, train: Train, trainings: int) -> SampledGaussian:
        """What a site of so many rows releases, in so many trainings of this recipe.

        Raises InvalidInput where its δ says nothing, or where no noise keeps the budget.
        """
        if self.delta >= 1 / rows:
            raise InvalidInput(
                f"delta={self.delta:g} is not below 1/{rows}, so one of {rows} rows could be given away; lower it"
            )
        rate = self.sampling_rate or train.size(rows) / rows
        steps = trainings * train.count(rows)
        noise = self.noise_multiplier
        if noise is None:
            assert self.epsilon is not None
            noise = noise_multiplier(self.epsilon, self.delta, sampling_rate=rate, steps=steps)
        return SampledGaussian(noise, rate, steps)

    def dp_sgd(self, mechanism: SampledGaussian, random: Random) -> DPSGD:
        """How one training of the mechanism's is run."""
        return DPSGD(
            clip=self.clip,
            noise_multiplier=mechanism.noise_multiplier,
            sampling_rate=mechanism.sampling_rate,
            random=random,
        )

    def statement(self, mechanism: SampledGaussian) -> Statement:
        """What is promised at a site of this mechanism."""
        return stated(mechanism, self.delta, "record")

    def promised(self) -> Statement | None:
        """What is promised at any site, whatever rows it has; None where that follows from its rows."""
        if self.epsilon is None:
            return None
        return Statement(epsilon=self.epsilon, delta=self.delta, unit="record")
