"""What the hub recalls between requests: who its members are, what is new to them, and which letters there may be.

The process that runs is the only one that writes to its database, so that what was read holds until it writes. After
whatever it writes to a log, `Ordering.wake` has this forgotten, texts that were redacted among it. A read keeps what it
found in what stood here when it began: once a write has thrown that away, nobody finds it any more. Nothing may be
forgotten before what was written is on the disk, or what stands there still would be recalled: see `Ordering.write`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import final

from comity.adapters.sql.log import Delivery
from comity.values.keys import PublicKeys

SPOTS = 64
"""Places in logs that nodes last asked from, over all channels."""

LARGEST = 64 << 10
"""Bytes of a page that is kept; a longer one is read again."""

NEVER = 1 << 63
"""Beyond the number of any letter."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Of a channel, by these keys."""

    channel: int
    keys: PublicKeys


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Leaves from one place of a log on."""

    deliveries: list[Delivery]
    size: int
    """Of the whole log."""
    checkpoint: str
    """Of the log with these leaves."""


@final
@dataclass(slots=True)
class Spot:
    """A place in a log: one of those who ask from there reads, and the others wait for the same page."""

    page: Page | None = None
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


@final
@dataclass(slots=True)
class Box:
    """The letters that there may be for one recipient: none before the first, none after the last."""

    first: int = 0
    last: int = NEVER


@final
class Recall:
    """What is recalled of all channels; only the event loop may call this."""

    def __init__(self) -> None:
        self.members: dict[tuple[str, str], Member] = {}
        """By the channel's digest and the organization. Only who has shown to be a member is kept: what is asked in
        other names takes no room."""
        self._spots: dict[tuple[int, int], Spot] = {}
        self._boxes: dict[tuple[int, str], Box] = {}

    def spot(self, channel: int, start: int) -> Spot:
        """The place in the channel's log as it is now."""
        found = self._spots.get((channel, start))
        return self._put((channel, start), Spot()) if found is None else found

    def keep(self, channel: int, start: int, spot: Spot, page: Page) -> None:
        """What was read there is for all who wait; and for who comes later, if it is short and goes to the log's end.

        Who then asks from that end has nothing to read either.
        """
        spot.page = page
        if self._spots.get((channel, start)) is not spot:
            return  # something was written meanwhile
        end = start + len(page.deliveries)
        if end == page.size:
            self._put((channel, end), Spot(Page(deliveries=[], size=end, checkpoint=page.checkpoint)))
        if start != end and (end != page.size or _size(page) > LARGEST):
            self._spots.pop((channel, start), None)

    def box(self, channel: int, recipient: str) -> Box:
        """The recipient's letters; ask for members alone."""
        return self._boxes.setdefault((channel, recipient), Box())

    def forget_members(self) -> None:
        """Some were let in or out, or have other keys."""
        self.members = {}

    def forget_log(self, channel: int) -> None:
        """The channel's log has changed."""
        for place in [each for each in self._spots if each[0] == channel]:
            del self._spots[place]

    def forget_box(self, channel: int, recipient: str) -> None:
        """A letter may have come."""
        self._boxes.pop((channel, recipient), None)

    def _put(self, place: tuple[int, int], spot: Spot) -> Spot:
        self._spots.pop(place, None)
        self._spots[place] = spot
        if len(self._spots) > SPOTS:
            del self._spots[next(iter(self._spots))]
        return spot


def _size(page: Page) -> int:
    return sum(
        len(bytes(each.leaf)) + sum(len(salt) + len(text) for salt, text in each.texts.values())
        for each in page.deliveries
    )
