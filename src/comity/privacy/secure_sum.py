"""The setting of an experiment that has its sums made by secure aggregation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final, get_args

from comity.privacy.fixed_point import Scale
from comity.privacy.terms import Bits
from comity.values import bounds
from comity.values.cohort import FEWEST, MOST, check_number, two_thirds
from comity.values.errors import InvalidInput, NotSupported
from comity.values.metric import Metric
from comity.values.strategy import SeesEach, Strategy
from comity.values.transform import Transform


@final
@dataclass(frozen=True)
class SecureSum(Transform):
    """Nobody sees a site's contribution: masked inputs are added, and only their sum is opened (protocol SA-1).

    Weights and metrics are summed in the same way; metrics of single sites leave none of them. It hides whose a number
    is, and not the number: what the sum tells of a record is for differential privacy to limit. A round needs at least
    three sites and more than two thirds of those selected; the sum is exact but for the rounding of its floats, whose
    bound `run.history` holds for every round.

    >>> SecureSum(clip=1.0).bits
    64
    """

    clip: float = 8.0
    """The largest magnitude of a float for each unit of a site's weight, so of a mean. Larger ones of a model's
    training are clipped and counted; those of statistics and classical models are refused, up to this for each unit of
    `max_weight`."""
    norm: float | None = None
    """The largest Euclidean norm of a site's floats for each unit of its weight, to which they are scaled down before
    they are clipped; None for any. For strategies whose floats are nothing but updates."""
    bits: int = 64
    """Of the ring, 64, 32 or 16: what a number takes on its way. Fewer leave fewer bits after the point: with 16, those
    of four sites have 13 bits and a sign, so bring `clip` and `max_weight` near to what there is."""
    max_weight: int = 2**20
    """The largest weight of a site, so its rows; the lower, the more bits after the point, which counts with 32, 16."""
    least: int = FEWEST
    """The fewest sites whose sum may be opened; 3 at least."""
    metric_limit: float = 2.0**12
    """The largest magnitude of a metric's sums for each unit of `max_weight`; a site with larger ones is refused."""

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.positive("clip", self.clip)
        bounds.positive("metric_limit", self.metric_limit)
        if self.norm is not None:
            bounds.positive("norm", self.norm)
        if self.bits not in get_args(Bits):
            raise InvalidInput(f"bits must be 16, 32 or 64, not {self.bits!r}")
        bounds.count("max_weight", self.max_weight, least=1)
        bounds.count("least", self.least, least=FEWEST)
        if self.least > MOST:
            raise InvalidInput(f"least must be at most {MOST}, not {self.least}")
        self.scale(FEWEST)
        self.metric_scale(FEWEST)

    def accepts(self, strategy: Strategy | SeesEach, metrics: Sequence[Metric]) -> None:
        """Raises NotSupported for a strategy that sees each contribution, or draws too few sites or too many."""
        name = type(strategy).__name__
        if isinstance(strategy, SeesEach):
            raise NotSupported(
                f"{name} must see every site's contribution by itself, and secure aggregation shows nothing but sums"
            )
        if drawn := int(getattr(strategy, "sites_per_round", 0)):
            check_number(drawn)
            if drawn < self.least:
                raise InvalidInput(f"{name} draws {drawn} sites for a round, but SecureSum asks for {self.least}")

    def scale(self, sites: int) -> Scale:
        """How contributions of so many sites are encoded when a model is trained."""
        return Scale(bits=self.bits, sites=sites, max_weight=self.max_weight, clip=self.clip)

    def statistics_scale(self, sites: int) -> Scale:
        """How they are encoded when the sums are themselves the result."""
        return Scale(bits=self.bits, sites=sites, max_weight=self.max_weight, clip=self.clip, excess="refuse")

    def metric_scale(self, sites: int) -> Scale:
        """How their metrics' sums are encoded: always in 64 bits, for they are few."""
        return Scale(
            bits=64,
            sites=sites,
            max_weight=self.max_weight,
            clip=self.metric_limit,
            excess="refuse",
            setting="metric_limit",
        )

    def needed(self, sites: int) -> int:
        """How many of so many sites must remain to the end; raises NotSupported for too few or too many."""
        check_number(sites)
        if sites < self.least:
            raise InvalidInput(f"SecureSum asks for at least {self.least} sites, but a round has {sites}; lower least")
        return max(self.least, two_thirds(sites))
