"""What a node asks of the hub for its own purposes: letters to other nodes, and requests that it may have to repeat."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import partial
from typing import Any, final

import msgspec

from comity.domain.entry import canonical
from comity.domain.letter import AnyLetter, context, seal
from comity.domain.records import Organization, need
from comity.node.following import Following
from comity.values.errors import ComityError, NotFound, Unavailable

PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before the hub is asked again; each is drawn at random up to these."""


@final
class Posting:
    """One channel's."""

    def __init__(self, following: Following) -> None:
        self.following = following

    async def post(self, recipient: str, letter: AnyLetter) -> None:
        """Send a letter to another organization's node; raises NotFound when it has left the channel."""
        sealed = await self.sealed([recipient], letter)
        if not sealed:
            raise NotFound(f"{recipient} has left the channel; what only its node has cannot be had any more")
        await self.call("POST", "/mail", {"recipient": recipient, "body": sealed[recipient]})

    async def sealed(self, recipients: Sequence[str], letter: AnyLetter) -> dict[str, str]:
        """The letter, sealed for each of the recipients that has not left the channel."""
        here = self.following
        found = await here.read(lambda log: [need(log.records, Organization, each) for each in recipients])
        way = partial(context, here.link.channel, here.organization)
        return {
            each.key: seal(letter, here.identity, each.keys, way(each.key)) for each in found if each.status == "member"
        }

    async def call(self, method: str, target: str, body: Any = None) -> Any:
        """What the hub answers; raises Unavailable.

        Whatever it refuses it may grant later, when it has got back what it lost, or this node's news have come.
        """
        try:
            answer = await self.following.link.call(method, target, b"" if body is None else canonical(body))
            return msgspec.json.decode(answer)
        except (ComityError, msgspec.MsgspecError) as error:
            raise Unavailable(f"the hub did not take {method} {target.partition('?')[0]}: {error}") from error

    async def pause(self, failures: int) -> None:
        """Wait, after so many failures in a row, until it is worth another attempt at reaching the hub."""
        await asyncio.sleep(random.random() * PAUSES[min(failures, len(PAUSES) - 1)])
        await self.following.caught_up()
