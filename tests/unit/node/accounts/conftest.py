"""Accounts of a node on each database, with passwords that cost little and a clock that stands until it is set."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing

import pytest
from argon2 import PasswordHasher

from comity.adapters.sql.database import Database
from comity.node.accounts.accounts import Accounts
from comity.node.accounts.people import Principal, User
from comity.node.accounts.roles import Role
from comity.node.accounts.schema import users
from comity.node.schema import BRANCHES

PASSWORD = "correct horse battery"
HOME = "192.0.2.1"


class Clock:
    """The time that a test says it is."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture(scope="session")
def hasher() -> PasswordHasher:
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session", params=["SQLite", "PostgreSQL"])
def opened(request: pytest.FixtureRequest, new_url: Callable[[str], str]) -> Generator[Database]:
    with closing(Database(new_url(request.param), BRANCHES)) as made:
        yield made


@pytest.fixture
def database(opened: Database) -> Database:
    """Without users, and so without anything of theirs."""
    opened.write(lambda connection: connection.execute(users.delete()))
    return opened


@pytest.fixture
def accounts(database: Database, clock: Clock, hasher: PasswordHasher) -> Accounts:
    return Accounts(database, clock, hasher=hasher)


@pytest.fixture
def add(accounts: Accounts) -> Callable[..., User]:
    """A user of channel 1 with the password of all tests."""

    def made(
        username: str = "ada", role: Role = Role.SCIENTIST, *, channel: int = 1, expires: int | None = None
    ) -> User:
        return accounts.add(channel, username, password=PASSWORD, role=role, expires=expires)

    return made


@pytest.fixture
def enter(accounts: Accounts) -> Callable[[str], Principal]:
    """A login as a user."""

    def entered(username: str = "ada") -> Principal:
        return accounts.authenticate(accounts.login(username, PASSWORD, address=HOME).secret)

    return entered
