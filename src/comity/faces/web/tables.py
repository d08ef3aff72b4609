"""Lists as tables whose whole state stands in the address: what is searched for, in which order, and which page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final
from urllib.parse import urlencode

from comity.node.rest.pages import Page
from comity.values.errors import unknown


@final
@dataclass(frozen=True)
class Table:
    """One page of a list, and the addresses of its neighbours."""

    path: str
    query: Mapping[str, str]
    page: Page
    count: int
    rows: list[Any]
    default: str = "-creation_date"
    """How it is ordered unless asked otherwise."""

    def url(self, **changes: Any) -> str:
        """The same list asked otherwise; None leaves a parameter out. From its first page, unless that is given."""
        made = {name: value for name, value in {**self.query, "page": None, **changes}.items() if value is not None}
        return self.path + (f"?{urlencode(made)}" if made else "")

    @property
    def ordering(self) -> str:
        """How it is ordered."""
        return self.query.get("ordering", self.default)

    def sorted(self, name: str) -> Literal["ascending", "descending", "none"]:
        """Whether, and which way, it is ordered by this."""
        if self.ordering.removeprefix("-") != name:
            return "none"
        return "descending" if self.ordering.startswith("-") else "ascending"

    def sort_url(self, name: str) -> str:
        """Ordered by this; the other way round if it is already."""
        return self.url(ordering=name if self.ordering == f"-{name}" else f"-{name}")

    @property
    def first(self) -> int:
        """The number of the first row that is shown, from 1."""
        return min(self.page.start + 1, self.count)

    @property
    def last(self) -> int:
        """That of the last."""
        return min(self.page.start + self.page.size, self.count)

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-self.count // self.page.size))

    @property
    def filtered(self) -> bool:
        """Whether something is searched for."""
        return bool(self.query.keys() - {"ordering", "page", "page_size"})

    def has(self, name: str, value: str) -> bool:
        """Whether a filter is for this value among others."""
        return value in self.query.get(name, "").split(",")


def arranged(
    rows: Iterable[Mapping[str, Any]], asked: Mapping[str, str], *, sorts: Sequence[str], words: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Rows as a list's address asks for them, where they are few enough to be at hand whole.

    sorts: fields that they may be ordered by; as they are without. words: fields that `match` is looked for in.
    Raises InvalidInput for another order.

    >>> rows = [{"name": "b", "done": 2}, {"name": "a", "done": 3}]
    >>> arranged(rows, {"ordering": "-done"}, sorts=["done"], words=["name"])[0]["name"]
    'a'
    """
    wanted, order = asked.get("match", "").lower().split(), asked.get("ordering", "")
    found = [row for row in rows if all(any(each in str(row[field]).lower() for field in words) for each in wanted)]
    if order:
        name = order.removeprefix("-")
        if name not in sorts:
            raise unknown("ordering", order, [*sorts, *(f"-{each}" for each in sorts)])
        found.sort(key=lambda row: (row[name] is not None, 0 if row[name] is None else row[name]))
        if order.startswith("-"):
            found.reverse()
    return found
