"""A node's folder: its keys, its database, its blobs, its tasks' logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from sqlalchemy import select

from comity.adapters import folder
from comity.adapters.clock import now
from comity.adapters.sql.database import Database, sqlite_url
from comity.node import schema
from comity.node.accounts.accounts import Accounts
from comity.node.address import Address
from comity.values.keys import Identity


@final
@dataclass(frozen=True)
class Place:
    """Everything of one node."""

    folder: Path
    database: Database
    identity: Identity
    accounts: Accounts
    authorities: Path | None = None
    """Whose certificates are trusted for hubs, see `Address`."""

    def address(self, url: str, certificate: str) -> Address:
        """A hub's, as it is reached from here."""
        return Address(url, certificate, self.authorities)

    def channels(self) -> Mapping[int, str]:
        """The organization's name in each channel that this node is in, by the channel's number here."""
        with self.database.read() as connection:
            table = schema.joined
            return {row.channel: row.organization for row in connection.execute(select(table))}


def open_place(path: Path, url: str = "", *, authorities: Path | None = None) -> Place:
    """The node in this folder; its keys are made when there are none, and its database unless another has its URL."""
    here = folder.private(path)
    identity = Identity.from_bytes(folder.secret(here / "node.key", lambda: Identity.generate().to_bytes()))
    database = Database(url or sqlite_url(here / "node.db"), schema.BRANCHES)
    return Place(here, database, identity, Accounts(database, now), authorities)
