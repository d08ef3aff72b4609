"""No password, hash or secret shows where things are printed or logged."""

import logging

import pytest
from sqlalchemy.exc import IntegrityError

from comity.node.accounts import schema, users
from comity.node.accounts.roles import Right, Role
from comity.values.errors import ComityError

PASSWORD, WRONG = "correct horse battery", "incorrect donkey cell"
HOME = "192.0.2.1"


def test_nothing_that_is_handed_out_shows_a_secret(accounts, add, enter, clock):
    user = add()
    principal = enter()
    issued = [
        accounts.login("ada", PASSWORD, address=HOME),
        accounts.open_session("ada", PASSWORD, address=HOME),
        accounts.offer_reset(1, "ada"),
        accounts.add_token(principal, note="", expires=clock.now + 1, scopes=[Right.READ]),
    ]
    seen = [user, principal, accounts.users(1), accounts.tokens(principal), accounts, *issued]
    shown = "".join(f"{each!r}{each!s}" for each in seen)
    assert "argon2" not in shown.replace("comity.node.accounts", "")
    assert not any(secret in shown for secret in (PASSWORD, *(each.secret for each in issued)))


def test_nothing_is_logged(accounts, add, enter, caplog):
    caplog.set_level(logging.DEBUG)
    secret = accounts.first_admin(1)
    add()
    token = accounts.login("ada", PASSWORD, address=HOME).secret
    accounts.change_password(enter(), old=PASSWORD, new=WRONG, address=HOME)
    assert not any(each in caplog.text for each in (secret, PASSWORD, WRONG, token, "$argon2id$"))


def test_errors_do_not_repeat_passwords_and_tokens(accounts, add, enter):
    add("root", Role.ADMIN)
    principal = enter("root")
    for ask in (
        lambda: accounts.login("root", WRONG, address=HOME),
        lambda: accounts.login("bob", WRONG, address=HOME),
        lambda: accounts.change_password(principal, old=WRONG, new=WRONG, address=HOME),
        lambda: accounts.add(1, "root", password=WRONG, role=Role.ADMIN),
        lambda: accounts.set_password("bob", WRONG),
        lambda: accounts.reset_password(WRONG, WRONG),
        lambda: accounts.set_password("root", WRONG[:11]),
        lambda: accounts.authenticate(WRONG),
        lambda: accounts.authenticate_session(WRONG),
        lambda: accounts.check_csrf(WRONG, WRONG),
    ):
        with pytest.raises(ComityError) as raised:
            ask()
        assert WRONG[:11] not in str(raised.value)


def test_errors_of_the_database_do_not_show_what_was_written(database, add):
    made = add()
    with pytest.raises(IntegrityError) as raised:
        database.write(
            lambda connection: connection.execute(
                schema.users.insert().values(
                    {field: getattr(made, field) for field in type(made).__slots__} | {"password": "$argon2id$hash"}
                )
            )
        )
    assert "argon2id" not in str(raised.value)


def test_the_database_holds_hashes_only(accounts, add, database):
    add()
    token = accounts.login("ada", PASSWORD, address=HOME).secret
    with database.read() as connection:
        found = users.named(connection, "ada")
        kept = repr([connection.execute(table.select()).all() for table in schema.metadata.sorted_tables])
    assert found is not None
    assert found[1].startswith("$argon2id$v=19$")
    assert "ada" in kept
    assert PASSWORD not in kept
    assert token not in kept
