"""The API as an OpenAPI document: what each route takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from comity.adapters.openapi import BYTES, FORM, JSON, PARTS, Binary, Operation, Program, document
from comity.domain.words import Key
from comity.node.accounts.roles import Right
from comity.node.rest import measured, news_feed, nouns, policies, profiling, users, workflow
from comity.node.rest.approvals import Reason
from comity.node.rest.bodies import Name, NewPlan, NewSamples, NewTasks, NewToken
from comity.node.rest.forms import DatasetForm, FunctionForm, Links, Login, SamplesForm
from comity.node.rest.log import Redaction
from comity.node.rest.organizations import VERSION
from comity.node.rest.routes import ROUTES, Route

NODE = Program(
    title="comity node",
    version=VERSION,
    description="Substra 1.0's API, extended. Log in, or make a token for programs, and send it with each request.",
    schemes={"token": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer TOKEN`"}},
    refusal=nouns.Refusal,
)

SCHEMES: dict[str, Sequence[str]] = {"anyone": (), "anyone or user": ("", "token")}

PLAIN = {"text/plain": str}

TAKES: Mapping[str, Any] = {
    "POST /api-token-auth/": {FORM: Login},
    "POST /api-token/": {JSON: NewToken},
    "POST /users/": {JSON: users.NewUser},
    "PUT /users/{key}/": {JSON: users.NewRole},
    "PUT /users/{key}/password/": {JSON: users.NewPassword},
    "POST /users/{key}/set_password/": {JSON: users.Renewal},
    "POST /log/redact/": {JSON: Redaction},
    "POST /data_manager/": {PARTS: DatasetForm},
    "PUT /data_manager/{key}/": {JSON: Name},
    "POST /data_manager/{key}/withdraw/": {JSON: Reason},
    "POST /data_sample/": {JSON: NewSamples, PARTS: SamplesForm},
    "POST /data_sample/bulk_update/": {FORM: Links},
    "POST /function/": {PARTS: FunctionForm},
    "PUT /function/{key}/": {JSON: Name},
    "POST /function/{key}/refuse/": {JSON: Reason},
    "POST /policy/explain/": {JSON: policies.Explain},
    "POST /compute_plan/": {JSON: NewPlan},
    "PUT /compute_plan/{key}/": {JSON: Name},
    "POST /task/bulk_create/": {JSON: NewTasks},
}
"""The types of a body by their media types."""

GIVES: Mapping[str, Any] = {
    "POST /api-token-auth/": {JSON: nouns.Issued},
    "GET /active-api-tokens/": {JSON: nouns.Tokens},
    "DELETE /active-api-tokens/": {JSON: nouns.Refusal},
    "POST /api-token/": {JSON: nouns.NotedIssued},
    "GET /users/": {JSON: nouns.Page[users.Shown]},
    "POST /users/": {JSON: users.Shown},
    "GET /users/{key}/": {JSON: users.Shown},
    "PUT /users/{key}/": {JSON: users.Shown},
    "DELETE /users/{key}/": {},
    "PUT /users/{key}/password/": {JSON: users.Shown},
    "POST /users/{key}/reset_password/": {JSON: users.Reset},
    "GET /users/{key}/verify_token/": {JSON: nouns.Nothing},
    "POST /users/{key}/set_password/": {JSON: nouns.Nothing},
    "GET /info/": {JSON: nouns.Info},
    "GET /organization/": {JSON: list[nouns.Organization]},
    "GET /network/": {JSON: nouns.Network},
    "GET /news_feed/": {JSON: nouns.Page[news_feed.Item]},
    "GET /policy/": {JSON: list[nouns.Policy]},
    "POST /policy/explain/": {JSON: list[nouns.Explained]},
    "GET /budget/": {JSON: list[nouns.Budget]},
    "GET /log/": {JSON: nouns.Entries},
    "GET /log/leaves/": {JSON: nouns.Leaves},
    "GET /log/checkpoint/": {JSON: nouns.Checkpoint},
    "POST /log/redact/": {JSON: nouns.Redacted},
    "POST /data_manager/": {JSON: nouns.Dataset},
    "GET /data_manager/": {JSON: nouns.Page[nouns.Dataset]},
    "GET /data_manager/{key}/": {JSON: nouns.Dataset},
    "PUT /data_manager/{key}/": {JSON: nouns.Nothing},
    "POST /data_manager/{key}/withdraw/": {JSON: nouns.Withdrawn},
    "GET /data_manager/{key}/opener/": PLAIN,
    "GET /data_manager/{key}/description/": PLAIN,
    "POST /data_sample/": {JSON: list[nouns.Sample]},
    "GET /data_sample/": {JSON: nouns.Page[nouns.Sample]},
    "GET /data_sample/{key}/": {JSON: nouns.Sample},
    "POST /data_sample/bulk_update/": {JSON: nouns.Nothing},
    "POST /function/": {JSON: nouns.Function},
    "GET /function/": {JSON: nouns.Page[nouns.Function]},
    "GET /function/{key}/": {JSON: nouns.Function},
    "PUT /function/{key}/": {JSON: nouns.Nothing},
    "GET /function/{key}/file/": {BYTES: Binary},
    "GET /function/{key}/description/": PLAIN,
    "GET /function/{key}/profiling/": {JSON: profiling.FunctionProfile},
    "GET /approval/": {JSON: nouns.Page[nouns.Judged]},
    "GET /function/{key}/review/": {JSON: nouns.Review},
    "POST /function/{key}/approve/": {JSON: nouns.Nothing},
    "POST /function/{key}/refuse/": {JSON: nouns.Nothing},
    "POST /compute_plan/": {JSON: nouns.Plan},
    "GET /compute_plan/": {JSON: nouns.Page[nouns.Plan]},
    "GET /compute_plan/{key}/": {JSON: nouns.Plan},
    "PUT /compute_plan/{key}/": {JSON: nouns.Nothing},
    "POST /compute_plan/{key}/cancel/": {JSON: nouns.Nothing},
    "GET /compute_plan/{key}/perf/": {JSON: nouns.Measurements},
    "GET /compute_plan/{key}/task/": {JSON: nouns.Page[nouns.Task]},
    "GET /compute_plan/{key}/functions/": {JSON: nouns.Page[nouns.Function]},
    "GET /compute_plan/{key}/workflow_graph/": {JSON: workflow.Graph},
    "GET /compute_plan_metadata/": {JSON: list[str]},
    "GET /performance/": {JSON: nouns.Page[measured.Measured]},
    "GET /performance/export/": {"text/csv": str},
    "GET /compute_plan/{key}/rounds/": {JSON: nouns.Rounds},
    "POST /task/bulk_create/": {JSON: list[nouns.Task]},
    "GET /task/": {JSON: nouns.Page[nouns.Task]},
    "GET /task/{key}/": {JSON: nouns.Task},
    "GET /task/{key}/input_assets/": {JSON: nouns.Page[nouns.Asset]},
    "GET /task/{key}/output_assets/": {JSON: nouns.Page[nouns.Asset]},
    "GET /task/{key}/logs/": PLAIN,
    "GET /logs/{key}/file/": PLAIN,
    "GET /task_profiling/": {JSON: nouns.Page[profiling.TaskProfile]},
    "GET /task_profiling/{key}/": {JSON: profiling.TaskProfile},
    "GET /model/": {JSON: nouns.Page[nouns.Model]},
    "GET /model/{key}/": {JSON: nouns.Model},
    "GET /model/{key}/file/": {BYTES: Binary},
    "GET /live": {JSON: nouns.Live},
    "GET /ready": {JSON: nouns.Ready},
    "GET /metrics": PLAIN,
    "GET /docs": {"text/html": str},
    "GET /openapi.json": {JSON: dict[str, Any]},
    "GET /schema/": {JSON: dict[str, Any]},
}
"""The types of an answer by their media types."""

STATUS: Mapping[str, Any] = {
    "POST /users/": (201,),
    "DELETE /users/{key}/": (204,),
    "POST /data_manager/": (201,),
    "POST /data_sample/": (201,),
    "POST /function/": (201,),
    "POST /compute_plan/": (200, 201),
    "GET /ready": (200, 503),
}
"""Of answers that are not 200."""


REPEATS = (
    "With a header `Idempotency-Key` of the client's choice it may be made again: it is done once, and answered as the "
    "first time for a day. The same key with another request is refused with 422."
)


@cache
def described() -> dict[str, Any]:
    """The document."""
    return document(NODE, [_operation(route) for route in ROUTES], more=[nouns.Performance])


def _needs(route: Route) -> str:
    right = f"Needs the right `{route.needs.value}`." if isinstance(route.needs, Right) else ""
    return f"{right} {REPEATS}" if route.repeats else right


def _operation(route: Route) -> Operation:
    name = f"{route.method} {route.path}"
    at = {"key": users.Username if route.path.startswith("/users/") else Key} if "{key}" in route.path else {}
    return Operation(
        method=route.method,
        path=route.path,
        summary=route.summary,
        description=_needs(route),
        parameters={**at, **route.parameters},
        takes=TAKES.get(name, {}),
        gives=GIVES[name],
        status=STATUS.get(name, (200,)),
        schemes=SCHEMES.get(route.needs, ("token",)),
    )
