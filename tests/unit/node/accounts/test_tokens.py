"""API tokens: some of one's rights, for a time."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comity.node.accounts.roles import RIGHTS, Right, Role
from comity.values.errors import Forbidden, InvalidInput, NotFound, Unauthenticated

PASSWORD = "correct horse battery"
HOME = "192.0.2.1"
HOUR = 60 * 60 * 1000


def test_a_token_gives_its_scopes_until_it_expires(accounts, add, enter, clock):
    user = add("ada", Role.SCIENTIST)
    issued = accounts.add_token(enter(), note="nightly run", expires=clock.now + HOUR, scopes=[Right.READ, Right.RUN])
    principal = accounts.authenticate(issued.secret)
    assert (principal.user, principal.kind, principal.token) == (user.id, "api", issued.token.id)
    assert principal.rights == {Right.READ, Right.RUN}
    assert (issued.token.note, issued.token.created_at) == ("nightly run", clock.now)
    clock.now += HOUR - 1
    accounts.authenticate(issued.secret)
    clock.now += 1
    with pytest.raises(Unauthenticated):
        accounts.authenticate(issued.secret)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("right", Right)
def test_nobody_gives_more_than_they_have(accounts, add, enter, clock, role, right):
    add("ada", role)
    if right in RIGHTS[role]:
        accounts.add_token(enter(), note="", expires=clock.now + 1, scopes=[right])
    else:
        with pytest.raises(Forbidden, match=f"do not have the rights {right.value}"):
            accounts.add_token(enter(), note="", expires=clock.now + 1, scopes=[right])


def test_a_token_loses_what_its_user_loses_and_gains_nothing(accounts, add, enter, clock):
    add("ada", Role.SCIENTIST)
    issued = accounts.add_token(enter(), note="", expires=clock.now + 1, scopes=[Right.READ, Right.RUN])
    accounts.set_role(1, "ada", Role.STEWARD)
    assert accounts.authenticate(issued.secret).rights == {Right.READ}
    accounts.set_role(1, "ada", Role.ADMIN)
    assert accounts.authenticate(issued.secret).rights == {Right.READ, Right.RUN}


def test_a_token_makes_no_other_and_ends_itself_only(accounts, add, enter, clock):
    add()
    mine = enter()
    issued = accounts.add_token(mine, note="", expires=clock.now + 1, scopes=[Right.READ])
    principal = accounts.authenticate(issued.secret)
    with pytest.raises(Forbidden, match="cannot make another"):
        accounts.add_token(principal, note="", expires=clock.now + HOUR, scopes=[Right.READ])
    with pytest.raises(Forbidden, match="itself only"):
        accounts.revoke(principal, mine.token)
    accounts.revoke(principal, principal.token)
    with pytest.raises(Unauthenticated):
        accounts.authenticate(issued.secret)


@pytest.mark.parametrize("after", [-HOUR, 0, 2**62])
def test_an_expiry_lies_ahead(accounts, add, enter, clock, after):
    add()
    with pytest.raises(InvalidInput, match="a token expires in the future, by the year 9999"):
        accounts.add_token(enter(), note="", expires=clock.now + after, scopes=[Right.READ])


def test_a_token_is_for_something(accounts, add, enter, clock):
    add()
    with pytest.raises(InvalidInput, match="at least one scope"):
        accounts.add_token(enter(), note="", expires=clock.now + 1, scopes=[])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None, derandomize=True)
@given(st.text(st.characters() | st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF), max_size=120))
def test_a_foreign_note_is_kept_or_refused(accounts, add, enter, clock, note):
    if not accounts.users(1):
        add()
    principal = enter()
    if len(note) <= 100 and note.isprintable():
        issued = accounts.add_token(principal, note=note, expires=clock.now + HOUR, scopes=[Right.READ])
        assert issued.token.note == note
        assert issued.token in accounts.tokens(principal)
    else:
        with pytest.raises(InvalidInput, match="a note is at most 100 printable characters"):
            accounts.add_token(principal, note=note, expires=clock.now + HOUR, scopes=[Right.READ])


def test_ones_own_tokens_are_listed_from_the_oldest(accounts, add, enter, clock):
    add()
    add("bob")
    principal, _ = enter("ada"), enter("bob")
    clock.now += 1
    session = accounts.open_session("ada", PASSWORD, address=HOME).token
    clock.now += 1
    api = accounts.add_token(principal, note="one", expires=clock.now + 5, scopes=[Right.READ]).token
    accounts.offer_reset(1, "ada")
    listed = accounts.tokens(principal)
    assert [token.kind for token in listed] == ["login", "session", "api"]
    assert (listed[0].id, listed[1:]) == (principal.token, [session, api])
    clock.now += 5
    assert [token.kind for token in accounts.tokens(principal)] == ["login", "session"]


def test_expired_tokens_are_forgotten(accounts, add, enter, clock, database):
    add()
    for _ in range(3):
        enter()
        clock.now += 25 * HOUR
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM tokens").scalar_one() == 1


def test_a_revoked_token_opens_nothing(accounts, add, enter, clock):
    add()
    principal = enter()
    issued = accounts.add_token(principal, note="", expires=clock.now + 1, scopes=[Right.READ])
    accounts.revoke(principal, issued.token.id)
    with pytest.raises(Unauthenticated):
        accounts.authenticate(issued.secret)
    with pytest.raises(NotFound, match="you have no token"):
        accounts.revoke(principal, issued.token.id)


def test_a_revoked_login_makes_no_token(accounts, add, enter, clock):
    add()
    principal = enter()
    accounts.revoke(principal, principal.token)
    with pytest.raises(Unauthenticated, match="revoked"):
        accounts.add_token(principal, note="", expires=clock.now + 1, scopes=[Right.READ])


def test_others_tokens_are_not_ones_own(accounts, add, enter):
    add()
    add("bob")
    ada, bob = enter("ada"), enter("bob")
    with pytest.raises(NotFound):
        accounts.revoke(bob, ada.token)
    assert [token.id for token in accounts.tokens(ada)] == [ada.token]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None, derandomize=True)
@given(st.text(st.characters() | st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF)))
def test_foreign_ids_are_not_found(accounts, add, enter, token):
    if not accounts.users(1):
        add()
    with pytest.raises(NotFound):
        accounts.revoke(enter(), token)
