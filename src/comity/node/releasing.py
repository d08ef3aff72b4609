"""The end of models that nobody needs any more: said by the node that has made them, then deleted wherever they lie.

What is due to be said follows from the log, what is to be deleted from a table that the projection fills; so that both
are taken up again after a crash, and nothing is asked of a log that releases nothing. A blob is deleted within a
transaction that has found nothing that names it; whoever names a blob that he has stored makes sure, afterwards or
within his transaction, that it is still there.
"""

from __future__ import annotations

import asyncio
from typing import final

import structlog
from sqlalchemy import Connection

from comity.domain.events import OutputsReleased
from comity.node import released
from comity.node.exchange import Exchange
from comity.values.digest import Digest
from comity.values.errors import ComityError

MOST_SAID = 1000
"""Models that are released by one event."""

MOST_DELETED = 50
"""Blobs that are deleted in one transaction, which others wait for."""

TOGETHER = 2.0
"""Seconds between two such events at least: nobody waits for them, and each costs every member."""

PAUSE = 1.0
"""Seconds before what was refused is decided anew, from what is known then, and before a store is tried again."""


@final
class Releasing:
    """One channel's released models at one node; `run` does the work."""

    def __init__(self, exchange: Exchange) -> None:
        self._following = exchange.following
        self._exchange = exchange
        self._log = structlog.get_logger().bind(organization=self._following.organization)

    async def run(self) -> None:
        """Release and delete until cancelled."""
        changed = self._following.releases
        while True:
            changed.clear()
            try:
                while await self._deleted():
                    pass
                while await self._said():
                    await asyncio.sleep(TOGETHER)
            except (ComityError, OSError) as error:
                self._log.warning("not released", reason=str(error))
                await asyncio.sleep(PAUSE)
                continue
            await changed.wait()

    async def _said(self) -> bool:
        """Whether models were due, which now are released and deleted."""
        here = self._following
        models = await here.read(lambda log: released.due(log, here.organization, MOST_SAID))
        if models:
            await here.insist([OutputsReleased(models=tuple(models))], {})
            while await self._deleted():
                pass
        return bool(models)

    async def _deleted(self) -> bool:
        """Whether there were blobs to be deleted, or kept since something else names them."""
        gone = await self._following.database.awrite(self._delete, patient=True)
        for owner, blob in gone:
            self._exchange.forgot(owner, blob)
        return bool(gone)

    def _delete(self, connection: Connection) -> list[tuple[str, str]]:
        channel, exchange = self._following.channel, self._exchange
        found = released.remembered(connection, channel, MOST_DELETED)
        for owner, blob in found:
            if not released.named(connection, channel, owner, blob):
                exchange.forget(connection, owner, blob)
                if not released.needed(connection, blob):
                    exchange.blobs.delete(Digest(blob))
            released.forget(connection, channel, owner, blob)
        return found
