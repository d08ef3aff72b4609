"""What the parties of masked sums say to each other: by sealed letter, or at once where both are this organization."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import final

from comity.adapters import clock
from comity.domain.letter import SumLetter
from comity.domain.records import MaskedSum
from comity.node.exchange import Exchange
from comity.node.sums.making import MadeSums
from comity.node.sums.site import SiteSums, Still
from comity.privacy import messages
from comity.privacy.messages import Advertised, Agreed, Shared, Survivors


@final
class SumMail:
    """One channel's masked sums at one node: those it has a part in, and those it makes."""

    def __init__(self, exchange: Exchange, still: Still, folder: Path) -> None:
        self._exchange = exchange
        self._following = exchange.following
        self.site = SiteSums(exchange, self.say, still, folder / "sums")
        self.made = MadeSums(exchange, self.say, clock.now)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.site.run())
            group.create_task(self.made.run())

    def say(self, to: str, task: str, message: bytes) -> None:
        """Bring a message of a task's sum to an organization, as soon as the hub is there; nothing asks to say again.

        In the background: who cannot be reached holds up no other. A later message takes the place of an earlier one.
        """
        letter = SumLetter(task=task, message=message.decode())
        work = self._exchange.ask(to, letter) if to != self._following.organization else self.deal(to, letter)
        self._exchange.instead(f"say {task} to {to}", work)

    async def deal(self, sender: str, letter: SumLetter) -> None:
        """Take a message; raises DecodeError for what is none."""
        record = await self._following.read(lambda log: log.records.get(MaskedSum, letter.task))
        if record is None:
            # The letter was faster than the entry that opens the sum, or names none; who said it will say it again.
            return
        if record.status != "open" or sender not in (record.aggregator, *record.roster):
            return
        if not letter.message:
            if sender == record.aggregator:
                await self.site.again(record.key)
            return
        message = messages.decode(letter.message.encode())
        match message:
            case Advertised() | Shared() | Survivors() | Agreed():
                if sender == record.aggregator:
                    await self.site.hear(record, message)
            case _:
                if record.aggregator == self._following.organization:
                    await self.made.hear(record, sender, message)
