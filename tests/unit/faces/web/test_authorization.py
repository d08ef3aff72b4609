"""What is done and seen by pages is for those whom the API lets do and see it, and for nobody else."""

from __future__ import annotations

import pytest
from tests.unit.node.rest.test_authorization import TABLE

from comity.faces.web.routes import ROUTES
from comity.node.accounts.roles import Role

NOWHERE = "11111111-2222-4333-8444-555555555555"

# Pages, and what of the API they do. "own" is a user's own doing, which needs no right; "anyone" needs no login.
PAGES = """
POST /login                            anyone
POST /theme                            anyone
POST /reset_password/{key}             anyone
GET /login                             anyone
GET /reset_password/{key}              anyone
POST /logout                           own
POST /manage_tokens                    own
POST /manage_tokens/{key}/revoke       own
POST /settings/password                own
GET /manage_tokens                     own
GET /settings                          own
POST /compute_plans/columns            GET /compute_plan/
POST /compute_plans/{key}/favourite    GET /compute_plan/
POST /compute_plans/{key}/cancel       POST /compute_plan/{key}/cancel/
POST /compute_plans/{key}/resume       POST /compute_plan/
POST /compute_plans/{key}/rename       PUT /compute_plan/{key}/
POST /datasets/{key}/rename            PUT /data_manager/{key}/
POST /datasets/{key}/withdraw          POST /data_manager/{key}/withdraw/
POST /functions/{key}/rename           PUT /function/{key}/
POST /functions/{key}/approve          POST /function/{key}/approve/
POST /functions/{key}/refuse           POST /function/{key}/refuse/
POST /manage_users                     POST /users/
POST /manage_users/{key}/role          PUT /users/{key}/
POST /manage_users/{key}/remove        DELETE /users/{key}/
POST /manage_users/{key}/reset         POST /users/{key}/reset_password/
GET /manage_users                      GET /users/
GET /manage_users.csv                  GET /users/
"""
"""Of all pages but those that show what is in the channel, which are for whoever may `GET /compute_plan/`."""


def read_pages() -> dict[str, str]:
    rows = [line.split(maxsplit=2) for line in PAGES.strip().splitlines()]
    return {f"{method} {path}": like.strip() for method, path, like in rows}


LIKE = read_pages()

API = {str(rule): rule for rule in TABLE}


def test_every_page_that_does_something_has_a_row():
    known = {f"{each.method} {each.path}" for each in ROUTES}
    assert known >= LIKE.keys()
    assert [each for each in known - LIKE.keys() if not each.startswith("GET ")] == []


@pytest.fixture(scope="module")
def browsers(steady_pages):
    return {role: steady_pages.browser("a", role) for role in Role}


@pytest.mark.parametrize("route", ROUTES, ids=lambda each: f"{each.method} {each.path}")
def test_a_page_is_for_those_whom_the_api_lets_do_the_same(steady_pages, browsers, route):
    like = LIKE.get(f"{route.method} {route.path}", "GET /compute_plan/")
    target = route.path.replace("{key}", NOWHERE)
    stranger = steady_pages.stranger()
    if like == "anyone":
        return
    assert (stranger.get(target) if route.method == "GET" else stranger.send(target, {})).status == 303
    if route.path in ("/feed", "/logout", "/settings/password"):
        return  # does not end, or ends the session
    roles = frozenset(Role) if like == "own" else API[like].roles
    for role, browser in browsers.items():
        reply = browser.get(target) if route.method == "GET" else browser.submit(target, {"role": "none"})
        assert (reply.status != 403) == (role in roles), (role, reply.status)
