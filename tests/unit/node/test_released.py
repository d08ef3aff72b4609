"""A blob goes when nothing at this node names it any more, and only then."""

from contextlib import closing

import pytest
from sqlalchemy import insert

from comity.adapters.sql.database import Database, sqlite_url
from comity.adapters.sql.records import RecordsSql, upsert
from comity.adapters.sql.schema import channels
from comity.domain import sums
from comity.domain.records import Dataset, Function, Model
from comity.domain.words import Permission
from comity.node import released, schema
from comity.node.exchange import Exchange
from comity.node.outbox import Outbox
from comity.node.releasing import Releasing
from comity.ports.blobs import BlobsInMemory
from comity.values.digest import digest

DATA = b"a model"
BLOB, OTHER = digest(DATA), digest(b"another")
PUBLIC = Permission(public=True)


class Following:
    """As much of one as deletion needs."""

    def __init__(self, database, channel, organization):
        self.database, self.channel, self.organization, self.link = database, channel, organization, None


class Place:
    """A node that is "a" in channel 1 and "z" in channel 2, with a blob of a's that was released in channel 1."""

    def __init__(self, database):
        self.database, self.blobs = database, BlobsInMemory()
        for channel, organization in ((1, "a"), (2, "z")):
            row = {"channel": channel, "digest": str(channel), "url": "", "certificate": "", "mail": 0, "broken": ""}
            row |= {"organization": organization}
            self.write(insert(channels).values(id=channel, digest=str(channel)))
            self.write(insert(schema.joined).values(row))
        self.exchanges = {1: Exchange(Following(database, 1, "a"), self.blobs)}
        self.exchanges[2] = Exchange(Following(database, 2, "z"), self.blobs)
        self.blobs.put([DATA])

    def write(self, statement):
        self.database.write(lambda connection: connection.execute(statement))

    def put(self, record, channel=1):
        self.database.write(lambda connection: RecordsSql(connection, channel).put(record))

    def held(self, owner, channel=1):
        row = {"channel": channel, "owner": owner, "blob": BLOB}
        self.database.write(lambda connection: upsert(connection, schema.held, [row]))

    def release(self, owner="a", channel=1):
        """Whether the blob is still there after it was released; nothing is left to be done."""
        self.database.write(lambda connection: released.remember(connection, channel, owner, BLOB))
        releasing = Releasing(self.exchanges[channel])
        assert self.database.write(releasing._delete) == [(owner, BLOB)]
        assert self.database.write(releasing._delete) == []
        return self.blobs.size(BLOB) is not None


@pytest.fixture
def place(tmp_path):
    with closing(Database(sqlite_url(tmp_path / "node.db"), schema.BRANCHES)) as database:
        yield Place(database)


def model(owner, key="other", blob=BLOB):
    fields = {"task": "t", "output": "model", "size": len(DATA), "permission": PUBLIC, "created_at": 1}
    return Model(key=key, owner=owner, blob=blob, **fields)


def function(owner, **fields):
    names = {"archive": OTHER, "description": OTHER, **fields}
    return Function(key="f", owner=owner, name="", inputs={}, outputs={}, permission=PUBLIC, created_at=1, **names)


def dataset(owner, **fields):
    names = {"opener": OTHER, "description": OTHER, **fields}
    rights = {"permission": PUBLIC, "logs_permission": PUBLIC}
    return Dataset(key="d", owner=owner, name="", created_at=1, **rights, **names)


def test_it_goes(place):
    place.put(model("a", blob=""))
    place.put(model("a", "unlike", blob=OTHER))
    assert not place.release()
    assert not place.release()


@pytest.mark.parametrize(
    "named",
    [
        lambda owner: model(owner),
        lambda owner: function(owner, archive=BLOB),
        lambda owner: function(owner, description=BLOB),
        lambda owner: dataset(owner, opener=BLOB),
        lambda owner: dataset(owner, description=BLOB),
    ],
)
def test_it_stays_while_a_record_of_this_organization_names_it_in_any_channel(place, named):
    place.put(named("z"), channel=2)
    assert place.release()
    place.put(named("a"))
    assert place.release()


def test_no_other_can_have_it_kept_by_naming_it(place):
    place.put(model("b"))
    place.put(model("a"), channel=2)  # "a" is another there
    assert not place.release()


def test_it_stays_while_it_is_what_another_has_sent(place):
    """The same bytes of several: the last that lets go deletes them."""
    for owner in "bc":
        place.held(owner)
        place.put(model(owner, key=owner))
    assert place.release()
    place.put(model("b", key="b", blob=""))
    assert place.release("b")
    with place.database.read() as connection:
        assert [row.owner for row in connection.execute(schema.held.select())] == ["c"]
    place.put(model("c", key="c", blob=""))
    assert not place.release("c")


def test_it_stays_while_the_same_of_another_channel_lies_here(place):
    place.held("y", channel=2)
    assert place.release()
    assert not place.release("y", channel=2)


def test_what_waits_to_be_said_names_it_too(place):
    event = released.OutputsReleased(models=(BLOB[7:43],))
    place.database.write(lambda connection: Outbox(2).put(connection, "other", [event], {}))
    assert not place.release()
    place.blobs.put([DATA])
    said = f'[{{"blob":"{BLOB}"}}]'.encode()
    place.write(insert(schema.outbox).values(channel=2, id="id", events=said, texts=b"{}"))
    assert place.release()


def test_what_every_node_has_stays(place):
    for blob, data in sums.BLOBS.items():
        place.blobs.put([data])
        place.database.write(lambda connection, blob=blob: released.remember(connection, 1, "a", blob))
    place.database.write(Releasing(place.exchanges[1])._delete)
    assert sums.BLOBS.keys() <= set(place.blobs.digests())


def test_a_store_that_fails_leaves_it_to_be_done(place, monkeypatch):
    def fail(name):
        raise OSError("the disk is away")

    monkeypatch.setattr(place.blobs, "delete", fail)
    with pytest.raises(OSError, match="away"):
        place.release()
    with place.database.read() as connection:
        assert released.remembered(connection, 1, 10) == [("a", BLOB)]
