"""What a steward decides: functions of other organizations, and the end of a dataset's use."""

from __future__ import annotations

from typing import Annotated, final

from msgspec import Meta, Struct
from starlette.responses import Response

from comity.node import approving
from comity.node.approving import Judged
from comity.node.rest import nouns
from comity.node.rest.bodies import decoded
from comity.node.rest.call import Call, answer
from comity.node.rest.dates import date
from comity.node.rest.pages import page_of
from comity.node.rest.render import View


@final
class Reason(Struct, frozen=True):
    """Why something is refused or withdrawn."""

    reason: Annotated[str, Meta(max_length=1000)] = ""


async def listed(call: Call) -> Response:
    """Functions of other organizations that could run here, and what was said of each."""
    page = page_of(call.parameters, 100)

    def work(view: View) -> tuple[int, list[nouns.Judged]]:
        found = approving.judged(view.log, view.organization)
        here = found[page.start : page.start + page.size]
        view.learn(each.function for each in here)
        return len(found), [_shown(call, view, each) for each in here]

    count, results = await call.read(work)
    return call.paged(page, count, results)


async def review(call: Call) -> Response:
    """A function's source, and that of the last one of its name that was approved."""
    found = await approving.review(call.part, call.key)

    def work(view: View) -> nouns.Review:
        before: nouns.Before | None = None
        if found.before:
            before = {"function": view.function(found.before), "files": dict(found.files_before)}
        locked = list(found.judged.function.locked)
        return {**_shown(call, view, found.judged), "files": dict(found.files), "locked": locked, "before": before}

    return answer(await call.read(work))


async def approve(call: Call) -> Response:
    """Let functions of this one's archive run here."""
    await approving.approve(call.part, call.key, by=call.principal.user)
    return answer({})


async def refuse(call: Call) -> Response:
    """Let no function of this one's archive run here."""
    reason = decoded(await call.body() or b"{}", Reason).reason
    await approving.refuse(call.part, call.key, by=call.principal.user, reason=reason)
    return answer({})


async def withdraw(call: Call) -> Response:
    """Let no new task use a dataset; names the models that were made from it."""
    reason = decoded(await call.body() or b"{}", Reason).reason
    models = await approving.withdraw(call.part, call.key, reason=reason)
    return answer(await call.read(lambda view: {"models": [view.model(each) for each in models]}))


def _shown(call: Call, view: View, each: Judged) -> nouns.Judged:
    word = each.word
    return {
        "function": view.function(each.function),
        "approved": word and word.approved,
        "by": word and call.api.accounts.names([word.by]).get(word.by, word.by),
        "reason": word and view.text(word.reason),
        "date": word and date(word.at),
        "waiting_tasks": each.waiting,
    }
