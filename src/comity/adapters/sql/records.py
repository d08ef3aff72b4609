"""Records of one channel in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, final

import msgspec
from sqlalchemy import Connection, Select, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from comity.adapters.sql import schema
from comity.domain.records import Draft, Record

R = TypeVar("R", bound=Record)

_DECODERS: dict[type[Record], msgspec.json.Decoder[Any]] = {k: msgspec.json.Decoder(k) for k in schema.records}


@final
class RecordsSql:
    """What a transaction sees of a channel's records, and may change."""

    def __init__(self, connection: Connection, channel: int) -> None:
        self._connection = connection
        self._channel = channel

    def get(self, kind: type[R], key: str) -> R | None:
        table = schema.records[kind]
        query = select(table.c.body).where(table.c.channel == self._channel, table.c.key == key)
        body = self._connection.execute(query).scalar()
        return None if body is None else _decoded(kind, body)

    def find(self, kind: type[R], field: str, value: str) -> list[R]:
        table = schema.records[kind]
        query = select(table.c.body).where(table.c.channel == self._channel, table.c[field] == value)
        return [_decoded(kind, body) for body in self._connection.execute(query.order_by(table.c.key)).scalars()]

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
        kind = type(record)
        table = schema.records[kind]
        row: dict[str, Any] = {"channel": self._channel, "body": msgspec.json.encode(record)}
        for column in table.columns:
            if column.name not in row:
                row[column.name] = getattr(record, column.name)
        return row


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, each in place of the one with its primary key."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    insert = dialect.insert(table)
    keys = [column.name for column in table.primary_key]
    rest = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys}
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=rest), list(rows))


def _decoded(kind: type[R], body: bytes) -> R:
    return _DECODERS[kind].decode(body)
