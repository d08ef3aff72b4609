"""Logging in, with a password that can be changed and reset."""

import threading

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from comity.node.accounts import schema
from comity.node.accounts.accounts import Accounts
from comity.node.accounts.roles import RIGHTS, Right, Role
from comity.values.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated, Unavailable

PASSWORD, NEW = "correct horse battery", "another staple"
HOME = "192.0.2.1"
DAY = 24 * 60 * 60 * 1000


def test_a_login_says_who_one_is(accounts, add, clock):
    user = add("ada", Role.STEWARD, channel=5)
    issued = accounts.login("ada", PASSWORD, address=HOME)
    principal = accounts.authenticate(issued.secret)
    assert (principal.user, principal.username, principal.channel) == (user.id, "ada", 5)
    assert (principal.role, principal.rights) == (Role.STEWARD, RIGHTS[Role.STEWARD])
    assert (principal.token, principal.kind) == (issued.token.id, "login")
    assert issued.token.expires == clock.now + DAY


def test_several_logins_coexist_and_expire_after_a_day(accounts, add, clock):
    add()
    first = accounts.login("ada", PASSWORD, address=HOME)
    clock.now += DAY // 2
    second = accounts.login("ada", PASSWORD, address=HOME)
    clock.now += DAY // 2 - 1
    assert accounts.authenticate(first.secret).user == accounts.authenticate(second.secret).user
    clock.now += 1
    with pytest.raises(Unauthenticated, match="expired"):
        accounts.authenticate(first.secret)
    accounts.authenticate(second.secret)


def test_how_long_a_login_lasts_can_be_set(database, clock, hasher, add):
    accounts = Accounts(database, clock, lifetime=1000, hasher=hasher)
    add()
    assert accounts.login("ada", PASSWORD, address=HOME).token.expires == clock.now + 1000


def test_a_secret_has_256_bits_and_only_its_hash_is_kept(accounts, add, database):
    add()
    made = {accounts.login("ada", PASSWORD, address=HOME).secret for _ in range(5)}
    assert len(made) == 5
    assert all(len(secret) == 43 for secret in made)  # 256 bits in base64url
    with database.read() as connection:
        rows = connection.execute(select(schema.tokens)).all()
    assert len(rows) == 5
    assert not any(secret in str(row) for secret in made for row in rows)


@pytest.mark.parametrize("password", ["", "correct horse batterY", PASSWORD + " ", "x" * 100_000, "\ud800", "\x00"])
def test_wrong_passwords_and_unknown_users_get_one_answer(accounts, add, password):
    add()
    with pytest.raises(Unauthenticated) as wrong:
        accounts.login("ada", password, address=HOME)
    with pytest.raises(Unauthenticated) as unknown:
        accounts.login("bob", password, address=HOME)
    assert str(wrong.value) == str(unknown.value)


class Counting(PasswordHasher):
    """Counts what is computed: each is one argon2 hash with the same parameters."""

    computed = 0

    def hash(self, password, *, salt=None):
        self.computed += 1
        return super().hash(password, salt=salt)

    def verify(self, hash, password):
        self.computed += 1
        return super().verify(hash, password)


@pytest.mark.parametrize("username", ["ada", "bob", "gone", "no name at all", "\ud800"])
def test_an_unknown_user_costs_what_a_wrong_password_costs(database, clock, add, username):
    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    accounts = Accounts(database, clock, hasher=hasher)
    add("ada")
    add("gone", expires=0)
    with pytest.raises(Unauthenticated):
        accounts.login(username, NEW, address=HOME)
    assert hasher.computed == 1


def test_forty_failures_are_enough(accounts, add, clock):
    add()
    add("bob")
    for _ in range(40):
        with pytest.raises(Unauthenticated):
            accounts.login("ada", NEW, address=HOME)
    for username, address in (("ada", "198.51.100.1"), ("bob", HOME)):
        with pytest.raises(Unavailable, match="more than 40 failed logins"):
            accounts.login(username, PASSWORD, address=address)
    accounts.login("bob", PASSWORD, address="198.51.100.1")
    clock.now += 60_000
    accounts.login("ada", PASSWORD, address=HOME)


def test_successes_are_not_throttled(accounts, add):
    add()
    for _ in range(60):
        accounts.login("ada", PASSWORD, address=HOME)


def test_a_login_renews_a_hash_of_old_parameters(accounts, add, database, clock):
    add()
    stronger = Accounts(database, clock, hasher=PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    stronger.login("ada", PASSWORD, address=HOME)
    with database.read() as connection:
        kept = connection.execute(select(schema.users.c.password)).scalar_one()
    assert extract_parameters(kept).time_cost == 2
    stronger.login("ada", PASSWORD, address=HOME)


def test_a_login_does_not_outrun_a_change_of_the_password(database, clock, add, accounts):
    """The password is verified, then changed by another, then the token is made: it must not be."""
    verified, changed = threading.Event(), threading.Event()

    class Waiting(PasswordHasher):
        def verify(self, hash, password):
            found = super().verify(hash, password)
            verified.set()
            assert changed.wait(60)
            return found

    slow = Accounts(database, clock, hasher=Waiting(time_cost=1, memory_cost=8, parallelism=1))
    add()
    outcome = []

    def login():
        with pytest.raises(Unauthenticated):
            slow.login("ada", PASSWORD, address=HOME)
        outcome.append("refused")

    thread = threading.Thread(target=login)
    thread.start()
    assert verified.wait(60)
    accounts.set_password("ada", NEW)
    changed.set()
    thread.join()
    assert outcome == ["refused"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None, derandomize=True)
@given(st.text(st.characters() | st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF)))
def test_foreign_tokens_open_nothing(accounts, secret):
    for ask in (accounts.authenticate, accounts.authenticate_session, accounts.reset_name):
        with pytest.raises(Unauthenticated):
            ask(secret)
    accounts.end(secret)


def test_each_kind_of_secret_opens_its_own_door_only(accounts, add, enter, clock):
    add()
    secrets = {
        "login": accounts.login("ada", PASSWORD, address=HOME).secret,
        "session": accounts.open_session("ada", PASSWORD, address=HOME).secret,
        "api": accounts.add_token(enter(), note="", expires=clock.now + 1, scopes=[Right.READ]).secret,
        "reset": accounts.offer_reset(1, "ada").secret,
    }
    doors = {
        accounts.authenticate: {"login", "api"},
        accounts.authenticate_session: {"session"},
        accounts.reset_name: {"reset"},
    }
    for door, open_to in doors.items():
        for kind, secret in secrets.items():
            if kind in open_to:
                door(secret)
            else:
                with pytest.raises(Unauthenticated):
                    door(secret)


def test_logging_out_ends_one_login(accounts, add):
    add()
    first, second = (accounts.login("ada", PASSWORD, address=HOME) for _ in range(2))
    session = accounts.open_session("ada", PASSWORD, address=HOME)
    accounts.end(first.secret)
    accounts.end(session.secret)
    with pytest.raises(Unauthenticated):
        accounts.authenticate(first.secret)
    with pytest.raises(Unauthenticated):
        accounts.authenticate_session(session.secret)
    accounts.authenticate(second.secret)


def test_a_form_is_bound_to_its_session(accounts, add):
    add()
    one, other = (accounts.open_session("ada", PASSWORD, address=HOME).secret for _ in range(2))
    accounts.check_csrf(one, accounts.csrf(one))
    for given_ in (accounts.csrf(other), "", one, "\ud800ä", accounts.csrf(one) + "0"):
        with pytest.raises(Forbidden, match="not made for this session"):
            accounts.check_csrf(one, given_)
    assert one not in accounts.csrf(one)


def test_a_new_password_ends_what_the_old_one_opened(accounts, add, enter, clock):
    add()
    add("bob")
    principal, session = enter(), accounts.open_session("ada", PASSWORD, address=HOME)
    api = accounts.add_token(principal, note="", expires=clock.now + 1000, scopes=[Right.READ])
    reset, others = accounts.offer_reset(1, "ada"), accounts.login("bob", PASSWORD, address=HOME)
    accounts.change_password(principal, old=PASSWORD, new=NEW, address=HOME)
    assert accounts.tokens(principal) == []
    for ask in (
        lambda: accounts.authenticate(api.secret),
        lambda: accounts.authenticate_session(session.secret),
        lambda: accounts.reset_name(reset.secret),
        lambda: accounts.login("ada", PASSWORD, address=HOME),
    ):
        with pytest.raises(Unauthenticated):
            ask()
    accounts.login("ada", NEW, address=HOME)
    accounts.authenticate(others.secret)


def test_changing_a_password_takes_the_old_one(accounts, add, enter):
    add()
    principal = enter()
    for _ in range(40):
        with pytest.raises(Unauthenticated):
            accounts.change_password(principal, old=NEW, new=NEW, address=HOME)
    with pytest.raises(Unavailable):
        accounts.change_password(principal, old=PASSWORD, new=NEW, address=HOME)


def test_a_password_too_short_changes_nothing(accounts, add, enter):
    add()
    reset = accounts.offer_reset(1, "ada")
    for ask in (
        lambda: accounts.change_password(enter(), old=PASSWORD, new="short", address=HOME),
        lambda: accounts.set_password("ada", "short"),
        lambda: accounts.reset_password(reset.secret, "short"),
        lambda: accounts.add(1, "bob", password="short", role=Role.AUDITOR),
    ):
        with pytest.raises(InvalidInput, match="12 to 256 characters, this one has 5"):
            ask()
    accounts.login("ada", PASSWORD, address=HOME)
    accounts.reset_password(reset.secret, NEW)


def test_an_api_token_cannot_change_the_password(accounts, add, enter, clock):
    add()
    api = accounts.add_token(enter(), note="", expires=clock.now + 1, scopes=[Right.READ])
    with pytest.raises(Forbidden, match="cannot change a password"):
        accounts.change_password(accounts.authenticate(api.secret), old=PASSWORD, new=NEW, address=HOME)


def test_a_reset_works_once_within_seven_days(accounts, add, clock):
    add()
    reset = accounts.offer_reset(1, "ada")
    open_ = accounts.login("ada", PASSWORD, address=HOME)
    clock.now += 7 * DAY - 1
    assert accounts.reset_name(reset.secret) == "ada"
    accounts.reset_password(reset.secret, NEW)
    with pytest.raises(Unauthenticated):
        accounts.authenticate(open_.secret)
    accounts.login("ada", NEW, address=HOME)
    with pytest.raises(Unauthenticated):
        accounts.reset_password(reset.secret, PASSWORD)

    late = accounts.offer_reset(1, "ada")
    clock.now += 7 * DAY
    with pytest.raises(Unauthenticated):
        accounts.reset_password(late.secret, PASSWORD)


def test_a_foreign_reset_costs_no_hash(database, clock):
    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.raises(Unauthenticated):
        Accounts(database, clock, hasher=hasher).reset_password("foreign", NEW)
    assert hasher.computed == 0


def test_a_new_reset_takes_the_place_of_the_old(accounts, add):
    add()
    old, new = accounts.offer_reset(1, "ada"), accounts.offer_reset(1, "ada")
    with pytest.raises(Unauthenticated):
        accounts.reset_name(old.secret)
    assert accounts.reset_name(new.secret) == "ada"


def test_the_host_sets_any_password(accounts, add):
    add("root", Role.ADMIN)
    open_ = accounts.login("root", PASSWORD, address=HOME)
    accounts.set_password("root", NEW)
    with pytest.raises(Unauthenticated):
        accounts.authenticate(open_.secret)
    accounts.login("root", NEW, address=HOME)
    with pytest.raises(NotFound, match="no user 'eve' on this node"):
        accounts.set_password("eve", NEW)


def test_users_outlive_the_process(database, clock, hasher, add, accounts):
    add("root", Role.ADMIN)
    token = accounts.login("root", PASSWORD, address=HOME)
    again = Accounts(database, clock, hasher=hasher)
    assert again.authenticate(token.secret).username == "root"
    with pytest.raises(Conflict):
        again.delete(1, "root")
