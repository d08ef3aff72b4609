"""For those who operate the node."""

from __future__ import annotations

from statistics import quantiles

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from starlette.responses import HTMLResponse, Response

from comity.adapters import openapi_page
from comity.domain.records import Task
from comity.node.rest.call import Call, answer
from comity.node.rest.render import View


async def live(call: Call) -> Response:
    """That this process answers."""
    return answer({"live": True})


async def ready(call: Call) -> Response:
    """Whether every channel is followed and its hub can be reached; 503 if not."""
    followed = [part.following for part in call.api.node.parts.values()]
    is_ready = bool(followed) and all(each.connected and not each.broken for each in followed)
    return answer({"ready": is_ready}, 200 if is_ready else 503)


async def metrics(call: Call) -> Response:
    """Figures of this node and of the caller's channel, for Prometheus."""
    size, running = await call.read(_figures)
    figures = CollectorRegistry()
    Gauge("comity_connected", "Whether the hub can be reached.", registry=figures).set(call.part.following.connected)
    Gauge("comity_log_entries", "Entries of the channel's log known here.", registry=figures).set(size)
    Gauge("comity_tasks_running", "Tasks that run at this node.", registry=figures).set(running)
    if len(overheads := call.part.scheduler.overheads) > 1:
        named = "comity_task_overhead_seconds"
        gauge = Gauge(named, "Of the last tasks, beside their own code.", ["quantile"], registry=figures)
        for quantile, at in (("0.5", 49), ("0.95", 94)):
            gauge.labels(quantile).set(quantiles(overheads, n=100)[at])
    body = generate_latest(call.api.registry) + generate_latest(figures)
    return Response(body, headers={"content-type": CONTENT_TYPE_LATEST})


async def openapi(call: Call) -> Response:
    """This API as an OpenAPI document."""
    return answer(call.request.app.state.openapi())


async def page(call: Call) -> Response:
    """The same to be read; it loads nothing."""
    headers = {"content-security-policy": openapi_page.POLICY, "x-content-type-options": "nosniff"}
    return HTMLResponse(openapi_page.page(call.request.app.state.openapi()), headers=headers)


def _figures(view: View) -> tuple[int, int]:
    where = {"worker": [view.organization], "status": ["STATUS_EXECUTING"]}
    return view.log.size, view.records.search(Task, where, limit=0)[0]
