"""The laws of a channel's log, over every database that it may be kept in."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, nullcontext
from hashlib import sha256
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import event

from comity.adapters.sql.database import Database
from comity.adapters.sql.log import Log, Memo
from comity.adapters.sql.schema import BRANCH
from comity.domain.entry import Entry, Seen, Statement, leaf_bytes, read_leaf, sign
from comity.domain.events import Admission, AnyEvent, ChannelCreated, PlanRegistered, Redacted, Renamed
from comity.domain.log import admit
from comity.domain.membership import CHANNEL
from comity.domain.records import Channel, Organization, Plan, RecordsInMemory
from comity.domain.words import written
from comity.ledger.merkle import HashesInMemory, Tree, leaf_hash
from comity.values.errors import Conflict, DecodeError, Forbidden, InvalidInput
from comity.values.keys import Identity, to_base64

ME = Identity.from_bytes(bytes(range(64)))
HUB = to_base64(bytes(32))
NAME, TEXTS = written("a name", bytes(16))


def key(word: object) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(word)))


def plan(word: object) -> PlanRegistered:
    return PlanRegistered(key=key(word), name=NAME)


def created() -> Entry:
    """The first entry of a channel whose only member is `a`."""
    empty = Seen(0, to_base64(sha256().digest()))
    genesis = ChannelCreated(keys=ME.public, hub=HUB, name=NAME, admission=Admission(), nonce="n")
    return sign(Statement(author="a", id=key("genesis"), seen=empty, events=(genesis,)), ME, TEXTS)


def entry(log: Log, id: object, *events: AnyEvent, texts: Any = TEXTS) -> Entry:
    """The next entry of `a`."""
    return sign(log.next_statement("a", key(id), events), ME, texts)


@pytest.fixture
def database(url: str) -> Generator[Database]:
    with closing(Database(url, [BRANCH])) as made:
        yield made


def order(database: Database, *words: object, channel: int = 1, memo: Memo | None = None) -> None:
    """Begin the channel unless it has begun, and register a plan for each word, one an entry."""

    def work(connection: Any) -> None:
        log = Log(connection, channel, memo)
        if not log.size:
            log.order(created(), 1)
        for word in words:
            log.order(entry(log, word, plan(word)), 1)

    database.write(work)


def shown(log: Log) -> tuple[Any, ...]:
    """All that may be read of a log."""
    roots = [log.tree.root(size) for size in range(log.size + 1)]
    return log.size, roots, log.deliveries(0, 1000), log.records.search(Plan, {}, order="created_at")


def read(database: Database, work: Callable[[Log], Any] = shown, channel: int = 1) -> Any:
    with database.read() as connection:
        return work(Log(connection, channel))


def test_entries_get_their_places_in_turn(database):
    order(database)
    places = database.write(
        lambda connection: [(log := Log(connection, 1)).order(entry(log, word, plan(word)), 1) for word in range(3)]
    )
    assert places == [1, 2, 3]
    assert read(database, lambda log: log.size) == 4
    assert [each.key for each in read(database, lambda log: log.records.search(Plan, {}, order="created_at")[1])] == (
        sorted(key(word) for word in range(3))
    )


def test_an_entry_keeps_its_place(database):
    order(database)
    sent = read(database, lambda log: entry(log, "id", plan(0)))
    first = database.write(lambda connection: Log(connection, 1).order(sent, 5))
    order(database, "another")
    before = read(database)
    assert database.write(lambda connection: Log(connection, 1).order(sent, 9)) == first == 1
    assert read(database) == before


def test_an_id_is_used_once(database):
    order(database, "word")
    other = read(database, lambda log: entry(log, "word", plan("another")))
    before = read(database)
    with pytest.raises(Conflict, match="another entry of a with the id"):
        database.write(lambda connection: Log(connection, 1).order(other, 1))
    assert read(database) == before
    order(database, "next")


def test_time_never_runs_back(database):
    def work(connection: Any) -> None:
        log = Log(connection, 1)
        log.order(created(), 70)
        log.order(entry(log, 0, plan(0)), 50)
        log.order(entry(log, 1, plan(1)), 90)

    database.write(work)
    plans = read(database, lambda log: log.records.search(Plan, {}, order="created_at")[1])
    assert [each.created_at for each in plans] == [70, 90]


def test_what_one_log_delivers_another_takes(database, new_url):
    order(database, *range(70))
    size, roots, deliveries, plans = read(database)
    for kind in ("SQLite", "PostgreSQL"):
        with closing(Database(new_url(kind), [BRANCH])) as node:
            for start in range(0, size, 30):

                def work(connection: Any, start: int = start) -> None:
                    for each in read(database, lambda log: log.deliveries(start, 30)):
                        Log(connection, 7).append(bytes(each.leaf), each.texts)

                node.write(work)
            assert read(node, channel=7) == (size, roots, deliveries, plans)


def test_it_is_the_rules_applied_to_the_leaves(database):
    """Roots and records are those of the rules and the tree in memory."""
    order(database, *range(9))
    size, roots, deliveries, (_, plans) = read(database)
    records, tree = RecordsInMemory(), Tree(HashesInMemory(), size=0)
    for each in deliveries:
        _, draft = admit(records, read_leaf(bytes(each.leaf)), tree.size, tree.root)
        for record in draft.changed.values():
            records.put(record)
        tree.append(leaf_hash(bytes(each.leaf)))
    assert roots == [tree.root(at) for at in range(size + 1)]
    assert plans == sorted(records.held[Plan].values(), key=lambda each: (each.created_at, each.key))


def test_channels_do_not_meet(database):
    order(database, 1, 2)
    before = read(database)
    order(database, 3, channel=2)
    assert read(database) == before
    assert read(database, lambda log: log.size, channel=2) == 2
    assert read(database, lambda log: log.size, channel=3) == 0


def test_deliveries_are_a_stretch_of_the_log(database):
    order(database, *range(9))
    everything = read(database, lambda log: log.deliveries(0, 100))
    assert len(everything) == 10
    for start in range(12):
        for limit in (1, 3, 100):
            assert (
                read(database, lambda log, start=start, limit=limit: log.deliveries(start, limit))
                == (everything[start : start + limit])
            )


def test_texts_are_told_until_they_are_redacted(database):
    order(database)
    one, secret = written("one\0two", bytes(range(16))), written("a secret", bytes(range(1, 17)))
    registered = [replace(plan(name), name=name) for name, _ in (one, secret)]
    database.write(
        lambda connection: (log := Log(connection, 1)).order(entry(log, 0, *registered, texts=one[1] | secret[1]), 1)
    )
    names = [one[0], secret[0], NAME, "sha256:" + "0" * 64, ""]
    assert read(database, lambda log: log.texts(names)) == {
        one[0]: "one\0two",
        secret[0]: "a secret",
        NAME: "a name",
    }
    assert read(database, lambda log: log.deliveries(1, 1))[0].texts == one[1] | secret[1]
    root = read(database, lambda log: log.tree.root(2))
    redaction = Redacted(texts=(secret[0],))
    database.write(lambda connection: (log := Log(connection, 1)).order(entry(log, 1, redaction, texts={}), 1))
    assert read(database, lambda log: log.texts([secret[0]])) == {}
    assert read(database, lambda log: log.deliveries(1, 1))[0].texts == one[1]
    assert read(database, lambda log: log.tree.root(2)) == root, "the log itself has not changed"
    assert read(database, lambda log: log.withheld()) == ""


@pytest.mark.parametrize("texts", [{}, written("another text", bytes(16))[1]])
def test_an_entry_is_ordered_with_its_texts_alone(database, texts):
    order(database)
    before = read(database)
    with pytest.raises(DecodeError, match="texts are not those"):
        database.write(lambda connection: (log := Log(connection, 1)).order(entry(log, 0, plan(0), texts=texts), 1))
    assert read(database) == before


def test_a_refused_entry_leaves_no_trace_in_its_transaction(database):
    order(database, 0)

    def work(connection: Any) -> list[str]:
        said, memo = [], Memo()
        for number in range(1, 4):
            log = Log(connection, 1, memo)
            with pytest.raises((Conflict, Forbidden, InvalidInput)) as refused:
                log.order(entry(log, ("refused", number), plan(number), plan(0)), 1)
            said.append(str(refused.value))
            log = Log(connection, 1, memo)
            log.order(entry(log, number, plan(number)), 1)
        return said

    assert all("there is a plan" in each for each in database.write(work))
    with_it = read(database)
    assert with_it[0] == 5
    assert [each.key for each in with_it[3][1]] == sorted(map(key, range(4)))


# What a writer remembers between its transactions.

STEPS = st.tuples(st.sampled_from(["write", "rename", "take back", "refuse", "no commit"]), st.sampled_from([0, 1]))


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def writers(request: pytest.FixtureRequest, new_url: Callable[[str], str]) -> Generator[list[Database]]:
    """The same database, opened twice."""
    url = new_url(request.param)
    with closing(Database(url, [BRANCH])) as first, closing(Database(url, [BRANCH])) as second:
        yield [first, second]


CHANNELS = count(1)


class TakenBack(Exception):
    """What ends a transaction."""


@given(st.lists(STEPS, max_size=8))
@settings(deadline=None, derandomize=True, max_examples=25)
def test_a_writer_that_remembers_sees_what_one_does_that_reads(writers, steps):
    """Two writers take turns, and some of what they do fails: neither ever remembers what is not so.

    Nor do readers with whom they share what they remember, of the log as it was before or is now.
    """
    channel, memos = next(CHANNELS), [Memo(), Memo()]
    order(writers[0], 0, channel=channel)

    def work(connection: Any, who: int, step: str) -> None:
        log, fresh = Log(connection, channel, memos[who]), Log(connection, channel)
        assert shown(log) == shown(fresh)
        for word in range(log.size + 1):
            assert log.records.get(Plan, key(word)) == fresh.records.get(Plan, key(word))
        events: list[AnyEvent] = [plan(log.size)]
        if step == "rename":
            events = [Renamed(kind="plan", key=key(0), name=f"sha256:{log.size:064}")]
        elif step == "refuse":
            events.append(plan(0))
        texts = {} if step == "rename" else TEXTS
        log.append(leaf_bytes(entry(log, log.size, *events, texts=texts), log.size), texts)
        if step == "take back":
            raise TakenBack

    for step, who in steps:
        before = read(writers[who], channel=channel)
        with writers[0].read() as early, writers[0].read() as late:
            old, fresh = Log(early, channel, shared=memos[who]), Log(early, channel)
            later = Log(late, channel, shared=memos[who])  # which has not asked for anything yet
            assert recalled(old) == recalled(fresh)
            with broken_commit(writers[who]) if step == "no commit" else nullcontext():
                try:
                    writers[who].write(lambda connection, who=who, step=step: work(connection, who, step))
                except (TakenBack, Conflict, OSError):
                    assert step in ("take back", "refuse", "no commit")
                    assert read(writers[who], channel=channel) == before
                else:
                    assert step in ("write", "rename")
                    assert read(writers[who], channel=channel)[0] == before[0] + 1
            assert recalled(old) == recalled(later) == recalled(fresh)
        with writers[0].read() as now:
            for memo in memos:
                assert recalled(Log(now, channel, shared=memo)) == recalled(Log(now, channel))


def test_a_reader_of_what_was_before_teaches_nothing_to_a_writer_that_begins(database):
    """It began to read, and something was written, before anything was remembered."""
    order(database, 0, 1)  # three entries, whose last leaf is by itself in the tree
    with database.read() as early:
        before = Log(early, 1).records.get(Plan, key(0))
        renamed = Renamed(kind="plan", key=key(0), name=f"sha256:{1:064}")
        memo = Memo()

        def rename(connection: Any) -> None:
            log = Log(connection, 1)
            log.append(leaf_bytes(entry(log, "renamed", renamed, texts={}), 1), {})

        def remember(connection: Any) -> None:
            log = Log(connection, 1, memo)
            assert [log.tree.root(size) for size in range(log.size + 1)]  # every leaf's hash is known now

        database.write(rename)
        database.write(remember)
        assert Log(early, 1, shared=memo).records.get(Plan, key(0)) == before
        found = database.write(lambda connection: Log(connection, 1, memo).records.get(Plan, key(0)))
        assert found == read(database, lambda log: log.records.get(Plan, key(0))) != before


def recalled(log: Log) -> list[Any]:
    """What may be remembered of a log, and lists of it."""
    plans = [log.records.get(Plan, key(word)) for word in range(10)]
    authors = [log.records.find(Organization, "status", "member"), log.records.find(Plan, "grows_at", "")]
    return [log.tree.root(), log.records.get(Channel, CHANNEL), plans, authors]


@contextmanager
def broken_commit(database: Database) -> Generator[None]:
    """Within this, the disk is full whenever something is committed."""

    def fail(_: Any) -> None:
        raise OSError("the disk is full")

    event.listen(database.engine, "commit", fail)
    try:
        yield
    finally:
        event.remove(database.engine, "commit", fail)


EACH = 25

WRITER = """
import sys
from uuid import uuid4
from comity.adapters.sql.database import Database
from comity.adapters.sql.log import Log, Memo
from comity.adapters.sql.schema import BRANCH
from comity.domain.entry import sign
from comity.domain.events import Redacted
from comity.values.keys import Identity

def order(connection):
    log = Log(connection, 1, memo)
    events = [Redacted(texts=("sha256:" + "0" * 64,))]
    return log.order(sign(log.next_statement("a", str(uuid4()), events), identity, {}), 1)

identity, memo = Identity.from_bytes(bytes(range(64))), Memo()
database = Database(sys.argv[1], [BRANCH])
print("ready", flush=True)
sys.stdin.readline()
print([database.write(order) for _ in range(int(sys.argv[2]))])
database.close()
"""


def test_two_processes_may_write_at_once(database, url):
    order(database)
    command, pipe = [sys.executable, "-c", WRITER, url, str(EACH)], subprocess.PIPE
    with (
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as one,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other,
    ):
        assert [each.stdout.readline() for each in (one, other)] == ["ready\n"] * 2
        for each in (one, other):
            each.stdin.write("\n")
            each.stdin.flush()
        places = [json.loads(each.communicate()[0]) for each in (one, other)]
    assert sorted(places[0] + places[1]) == list(range(1, 2 * EACH + 1))
    size, roots, deliveries, _ = read(database)
    tree = Tree(HashesInMemory(), size=0)
    for each in deliveries:
        tree.append(leaf_hash(bytes(each.leaf)))
    assert roots == [tree.root(at) for at in range(size + 1)]
