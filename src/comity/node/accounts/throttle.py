"""A limit to guessing passwords."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Network, ip_address
from threading import Lock
from typing import final

from comity.values.errors import Unauthenticated, Unavailable

MOST = 40
"""Failed attempts for one username, and from one address, in a window: Substra's limit."""

WINDOW = 60_000
"""Milliseconds."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """A login that is under way or has failed."""

    time: int
    keys: tuple[str, ...]


@final
class Throttle:
    """Counts attempts from the moment they begin, so that guesses made all at once count too.

    It lives in memory: guesses cost no writing, and each that counts costs an argon2 hash, so a window holds few.
    Who guesses at a name all the time can keep its user from logging in anew, not from what is open already.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._attempts: list[Attempt] = []

    @contextmanager
    def attempt(self, username: str, address: str) -> Generator[None]:
        """Count what runs in it as an attempt; for good if it raises Unauthenticated, else until it ends.

        Raises Unavailable, which is 429 in HTTP, when there were too many. A success takes back itself only: an
        account of one's own must not pay for guesses at others.
        """
        made = self._begin(f"user {username:.101}", f"address {_network(address)}")
        failed = False
        try:
            yield
        except Unauthenticated:
            failed = True
            raise
        finally:
            if not failed:
                with self._lock:
                    self._attempts = [each for each in self._attempts if each is not made]

    def _begin(self, *keys: str) -> Attempt:
        now = self._clock()
        made = Attempt(now, keys)
        with self._lock:
            # A clock that is set back must not lock anyone out until it has caught up.
            self._attempts = [each for each in self._attempts if 0 <= now - each.time < WINDOW]
            if any(sum(key in each.keys for each in self._attempts) >= MOST for key in keys):
                raise Unavailable(f"more than {MOST} failed logins in a minute; wait a minute and try again")
            self._attempts.append(made)
        return made


def _network(address: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    # One IPv6 host has 2^64 addresses of its own.
    return str(IPv6Network((int(ip), 64), strict=False))
