"""The founder at the hub's machine: creates a channel, invites, and admits who comes with a valid token."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import final

from sqlalchemy import Connection, func, insert, select

from comity.adapters.sql.log import Log
from comity.adapters.sql.schema import channels
from comity.domain.entry import Seen, Statement, Texts, sign
from comity.domain.events import Admission, AnyEvent, ChannelCreated, OrganizationAdmitted, OrganizationInvited
from comity.domain.joining import Join
from comity.domain.records import Invitation, Organization
from comity.domain.words import SALT, written
from comity.values.digest import digest
from comity.values.errors import Forbidden
from comity.values.keys import Identity, to_base64


@final
@dataclass(frozen=True)
class Founder:
    """An organization without a node, whose keys lie at the hub."""

    name: str
    identity: Identity
    clock: Callable[[], int]

    def create(self, connection: Connection, *, hub: str, name: str, admission: Admission) -> tuple[int, str]:
        """(number, digest) of a new channel."""
        text, texts = written(name, secrets.token_bytes(SALT))
        event = ChannelCreated(
            keys=self.identity.public, hub=hub, name=text, admission=admission, nonce=secrets.token_hex(16)
        )
        empty = Seen(0, to_base64(sha256().digest()))
        statement = Statement(author=self.name, id=str(uuid.uuid4()), seen=empty, events=(event,))
        entry = sign(statement, self.identity, texts)
        number = 1 + (connection.execute(select(func.max(channels.c.id))).scalar() or 0)
        made = digest(bytes(entry.statement))
        connection.execute(insert(channels).values(id=number, digest=made))
        Log(connection, number).order(entry, self.clock())
        return number, made

    def write(self, connection: Connection, channel: int, events: Sequence[AnyEvent], texts: Texts) -> None:
        """Sign and order events of the founder's own."""
        log = Log(connection, channel)
        statement = log.next_statement(self.name, str(uuid.uuid4()), events)
        log.order(sign(statement, self.identity, texts), self.clock())

    def invite(self, connection: Connection, channel: int, organization: str, *, expires: int) -> str:
        """The secret that lets the organization join, until then."""
        secret = secrets.token_urlsafe(32)
        event = OrganizationInvited(organization=organization, token=digest(secret.encode()), expires=expires)
        self.write(connection, channel, [event], {})
        return secret

    def admit(self, connection: Connection, channel: int, join: Join) -> None:
        """Let in who shows the secret of an invitation; raises Forbidden, saying why not."""
        if self.check(connection, channel, join):
            event = OrganizationAdmitted(organization=join.organization, keys=join.keys)
            self.write(connection, channel, [event], {})

    def check(self, connection: Connection, channel: int, join: Join) -> bool:
        """Whether it is to be admitted, or is a member by these keys already; raises Forbidden, saying why not."""
        log = Log(connection, channel)
        invitation = log.records.get(Invitation, digest(join.secret.encode()))
        if invitation is None or invitation.organization != join.organization:
            raise Forbidden(f"this token invites nobody called {join.organization}; ask for a new one")
        member = log.records.get(Organization, join.organization)
        if member is not None and member.status == "member" and member.keys == join.keys:
            return False  # the answer was lost: the node asks again with the same keys
        if invitation.used:
            raise Forbidden("this token was used before; ask for a new one")
        if invitation.expires < self.clock():
            raise Forbidden("this token has expired; ask for a new one")
        return True
