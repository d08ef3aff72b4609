"""New keys for an organization: said in every channel, then put in the place of the old ones.

The new keys are on the disk before anybody hears of them and the old ones until everybody has, so that what was cut off
at any point is done again. A channel that has heard of them knows this node by the new keys alone, one that has not by
the old ones: as long as both are there the node does not start.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any, final

import aiohttp
from sqlalchemy import Connection, select

from comity.adapters import durable, folder
from comity.adapters.sql.log import Log
from comity.domain.entry import Entry, canonical, sign
from comity.domain.events import KeyRotated
from comity.domain.membership import rotation
from comity.domain.records import Organization, need
from comity.node import schema
from comity.node.following import Following
from comity.node.link import Link, outcome
from comity.node.news import Mail
from comity.node.outbox import Outbox
from comity.node.place import Place
from comity.values.errors import Conflict, Unavailable
from comity.values.keys import Identity, to_base64

NEW = "node.key.new"
"""Beside node.key while keys are being replaced."""


def check_whole(place: Place) -> None:
    """Raise Conflict when a rotation of this node's keys was cut off, or made since the node was opened."""
    if (place.folder / NEW).exists():
        raise Conflict(
            f"a rotation of this node's keys was cut off; finish it: comity node rotate --dir {place.folder}"
        )
    if (place.folder / "node.key").read_bytes() != place.identity.to_bytes():
        raise Conflict("this node's keys have just been replaced; start it again")


async def rotate(place: Place) -> Identity:
    """The node's new keys, said in each of its channels; may be repeated when it was cut off.

    Raises Conflict while the node runs or has something else to say, Unavailable when the hub is away.
    """
    with folder.lock(place.folder):
        path, beside = place.folder / "node.key", place.folder / NEW
        old = Identity.from_bytes(path.read_bytes())
        rows = await place.database.aread(lambda connection: connection.execute(select(schema.joined)).all())
        async with aiohttp.ClientSession() as session:
            rotations = [_Rotation(place, session, row, old) for row in rows]
            if not beside.exists():
                for each in rotations:
                    await each.check()
            new = Identity.from_bytes(folder.secret(beside, lambda: Identity.generate().to_bytes()))
            for each in rotations:
                await each.say(new)
        beside.replace(path)
        durable.settle(place.folder)
    return new


@final
@dataclass(frozen=True)
class _Rotation:
    """In one channel."""

    place: Place
    session: aiohttp.ClientSession
    row: Any
    """Of `joined`."""
    old: Identity

    async def check(self) -> None:
        """Raise what would keep `say` from being done, as long as the node can still go on with its old keys."""
        await self._follow(self.old)
        if count := await self.place.database.aread(Outbox(self.row.channel).pending):
            raise Conflict(f"this node has {count} things still to say by its old keys; start it and let it say them")

    async def say(self, new: Identity) -> None:
        """Return once the hub and this node's own projection have the new keys."""
        try:
            await self._follow(self.old)
        except Unavailable:
            # Where it was said before, the old keys are nobody's any more.
            return await self._follow(new)
        entry = await self.place.database.aread(lambda connection: self._entry(connection, new))
        refused = outcome(await self._link(self.old).call("POST", "/entries", canonical([entry])))
        if refused is not None:
            raise refused
        await self._follow(new)

    async def _follow(self, identity: Identity) -> None:
        """Know all that the hub has; raises Unavailable, also for keys that the hub does not know."""
        following = Following(self.place.database, self.row.channel, self._link(identity), identity)
        following.broken = self.row.broken
        while not following.connected:
            if following.broken:
                raise Conflict(f"this node has stopped following the channel: {following.broken}")
            await following.catch_up(_left_alone)

    def _link(self, identity: Identity) -> Link:
        address = self.place.address(self.row.url, self.row.certificate)
        return Link(self.session, address, self.row.digest, self.row.organization, identity)

    def _entry(self, connection: Connection, new: Identity) -> Entry:
        name, log = self.row.organization, Log(connection, self.row.channel)
        epoch = need(log.records, Organization, name).epoch + 1
        proof = to_base64(new.sign("rotation", rotation(self.row.digest, name, epoch)))
        event = KeyRotated(keys=new.public, proof=proof)
        return sign(log.next_statement(name, str(uuid.uuid4()), [event]), self.old, {})


async def _left_alone(letter: Mail) -> asyncio.Future[None]:
    """Never done, so that the letter comes again when the node runs."""
    return asyncio.get_running_loop().create_future()
