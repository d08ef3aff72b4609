"""Records of one channel in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias, TypeVar, final

import msgspec
from sqlalchemy import Connection, Insert, Select, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from comity.adapters.sql import schema
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

_FIND = {
    (kind, field): select(table.c.body)
    .where(table.c.channel == bindparam("channel"), table.c[field] == bindparam("value"))
    .order_by(table.c.key)
    for kind, table in schema.records.items()
    for field in kind.index
}

Known: TypeAlias = dict[tuple[type[Record], str], Any]
"""Records that were read or written before and still are as they were."""


@final
class RecordsSql:
    """What a transaction sees of a channel's records, and may change."""

    def __init__(self, connection: Connection, channel: int, known: Known | None = None) -> None:
        self._connection = connection
        self._channel = channel
        self._known: Known = {} if known is None else known

    def get(self, kind: type[R], key: str) -> R | None:
        found = self._known.get((kind, key))
        if found is not None:
            return found
        body = self._connection.execute(_GET[kind], {"channel": self._channel, "key": key}).scalar()
        if body is None:
            return None
        made = self._known[kind, key] = _decoded(kind, body)
        return made

    def find(self, kind: type[R], field: str, value: str) -> list[R]:
        found = self._connection.execute(_FIND[kind, field], {"channel": self._channel, "value": value})
        return [_decoded(kind, body) for body in found.scalars()]

    def put(self, record: Record) -> None:
        self.put_all([record])

    def keep(self, draft: Draft) -> None:
        """Put everything that a draft changed."""
        self.put_all(draft.changed.values())

    def put_all(self, records: Iterable[Record]) -> None:
        """Put many records with one statement for each kind."""
        rows: dict[type[Record], list[dict[str, Any]]] = {}
        for record in records:
            rows.setdefault(type(record), []).append(self._row(record))
            self._known[type(record), record.key] = record
        for kind, made in rows.items():
            upsert(self._connection, schema.records[kind], made)

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
            query = query.where(table.c[field].in_(list(values)))
        count = self._connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
        column = table.c[order.lstrip("-")]
        down = order.startswith("-")
        query = query.order_by(column.desc() if down else column, table.c.key.desc() if down else table.c.key)
        bodies = self._connection.execute(query.limit(limit).offset(offset)).scalars()
        return count, [_decoded(kind, body) for body in bodies]

    def _row(self, record: Record) -> dict[str, Any]:
        row = {name: getattr(record, name) for name in _COLUMNS[type(record)]}
        return {"channel": self._channel, "body": msgspec.json.encode(record), **row}


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
