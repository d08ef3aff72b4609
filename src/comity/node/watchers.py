"""Who waits for a channel's log to grow, and for what in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import final

from comity.domain.entry import Statement
from comity.domain.events import Event


@final
class Watchers:
    """Those of one channel, on one event loop."""

    def __init__(self) -> None:
        self._about: dict[asyncio.Event, tuple[type[Event], ...]] = {}

    def __len__(self) -> int:
        return len(self._about)

    def add(self, about: tuple[type[Event], ...]) -> asyncio.Event:
        """An event that is set whenever something of these kinds was said; anything at all, where none is named."""
        watcher = asyncio.Event()
        self._about[watcher] = about
        return watcher

    def remove(self, watcher: asyncio.Event) -> None:
        """Set it no more."""
        del self._about[watcher]

    def tell(self, said: Iterable[Statement]) -> None:
        """Set those that wait for something of this."""
        kinds = {type(event) for statement in said for event in statement.events}
        for watcher, about in self._about.items():
            if not kinds.isdisjoint(about or kinds):
                watcher.set()

    def wake(self) -> None:
        """Set all."""
        for watcher in self._about:
            watcher.set()
