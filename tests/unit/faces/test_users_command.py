"""Users of a node, set on its own host."""

import json

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from comity.adapters.sql.schema import channels
from comity.faces.cli.main import app
from comity.node import schema
from comity.node.place import open_place
from comity.values.errors import Conflict, InvalidInput, NotFound, Unauthenticated


@pytest.fixture
def place(tmp_path):
    made = open_place(tmp_path / "node")
    enter(made, 1)
    made.accounts.first_admin(1)
    yield made
    made.database.close()


def enter(place, number):
    row = {"channel": number, "digest": f"d{number}", "url": "", "certificate": "", "organization": "a"}
    row |= {"mail": 0, "broken": ""}
    place.database.write(lambda c: c.execute(insert(channels).values(id=number, digest=f"d{number}")))
    place.database.write(lambda c: c.execute(insert(schema.joined).values(row)))


def comity(place, *arguments):
    done = CliRunner().invoke(app, ["node", *arguments, "--dir", str(place.folder)], env={"COLUMNS": "200"})
    if done.exception is not None:
        raise done.exception
    return done.stdout


def listed(place):
    return {each["username"]: each["role"] for each in json.loads(comity(place, "users", "list", "--json"))}


def test_users_come_and_go(place):
    added = json.loads(comity(place, "users", "add", "ada", "--role", "steward", "--json"))
    assert place.accounts.login("ada", added["password"], address="192.0.2.1")
    assert listed(place) == {"admin": "admin", "ada": "steward"}
    assert "ada" in comity(place, "users", "list")
    comity(place, "users", "remove", "ada")
    assert listed(place) == {"admin": "admin"}


def test_what_cannot_be_is_refused(place):
    with pytest.raises(Conflict, match="last admin"):
        comity(place, "users", "remove", "admin")
    with pytest.raises(NotFound, match="no user 'ada'"):
        comity(place, "users", "remove", "ada")
    with pytest.raises(InvalidInput, match="no role 'stewart'; did you mean 'steward'"):
        comity(place, "users", "add", "ada", "--role", "stewart")
    with pytest.raises(Conflict, match="taken"):
        comity(place, "users", "add", "admin", "--role", "admin")


def test_in_several_channels_one_is_named(place):
    enter(place, 2)
    with pytest.raises(InvalidInput, match="--channel: 1, 2"):
        comity(place, "users", "add", "ada", "--role", "auditor")
    comity(place, "users", "add", "ada", "--role", "auditor", "--channel", "2")
    assert place.accounts.user(2, "ada")
    comity(place, "users", "remove", "ada")
    assert listed(place) == {"admin": "admin"}


def test_a_password_is_reset_on_the_host(place):
    kept = place.folder / "admin-password"
    kept.write_text("of comity up")
    secret = place.accounts.login("admin", first := reset(place), address="192.0.2.1").secret
    assert kept.read_text() == first
    second = reset(place)
    assert kept.read_text() == second != first
    with pytest.raises(Unauthenticated):
        place.accounts.authenticate(secret)
    with pytest.raises(NotFound, match="no user 'ada'"):
        comity(place, "reset-password", "ada")


def reset(place):
    return comity(place, "reset-password", "admin").split("password ")[1].split(",")[0]


def test_no_node_is_made_by_looking_for_one(tmp_path):
    for command in (["node", "users", "list"], ["node", "reset-password", "admin"], ["node", "rotate"], ["doctor"]):
        done = CliRunner().invoke(app, [*command, "--dir", str(tmp_path / "typo")])
        assert isinstance(done.exception, NotFound)
        assert not (tmp_path / "typo").exists()
