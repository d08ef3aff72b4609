"""A hub's folder: its keys, its certificate, its database and its spool."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, final

from sqlalchemy import Connection, select

from comity.adapters import folder
from comity.adapters.certificate import pin, self_signed
from comity.adapters.clock import now
from comity.adapters.sql.database import Database, sqlite_url
from comity.adapters.sql.log import Log
from comity.adapters.sql.schema import channels
from comity.domain.entry import RULES
from comity.domain.events import Admission, ChannelClosed, OrganizationRemoved, RulesRaised, RulesSupported
from comity.domain.joining import Token
from comity.domain.membership import CHANNEL
from comity.domain.records import Channel, Organization, need
from comity.domain.words import SALT, written
from comity.hub import schema
from comity.hub.founder import Founder
from comity.values.errors import Conflict, InvalidInput, NotFound
from comity.values.keys import Identity

FOUNDER = "hub"

DAY = 86_400_000


@final
@dataclass(frozen=True)
class Place:
    """Everything of one hub."""

    folder: Path
    database: Database
    identity: Identity
    """Signs checkpoints."""
    founder: Founder
    certificate: Path
    """PEM; made by the hub itself when nobody put one there."""
    certificate_key: Path
    """PEM of its private key."""

    def channel(self) -> tuple[int, str]:
        """(number, digest) of the hub's channel; raises NotFound before there is one."""
        with self.database.read() as connection:
            found = connection.execute(select(channels).order_by(channels.c.id)).first()
        if found is None:
            raise NotFound(f"the hub in {self.folder} has no channel yet; start it first: comity hub start")
        return found.id, found.digest

    def ready(self, *, name: str, hosts: list[str]) -> str:
        """Make on the first start what is missing: certificate and channel; the channel's digest."""
        if self.certificate == self.folder / "tls.crt" and not self.certificate.exists():
            certificate, key = self_signed(hosts, datetime.now(UTC))
            folder.keep(self.certificate_key, key)
            folder.keep(self.certificate, certificate)

        def create(connection: Connection) -> str:
            known = connection.execute(select(channels.c.digest)).scalar()
            if known is not None:
                return known
            hub = self.identity.public.signing
            return self.founder.create(connection, hub=hub, name=name, admission=Admission())[1]

        return self.database.write(create)

    def invite(self, organization: str, *, url: str, days: int = 7) -> Token:
        """A token that lets the organization join once, for so many days."""
        number, digest = self.channel()
        expires = now() + days * DAY
        secret = self.database.write(
            lambda connection: self.founder.invite(connection, number, organization, expires=expires)
        )
        return Token(
            url=url,
            certificate=pin(self.certificate.read_bytes()),
            hub=self.identity.public.signing,
            channel=digest,
            organization=organization,
            secret=secret,
            expires=expires,
        )

    def remove(self, organization: str, *, reason: str = "") -> None:
        """Take an organization out of the channel; raises NotFound for one that is no member."""
        number, _ = self.channel()
        text, texts = written(reason, secrets.token_bytes(SALT))
        event = OrganizationRemoved(organization=organization, reason=text)
        self.database.write(lambda connection: self.founder.write(connection, number, [event], texts))

    def raise_rules(self) -> int:
        """Let the channel go on by the newest rules that every member knows; raises Conflict when it does already."""
        number, _ = self.channel()

        def write(connection: Connection) -> int:
            log = Log(connection, number)
            here = need(log.records, Channel, CHANNEL)
            known = {each.key: each.rules for each in log.records.find(Organization, "status", "member")}
            known[here.founder] = RULES
            version = min(known.values())
            if version <= here.rules:
                shown = ", ".join(f"{name} {known[name]}" for name in sorted(known))
                raise Conflict(f"the channel goes by version {here.rules} of the rules, and members know: {shown}")
            self.founder.write(connection, number, [RulesSupported(version=RULES), RulesRaised(version=version)], {})
            return version

        return self.database.write(write)

    def close(self, *, reason: str = "") -> None:
        """End the channel for good; raises Forbidden when it was closed before."""
        number, _ = self.channel()
        text, texts = written(reason, secrets.token_bytes(SALT))
        event = ChannelClosed(reason=text)
        self.database.write(lambda connection: self.founder.write(connection, number, [event], texts))


def open_place(
    path: Path, url: str = "", *, certificate: Path | None = None, certificate_key: Path | None = None
) -> Place:
    """The hub in this folder; its keys are made when there are none, and its database unless another has its URL."""
    if (certificate is None) != (certificate_key is None):
        raise InvalidInput("a certificate and its private key are given together, or neither")
    here = folder.private(path)
    identity = Identity.from_bytes(folder.secret(here / "hub.key", lambda: Identity.generate().to_bytes()))
    founder = Identity.from_bytes(folder.secret(here / "founder.key", lambda: Identity.generate().to_bytes()))
    database = Database(url or sqlite_url(here / "hub.db"), schema.BRANCHES)
    return Place(
        here,
        database,
        identity,
        Founder(FOUNDER, founder, now),
        certificate or here / "tls.crt",
        certificate_key or here / "tls.key",
    )


def locked(place: Place) -> IO[bytes]:
    """Hold the folder for this process."""
    return folder.lock(place.folder)
