"""Tokens in the database, within a transaction. Only the SHA-256 of a secret is kept: 256 random bits need no salt."""

from __future__ import annotations

import hmac
import secrets
import uuid
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, or_, select

from comity.node.accounts import users
from comity.node.accounts.people import Issued, Principal, Token, TokenKind, User
from comity.node.accounts.roles import RIGHTS, Right
from comity.node.accounts.schema import tokens
from comity.node.accounts.schema import users as people
from comity.values.errors import Unauthenticated


def new(kind: TokenKind, note: str, scopes: Iterable[Right], *, created_at: int, expires: int) -> Issued:
    """A token that nobody guesses; it opens nothing until it is put in."""
    token = Token(
        id=str(uuid.uuid4()),
        kind=kind,
        note=note,
        scopes=frozenset(scopes),
        created_at=created_at,
        expires=expires,
    )
    return Issued(token=token, secret=secrets.token_urlsafe(32))


def put(connection: Connection, user: str, issued: Issued) -> Issued:
    """Let a token open what its user may; the user's expired ones are forgotten."""
    token = issued.token
    connection.execute(delete(tokens).where(tokens.c.expires <= token.created_at))
    connection.execute(
        insert(tokens).values(
            hash=_hash(issued.secret),
            id=token.id,
            user=user,
            kind=token.kind,
            note=token.note,
            scopes=" ".join(sorted(token.scopes)),
            created_at=token.created_at,
            expires=token.expires,
        )
    )
    return issued


def principal(connection: Connection, secret: str, now: int, *, kinds: Iterable[TokenKind]) -> Principal:
    """Whose token this is; raises Unauthenticated when it is of another kind, unknown, revoked or expired."""
    found = _standing(connection, now, tokens.c.hash == _hash(secret), tokens.c.kind.in_(list(kinds)))
    if found is None:
        raise Unauthenticated("this token is unknown, revoked or expired; log in again")
    return found


def check_standing(connection: Connection, shown: Principal, now: int) -> None:
    """Raise Unauthenticated if the token was revoked since it was shown."""
    if _standing(connection, now, tokens.c.id == shown.token) is None:
        raise Unauthenticated("this token was revoked; log in again")


def of_user(connection: Connection, user: str, now: int) -> list[Token]:
    """A user's tokens, without resets, from the oldest."""
    query = select(tokens).where(tokens.c.user == user, tokens.c.expires > now, tokens.c.kind != "reset")
    return [_token(row) for row in connection.execute(query.order_by(tokens.c.created_at, tokens.c.id))]


def revoke(connection: Connection, user: str, token: str) -> bool:
    """Delete one token of a user; whether there was one."""
    return connection.execute(delete(tokens).where(tokens.c.user == user, tokens.c.id == token)).rowcount > 0


def revoke_secret(connection: Connection, secret: str) -> None:
    """Delete the token of a secret, if there is one."""
    connection.execute(delete(tokens).where(tokens.c.hash == _hash(secret)))


def revoke_all(connection: Connection, user: str, *, kinds: Iterable[TokenKind]) -> None:
    """Delete all tokens of some kinds that a user has."""
    connection.execute(delete(tokens).where(tokens.c.user == user, tokens.c.kind.in_(list(kinds))))


def csrf(cookie: str) -> str:
    """What a page's forms carry beside the cookie of their session: it follows from the cookie, and not back."""
    return hmac.new(cookie.encode(errors="surrogatepass"), b"comity csrf/1", sha256).hexdigest()


def _standing(connection: Connection, now: int, *where: Any) -> Principal | None:
    query: Select[Any] = (
        select(people, tokens.c.id.label("token"), tokens.c.kind, tokens.c.scopes)
        .join(people, people.c.id == tokens.c.user)
        .where(tokens.c.expires > now, or_(people.c.expires.is_(None), people.c.expires > now), *where)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _principal(users.user(row), row)


def _principal(user: User, row: Row[Any]) -> Principal:
    return Principal(
        user=user.id,
        username=user.username,
        role=user.role,
        rights=RIGHTS[user.role] & _scopes(row),
        channel=user.channel,
        token=row.token,
        kind=row.kind,
    )


def _token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        kind=row.kind,
        note=row.note,
        scopes=_scopes(row),
        created_at=row.created_at,
        expires=row.expires,
    )


def _scopes(row: Row[Any]) -> frozenset[Right]:
    return frozenset(Right(each) for each in row.scopes.split())


def _hash(secret: str) -> str:
    return sha256(secret.encode(errors="surrogatepass")).hexdigest()
