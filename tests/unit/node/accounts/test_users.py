"""Users come, change and go; an admin stays."""

from uuid import UUID

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from comity.node.accounts.accounts import Accounts
from comity.node.accounts.roles import RIGHTS, Right, Role
from comity.values.errors import Conflict, InvalidInput, NotFound, Unauthenticated

PASSWORD = "correct horse battery"
HOME = "192.0.2.1"
FOREIGN = st.text(st.characters() | st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF), max_size=120)


def test_the_first_admin_is_made_once(accounts, clock):
    password = accounts.first_admin(7)
    assert password is not None
    assert accounts.first_admin(7) is None
    assert accounts.first_admin(8) is None
    principal = accounts.authenticate(accounts.login("admin", password, address=HOME).secret)
    assert (principal.role, principal.channel, principal.rights) == (Role.ADMIN, 7, frozenset(Right))
    assert accounts.user(7, "admin").expires is None


def test_a_first_admin_that_is_overtaken_is_not_made(database, clock, accounts, add):
    class Overtaken(PasswordHasher):
        def hash(self, password, *, salt=None):
            add("ada")
            return super().hash(password, salt=salt)

    slow = Accounts(database, clock, hasher=Overtaken(time_cost=1, memory_cost=8, parallelism=1))
    assert slow.first_admin(1) is None
    assert [user.username for user in accounts.users(1)] == ["ada"]


def test_there_is_no_first_admin_beside_other_users(accounts, add):
    add("ada", Role.AUDITOR)
    assert accounts.first_admin(1) is None
    assert [user.username for user in accounts.users(1)] == ["ada"]


def test_a_user_is_what_was_added(accounts, add, clock):
    made = add("ada", Role.STEWARD, channel=3, expires=clock.now + 1)
    assert (made.username, made.role, made.channel) == ("ada", Role.STEWARD, 3)
    assert (made.created_at, made.expires) == (clock.now, clock.now + 1)
    assert str(UUID(made.id)) == made.id
    assert accounts.user(3, "ada") == made


def test_users_are_listed_by_name(accounts, add):
    made = [add(username) for username in ("cyd", "ada", "bob")]
    assert accounts.users(1) == sorted(made, key=lambda user: user.username)


def test_a_user_is_not_seen_from_another_channel(accounts, add):
    add("ada", channel=1)
    assert accounts.users(2) == []
    for ask in (
        lambda: accounts.user(2, "ada"),
        lambda: accounts.set_role(2, "ada", Role.ADMIN),
        lambda: accounts.set_expiry(2, "ada", 0),
        lambda: accounts.delete(2, "ada"),
        lambda: accounts.offer_reset(2, "ada"),
    ):
        with pytest.raises(NotFound, match="no user 'ada' in this channel"):
            ask()
    assert accounts.user(1, "ada").role is Role.SCIENTIST


@pytest.mark.parametrize("channel", [1, 2])
def test_a_name_is_given_once_on_a_node(add, channel):
    add("ada")
    with pytest.raises(Conflict, match="'ada' is taken"):
        add("ada", channel=channel)


@pytest.mark.parametrize(
    "username", ["", " ", "ada lovelace", "ada\n", "a" * 101, "ad\u0430", "a\x00", "\ud800", "a/b"]
)
def test_a_name_is_plain(add, username):
    with pytest.raises(InvalidInput, match="a username is 1 to 100 of"):
        add(username)


@pytest.mark.parametrize("username", ["a", "ada.lovelace@example.org", "A-1_+", "a" * 100])
def test_a_name_may_be_a_mail_address(accounts, add, username):
    assert accounts.user(1, add(username).username).username == username


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None, derandomize=True)
@given(FOREIGN)
@example("ada\ud800")
@example("ada\x00")
def test_foreign_names_are_found_or_not(accounts, name):
    for ask in (lambda: accounts.user(1, name), lambda: accounts.set_password(name, PASSWORD)):
        with pytest.raises(NotFound):
            ask()
    with pytest.raises(Unauthenticated):
        # From addresses that are not throttled.
        accounts.login(name, PASSWORD, address=f"{name}{id(name)}")


@pytest.mark.parametrize("expires", [-1, 253_402_300_800_000, 2**63])
def test_an_expiry_is_a_time(accounts, add, expires):
    with pytest.raises(InvalidInput, match="an expiry is milliseconds since 1970"):
        add(expires=expires)
    add()
    with pytest.raises(InvalidInput, match="an expiry is milliseconds since 1970"):
        accounts.set_expiry(1, "ada", expires)


def test_an_expired_user_opens_nothing(accounts, add, enter, clock):
    add(expires=clock.now + 10)
    token, session = accounts.login("ada", PASSWORD, address=HOME), accounts.open_session("ada", PASSWORD, address=HOME)
    api = accounts.add_token(enter(), note="", expires=clock.now + 1000, scopes=[Right.READ])
    clock.now += 9
    accounts.authenticate(token.secret)
    clock.now += 1
    for ask in (
        lambda: accounts.authenticate(token.secret),
        lambda: accounts.authenticate(api.secret),
        lambda: accounts.authenticate_session(session.secret),
        lambda: accounts.login("ada", PASSWORD, address=HOME),
    ):
        with pytest.raises(Unauthenticated):
            ask()


def test_a_user_expired_since_1970_is_expired(accounts, add):
    add(expires=0)
    with pytest.raises(Unauthenticated):
        accounts.login("ada", PASSWORD, address=HOME)


def test_another_role_counts_from_the_next_request_on(accounts, add):
    add("ada", Role.SCIENTIST)
    token = accounts.login("ada", PASSWORD, address=HOME)
    assert accounts.set_role(1, "ada", Role.STEWARD).role is Role.STEWARD
    assert accounts.authenticate(token.secret).rights == RIGHTS[Role.STEWARD]


REMOVALS = {
    "delete": lambda accounts, name: accounts.delete(1, name),
    "demote": lambda accounts, name: accounts.set_role(1, name, Role.AUDITOR),
    "expire": lambda accounts, name: accounts.set_expiry(1, name, 0),
    "expire later": lambda accounts, name: accounts.set_expiry(1, name, 253_402_300_799_999),
}


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
def test_the_last_admin_stays(accounts, add, clock, remove):
    before = add("root", Role.ADMIN)
    add("ada", Role.SCIENTIST)
    add("guest", Role.ADMIN, expires=clock.now + 1000)
    add("other", Role.ADMIN, channel=2)
    with pytest.raises(Conflict, match="'root' is the last admin of this channel"):
        remove(accounts, "root")
    assert accounts.user(1, "root") == before
    accounts.authenticate(accounts.login("root", PASSWORD, address=HOME).secret)


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
def test_an_admin_goes_when_another_stays(accounts, add, remove):
    add("root", Role.ADMIN)
    add("eve", Role.ADMIN)
    remove(accounts, "root")
    with pytest.raises(Conflict, match="'eve' is the last admin"):
        remove(accounts, "eve")


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
def test_who_is_no_lasting_admin_may_go_from_a_channel_without_one(accounts, add, clock, remove):
    add("ada", Role.SCIENTIST)
    add("guest", Role.ADMIN, expires=clock.now + 1000)
    remove(accounts, "ada")
    remove(accounts, "guest")


def test_an_admin_can_be_set_as_it_is(accounts, add):
    before = add("root", Role.ADMIN)
    assert accounts.set_role(1, "root", Role.ADMIN) == before
    assert accounts.set_expiry(1, "root", None) == before


def test_deleting_a_user_ends_everything_at_once(accounts, add, enter, clock):
    add()
    token, session = accounts.login("ada", PASSWORD, address=HOME), accounts.open_session("ada", PASSWORD, address=HOME)
    principal = enter()
    api = accounts.add_token(principal, note="", expires=clock.now + 1000, scopes=[Right.READ])
    reset = accounts.offer_reset(1, "ada")
    accounts.delete(1, "ada")
    # Another one of this name inherits nothing.
    add()
    for ask in (
        lambda: accounts.authenticate(token.secret),
        lambda: accounts.authenticate(api.secret),
        lambda: accounts.authenticate_session(session.secret),
        lambda: accounts.reset_password(reset.secret, PASSWORD),
        lambda: accounts.add_token(principal, note="", expires=clock.now + 1, scopes=[Right.READ]),
        lambda: accounts.keep_preferences(principal, accounts.preferences(principal)),
        lambda: accounts.change_password(principal, old=PASSWORD, new="another password", address=HOME),
    ):
        with pytest.raises(Unauthenticated):
            ask()


def test_ids_are_resolved_to_names(accounts, add):
    ada, bob = add("ada"), add("bob")
    accounts.delete(1, "bob")
    foreign = "not an id \x00\ud800"
    assert accounts.names([ada.id, bob.id, foreign, ada.id]) == {
        ada.id: "ada",
        bob.id: "deleted user",
        foreign: "deleted user",
    }
    assert accounts.names([]) == {}
    assert add("bob").id != bob.id
