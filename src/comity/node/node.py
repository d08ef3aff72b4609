"""A node, put together: one database, one store of blobs, and for each channel those who work in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import final

import aiohttp
import structlog
from sqlalchemy import Connection, func, insert, select

from comity.adapters import clock
from comity.adapters.blob_files import BlobFiles
from comity.adapters.disk import is_full
from comity.adapters.environments.venvs import Venvs
from comity.adapters.execution.pool import Pool
from comity.adapters.sql.database import Database
from comity.adapters.sql.schema import channels
from comity.domain.joining import Token, write_join
from comity.domain.presence import agent
from comity.node import schema
from comity.node.building import Building
from comity.node.bundles import Bundles
from comity.node.conductor import Conductor
from comity.node.exchange import Exchange
from comity.node.following import Following
from comity.node.judging import Judging
from comity.node.link import Link, away, check, read
from comity.node.log_letters import LogLetters
from comity.node.place import Place
from comity.node.policy.policies import Policies
from comity.node.releasing import Releasing
from comity.node.scheduler import Scheduler
from comity.node.sums.mail import SumMail
from comity.node.way import Way
from comity.ports.blobs import Blobs
from comity.values.errors import NotFound, Unavailable
from comity.values.keys import Identity

PAUSE = 1.0
"""Seconds after which what found no room is begun anew."""


@final
@dataclass(frozen=True)
class Part:
    """Those who work in one channel."""

    following: Following
    exchange: Exchange
    scheduler: Scheduler
    judging: Judging
    building: Building
    conductor: Conductor
    releasing: Releasing
    pool: Pool
    """Where all channels' tasks run."""
    log_letters: LogLetters
    sums: SumMail
    policies: Policies

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.following.run(self.exchange.deal))
                # A node that was restored from a backup learns first what it did since then, lest it does it again.
                await self.following.caught_up()
                group.create_task(_kept(self.scheduler.run))
                group.create_task(_kept(self.judging.run))
                group.create_task(_kept(self.building.run))
                group.create_task(_kept(self.conductor.run))
                group.create_task(_kept(self.sums.run))
                group.create_task(_kept(self.policies.run))
                group.create_task(_kept(self.releasing.run))
        finally:
            await self.exchange.close()


async def _kept(work: Callable[[], Awaitable[None]]) -> None:
    """Do the work until cancelled, and begin it anew when there was no room to write down what it does."""
    while True:
        try:
            return await work()
        except* Exception as errors:
            _, others = errors.split(lambda error: is_full(error) or isinstance(error, Unavailable))
            if others is not None:
                raise others from None
            structlog.get_logger().error("no room", reason=str(errors.exceptions[0]))
        await asyncio.sleep(PAUSE)


@final
@dataclass(frozen=True)
class Node:
    """What the node's routes share."""

    database: Database
    blobs: Blobs
    identity: Identity
    parts: dict[int, Part]
    """By channel number."""

    def part(self, channel: int) -> Part:
        """Those who work in the channel."""
        found = self.parts.get(channel)
        if found is None:
            raise NotFound("this node is not in that channel")
        return found


@asynccontextmanager
async def running(place: Place, way: Way) -> AsyncGenerator[Node]:
    """A node at work. When one of those who work in it fails, what is within is cancelled."""
    database, identity = place.database, place.identity
    blobs = BlobFiles(place.folder / "blobs")
    environments = Venvs(place.folder / "environments", way.builds)
    await environments.start()
    pool = Pool(way.tasks, place.folder / "sandboxes", way.sandbox, hidden=place.folder)
    bundles = Bundles(place.folder / "bundles", blobs, environments, pool, most=way.builds.images)
    await pool.start()
    structlog.get_logger().info("tasks are held in", sandbox=pool.level)
    if pool.trouble:
        structlog.get_logger().error("tasks are not held in as they should be", reason=pool.trouble)
    try:
        async with aiohttp.ClientSession() as session, aiohttp.ClientSession() as uploads, asyncio.TaskGroup() as group:
            named = agent(version("comity"), pool.level)
            parts = dict[int, Part]()
            for row in await database.aread(lambda connection: connection.execute(select(schema.joined)).all()):
                address = place.address(row.url, row.certificate)
                link = Link(session, address, row.digest, row.organization, identity, named, uploads=uploads)
                exchange = Exchange(Following(database, row.channel, link, identity), blobs)
                here = place.folder / "channels" / str(row.channel)
                parts[row.channel] = part(exchange, bundles, pool=pool, folder=here, way=way, policy=place.folder)
            workers = [group.create_task(each.run()) for each in parts.values()]
            yield Node(database, blobs, identity, parts)
            for worker in workers:
                worker.cancel()
    finally:
        await pool.close()


def part(exchange: Exchange, bundles: Bundles, *, pool: Pool, folder: Path, way: Way, policy: Path) -> Part:
    """Those who work in one channel; they keep what they have in a folder, and find the policy in another."""
    policies = Policies(exchange.following, policy, lambda: pool.level, clock.now)
    scheduler = Scheduler(exchange, pool, bundles, policies, folder=folder, size=way.tasks)
    judging = Judging(exchange, bundles, approve=way.approve, opaque=way.opaque, folder=folder)
    building = Building(exchange, bundles, judging, folder=folder)
    conductor = Conductor(exchange.following, clock.now)
    letters = LogLetters(exchange, folder)
    exchange.logs = letters.deal
    sums = SumMail(exchange, policies.still, folder)
    exchange.sums = sums.deal
    return Part(
        following=exchange.following,
        exchange=exchange,
        scheduler=scheduler,
        judging=judging,
        building=building,
        conductor=conductor,
        releasing=Releasing(exchange),
        pool=pool,
        log_letters=letters,
        sums=sums,
        policies=policies,
    )


async def join(place: Place, token: Token) -> int:
    """Enrol this node's keys with the hub and remember the channel; its number here.

    May be repeated with the same token when the answer was lost. Raises what the hub says.
    """
    address = place.address(token.url, token.certificate)
    async with aiohttp.ClientSession() as session:
        try:
            body = write_join(token, place.identity)
            async with session.post(f"{address.url}/join", data=body, ssl=address.tls, proxy=address.proxy) as answer:
                check(answer.status, await read(answer))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{away(address, error)}; find out why: comity doctor TOKEN") from error

    def keep(connection: Connection) -> int:
        known = connection.execute(select(channels.c.id).where(channels.c.digest == token.channel)).scalar()
        if known is not None:
            return known
        number = 1 + (connection.execute(select(func.max(channels.c.id))).scalar() or 0)
        connection.execute(insert(channels).values(id=number, digest=token.channel))
        connection.execute(
            insert(schema.joined).values(
                channel=number,
                digest=token.channel,
                url=token.url,
                certificate=token.certificate,
                organization=token.organization,
                mail=0,
                broken="",
            )
        )
        return number

    return await place.database.awrite(keep)
