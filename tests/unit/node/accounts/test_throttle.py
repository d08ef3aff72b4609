"""Forty failed logins a minute, for a name and from an address."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.node.accounts.throttle import Throttle
from comity.values.errors import Unauthenticated, Unavailable

MINUTE = 60_000


class Clock:
    now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(clock)


def fail(throttle: Throttle, username: str, address: str) -> None:
    with contextlib.suppress(Unauthenticated), throttle.attempt(username, address):
        raise Unauthenticated("wrong")


def succeed(throttle: Throttle, username: str, address: str) -> None:
    with throttle.attempt(username, address):
        pass


def test_forty_may_fail_for_a_name(throttle: Throttle):
    for number in range(40):
        fail(throttle, "ada", f"192.0.2.{number}")
    with pytest.raises(Unavailable, match="more than 40"):
        succeed(throttle, "ada", "198.51.100.1")
    succeed(throttle, "bob", "198.51.100.1")


def test_forty_may_fail_from_an_address(throttle: Throttle):
    for number in range(40):
        fail(throttle, f"user{number}", "192.0.2.1")
    with pytest.raises(Unavailable, match="more than 40"):
        succeed(throttle, "ada", "192.0.2.1")
    succeed(throttle, "ada", "192.0.2.2")


def test_a_minute_later_all_is_well(throttle: Throttle, clock: Clock):
    for _ in range(40):
        fail(throttle, "ada", "192.0.2.1")
    clock.now += MINUTE - 1
    with pytest.raises(Unavailable):
        succeed(throttle, "ada", "192.0.2.1")
    clock.now += 1
    succeed(throttle, "ada", "192.0.2.1")


def test_a_refused_attempt_does_not_count(throttle: Throttle, clock: Clock):
    for _ in range(40):
        fail(throttle, "ada", "192.0.2.1")
    clock.now += MINUTE - 1
    for _ in range(40):
        with pytest.raises(Unavailable):
            succeed(throttle, "ada", "192.0.2.1")
    clock.now += 1
    succeed(throttle, "ada", "192.0.2.1")


def test_successes_and_other_errors_cost_nothing(throttle: Throttle):
    for _ in range(100):
        succeed(throttle, "ada", "192.0.2.1")
        with pytest.raises(ZeroDivisionError), throttle.attempt("ada", "192.0.2.1"):
            raise ZeroDivisionError


def test_an_account_of_ones_own_does_not_pay_for_guesses(throttle: Throttle):
    for number in range(40):
        succeed(throttle, "mallory", "192.0.2.1")
        fail(throttle, f"user{number}", "192.0.2.1")
    with pytest.raises(Unavailable):
        succeed(throttle, "mallory", "192.0.2.1")


def test_guesses_made_all_at_once_count_from_their_beginning(throttle: Throttle):
    with contextlib.ExitStack() as running:
        for _ in range(40):
            running.enter_context(throttle.attempt("ada", "192.0.2.1"))
        with pytest.raises(Unavailable):
            succeed(throttle, "ada", "198.51.100.1")
    succeed(throttle, "ada", "198.51.100.1")


def test_a_clock_set_back_locks_nobody_out(throttle: Throttle, clock: Clock):
    for _ in range(40):
        fail(throttle, "ada", "192.0.2.1")
    clock.now -= 60 * MINUTE
    succeed(throttle, "ada", "192.0.2.1")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("testclient", "testclient", True),
        ("testclient", "", False),
    ],
)
def test_an_ipv6_host_is_one_address(throttle: Throttle, one: str, other: str, same: bool):
    for number in range(40):
        fail(throttle, f"user{number}", one)
    if same:
        with pytest.raises(Unavailable):
            succeed(throttle, "ada", other)
    else:
        succeed(throttle, "ada", other)


@settings(deadline=None, derandomize=True)
@given(st.text(), st.text())
def test_any_name_and_address_will_do(username: str, address: str):
    throttle = Throttle(Clock())
    for _ in range(40):
        fail(throttle, username, address)
    with pytest.raises(Unavailable):
        succeed(throttle, username, address)
