"""What one organization may ask of a hub, so that it refuses rather than dies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from comity.values.errors import InvalidInput, Unavailable

MINUTE = 60_000
"""Milliseconds."""

DAY = 86_400_000
"""Milliseconds."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of each organization in each channel, where nothing else is said; an honest node stays far below them."""

    join_bytes: int = 4 << 10
    """Of a request to join, which anyone may send."""
    body_bytes: int = 4 << 20
    """Of a signed request that is no parcel."""
    lost_bytes: int = 16 << 20
    """Of entries that are given back to a restored hub."""
    news_bytes: int = 4 << 20
    """Of entries, and of mail, in one answer; one more may be in it."""
    letter_bytes: int = 64 << 10
    """Of one letter."""
    letters: int = 10_000
    """Letters on their way to one recipient."""
    parcels: int = 10_000
    """Parcels on their way."""
    parcel_bytes: int = 200 << 30
    """Of all its parcels on their way."""
    free_bytes: int = 1 << 30
    """Of the hub's disk, which parcels leave alone."""
    entries: int = 20_000
    """Entries in a minute."""
    entry_bytes: int = 256 << 20
    """Of entries in a minute."""
    parcel_age: int = 7 * DAY
    """Milliseconds after which a parcel that nobody fetched is forgotten; its owner is asked again for what it held."""
    letter_age: int = 30 * DAY
    """Milliseconds after which a letter that nobody fetched is forgotten."""


@final
@dataclass
class Minutes:
    """What each organization has sent within the running minute."""

    limits: Limits
    _sent: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict[tuple[int, str], tuple[int, int]])
    _minute: int = 0

    def add(self, who: tuple[int, str], size: int, *, now: int) -> None:
        """Count an entry of so many bytes; raises Unavailable when it is one too many."""
        if now // MINUTE != self._minute:
            self._minute = now // MINUTE
            self._sent.clear()
        entries, total = self._sent.get(who, (0, 0))
        if entries >= self.limits.entries or total + size > self.limits.entry_bytes:
            raise Unavailable(
                f"{who[1]} has sent {entries} entries of {total} bytes within a minute; {self.limits.entries} of "
                f"{self.limits.entry_bytes} are the most, send the rest later"
            )
        self._sent[who] = entries + 1, total + size


def check_bytes(got: int, most: int, what: str) -> None:
    """Raises InvalidInput for more bytes than there may be."""
    if got > most:
        raise InvalidInput(f"{what} has more than {most} bytes; send less at a time")
