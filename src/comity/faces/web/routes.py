"""Every page, and the right that it needs: what has no row here does not exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from comity.faces.web.pages import (
    compare,
    datasets,
    downloads,
    entries,
    feed,
    functions,
    login,
    organizations,
    participation,
    passwords,
    plan,
    plans,
    search,
    settings,
    spreadsheets,
    task,
    tasks,
    theme,
    tokens,
    users,
    workflow,
)
from comity.faces.web.visit import Endpoint
from comity.node.accounts.roles import Right

Access: TypeAlias = Right | Literal["anyone", "user"]
"""A right in the visitor's channel; or any user will do; or no session is asked for."""


@final
@dataclass(frozen=True)
class Route:
    """One method of one address."""

    method: Literal["GET", "POST"]
    path: str
    needs: Access
    endpoint: Endpoint
    live: Literal["", "own", "alike"] = ""
    """Whether parts of the page follow what happens; and whether they are the visitor's own, or alike for all who have
    the same rights."""


ROUTES = (
    Route("GET", "/login", "anyone", login.show),
    Route("POST", "/login", "anyone", login.log_in),
    Route("POST", "/logout", "user", login.log_out),
    Route("POST", "/theme", "anyone", theme.choose),
    Route("GET", "/", Right.READ, organizations.home, "alike"),
    Route("GET", "/compute_plans", Right.READ, plans.listed, "own"),
    Route("POST", "/compute_plans/columns", Right.READ, plans.columns),
    Route("GET", "/compute_plans/{key}", Right.READ, plan.performance, "alike"),
    Route("GET", "/compute_plans/{key}/tasks", Right.READ, tasks.of_plan, "alike"),
    Route("GET", "/compute_plans/{key}/workflow", Right.READ, workflow.show, "alike"),
    Route("GET", "/compute_plans/{key}/participation", Right.READ, participation.show, "alike"),
    Route("GET", "/compute_plans/{key}/privacy", Right.READ, participation.privacy, "alike"),
    Route("GET", "/compute_plans/{key}/entries", Right.READ, entries.of_plan, "alike"),
    Route("POST", "/compute_plans/{key}/cancel", Right.RUN, plan.cancel),
    Route("POST", "/compute_plans/{key}/resume", Right.RUN, plan.resume),
    Route("POST", "/compute_plans/{key}/rename", Right.RUN, plan.rename),
    Route("POST", "/compute_plans/{key}/favourite", Right.READ, plan.favour),
    Route("GET", "/compute_plans.csv", Right.READ, downloads.performances),
    Route("GET", "/tasks", Right.READ, tasks.listed, "alike"),
    Route("GET", "/tasks/{key}", Right.READ, task.show, "alike"),
    Route("GET", "/tasks/{key}/log", Right.READ, task.log),
    Route("GET", "/models/{key}/file", Right.READ, downloads.model),
    Route("GET", "/datasets", Right.READ, datasets.listed, "alike"),
    Route("GET", "/datasets/{key}", Right.READ, datasets.show),
    Route("GET", "/datasets/{key}/opener", Right.READ, downloads.opener),
    Route("POST", "/datasets/{key}/rename", Right.REGISTER, datasets.rename),
    Route("POST", "/datasets/{key}/withdraw", Right.WITHDRAW, datasets.withdraw),
    Route("GET", "/functions", Right.READ, functions.listed, "alike"),
    Route("GET", "/functions/{key}", Right.READ, functions.show),
    Route("GET", "/functions/{key}/file", Right.READ, downloads.archive),
    Route("POST", "/functions/{key}/rename", Right.REGISTER, functions.rename),
    Route("GET", "/approvals", Right.READ, functions.approvals, "alike"),
    Route("POST", "/functions/{key}/approve", Right.APPROVE, functions.approve),
    Route("POST", "/functions/{key}/refuse", Right.APPROVE, functions.refuse),
    Route("GET", "/organizations", Right.READ, organizations.listed, "alike"),
    Route("GET", "/entries", Right.READ, entries.listed, "alike"),
    Route("GET", "/entries/checkpoint", Right.READ, entries.download_checkpoint),
    Route("GET", "/entries/leaves", Right.READ, entries.download_leaves),
    Route("GET", "/feed", Right.READ, feed.live),
    Route("GET", "/search", Right.READ, search.show),
    Route("GET", "/compare", Right.READ, compare.show),
    Route("GET", "/plans.csv", Right.READ, plans.sheet),
    Route("GET", "/tasks.csv", Right.READ, spreadsheets.tasks),
    Route("GET", "/approvals.csv", Right.READ, functions.approvals_sheet),
    Route("GET", "/organizations.csv", Right.READ, organizations.listed_sheet),
    Route("GET", "/entries.csv", Right.READ, entries.listed_sheet),
    Route("GET", "/entries/{key}/proof", Right.READ, entries.download_proof),
    Route("GET", "/compute_plans/{key}/participation.csv", Right.READ, participation.sheet_of),
    Route("GET", "/manage_users.csv", Right.MANAGE_USERS, users.listed_sheet),
    Route("GET", "/datasets.csv", Right.READ, spreadsheets.datasets),
    Route("GET", "/functions.csv", Right.READ, spreadsheets.functions),
    Route("GET", "/manage_users", Right.MANAGE_USERS, users.listed),
    Route("POST", "/manage_users", Right.MANAGE_USERS, users.add),
    Route("POST", "/manage_users/{key}/role", Right.MANAGE_USERS, users.change),
    Route("POST", "/manage_users/{key}/remove", Right.MANAGE_USERS, users.remove),
    Route("POST", "/manage_users/{key}/reset", Right.MANAGE_USERS, users.reset),
    Route("GET", "/manage_tokens", "user", tokens.listed),
    Route("GET", "/manage_tokens.csv", "user", tokens.listed_sheet),
    Route("POST", "/manage_tokens", "user", tokens.create),
    Route("POST", "/manage_tokens/{key}/revoke", "user", tokens.revoke),
    Route("GET", "/settings", "user", settings.show),
    Route("POST", "/settings/password", "user", passwords.change),
    Route("GET", "/reset_password/{key}", "anyone", passwords.reset_form),
    Route("POST", "/reset_password/{key}", "anyone", passwords.reset),
)
"""Addresses are those of Substra's frontend where it has the page, so that links to it stay good."""
