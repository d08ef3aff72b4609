"""Users in the database, within a transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from comity.node.accounts.people import DELETED, POLICY, USERNAME, User
from comity.node.accounts.roles import Role
from comity.node.accounts.schema import users
from comity.values.errors import Conflict, InvalidInput, NotFound


def named(connection: Connection, username: str) -> tuple[User, str] | None:
    """(the user of this name, the hash of the password)."""
    # A foreign name that can be no user's never gets to the database, which has its own bounds for text.
    if not USERNAME.fullmatch(username):
        return None
    row = connection.execute(select(users).where(users.c.username == username)).one_or_none()
    return None if row is None else (user(row), row.password)


def member(connection: Connection, channel: int, username: str) -> User:
    """The user of this name in this channel; raises NotFound."""
    found = named(connection, username)
    if found is None or found[0].channel != channel:
        raise NotFound(f"there is no user {username!r} in this channel; `comity node users` lists them")
    return found[0]


def members(connection: Connection, channel: int) -> list[User]:
    """All users of a channel, by name."""
    rows = connection.execute(select(users).where(users.c.channel == channel).order_by(users.c.username))
    return [user(row) for row in rows]


def any_user(connection: Connection) -> bool:
    """Whether the node has users."""
    return connection.execute(select(users.c.id).limit(1)).first() is not None


def make(connection: Connection, made: User, hashed: str) -> User:
    """Put a new user in; raises Conflict when the name is taken."""
    if named(connection, made.username) is not None:
        raise Conflict(f"the name {made.username!r} is taken on this node; choose another")
    row = {field: getattr(made, field) for field in User.__slots__}
    connection.execute(insert(users).values({**row, "role": made.role.value, "password": hashed}))
    return made


def change(connection: Connection, changed: User, **values: Any) -> User:
    """Change columns of a user; raises Conflict if the channel's last admin would go."""
    connection.execute(update(users).where(users.c.id == changed.id).values(values))
    _check_admins(connection, changed)
    return user(connection.execute(select(users).where(users.c.id == changed.id)).one())


def remove(connection: Connection, removed: User) -> None:
    """Delete a user and, by the database's rule, every token; raises Conflict if the last admin would go."""
    connection.execute(delete(users).where(users.c.id == removed.id))
    _check_admins(connection, removed)


def names(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    """The username of each id; "deleted user" where there is none. What policy does has a name of its own."""
    asked = {each: each if each == POLICY else DELETED for each in ids}
    known = [each for each in asked if is_id(each)]
    rows = connection.execute(select(users.c.id, users.c.username).where(users.c.id.in_(known)))
    return asked | {row.id: row.username for row in rows}


def is_id(text: str) -> bool:
    """Whether this can be the id of a user or token."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def user(row: Row[Any]) -> User:
    """A user from a row."""
    return User(
        id=row.id,
        username=row.username,
        channel=row.channel,
        role=Role(row.role),
        created_at=row.created_at,
        expires=row.expires,
    )


def check_username(username: str) -> None:
    """Raise InvalidInput unless this can be a user's name."""
    if not USERNAME.fullmatch(username):
        raise InvalidInput(f"a username is 1 to 100 of A-Z a-z 0-9 _ @ + . -, not {username!r:.120}")


def _check_admins(connection: Connection, before: User) -> None:
    if before.role is not Role.ADMIN or before.expires is not None:
        return
    lasting = (users.c.channel == before.channel, users.c.role == Role.ADMIN.value, users.c.expires.is_(None))
    if connection.execute(select(func.count()).select_from(users).where(*lasting)).scalar_one() == 0:
        raise Conflict(
            f"{before.username!r} is the last admin of this channel that does not expire; make another one first"
        )
