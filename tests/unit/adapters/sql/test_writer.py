"""Pieces of work in a transaction, alone or together: each is done whole or not at all."""

import threading

import pytest
from sqlalchemy import insert, select

from comity.adapters.sql.database import Database
from comity.adapters.sql.schema import BRANCH, channels


@pytest.fixture
def database(url):
    made = Database(url, [BRANCH])
    yield made
    made.close()


def put(number, *, then=None):
    def work(connection):
        connection.execute(insert(channels).values(id=number, digest=f"{number}"))
        if then is not None:
            raise then
        return number

    return work


def there(database):
    with database.read() as connection:
        return set(connection.execute(select(channels.c.id)).scalars())


@pytest.mark.parametrize("before", [0, 1])
def test_what_a_piece_of_work_raises_takes_back_that_piece_alone(database, before):
    """Alone in its transaction, or with others."""
    began, held = threading.Event(), threading.Event()
    first = database._writer.submit(lambda _: (began.set(), held.wait(30)))
    assert began.wait(30)
    futures = [database._writer.submit(put(number)) for number in range(before)]
    futures.append(database._writer.submit(put(10, then=LookupError("no"))))
    futures += [database._writer.submit(put(20 + number)) for number in range(before)]
    held.set()
    assert first.result()
    assert [each.exception() is None for each in futures] == [True] * before + [False] + [True] * before
    assert there(database) == {*range(before), *range(20, 20 + before)}


def test_a_failure_leaves_the_connection_as_it_was(database):
    with pytest.raises(LookupError):
        database.write(put(1, then=LookupError("no")))
    assert database.write(put(1)) == 1
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        database.write(put(1))
    assert database.write(put(2)) == 2
    assert there(database) == {1, 2}


def test_patient_work_shares_the_transaction_of_what_comes(database, monkeypatch):
    """And is done soon if nothing comes, and whatever comes when the database is closed."""
    commits = []
    commit = database._writer._commit
    monkeypatch.setattr(database._writer, "_commit", lambda jobs: (commits.append(len(jobs)), commit(jobs)))
    patient = [database._writer.submit(put(number), patient=True) for number in range(3)]
    assert database.write(put(3)) == 3
    assert [each.result() for each in patient] == [0, 1, 2]
    assert commits == [4]

    assert database.put_off(put(4)).result() == 4
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        database.put_off(put(4)).result()
    last = database.put_off(put(5))
    database._writer.close()
    assert last.result() == 5
    assert there(database) == {*range(6)}
