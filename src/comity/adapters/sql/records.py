"""Records of one channel in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, final

import msgspec
from sqlalchemy import Connection, Insert, Select, Table, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from comity.adapters.sql import schema
from comity.adapters.sql.known import Known
from comity.domain.records import Draft, Record

R = TypeVar("R", bound=Record)

_DECODERS: dict[type[Record], msgspec.json.Decoder[Any]] = {k: msgspec.json.Decoder(k) for k in schema.records}

_COLUMNS = {
    kind: [column.name for column in table.columns if column.name not in ("channel", "body")]
    for kind, table in schema.records.items()
}

_GET = {
    kind: select(table.c.body).where(table.c.channel == bindparam("channel"), table.c.key == bindparam("key"))
    for kind, table in schema.records.items()
}

_GET_ALL = {
    kind: select(table.c.body).where(
        table.c.channel == bindparam("channel"), table.c.key.in_(bindparam("keys", expanding=True))
    )
    for kind, table in schema.records.items()
}

MOST_ASKED = 500
"""Keys in one statement."""

_FIND = {
    (kind, field): select(table.c.body).where(
        table.c.channel == bindparam("channel"), table.c[field] == bindparam("value")
    )
    for kind, table in schema.records.items()
    for field in kind.index
}

_UPDATE = {
    kind: update(table).where(table.c.channel == bindparam("at"), table.c.key == bindparam("of"))
    for kind, table in schema.records.items()
}

NUL = "\0"
"""No word of a record holds it; PostgreSQL cannot even be asked."""

LAST = "\U0010ffff"
"""The last of all characters: a key and this come after whatever begins with the key."""


@final
class RecordsSql:
    """What a transaction sees of a channel's records, and may change.

    `known` may be shared by transactions of one process; `size` is how many entries the log has in this one.
    """

    def __init__(self, connection: Connection, channel: int, known: Known | None = None, size: int = 0) -> None:
        self._connection = connection
        self._channel = channel
        self._known = Known() if known is None else known
        self.size = size

    def get(self, kind: type[R], key: str) -> R | None:
        if (found := self._known.record(kind, key, self.size)) is not None:
            return found.made
        if NUL in key:
            return None
        body = self._connection.execute(_GET[kind], {"channel": self._channel, "key": key}).scalar()
        made = None if body is None else _decoded(kind, body)
        self._known.learn_record(kind, key, made, self.size)
        return made

    def find(self, kind: type[R], field: str, value: str) -> list[R]:
        if (keys := self._known.keys(kind, field, value, self.size)) is not None:
            return [each for each in (self.get(kind, key) for key in keys) if each is not None]
        if NUL in value:
            return []
        found = self._connection.execute(_FIND[kind, field], {"channel": self._channel, "value": value})
        # Asked for this order, SQLite walks all of the channel's records by their keys instead of those of the index.
        made = sorted((_decoded(kind, body) for body in found.scalars()), key=attrgetter("key"))
        if self._known.learn_keys(kind, field, value, [each.key for each in made], size=self.size):
            for each in made:
                self._known.learn_record(kind, each.key, each, self.size)
        return made

    def put(self, record: Record) -> None:
        self._put_all([record])

    def keep(self, draft: Draft) -> None:
        """Put everything that a draft changed, with one statement for each kind and each choice of columns."""
        self._look_up(draft.changed)
        self._put_all(draft.changed.values())

    def _look_up(self, changed: Iterable[tuple[type[Record], str]]) -> None:
        """Learn which records are there, with one statement for each kind."""
        unknown: dict[type[Record], list[str]] = {}
        for kind, key in changed:
            if self._known.record(kind, key, self.size) is None and NUL not in key:
                unknown.setdefault(kind, []).append(key)
        for kind, keys in unknown.items():
            found: dict[str, Record] = {}
            for at in range(0, len(keys), MOST_ASKED):
                some = keys[at : at + MOST_ASKED]
                bodies = self._connection.execute(_GET_ALL[kind], {"channel": self._channel, "keys": some}).scalars()
                found |= {each.key: each for each in (_decoded(kind, body) for body in bodies)}
            for key in keys:
                self._known.learn_record(kind, key, found.get(key), self.size)

    def _put_all(self, records: Iterable[Record]) -> None:
        rows: dict[tuple[type[Record], Sequence[str]], list[dict[str, Any]]] = {}
        for record in records:
            kind = type(record)
            old = self.get(kind, record.key)
            self._known.put(old, record, self.size)
            row = {name: getattr(record, name) for name in _COLUMNS[kind]}
            if old is None:
                row["channel"] = self._channel
            else:
                # An index costs as much for a column that stays as it is as for one that changes.
                row = {name: value for name, value in row.items() if getattr(old, name) != value}
                row |= {"at": self._channel, "of": record.key}
            rows.setdefault((kind, tuple(row)), []).append({"body": msgspec.json.encode(record), **row})
        for (kind, columns), made in rows.items():
            if "channel" in columns:
                upsert(self._connection, schema.records[kind], made)
            else:
                self._connection.execute(_UPDATE[kind], made)

    def beginning(self, kind: type[R], key: str, *, limit: int) -> list[R]:
        """The first records whose keys begin so."""
        table = schema.records[kind]
        query = (
            select(table.c.body)
            .where(table.c.channel == self._channel, table.c.key >= key, table.c.key < key + LAST)
            .order_by(table.c.key)
            .limit(limit)
        )
        return [] if NUL in key else [_decoded(kind, body) for body in self._connection.execute(query).scalars()]

    def search(
        self,
        kind: type[R],
        where: Mapping[str, Sequence[str]],
        *,
        order: str = "-created_at",
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[int, list[R]]:
        """(how many records match, one page of them); a field's values are alternatives; `-` orders from the last."""
        table = schema.records[kind]
        query: Select[Any] = select(table.c.body).where(table.c.channel == self._channel)
        for field, values in where.items():
            query = query.where(table.c[field].in_([value for value in values if NUL not in value]))
        count = self._connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
        column = table.c[order.lstrip("-")]
        down = order.startswith("-")
        query = query.order_by(column.desc() if down else column, table.c.key.desc() if down else table.c.key)
        bodies = self._connection.execute(query.limit(limit).offset(offset)).scalars()
        return count, [_decoded(kind, body) for body in bodies]


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, each in place of the one with its primary key."""
    connection.execute(_upsert(connection.dialect.name, table), list(rows))


@cache
def _upsert(dialect: str, table: Table) -> Insert:
    insert = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    keys = [column.name for column in table.primary_key]
    rest = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys}
    if not rest:
        return insert.on_conflict_do_nothing(index_elements=keys)
    return insert.on_conflict_do_update(index_elements=keys, set_=rest)


def _decoded(kind: type[R], body: bytes) -> R:
    return _DECODERS[kind].decode(body)
