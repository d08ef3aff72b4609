"""The setting of an experiment that tells little of any site: what each gives is clipped, and the sum is noised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import isgeneratorfunction
from math import exp, sqrt
from typing import Any, final

import numpy as np

from comity.privacy import gaussian, skellam
from comity.privacy.accounting import SampledGaussian, check_delta, stated
from comity.privacy.fixed_point import Scale
from comity.privacy.skellam import Noise, Sums
from comity.privacy.statement import Statement
from comity.values import bounds, tree
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput, NotSupported
from comity.values.metric import Metric
from comity.values.noise import Random, noised
from comity.values.strategy import SeesEach, Strategy
from comity.values.transform import Transform
from comity.values.tree import Array, Tree

WITHIN = "~within"
"""The array of a contribution that says whether it was within the clip, less a half."""

BIT_SHARE = 0.1
"""What of the budget goes to these, where the clip is adapted."""


@final
@dataclass(frozen=True, kw_only=True)
class SiteDP(Transform):
    """Site-level differential privacy of all rounds: whatever rows a site has, what comes of a sum tells little of it.

    What a site gives to a round is brought to a weight of 1 and scaled down to a norm of `clip`, over all its numbers
    together, and Gaussian noise is added to the sum: by whoever adds up, who sees each site's before. Under `SecureSum`
    every site adds Skellam noise to its own masked numbers instead, so that nobody adds or sees the noise by itself.
    Who takes part is known (zero-out neighbours), and metrics are not noised. With few sites the noise is heavy: ε
    below 10 is seldom of use for ten.

    >>> SiteDP(epsilon=8.0, delta=1e-3, clip=0.5).quantile is None
    True
    """

    epsilon: float | None = None
    """What all rounds together may spend."""
    delta: float
    """The δ at which ε is meant."""
    clip: float
    """The largest Euclidean norm of what a site gives; with `quantile`, that of the first round."""
    noise_multiplier: float | None = None
    """Standard deviation of the noise on a sum, in units of clip."""
    quantile: float | None = None
    """Adapt the clip from round to round until this part of the sites is within it (Andrew, Thakkar, McMahan and
    Ramaswamy, "Differentially Private Learning with Adaptive Clipping", 2021); a tenth of the budget finds it."""
    clip_lr: float = 0.2
    """How fast: the clip is multiplied by e^(-clip_lr · (part of the sites within it - quantile))."""
    colluding: int = 0
    """Under `SecureSum`, how many sites may tell others the noise that they added; each site knows its own, so against
    a site it is one more than against everybody else."""

    def __post_init__(self) -> None:
        bounds.plain(self)
        if (self.epsilon is None) == (self.noise_multiplier is None):
            raise InvalidInput(
                f"give SiteDP either epsilon or noise_multiplier, not {self.epsilon} and {self.noise_multiplier}"
            )
        if self.epsilon is not None:
            bounds.positive("epsilon", self.epsilon)
        if self.noise_multiplier is not None:
            bounds.positive("noise_multiplier", self.noise_multiplier)
        if isinstance(self.quantile, str | bool):
            raise InvalidInput(f"quantile must be above 0 and below 1, not {self.quantile!r}")
        if self.quantile is not None and not (0 < self.quantile < 1):
            raise InvalidInput(f"quantile must be above 0 and below 1, not {self.quantile!r}")
        bounds.positive("clip", self.clip)
        bounds.positive("clip_lr", self.clip_lr)
        bounds.count("colluding", self.colluding)
        check_delta(self.delta)

    def accepts(self, strategy: Strategy | SeesEach, metrics: Sequence[Metric]) -> None:
        """Raises NotSupported for a strategy whose contributions are no updates of a model, one sum a round."""
        name = type(strategy).__name__
        if isinstance(strategy, SeesEach):
            raise NotSupported(f"{name} must see every site's contribution by itself, and SiteDP noises sums")
        if not strategy.needs:
            raise NotSupported(f"SiteDP clips updates of a model, and {name} trains none")
        if isgeneratorfunction(type(strategy).local):
            raise NotSupported(f"{name} sums many times within a round, which SiteDP does not account for")

    def bounded(self, contribution: Contribution, clip: float) -> Contribution:
        """What a site gives: of weight 1, and of a norm of at most clip; nothing, where it is of weight 0.

        Raises InvalidInput for one that is not finite or holds whole numbers, whose noise would be none.
        """
        for path, leaf in tree.flatten(contribution.total).items():
            if leaf.dtype.kind != "f":
                raise InvalidInput(f"SiteDP noises floats, but the contribution's {path!r} is of {leaf.dtype}")
        mean = tree.scale(contribution.total, 1 / contribution.weight if contribution.weight else 0.0)
        tree.check(mean, "a contribution")
        norm = tree.norm(mean)
        total = tree.scale(mean, min(1.0, clip / norm)) if norm else mean
        if self.quantile is not None:
            total = {**total, WITHIN: np.asarray(0.5 if norm <= clip else -0.5)}
        return Contribution(total, 1)

    def limit(self, clip: float | None) -> float:
        """The clip of a round of which a state says this: one that is not adapted is the experiment's own."""
        return self.clip if self.quantile is None or clip is None else clip

    def length(self, total: Tree) -> float:
        """The norm of a bounded contribution's total."""
        return tree.norm(tree.pick(total, lambda path: path != WITHIN))

    def shrunk(self, total: Tree, factor: float) -> Tree:
        """A bounded contribution's total, so much shorter."""
        scaled = tree.scale(tree.pick(total, lambda path: path != WITHIN), factor)
        return {**scaled, WITHIN: total[WITHIN]} if WITHIN in total else scaled

    def released(self, total: Contribution, clip: float, *, rounds: int, random: Random | None) -> Contribution:
        """The sum with noise; as it is where the sites have added theirs (random is None).

        rounds: of the experiment.
        """
        if random is None:
            return total
        multiplier = self.multiplier(rounds)
        held: Any = dict(total.total)
        within: Array | None = held.pop(WITHIN, None)
        # Two Gaussians of 1/2 ÷ bit deviation and 1 ÷ update deviation are one of the multiplier (Andrew, theorem 1).
        update = multiplier if within is None else multiplier / sqrt(1 - BIT_SHARE)
        made = tree.map(lambda leaf: noised(leaf, update * clip, random), held)
        if within is not None:
            made = {**made, WITHIN: noised(within, multiplier / (2 * sqrt(BIT_SHARE)), random)}
        return Contribution(made, total.weight)

    def adapted(self, total: Contribution, clip: float) -> tuple[Contribution, float]:
        """(a released sum without what is in it for the clip, the clip of the next round)."""
        if self.quantile is None:
            return total, clip
        held: Any = dict(total.total)
        within = float(held.pop(WITHIN)) / max(total.weight, 1) + 0.5
        part = min(max(within, 0.0), 1.0)
        return Contribution(held, total.weight), clip * exp(-self.clip_lr * (part - self.quantile))

    def multiplier(self, rounds: int) -> float:
        """Of Gaussian noise on so many sums."""
        if self.noise_multiplier is not None:
            return self.noise_multiplier
        assert self.epsilon is not None
        return gaussian.deviation(self.epsilon, self.delta) * sqrt(rounds)

    def noise(self, *, survivors: int, coordinates: int, rounds: int) -> Noise:
        """What each site adds under a secure sum of which so many may remain; in the unit of its numbers.

        coordinates: floats of a contribution. Raises InvalidInput where all that remain may collude.
        """
        shares = survivors - self.colluding
        if shares < 1:
            raise InvalidInput(f"colluding={self.colluding}, but only {survivors} sites may be in a sum; lower it")
        if self.noise_multiplier is not None:
            return Noise(deviation=self.noise_multiplier * self.clip, shares=shares)
        assert self.epsilon is not None
        sums = Sums(clip=self.clip, coordinates=coordinates, rounds=rounds)
        return skellam.noise(self.epsilon, self.delta, sums, shares=shares)

    def scale(self, noise: Noise, *, bits: int, sites: int) -> Scale:
        """How bounded contributions of so many sites are encoded, and noised, for a secure sum."""
        return Scale(bits=bits, sites=sites, max_weight=1, clip=self.clip, noise=noise)

    def statement(self, rounds: int) -> Statement:
        """What is promised where the noise is added to sums."""
        return stated(SampledGaussian(self.multiplier(rounds), 1, rounds), self.delta, "site")

    def statement_of(self, noise: Noise, *, coordinates: int, rounds: int) -> Statement:
        """What is promised where sites add this noise."""
        sums = Sums(clip=self.clip, coordinates=coordinates, rounds=rounds)
        return Statement(
            epsilon=sums.epsilon(self.delta, noise),
            delta=self.delta,
            unit="site",
            sampling_rate=1.0,
            steps=rounds,
            noise_multiplier=noise.deviation / self.clip,
            accountant="RDP",
        )
