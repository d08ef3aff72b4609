"""Every route of the API, and the right that it needs: what has no row here does not exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, final

from comity.domain.records import DataSample, Dataset, Function, Model, Plan, Task
from comity.node.accounts.roles import Right
from comity.node.rest import (
    approvals,
    datasets,
    functions,
    log,
    measured,
    news_feed,
    operations,
    organizations,
    plans,
    policies,
    profiling,
    rounds,
    samples,
    tasks,
    tokens,
    users,
    workflow,
)
from comity.node.rest.call import Endpoint
from comity.node.rest.filters import DATASETS, FUNCTIONS, MODELS, PLANS, SAMPLES, TASKS
from comity.node.rest.pages import PAGING
from comity.node.rest.reading import BINARY, TEXT, file, one, several, within_plan
from comity.node.rest.render import View

Access: TypeAlias = Right | Literal["anyone", "anyone or user", "user"]
"""A right in the caller's channel; or any user will do; or no token is looked at, or only one that is shown."""


@final
@dataclass(frozen=True)
class Route:
    """One method of one path."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    needs: Access
    endpoint: Endpoint
    summary: str
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of the query, and their types."""
    secret: bool = False
    """Whether the request or its answer holds a password or a token, of which nothing is kept, not even a digest."""

    @property
    def repeats(self) -> bool:
        """Whether it honours an `Idempotency-Key`: what makes something in a channel, and no secret."""
        return self.method == "POST" and isinstance(self.needs, Right) and not self.secret


def _without(parameters: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return {each: kind for each, kind in parameters.items() if each != name}


ROUTES = (
    # Users
    Route("POST", "/api-token-auth/", "anyone", tokens.log_in, "Log in"),
    Route("GET", "/active-api-tokens/", "user", tokens.active, "List one's tokens"),
    Route("DELETE", "/active-api-tokens/", "user", tokens.revoke, "End one of one's tokens", {"id": str}),
    Route("POST", "/api-token/", "user", tokens.create, "Make a token for programs"),
    Route("GET", "/users/", Right.MANAGE_USERS, users.listed, "List users", users.LISTED),
    Route("POST", "/users/", Right.MANAGE_USERS, users.add, "Add a user", secret=True),
    Route("GET", "/users/{key}/", Right.MANAGE_USERS, users.one, "Show a user"),
    Route("PUT", "/users/{key}/", Right.MANAGE_USERS, users.change, "Give a user another role"),
    Route("DELETE", "/users/{key}/", Right.MANAGE_USERS, users.remove, "Remove a user"),
    Route("PUT", "/users/{key}/password/", "user", users.set_own_password, "Set one's own password"),
    Route(
        "POST",
        "/users/{key}/reset_password/",
        Right.MANAGE_USERS,
        users.offer_reset,
        "Offer a new password",
        secret=True,
    ),
    Route(
        "GET",
        "/users/{key}/verify_token/",
        "anyone",
        users.verify_reset,
        "Whether a reset can be used",
        {"token": str},
    ),
    Route("POST", "/users/{key}/set_password/", "anyone", users.use_reset, "Set a password with a reset"),
    # The node and its network
    Route("GET", "/info/", "anyone or user", organizations.info, "What this node is"),
    Route("GET", "/organization/", Right.READ, organizations.organizations, "List organizations"),
    Route("GET", "/network/", Right.READ, log.network, "Show the channel at a glance"),
    Route("GET", "/news_feed/", Right.READ, news_feed.listed, "List what happened lately", news_feed.PARAMETERS),
    Route("GET", "/log/", Right.READ, log.entries, "List entries of the log", log.ENTRIES),
    Route("GET", "/log/leaves/", Right.READ, log.leaves, "Download leaves of the log", log.LEAVES),
    Route("GET", "/log/checkpoint/", Right.READ, log.checkpoint, "Download the log's last signed checkpoint"),
    Route("POST", "/log/redact/", Right.REDACT, log.redact, "Delete texts of the log"),
    # Policies
    Route("GET", "/policy/", Right.READ, policies.listed, "List the members' policies"),
    Route("POST", "/policy/explain/", Right.READ, policies.explain, "Show what policies would say of an experiment"),
    Route("GET", "/budget/", Right.READ, policies.budgets, "Show the privacy budgets of this organization's datasets"),
    # Datasets and samples
    Route("POST", "/data_manager/", Right.REGISTER, datasets.register, "Register a dataset"),
    Route("GET", "/data_manager/", Right.READ, several(DATASETS), "List datasets", DATASETS.parameters),
    Route("GET", "/data_manager/{key}/", Right.READ, one(Dataset, View.dataset), "Show a dataset"),
    Route("PUT", "/data_manager/{key}/", Right.REGISTER, datasets.rename, "Rename a dataset"),
    Route("POST", "/data_manager/{key}/withdraw/", Right.WITHDRAW, approvals.withdraw, "End a dataset's use"),
    Route(
        "GET",
        "/data_manager/{key}/opener/",
        Right.READ,
        file("opener", name="opener.py", media=TEXT),
        "Download an opener",
    ),
    Route(
        "GET",
        "/data_manager/{key}/description/",
        Right.READ,
        file("dataset description", name="description.md", media=TEXT),
        "Download a dataset's description",
    ),
    Route("POST", "/data_sample/", Right.REGISTER, samples.register, "Register data samples"),
    Route("GET", "/data_sample/", Right.READ, several(SAMPLES), "List data samples", SAMPLES.parameters),
    Route("GET", "/data_sample/{key}/", Right.READ, one(DataSample, View.sample), "Show a data sample"),
    Route("POST", "/data_sample/bulk_update/", Right.REGISTER, samples.relate, "Link data samples to datasets"),
    # Functions
    Route("POST", "/function/", Right.REGISTER, functions.register, "Register a function"),
    Route("GET", "/function/", Right.READ, several(FUNCTIONS), "List functions", FUNCTIONS.parameters),
    Route("GET", "/function/{key}/", Right.READ, one(Function, View.function), "Show a function"),
    Route("PUT", "/function/{key}/", Right.REGISTER, functions.rename, "Rename a function"),
    Route(
        "GET",
        "/function/{key}/file/",
        Right.READ,
        file("archive", name="function", media=BINARY),
        "Download a function's archive",
    ),
    Route(
        "GET",
        "/function/{key}/description/",
        Right.READ,
        file("function description", name="description.md", media=TEXT),
        "Download a function's description",
    ),
    Route(
        "GET",
        "/function/{key}/profiling/",
        Right.READ,
        one(Function, profiling.of_function),
        "Show how long a function's build took",
    ),
    Route("GET", "/approval/", Right.READ, approvals.listed, "List functions to approve of", PAGING),
    Route("GET", "/function/{key}/review/", Right.READ, approvals.review, "Show a function's source and its changes"),
    Route("POST", "/function/{key}/approve/", Right.APPROVE, approvals.approve, "Let a function run here"),
    Route("POST", "/function/{key}/refuse/", Right.APPROVE, approvals.refuse, "Let a function not run here"),
    # Plans
    Route("POST", "/compute_plan/", Right.RUN, plans.register, "Register a plan"),
    Route("GET", "/compute_plan/", Right.READ, several(PLANS), "List plans", PLANS.parameters),
    Route("GET", "/compute_plan/{key}/", Right.READ, one(Plan, View.plan), "Show a plan"),
    Route("PUT", "/compute_plan/{key}/", Right.RUN, plans.rename, "Rename a plan"),
    Route("POST", "/compute_plan/{key}/cancel/", Right.RUN, plans.cancel, "Cancel a plan"),
    Route("GET", "/compute_plan/{key}/perf/", Right.READ, plans.performances, "Show what a plan measured"),
    Route(
        "GET",
        "/compute_plan/{key}/task/",
        Right.READ,
        within_plan(TASKS),
        "List a plan's tasks",
        _without(TASKS.parameters, "compute_plan_key"),
    ),
    Route(
        "GET",
        "/compute_plan/{key}/functions/",
        Right.READ,
        within_plan(FUNCTIONS),
        "List the functions of a plan's tasks",
        _without(FUNCTIONS.parameters, "compute_plan_key"),
    ),
    Route("GET", "/compute_plan/{key}/workflow_graph/", Right.READ, workflow.show, "Show a plan's tasks as a graph"),
    Route("GET", "/compute_plan_metadata/", Right.READ, plans.metadata_keys, "List the keys of plans' metadata"),
    Route("GET", "/performance/", Right.READ, measured.listed, "List what plans measured", measured.LISTED),
    Route("GET", "/performance/export/", Right.READ, measured.export, "Download what plans measured", measured.EXPORT),
    Route(
        "GET", "/compute_plan/{key}/rounds/", Right.READ, rounds.show, "Show an experiment's rounds", rounds.PARAMETERS
    ),
    # Tasks
    Route("POST", "/task/bulk_create/", Right.RUN, tasks.register, "Add tasks to a plan"),
    Route("GET", "/task/", Right.READ, several(TASKS), "List tasks", TASKS.parameters),
    Route("GET", "/task/{key}/", Right.READ, one(Task, View.task), "Show a task"),
    Route(
        "GET",
        "/task/{key}/input_assets/",
        Right.READ,
        tasks.assets(tasks.inputs),
        "List what a task takes",
        tasks.ASSETS,
    ),
    Route(
        "GET",
        "/task/{key}/output_assets/",
        Right.READ,
        tasks.assets(tasks.outputs),
        "List what a task left",
        tasks.ASSETS,
    ),
    Route("GET", "/task/{key}/logs/", Right.READ, tasks.logs, "Download the log of a failed task"),
    Route("GET", "/logs/{key}/file/", Right.READ, tasks.logs, "Download the log of a failed task or build"),
    Route(
        "GET",
        "/task_profiling/",
        Right.READ,
        several(profiling.TASKS),
        "List how long tasks took",
        profiling.TASKS.parameters,
    ),
    Route(
        "GET", "/task_profiling/{key}/", Right.READ, one(Task, profiling.of_task), "Show how long a task's steps took"
    ),
    # Models
    Route("GET", "/model/", Right.READ, several(MODELS), "List models", MODELS.parameters),
    Route("GET", "/model/{key}/", Right.READ, one(Model, View.model), "Show a model"),
    Route("GET", "/model/{key}/file/", Right.READ, file("model", name="model", media=BINARY), "Download a model"),
    # Operations
    Route("GET", "/live", "anyone", operations.live, "Whether the process answers"),
    Route("GET", "/ready", "anyone", operations.ready, "Whether the hub can be reached"),
    Route("GET", "/metrics", Right.READ, operations.metrics, "Figures for Prometheus"),
    Route("GET", "/docs", "anyone", operations.page, "This document, to be read"),
    Route("GET", "/openapi.json", "anyone", operations.openapi, "This document"),
    Route("GET", "/schema/", "anyone", operations.openapi, "This document, where Substra has it"),
)
