"""A channel's log in the database, kept by the same code at the hub and at every node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select
from sqlalchemy.exc import IntegrityError

from comity.adapters.sql import schema
from comity.adapters.sql.known import MOST, Known
from comity.adapters.sql.records import RecordsSql, upsert
from comity.domain.entry import Entry, Seen, Statement, Texts, check_texts, leaf_bytes, read_leaf, read_statement
from comity.domain.events import AnyEvent, Redacted, texts_of
from comity.domain.log import admit
from comity.domain.membership import CHANNEL
from comity.domain.records import Channel, Child, Organization, Record, Task, need
from comity.ledger.merkle import Tree, leaf_hash
from comity.values.errors import Conflict
from comity.values.keys import to_base64

_HASH = select(schema.hashes.c.hash).where(
    schema.hashes.c.channel == bindparam("channel"),
    schema.hashes.c.level == bindparam("level"),
    schema.hashes.c.index == bindparam("index"),
)

_LAST = (
    select(schema.hashes.c.index, schema.hashes.c.hash)
    .where(schema.hashes.c.channel == bindparam("channel"), schema.hashes.c.level == 0)
    .order_by(schema.hashes.c.index.desc())
    .limit(1)
)

_KNOWN = select(schema.leaves.c.place, schema.leaves.c.leaf).where(
    schema.leaves.c.channel == bindparam("channel"),
    schema.leaves.c.author == bindparam("author"),
    schema.leaves.c.id == bindparam("id"),
)

_WITHHELD = (
    select(schema.absent.c.commitment)
    .where(schema.absent.c.channel == bindparam("channel"))
    .where(
        ~select(schema.texts)
        .where(
            schema.texts.c.channel == schema.absent.c.channel,
            schema.texts.c.commitment == schema.absent.c.commitment,
        )
        .exists()
    )
    .limit(1)
)

PAGE = 50
"""Leaves that are read at a time, since one may have 1 MiB and its texts more."""


Hashes: TypeAlias = dict[tuple[int, int], bytes]
"""By level and index."""


@final
@dataclass(frozen=True)
class Memory:
    """What is known of a log without asking the database."""

    begun: int
    """Size of the log when nothing was known yet: nor is it known what changed before."""
    known: Known = field(default_factory=Known)
    hashes: Hashes = field(default_factory=dict[tuple[int, int], bytes])


@final
class Memo:
    """What one writer remembers of a log between its transactions, and shares with readers.

    Records and hashes change with the log alone, so that what is remembered holds for as long as the log ends where
    it ended; after anything else, a rollback or a write of another process, it is forgotten.
    """

    def __init__(self) -> None:
        self.end: tuple[int, bytes] | None = None
        """Size of the log, and the hash of its last leaf; None while an entry is being added."""
        self.whole = False
        """Whether all texts have come, or were deleted."""
        self.memory = Memory(0)

    def check(self, end: tuple[int, bytes]) -> None:
        """Forget everything unless it is of a log that ends there."""
        if end != self.end or len(self.memory.known) + len(self.memory.hashes) > MOST:
            size, hash = end
            self.memory, self.whole = Memory(size), False  # anew, since readers may be at the other
            self.memory.hashes[0, size - 1] = hash
        self.end = end

    def shared(self, end: tuple[int, bytes]) -> Memory:
        """What is remembered, for a reader of a log that ends there; nothing unless the writer was there too."""
        memory, (size, hash) = self.memory, end
        return memory if size >= memory.begun and memory.hashes.get((0, size - 1)) == hash else Memory(size)


@final
class HashesSql:
    """The hashes of a channel's tree."""

    def __init__(self, connection: Connection, channel: int, known: Hashes) -> None:
        self._connection = connection
        self._channel = channel
        self._known = known
        self._new: list[dict[str, Any]] = []

    def get(self, level: int, index: int) -> bytes:
        found = self._known.get((level, index))
        if found is None:
            place = {"channel": self._channel, "level": level, "index": index}
            found = self._known[level, index] = self._connection.execute(_HASH, place).scalar_one()
        return found

    def put(self, level: int, index: int, hash: bytes) -> None:
        self._known[level, index] = hash
        self._new.append({"channel": self._channel, "level": level, "index": index, "hash": hash})

    def keep(self) -> None:
        """Write what was put."""
        self._connection.execute(insert(schema.hashes), self._new)
        self._new = []


@final
class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A leaf on its way from the hub to a node, with the texts that still exist."""

    leaf: msgspec.Raw
    texts: dict[str, tuple[str, str]] = {}


@final
class Log:
    """One channel's log, within one transaction: of the writer whose memo it is, or of one it is shared with."""

    def __init__(
        self, connection: Connection, channel: int, memo: Memo | None = None, *, shared: Memo | None = None
    ) -> None:
        self.connection = connection
        self.channel = channel
        """The channel's number in this database."""
        index, hash = connection.execute(_LAST, {"channel": channel}).first() or (-1, b"")
        self.size: int = index + 1
        """How many leaves there are."""
        self._memo = memo or Memo()
        self._memo.check((self.size, hash))
        memory = self._memo.memory if shared is None else shared.shared((self.size, hash))
        self._hashes = HashesSql(connection, channel, memory.hashes)
        self.tree = Tree(self._hashes, self.size)
        """The Merkle tree over the leaves."""
        self.records = RecordsSql(connection, channel, memory.known, self.size)
        """What the log has made so far."""
        self.members_changed = False
        """Whether what was added here let an organization in or out, or gave it other keys."""

    def order(self, entry: Entry, now: int) -> int:
        """Give an entry its place (the hub's part) and return it; one that has its place already keeps it.

        Raises what the rules raise, and DecodeError for texts that are not those committed to.
        """
        statement = read_statement(entry.statement)
        known = self.connection.execute(
            _KNOWN, {"channel": self.channel, "author": statement.author, "id": statement.id}
        ).first()
        if known is not None:
            if bytes(read_leaf(known.leaf).statement) != bytes(entry.statement):
                raise Conflict(f"another entry of {statement.author} with the id {statement.id} stands in the log")
            return known.place
        size, here = self.size, self.records.get(Channel, CHANNEL)
        self.append(leaf_bytes(entry, max(now, here.ordered_at if here else 0)), entry.texts, complete=True)
        return size

    def append(self, data: bytes, texts: Texts, *, complete: bool = False) -> Statement:
        """Add the next leaf and project it; raises what the rules raise, and nothing is changed.

        With `complete` every text must be there; otherwise some may have been redacted since, see `withheld`.
        """
        leaf, size = read_leaf(data), self.size
        statement, draft = admit(self.records, leaf, size, self.tree.root)
        committed = {text for event in statement.events for text in texts_of(event)}
        check_texts(sorted(committed if complete else committed & texts.keys()), texts)
        self._memo.end = None
        self.tree.append(hash := leaf_hash(data))
        self._hashes.keep()
        row = {
            "channel": self.channel,
            "place": size,
            "leaf": data,
            "author": statement.author,
            "id": statement.id,
        }
        try:
            self.connection.execute(insert(schema.leaves), [row])
        except IntegrityError as error:
            raise Conflict(f"there is another entry of {statement.author} with the id {statement.id}") from error
        self.members_changed |= any(self._changes_members(each) for each in draft.changed.values())
        self.records.size = size + 1
        self.records.keep(draft)
        self._keep_texts(size, texts, committed - texts.keys())
        for event in statement.events:
            if isinstance(event, Redacted):
                self._redact(event, statement.author)
        self.size = size + 1
        self._memo.end = (self.size, hash)
        return statement

    def deliveries(self, start: int, limit: int, *, most_bytes: int | None = None) -> list[Delivery]:
        """Leaves from a place on, with their texts; not many more bytes than asked for."""
        made: list[Delivery] = []
        size = 0
        end = min(self.size, start + limit)
        while page := self._page(start + len(made), min(PAGE, end - start - len(made))):
            for delivery in page:
                made.append(delivery)
                size += len(bytes(delivery.leaf)) + sum(len(text) for _, text in delivery.texts.values())
                if most_bytes is not None and size > most_bytes:
                    return made
        return made

    def _page(self, start: int, limit: int) -> list[Delivery]:
        if limit <= 0:
            return []
        table, texts = schema.leaves, schema.texts
        found = self.connection.execute(
            select(table.c.place, table.c.leaf)
            .where(table.c.channel == self.channel, table.c.place >= start)
            .order_by(table.c.place)
            .limit(limit)
        ).all()
        if not found:
            return []
        by_place: dict[int, dict[str, tuple[str, str]]] = {}
        within = (texts.c.place >= found[0].place) & (texts.c.place <= found[-1].place)
        for row in self.connection.execute(select(texts).where(texts.c.channel == self.channel, within)):
            by_place.setdefault(row.place, {})[row.commitment] = (row.salt, row.text.decode())
        return [Delivery(leaf=msgspec.Raw(leaf), texts=by_place.get(place, {})) for place, leaf in found]

    def children(self, task: str) -> list[Task]:
        """The tasks that wait for an output of this one, or did."""
        return [need(self.records, Task, each.child) for each in self.records.find(Child, "parent", task)]

    def texts(self, commitments: Iterable[str]) -> dict[str, str]:
        """The texts that still exist, by commitment."""
        wanted = sorted({each for each in commitments if each})
        found: dict[str, str] = {}
        for at in range(0, len(wanted), 500):
            query = select(schema.texts.c.commitment, schema.texts.c.text).where(
                schema.texts.c.channel == self.channel, schema.texts.c.commitment.in_(wanted[at : at + 500])
            )
            found.update((row.commitment, row.text.decode()) for row in self.connection.execute(query))
        return found

    def next_statement(self, author: str, id: str, events: Sequence[AnyEvent]) -> Statement:
        """What the author has to sign for these events to come next."""
        here = need(self.records, Channel, CHANNEL)
        head = need(self.records, Organization, author)
        return Statement(
            rules=here.rules,
            channel=here.digest,
            author=author,
            epoch=head.epoch,
            sequence=head.sequence,
            previous=head.previous,
            id=id,
            seen=Seen(self.size, to_base64(self.tree.root())),
            events=tuple(events),
        )

    def withheld(self) -> str:
        """The commitment of a text that never came and that nobody has deleted; empty when there is none.

        Only once the log is whole does this say anything of who delivered it: a later entry may delete the text.
        """
        text = "" if self._memo.whole else self.connection.execute(_WITHHELD, {"channel": self.channel}).scalar() or ""
        self._memo.whole = not text
        return text

    def _changes_members(self, record: Record) -> bool:
        if not isinstance(record, Organization):
            return False
        before = self.records.get(Organization, record.key)
        return before is None or (before.status, before.keys) != (record.status, record.keys)

    def _keep_texts(self, place: int, texts: Texts, absent: set[str]) -> None:
        rows = [
            {"channel": self.channel, "commitment": name, "place": place, "salt": salt, "text": text.encode()}
            for name, (salt, text) in texts.items()
        ]
        if rows:
            upsert(self.connection, schema.texts, rows)
        if absent:
            self._memo.whole = False
            gone = [{"channel": self.channel, "commitment": name, "place": place} for name in sorted(absent)]
            upsert(self.connection, schema.absent, gone)

    def _redact(self, event: Redacted, author: str) -> None:
        """Delete texts: an author's own, or any at the word of the channel's founder; others stay."""
        self._memo.whole = False
        leaves = schema.leaves
        founder = need(self.records, Channel, CHANNEL).founder
        own = select(leaves.c.place).where(leaves.c.channel == self.channel, leaves.c.author == author)
        for table in (schema.texts, schema.absent):
            query = delete(table).where(table.c.channel == self.channel, table.c.commitment.in_(event.texts))
            self.connection.execute(query if author == founder else query.where(table.c.place.in_(own)))
