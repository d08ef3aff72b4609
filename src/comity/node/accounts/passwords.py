"""Passwords, kept as argon2id hashes."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock
from typing import final
from unicodedata import normalize

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from comity.values.errors import InvalidInput, Unavailable

ARGON2 = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=4, hash_len=32, salt_len=16)
"""The second recommended choice of RFC 9106, section 4: 64 MiB; some 0.1 s on two cores."""

SHORTEST, LONGEST = 12, 256
"""Characters of a password."""

PATIENCE = 5.0
"""Seconds that a login waits for those before it."""


@final
class Passwords:
    """Hashes and checks passwords: one at a time, so that a flood of logins costs 64 MiB and not all memory."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._lock = Lock()

    def hash(self, password: str) -> str:
        """The hash of a new password. Slow: call it in a thread.

        Raises InvalidInput for a password that is too short, too long or no text, Unavailable for too many at once.
        """
        text = _checked(password)
        with self._turn():
            return self._hasher.hash(text)

    def matches(self, hashed: str | None, password: str) -> bool:
        """Whether this is the password. Slow: call it in a thread. Without a hash it is not, and costs the same.

        Raises Unavailable for too many at once.
        """
        if len(password) > LONGEST:
            return False
        text = _bytes(password)
        with self._turn():
            if hashed is None:
                # Who is a user must not be told by the time that an answer takes.
                self._hasher.hash(text)
                return False
            try:
                return self._hasher.verify(hashed, text)
            except VerifyMismatchError:
                return False

    def outdated(self, hashed: str) -> bool:
        """Whether the hash was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(hashed)

    @contextmanager
    def _turn(self) -> Generator[None]:
        if not self._lock.acquire(timeout=PATIENCE):
            raise Unavailable("too many logins at once; try again in a minute")
        try:
            yield
        finally:
            self._lock.release()


def new_password() -> str:
    """A password that nobody guesses: 144 random bits in 24 characters."""
    return secrets.token_urlsafe(18)


def _checked(password: str) -> bytes:
    # The message gives the length and never the password: it goes into logs.
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInput(
            f"a password has {SHORTEST} to {LONGEST} characters, this one has {len(password)}; "
            "take a sentence or let a password manager make one"
        )
    try:
        password.encode()
    except UnicodeEncodeError:
        raise InvalidInput("a password is Unicode text; this one has half a character in it (a surrogate)") from None
    return _bytes(password)


def _bytes(password: str) -> bytes:
    # "ü" is one code point on one keyboard and two on another: RFC 8265, section 4.2.2.
    return normalize("NFC", password).encode(errors="surrogatepass")
