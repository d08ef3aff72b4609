"""A dataset's ledger in a node's database: what runs spend of a record and of a site, whichever has a budget."""

import pytest
from sqlalchemy import insert

from comity.adapters.sql.database import Database, sqlite_url
from comity.adapters.sql.schema import channels
from comity.domain.policy import Budget
from comity.node import schema
from comity.node.policy import ledger
from comity.privacy.budget import Line, spent
from comity.values.errors import Forbidden


@pytest.fixture
def database(tmp_path):
    made = Database(sqlite_url(tmp_path / "node.db"), schema.BRANCHES)
    made.write(lambda connection: connection.execute(insert(channels).values(id=1, digest="1")))
    yield made
    made.close()


def line(run, unit, epsilon):
    return Line(
        dataset="d",
        run=run,
        organization="lab",
        does="reserve",
        epsilon=epsilon,
        delta=1e-6,
        at=0,
        before="",
        unit=unit,
    )


def budget(unit):
    return Budget(dataset="d", epsilon=3.0, delta=1e-3, unit=unit)


def add(database, made, of=None):
    return database.write(lambda connection: ledger.add(connection, 1, made, of))


def follow(database, does):
    return database.write(lambda connection: ledger.follow(connection, 1, run="r", dataset="d", does=does, at=1))


def lines(database):
    with database.read() as connection:
        return ledger.lines(connection, 1, "d")


def sums(database):
    found = {unit: spent(lines(database), unit) for unit in ("record", "site")}
    return {unit: (each.reserved[0], each.charged[0]) for unit, each in found.items()}


@pytest.mark.parametrize(("first", "other"), [("record", "site"), ("site", "record")])
def test_a_run_is_charged_for_both_units_though_one_has_no_budget(database, first, other):
    add(database, line("r", other, 20.0))  # more than any budget, of which there is none
    add(database, line("r", first, 2.0), budget(first))
    assert sums(database) == {first: (2.0, 0.0), other: (20.0, 0.0)}
    root = follow(database, "charge")
    assert sums(database) == {first: (0.0, 2.0), other: (0.0, 20.0)}
    assert root == spent(lines(database)).root
    with pytest.raises(Forbidden, match="20 are spent and 0 reserved"):  # once the budget is of that unit
        add(database, line("s", other, 0.1), budget(other))


def test_a_budget_of_another_unit_does_not_forget_what_had_no_end(database):
    add(database, line("r", "record", 2.0), budget("record"))
    with pytest.raises(Forbidden, match="earlier runs had no ε of a site"):
        add(database, line("s", "site", 0.1), budget("site"))
    follow(database, "release")
    add(database, line("s", "site", 0.1), budget("site"))
    assert sums(database)["site"] == (0.1, 0.0)
