"""The users of a node, their passwords and tokens.

Who may call what is not decided here but where a request comes in: `Principal.require`. Times are milliseconds since
1970. A method marked *slow* computes an argon2 hash: call it in a thread. Those that write wait for the disk as any
transaction does; `authenticate` only reads. All may be called from any thread.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Callable, Iterable
from typing import final

from argon2 import PasswordHasher
from sqlalchemy import Connection, select, update

from comity.adapters.sql.database import Database
from comity.adapters.sql.records import upsert
from comity.node.accounts import preferences, schema, tokens, users
from comity.node.accounts.passwords import ARGON2, Passwords, new_password
from comity.node.accounts.people import LAST, Issued, Principal, Token, TokenKind, User
from comity.node.accounts.preferences import Preferences
from comity.node.accounts.roles import Right, Role
from comity.node.accounts.throttle import Throttle
from comity.values.errors import Forbidden, InvalidInput, NotFound, Unauthenticated

DAY = 24 * 60 * 60 * 1000

RESET = 7 * DAY
"""How long a reset can be used."""

LONGEST_NOTE = 100

EVERY: tuple[TokenKind, ...] = ("login", "api", "session", "reset")


@final
class Accounts:
    """The users of a node. A user belongs to one channel and is not to be found from another."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int],
        *,
        lifetime: int = DAY,
        hasher: PasswordHasher = ARGON2,
    ) -> None:
        self._database = database
        self._clock = clock
        self._lifetime = lifetime
        self._passwords = Passwords(hasher)
        self._throttle = Throttle(clock)

    # Users

    def first_admin(self, channel: int) -> str | None:
        """The password of a new user "admin", if the node has no users yet. Show it once. Slow."""
        with self._database.read() as connection:
            if users.any_user(connection):
                return None
        password = new_password()
        made, hashed = self._made(channel, "admin", Role.ADMIN, None), self._passwords.hash(password)

        def first(connection: Connection) -> bool:
            return not users.any_user(connection) and users.make(connection, made, hashed) is made

        return password if self._database.write(first) else None

    def add(self, channel: int, username: str, *, password: str, role: Role, expires: int | None = None) -> User:
        """A new user. Slow.

        Raises InvalidInput for a name, password or time that cannot be, Conflict for a name taken on this node: names
        are the node's, so that it can be learnt that one is taken in another channel.
        """
        made, hashed = self._made(channel, username, role, expires), self._passwords.hash(password)
        return self._database.write(lambda connection: users.make(connection, made, hashed))

    def users(self, channel: int) -> list[User]:
        """The users of a channel by name, the expired included."""
        with self._database.read() as connection:
            return users.members(connection, channel)

    def user(self, channel: int, username: str) -> User:
        """One user of a channel; raises NotFound."""
        with self._database.read() as connection:
            return users.member(connection, channel, username)

    def names(self, ids: Iterable[str]) -> dict[str, str]:
        """The username of each id in this organization's entries; "deleted user" for one that is no more."""
        with self._database.read() as connection:
            return users.names(connection, ids)

    def set_role(self, channel: int, username: str, role: Role) -> User:
        """The user in another role, from the next request on. Raises NotFound; Conflict for the last admin."""
        return self._database.write(
            lambda connection: users.change(connection, users.member(connection, channel, username), role=role.value)
        )

    def set_expiry(self, channel: int, username: str, expires: int | None) -> User:
        """The user with another expiry, None for never; from then on no password or token of the user opens anything.

        Raises NotFound; Conflict for the last admin, who cannot be made to expire; InvalidInput.
        """
        _check_expiry(expires)
        return self._database.write(
            lambda connection: users.change(connection, users.member(connection, channel, username), expires=expires)
        )

    def delete(self, channel: int, username: str) -> None:
        """Delete a user and all that the user's tokens open. Raises NotFound; Conflict for the last admin."""
        self._database.write(lambda connection: users.remove(connection, users.member(connection, channel, username)))

    # Passwords

    def change_password(self, principal: Principal, *, old: str, new: str, address: str) -> None:
        """Set one's own password; ends every token of the user, the one shown too. Slow.

        Raises Forbidden for an API token, Unauthenticated for a wrong password, Unavailable after too many wrong
        ones, InvalidInput for a new one that cannot be.
        """
        if principal.kind == "api":
            raise Forbidden("an API token cannot change a password; log in with the password")
        with self._throttle.attempt(principal.username, address):
            self._verified(principal.username, old)
        hashed = self._passwords.hash(new)

        def change(connection: Connection) -> None:
            # The token would not stand any more had the password been changed since it was verified.
            tokens.check_standing(connection, principal, self._clock())
            _set_password(connection, principal.user, hashed)

        self._database.write(change)

    def set_password(self, username: str, password: str) -> None:
        """Set anyone's password, from the node's own host; ends every token of the user. Slow.

        Raises NotFound, InvalidInput.
        """
        hashed = self._passwords.hash(password)

        def change(connection: Connection) -> None:
            found = users.named(connection, username)
            if found is None:
                raise NotFound(f"there is no user {username!r:.120} on this node; `comity node users` lists them")
            _set_password(connection, found[0].id, hashed)

        self._database.write(change)

    def offer_reset(self, channel: int, username: str) -> Issued:
        """A token that sets the user's password once, within 7 days, in place of an earlier one. Raises NotFound."""
        now = self._clock()
        issued = tokens.new("reset", "", (), created_at=now, expires=now + RESET)

        def offer(connection: Connection) -> Issued:
            user = users.member(connection, channel, username)
            tokens.revoke_all(connection, user.id, kinds=["reset"])
            return tokens.put(connection, user.id, issued)

        return self._database.write(offer)

    def reset_name(self, secret: str) -> str:
        """The username that a reset is for; raises Unauthenticated when it is unknown, used or expired."""
        with self._database.read() as connection:
            return tokens.principal(connection, secret, self._clock(), kinds=["reset"]).username

    def reset_password(self, secret: str, password: str) -> None:
        """Use a reset; ends every token of the user. Slow.

        Raises Unauthenticated when it is unknown, used or expired; InvalidInput, which leaves the reset to be used.
        """
        self.reset_name(secret)
        hashed = self._passwords.hash(password)

        def change(connection: Connection) -> None:
            reset = tokens.principal(connection, secret, self._clock(), kinds=["reset"])
            _set_password(connection, reset.user, hashed)

        self._database.write(change)

    # Logins and tokens

    def login(self, username: str, password: str, *, address: str) -> Issued:
        """A token for 24 hours with all rights of the user, beside those that are open. Slow.

        `address` is where the request comes from. Raises Unauthenticated for an unknown name, a wrong password or an
        expired user, and does not tell which; Unavailable, 429 in HTTP, for too many failures or too many at once.
        """
        return self._open("login", username, password, address)

    def open_session(self, username: str, password: str, *, address: str) -> Issued:
        """As `login`, for the web: the secret is the cookie's value (HttpOnly, Secure, SameSite=Lax). Slow."""
        return self._open("session", username, password, address)

    def authenticate(self, secret: str) -> Principal:
        """Who shows this token of a login or of the API; raises Unauthenticated. A cookie's value is none."""
        with self._database.read() as connection:
            return tokens.principal(connection, secret, self._clock(), kinds=["login", "api"])

    def authenticate_session(self, cookie: str) -> Principal:
        """Who shows this cookie; raises Unauthenticated. Requests that change something need `check_csrf` too."""
        with self._database.read() as connection:
            return tokens.principal(connection, cookie, self._clock(), kinds=["session"])

    def csrf(self, cookie: str) -> str:
        """What the forms of a session's pages carry."""
        return tokens.csrf(cookie)

    def check_csrf(self, cookie: str, given: str) -> None:
        """Raise Forbidden unless a form was made for this session."""
        if not hmac.compare_digest(tokens.csrf(cookie).encode(), given.encode(errors="surrogatepass")):
            raise Forbidden("this form was not made for this session; load the page again")

    def end(self, secret: str) -> None:
        """Log out: end the token or session of this secret; one that is none is no error."""
        self._database.write(lambda connection: tokens.revoke_secret(connection, secret))

    def add_token(self, principal: Principal, *, note: str, expires: int, scopes: Iterable[Right]) -> Issued:
        """An API token with some of one's rights.

        Raises Forbidden for rights that one has not, and for an API token, which could outlive its expiry that way;
        InvalidInput for a time past, no scopes, or a note that is too long or no text.
        """
        now, asked = self._clock(), frozenset(scopes)
        if principal.kind == "api":
            raise Forbidden("an API token cannot make another; log in with the password")
        if not asked <= principal.rights:
            raise Forbidden(f"you do not have the rights {', '.join(sorted(asked - principal.rights))}; leave them out")
        if not asked:
            raise InvalidInput(f"a token has at least one scope; you may give {', '.join(sorted(principal.rights))}")
        if not now < expires <= LAST:
            raise InvalidInput(f"a token expires in the future, by the year 9999, not at {expires}; it is {now}")
        if len(note) > LONGEST_NOTE or not note.isprintable():
            raise InvalidInput(f"a note is at most {LONGEST_NOTE} printable characters, not {note!r:.120}")
        issued = tokens.new("api", note, asked, created_at=now, expires=expires)

        def add(connection: Connection) -> Issued:
            tokens.check_standing(connection, principal, now)
            return tokens.put(connection, principal.user, issued)

        return self._database.write(add)

    def tokens(self, principal: Principal) -> list[Token]:
        """One's own logins, API tokens and sessions that are open, from the oldest."""
        with self._database.read() as connection:
            return tokens.of_user(connection, principal.user, self._clock())

    def revoke(self, principal: Principal, token: str) -> None:
        """End one of one's own tokens by its id; an API token may end itself only. Raises NotFound, Forbidden."""
        if principal.kind == "api" and token != principal.token:
            raise Forbidden("an API token can end itself only; log in with the password")
        if not users.is_id(token) or not self._database.write(lambda c: tokens.revoke(c, principal.user, token)):
            raise NotFound(f"you have no token {token!r:.120}; it may have expired")

    # Preferences

    def preferences(self, principal: Principal) -> Preferences:
        """What one's pages look like."""
        query = select(schema.preferences.c.body).where(schema.preferences.c.user == principal.user)
        with self._database.read() as connection:
            body = connection.execute(query).scalar()
        return Preferences() if body is None else preferences.decode(body)

    def keep_preferences(self, principal: Principal, kept: Preferences) -> None:
        """Set what one's pages look like; raises DecodeError for more than `Preferences` holds."""
        body = preferences.encode(kept)
        preferences.decode(body)

        def keep(connection: Connection) -> None:
            tokens.check_standing(connection, principal, self._clock())
            upsert(connection, schema.preferences, [{"user": principal.user, "body": body}])

        self._database.write(keep)

    def _made(self, channel: int, username: str, role: Role, expires: int | None) -> User:
        users.check_username(username)
        _check_expiry(expires)
        return User(
            id=str(uuid.uuid4()),
            username=username,
            channel=channel,
            role=role,
            created_at=self._clock(),
            expires=expires,
        )

    def _open(self, kind: TokenKind, username: str, password: str, address: str) -> Issued:
        with self._throttle.attempt(username, address):
            user, hashed = self._verified(username, password)
            renewed = self._passwords.hash(password) if self._passwords.outdated(hashed) else hashed
            now = self._clock()
            issued = tokens.new(kind, "", Right, created_at=now, expires=now + self._lifetime)

            def opened(connection: Connection) -> Issued:
                _check_unchanged(connection, user, hashed)
                if renewed != hashed:
                    connection.execute(
                        update(schema.users).where(schema.users.c.id == user.id).values(password=renewed)
                    )
                return tokens.put(connection, user.id, issued)

            return self._database.write(opened)

    def _verified(self, username: str, password: str) -> tuple[User, str]:
        with self._database.read() as connection:
            found = users.named(connection, username)
        matches = self._passwords.matches(None if found is None else found[1], password)
        if found is None or not matches or found[0].expired(self._clock()):
            raise _wrong()
        return found


def _set_password(connection: Connection, user: str, hashed: str) -> None:
    connection.execute(update(schema.users).where(schema.users.c.id == user).values(password=hashed))
    # Who had the old password may have made tokens with it.
    tokens.revoke_all(connection, user, kinds=EVERY)


def _check_unchanged(connection: Connection, user: User, hashed: str) -> None:
    # The hash was verified outside of this transaction: the user may be gone, or have another password.
    found = users.named(connection, user.username)
    if found is None or (found[0].id, found[1]) != (user.id, hashed):
        raise _wrong()


def _check_expiry(expires: int | None) -> None:
    if expires is not None and not 0 <= expires <= LAST:
        raise InvalidInput(f"an expiry is milliseconds since 1970, by the year 9999, not {expires}")


def _wrong() -> Unauthenticated:
    return Unauthenticated("the username or the password is wrong, or the user has expired")
