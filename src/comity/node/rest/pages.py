"""Lists, as pages: which records match, in which order, and where the next page is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar, final
from urllib.parse import urlencode

from comity.adapters.openapi import Count, Moment, Whole
from comity.adapters.sql import schema
from comity.domain.records import Record
from comity.node.rest import nouns
from comity.node.rest.render import View
from comity.values.errors import InvalidInput, NotFound, unknown

R = TypeVar("R", bound=Record)

MOST = 10_000
"""Records on a page."""

ORDERS = {"creation_date": "created_at", "start_date": "started_at", "end_date": "ended_at", "rank": "rank"}

Ordering: TypeAlias = Literal[
    "creation_date", "-creation_date", "start_date", "-start_date", "end_date", "-end_date", "rank", "-rank"
]

METADATA = "metadata__"
"""With which the order by a key of metadata begins."""

PAGING: Mapping[str, Any] = {"page": Whole, "page_size": Whole}
"""Parameters of a list in pages, and their types."""

TYPES: Mapping[str, Any] = {"duration_min": Count, "duration_max": Count}
"""Of filters that are no words."""


@final
@dataclass(frozen=True, kw_only=True)
class Listing(Generic[R]):
    """How records of a kind are listed. A filter's values are alternatives; all filters must hold."""

    kind: type[R]
    write: Callable[[View, R], Any]
    indexed: Mapping[str, str]
    """The field that a filter is about."""
    related: Mapping[str, Callable[[View, Sequence[str]], set[str]]] = field(
        default_factory=dict[str, Callable[[View, Sequence[str]], set[str]]]
    )
    """The keys that a filter leaves."""
    tests: Mapping[str, Callable[[View, R, str], bool]] = field(
        default_factory=dict[str, Callable[[View, R, str], bool]]
    )
    """Whether a record passes a filter, given as it was sent."""
    words: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """The only values that a filter may have: another would silently leave nothing."""
    sorts: Mapping[str, Callable[[View, R], Any]] = field(default_factory=dict[str, Callable[[View, R], Any]])
    """What a list can be ordered by beside dates; with any, by a key of metadata too: `metadata__KEY`."""
    size: int = 100

    @property
    def parameters(self) -> Mapping[str, Any]:
        """All that a request may ask for, and of which type it is."""
        filters = (*self.indexed, *self.related, *self.tests)
        return {"ordering": str if self.sorts else Ordering, **PAGING, **{name: _type(name) for name in filters}}


@final
@dataclass(frozen=True)
class Page:
    """Which part of a list is asked for."""

    number: int
    size: int

    @property
    def start(self) -> int:
        """How many come before it."""
        return (self.number - 1) * self.size


def page_of(parameters: Mapping[str, str], size: int) -> Page:
    """The page that is asked for; raises InvalidInput."""
    return Page(_whole(parameters, "page", 1), min(_whole(parameters, "page_size", size), MOST))


def listed(view: View, listing: Listing[R], parameters: Mapping[str, str]) -> tuple[int, list[Any]]:
    """(how many match, those on the page); raises InvalidInput for a parameter that is not known."""
    check(parameters, listing.parameters)
    count, found = matching(view, listing, parameters, page_of(parameters, listing.size))
    view.learn(found)
    return count, [listing.write(view, each) for each in found]


def check(parameters: Mapping[str, str], known: Mapping[str, Any]) -> None:
    """Raise InvalidInput for a parameter that is not known."""
    for name in parameters:
        if name not in known:
            raise unknown("parameter", name, known)


def matching(
    view: View, listing: Listing[R], parameters: Mapping[str, str], page: Page | None = None
) -> tuple[int, list[R]]:
    """(how many match, those of them on a page, or all without one)."""
    for name, words in listing.words.items():
        for value in _values(parameters.get(name, "")):
            if value and value not in words:
                raise unknown(name, value, words)
    given = parameters.get("ordering", "-creation_date")
    sort = _sort(listing, given.removeprefix("-"))
    order = "-created_at" if sort else _order(listing, given)
    start, size = (page.start, page.size) if page else (0, None)
    where = {at: _values(parameters[name]) for name, at in listing.indexed.items() if name in parameters}
    related = [keys(view, _values(parameters[name])) for name, keys in listing.related.items() if name in parameters]
    tests = [(test, parameters[name]) for name, test in listing.tests.items() if name in parameters]
    if not (related or tests or sort):
        return view.records.search(listing.kind, where, order=order, limit=size, offset=start)
    _, every = view.records.search(listing.kind, where, order=order)
    view.learn(every)
    kept = [
        each
        for each in every
        if all(each.key in keys for keys in related) and all(test(view, each, value) for test, value in tests)
    ]
    if sort:
        kept.sort(key=lambda each: sort(view, each), reverse=given.startswith("-"))
    return len(kept), kept[start : None if size is None else start + size]


def paged(url: str, parameters: Mapping[str, str], *, page: Page, count: int, results: list[Any]) -> nouns.Page[Any]:
    """The answer; its links name each parameter once. Raises NotFound for a page after the last."""
    if page.number > 1 and page.start >= count:
        raise NotFound(f"there is no page {page.number}; {count} are found, {page.size} on a page")

    def link(number: int) -> str:
        return f"{url}?{urlencode({**parameters, 'page': number})}"

    return {
        "count": count,
        "next": link(page.number + 1) if page.start + page.size < count else None,
        "previous": link(page.number - 1) if page.number > 1 else None,
        "results": results,
    }


def _type(name: str) -> Any:
    return Moment if "_date_" in name else TYPES.get(name, str)


def _values(given: str) -> list[str]:
    return [each.strip() for each in given.split(",")]


def _sort(listing: Listing[R], name: str) -> Callable[[View, R], Any] | None:
    """What a list is ordered by, if that is no column."""
    key = name.removeprefix(METADATA)
    if listing.sorts and key != name:
        return lambda view, each: view.metadata(getattr(each, "metadata", "")).get(key, "")
    return listing.sorts.get(name)


def _order(listing: Listing[R], given: str) -> str:
    column = ORDERS.get(given.removeprefix("-"))
    if column is None or column not in schema.records[listing.kind].columns:
        known = [name for name, each in ORDERS.items() if each in schema.records[listing.kind].columns]
        known += listing.sorts
        raise unknown("ordering", given, [*known, *(f"-{name}" for name in known)])
    return "-" + column if given.startswith("-") else column


def _whole(parameters: Mapping[str, str], name: str, otherwise: int) -> int:
    given = parameters.get(name, str(otherwise))
    if not given.isascii() or not given.isdigit() or len(given) > 9 or int(given) < 1:
        raise InvalidInput(f"{name} must be a whole number from 1 on, not {given[:40]!r}")
    return int(given)
