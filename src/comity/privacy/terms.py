"""What all parties of one secure sum agree on before its first message.

The threshold is that of Bonawitz, Ivanov, Kreuter, Marcedone, McMahan, Patel, Ramage, Segal and Seth,
"Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017, against an aggregator
that lies: more than two thirds of those who hold shares, so that fewer than a third may be its accomplices.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal, TypeAlias, final

import msgspec
from msgspec import Meta

from comity.values.cohort import FEWEST, MOST, check_number, two_thirds
from comity.values.digest import Digest, digest
from comity.values.errors import DecodeError, InvalidInput
from comity.values.keys import PublicKeys

PROTOCOL = "fl/sa/v1"
"""In every session's name, and so in every signature, seal and mask."""

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]


Bits: TypeAlias = Literal[16, 32, 64]


@final
class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """One sum: who may take part, and by which parameters. Its session is named by all of them.

    Raises NotSupported for fewer than three sites or more than forty, the aggregator's own not counted.
    """

    plan: Annotated[str, Meta(min_length=1, max_length=200)]
    """The compute plan's key."""
    sum: Annotated[str, Meta(min_length=1, max_length=200)]
    """Which sum of the plan, e.g. its round; no two sums of a plan are called the same."""
    roster: dict[Name, PublicKeys]
    """The sites, by name, with the keys that their organizations have in the log."""
    bits: Bits
    """The ring is that of the integers modulo 2^bits."""
    segment: Annotated[int, Meta(ge=1, le=2**24)] = 2**21
    """How many coordinates are masked, sent and added at a time."""
    least: Annotated[int, Meta(ge=FEWEST, le=MOST)] = FEWEST
    """The fewest sites whose sum may be opened."""
    own: Annotated[str, Meta(max_length=200)] = ""
    """The aggregator's own site, if it is one of them: it holds no shares and counts for no threshold."""

    def __post_init__(self) -> None:
        if self.own and self.own not in self.roster:
            raise InvalidInput(f"the aggregator's own site {self.own!r} is none of this sum's")
        check_number(len(self.keepers))
        if self.least > len(self.keepers):
            raise InvalidInput(f"at least {self.least} sites are asked for, but there are {len(self.keepers)}")
        if len({keys.signing for keys in self.roster.values()}) < len(self.roster):
            raise InvalidInput("two sites of a secure sum sign with the same key; each organization has one seat")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The sites in the order of their names, which decides the masks' signs."""
        return tuple(sorted(self.roster))

    @cached_property
    def keepers(self) -> tuple[str, ...]:
        """Those who hold shares: all but the aggregator's own site."""
        return tuple(name for name in sorted(self.roster) if name != self.own)

    @property
    def threshold(self) -> int:
        """How many shares open a secret, and how many must agree on who survived."""
        return two_thirds(len(self.keepers))

    @property
    def cohort(self) -> int:
        """The fewest sites, the aggregator's own not counted, that may remain."""
        return max(self.least, self.threshold)

    @cached_property
    def session(self) -> Digest:
        """The digest of everything above."""
        return digest(canonical([PROTOCOL, self]))

    def place(self, keeper: str) -> int:
        """Where a keeper's shares lie on the polynomials, from 1."""
        return self.keepers.index(keeper) + 1

    def counted(self, names: tuple[str, ...]) -> int:
        """How many of these sites count: the aggregator's own does not."""
        return sum(name != self.own for name in names)

    def keys(self, name: str) -> PublicKeys:
        """A site's keys in the roster; raises DecodeError for a site that is not in it."""
        if name not in self.roster:
            raise DecodeError(f"{name!r} is not in this sum's roster")
        return self.roster[name]


def canonical(value: object) -> bytes:
    """A message, or a list of text and numbers, as JSON with its keys in the order of their characters.

    It is RFC 8785's wherever names are of the basic multilingual plane, and the same bytes everywhere.
    """
    return msgspec.json.encode(value, order="sorted")
