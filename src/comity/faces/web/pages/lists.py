"""Lists of the API as tables: the query string of a page is the API's, and so is what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comity.domain.records import Record
from comity.faces.web.tables import Table
from comity.node.rest.pages import Listing, Page, listed, page_of
from comity.node.rest.render import View

SIZE = 30
"""Rows on a page."""

MOST = 200
"""Rows that may be asked for on one."""


def page(asked: Mapping[str, str]) -> Page:
    """Which page is asked for."""
    found = page_of(asked, SIZE)
    return Page(found.number, min(found.size, MOST))


def table(
    view: View, listing: Listing[Any], path: str, asked: Mapping[str, str], query: Mapping[str, str] | None = None
) -> Table:
    """A page of what is asked for; `query` is how the page's address says it, where that is not the same."""
    where = page(asked)
    given = {**asked, "page": str(where.number), "page_size": str(where.size)}
    count, rows = listed(view, listing, given)
    return Table(path, asked if query is None else query, where, count, rows)


def names(view: View, kind: type[Record], keys: set[str]) -> dict[str, str]:
    """What records are called, by their keys."""
    found = [each for key in keys if (each := view.records.get(kind, key)) is not None]
    view.learn(found)
    return {each.key: view.text(getattr(each, "name", "")) for each in found}
