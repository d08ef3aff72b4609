"""What has happened in a channel lately: plans that began and ended, datasets that came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, final

from starlette.responses import Response

from comity.adapters.openapi import Moment
from comity.domain.plans import status_of
from comity.domain.records import Dataset, Function, Plan
from comity.domain.sums import SUM
from comity.node.rest.call import Call
from comity.node.rest.dates import date, moment
from comity.node.rest.pages import PAGING, check, page_of
from comity.node.rest.render import View
from comity.values.errors import InvalidInput

PARAMETERS: Mapping[str, Any] = {
    "important_news_only": Literal["true", "false"],
    "timestamp_after": Moment,
    "timestamp_before": Moment,
    "ordering": Literal["timestamp", "-timestamp"],
    **PAGING,
}
"""Of the list, and their types."""


class Detail(TypedDict, total=False):
    """Of a plan that failed: the first task that did."""

    first_failed_task_key: str


class Item(TypedDict):
    """One thing that happened. What is important is how plans end."""

    asset_kind: Literal["ASSET_COMPUTE_PLAN", "ASSET_DATA_MANAGER", "ASSET_FUNCTION"]
    asset_key: str
    name: str
    status: Literal["STATUS_CREATED", "STATUS_DOING", "STATUS_DONE", "STATUS_FAILED", "STATUS_CANCELED"]
    timestamp: str | None
    detail: Detail


@final
@dataclass(frozen=True)
class _News:
    at: int
    what: Plan | Dataset | Function
    status: Any
    important: bool = False


async def listed(call: Call) -> Response:
    """A page of the news, the latest first unless asked otherwise."""
    given = call.parameters
    check(given, PARAMETERS)
    page = page_of(given, 100)
    count, results = await call.read(lambda view: _page(view, given, page.start, page.size))
    return call.paged(page, count, results)


def latest(view: View, most: int) -> list[Item]:
    """The last of the news; no more records are read than may be among them."""
    plans = {
        each.key: each
        for order in ("-created_at", "-started_at", "-ended_at")
        for each in view.records.search(Plan, {}, order=order, limit=most)[1]
    }
    found = [news for plan in plans.values() for news in _of_plan(plan)]
    for kind in (Dataset, Function):
        found += _of_assets(view.records.search(kind, {}, limit=most + 1)[1])
    found.sort(key=lambda each: (each.at, each.important), reverse=True)
    view.learn(each.what for each in found[:most])
    return [_item(view, each) for each in found[:most]]


def _page(view: View, given: Mapping[str, str], start: int, size: int) -> tuple[int, list[Item]]:
    only = _one_of(given, "important_news_only", ("false", "true")) == "true"
    up = _one_of(given, "ordering", ("-timestamp", "timestamp")) == "timestamp"
    first = moment(given["timestamp_after"]) if "timestamp_after" in given else 0
    before = moment(given["timestamp_before"]) if "timestamp_before" in given else None
    found = [
        each
        for each in _every(view)
        if (each.important or not only) and first <= each.at and (before is None or each.at < before)
    ]
    found.sort(key=lambda each: (each.at, each.important), reverse=not up)
    here = found[start : start + size]
    view.learn(each.what for each in here)
    return len(found), [_item(view, each) for each in here]


def _every(view: View) -> list[_News]:
    news = [each for plan in view.records.search(Plan, {})[1] for each in _of_plan(plan)]
    for kind in (Dataset, Function):
        news += _of_assets(view.records.search(kind, {})[1])
    return news


def _of_plan(plan: Plan) -> list[_News]:
    news = [_News(plan.created_at, plan, "STATUS_CREATED")]
    if plan.started_at:
        news.append(_News(plan.started_at, plan, "STATUS_DOING"))
    if plan.ended_at:
        news.append(_News(plan.ended_at, plan, status_of(plan).removeprefix("PLAN_"), important=True))
    return news


def _of_assets(records: Sequence[Dataset | Function]) -> list[_News]:
    return [_News(each.created_at, each, "STATUS_CREATED") for each in records if each.key != SUM]


KINDS: Mapping[type[Plan | Dataset | Function], Any] = {
    Plan: "ASSET_COMPUTE_PLAN",
    Dataset: "ASSET_DATA_MANAGER",
    Function: "ASSET_FUNCTION",
}


def _item(view: View, each: _News) -> Item:
    what, detail = each.what, Detail()
    if isinstance(what, Plan) and what.failed_task and each.important:
        detail["first_failed_task_key"] = what.failed_task
    return {
        "asset_kind": KINDS[type(what)],
        "asset_key": what.key,
        "name": view.function_name(what) if isinstance(what, Function) else view.text(what.name),
        "status": each.status,
        "timestamp": date(each.at),
        "detail": detail,
    }


def _one_of(given: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """The value of a parameter; the first of those known unless it is given."""
    value = given.get(name, known[0]).lower()
    if value not in known:
        raise InvalidInput(f"{name} must be {' or '.join(known)}, not {value[:40]!r}")
    return value
