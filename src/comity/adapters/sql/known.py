"""What is known of a channel's records without asking the database, shared by its writer and its readers.

Records change with the log alone, so that what was read or written of them holds for every reader whose log has the
entries since which it holds, until a later one changes it. The writer puts every change here before its transaction
ends; whoever reads an earlier state meanwhile finds what it may not know yet marked so, and asks the database. What a
reader learns never takes the place of what holds since later.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar, final

from comity.domain.records import Record

R = TypeVar("R", bound=Record)

MOST = 20_000
"""Records, and lists of keys, that are known at once: some 30 MB."""

LONGEST = 100
"""Keys in a list of those that have one value."""


@final
@dataclass(frozen=True, slots=True)
class Since:
    """What holds since the log has so many entries."""

    size: int
    made: Any


@final
class Known:
    """Records, and keys of those whose indexed field has a value; None for a record that is not there."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._records: dict[tuple[type[Record], str], Since] = {}
        self._keys: dict[tuple[type[Record], str, str], Since] = {}
        """None for a list that has changed and is not known."""

    def __len__(self) -> int:
        return len(self._records) + len(self._keys)

    def record(self, kind: type[Record], key: str, size: int) -> Since | None:
        """What is known of a record, in a log of so many entries."""
        found = self._records.get((kind, key))
        return None if found is None or found.size > size else found

    def keys(self, kind: type[Record], field: str, value: str, size: int) -> list[str] | None:
        """The keys of the records whose field has the value, in their order, if that is known."""
        found = self._keys.get((kind, field, value))
        return None if found is None or found.size > size else found.made

    def learn_record(self, kind: type[R], key: str, record: R | None, size: int) -> None:
        """It was read, in a log of so many entries."""
        with self._lock:
            if (kind, key) not in self._records and len(self) < MOST:
                self._records[kind, key] = Since(size, record)

    def learn_keys(self, kind: type[Record], field: str, value: str, keys: list[str], *, size: int) -> bool:
        """They were read, in a log of so many entries; whether they are kept."""
        with self._lock:
            found = self._keys.get((kind, field, value))
            if len(keys) > LONGEST or len(self) >= MOST or (found is not None and found.size > size):
                return False
            self._keys[kind, field, value] = Since(size, keys)
            return True

    def put(self, old: Record | None, new: Record, size: int) -> None:
        """The last of so many entries has changed a record."""
        kind = type(new)
        with self._lock:
            self._records[kind, new.key] = Since(size, new)
            for field in kind.index:
                before, after = None if old is None else getattr(old, field), getattr(new, field)
                if before != after:
                    if before is not None:
                        self._change(kind, field, before, size, without=new.key)
                    self._change(kind, field, after, size, more=new.key)

    def _change(
        self,
        kind: type[Record],
        field: str,
        value: str,
        size: int,
        *,
        more: str | None = None,
        without: str | None = None,
    ) -> None:
        found = self._keys.get((kind, field, value))
        keys: list[str] | None = None
        if found is not None and found.made is not None and len(found.made) < LONGEST:
            keys = [each for each in found.made if each != without]  # anew, since readers hold what there was
            if more is not None:
                insort(keys, more)
        self._keys[kind, field, value] = Since(size, keys)
