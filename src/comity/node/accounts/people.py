"""Users, and those who were recognized as one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, final

from comity.node.accounts.roles import Right, Role
from comity.values.errors import Forbidden

TokenKind: TypeAlias = Literal["login", "api", "session", "reset"]

USERNAME = re.compile(r"[A-Za-z0-9_@+.-]{1,100}")

LAST = 253_402_300_799_999
"""The end of the year 9999, the last moment that ISO 8601 can name; in milliseconds since 1970, as all times here."""

DELETED = "deleted user"
"""The name of a user who is no more."""

POLICY = "policy"
"""By whom a decision is that no user took."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user of the node, in one channel."""

    id: str
    """An opaque UUID: what stands in the log as `creator` and `by`. It is never given twice."""
    username: str
    """Unique on the node."""
    channel: int
    role: Role
    created_at: int
    expires: int | None
    """None: does not expire."""

    def expired(self, now: int) -> bool:
        """Whether the user's time has come."""
        return self.expires is not None and self.expires <= now


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token: everything but its secret."""

    id: str
    kind: TokenKind
    note: str
    """For its user; empty unless the kind is api."""
    scopes: frozenset[Right]
    """It gives those of them that its user has when it is used."""
    created_at: int
    expires: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A new token with its secret, which is shown now and never again."""

    token: Token
    secret: str = field(repr=False)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who makes a request, and what the request may do."""

    user: str
    """The user's id."""
    username: str
    role: Role
    rights: frozenset[Right]
    """Those of the role that the token has as scopes."""
    channel: int
    token: str
    """The id of the token that was shown."""
    kind: TokenKind

    def require(self, right: Right) -> None:
        """Raise Forbidden unless the request may do this."""
        if right not in self.rights:
            raise Forbidden(
                f"this needs the right {right.value!r}; {self.username} is {self.role.value} and shows a token "
                f"for {', '.join(sorted(self.rights)) or 'nothing'}"
            )
