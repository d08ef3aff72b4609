"""Every page, and the right that it needs: what has no row here does not exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from comity.faces.web.pages import feed, login, plan, plans, settings, tasks, theme
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


ROUTES = (
    Route("GET", "/login", "anyone", login.show),
    Route("POST", "/login", "anyone", login.log_in),
    Route("POST", "/logout", "user", login.log_out),
    Route("POST", "/theme", "anyone", theme.choose),
    Route("GET", "/", Right.READ, plans.home),
    Route("GET", "/compute_plans", Right.READ, plans.listed),
    Route("GET", "/compute_plans/{key}", Right.READ, plan.performance),
    Route("GET", "/compute_plans/{key}/tasks", Right.READ, tasks.of_plan),
    Route("POST", "/compute_plans/{key}/cancel", Right.RUN, plan.cancel),
    Route("POST", "/compute_plans/{key}/rename", Right.RUN, plan.rename),
    Route("POST", "/compute_plans/{key}/favourite", Right.READ, plan.favour),
    Route("GET", "/tasks", Right.READ, tasks.listed),
    Route("GET", "/feed", Right.READ, feed.live),
    Route("GET", "/settings", "user", settings.show),
)
"""Addresses are those of Substra's frontend where it has the page, so that links to it stay good."""
