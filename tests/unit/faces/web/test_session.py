"""Logging in by a cookie: nobody gets in without, in another's session, from another site, or is sent elsewhere."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from comity.faces.web.session import set_cookie, within


def test_whoever_is_not_logged_in_is_asked_to_and_comes_back(pages):
    pages.network.client()
    browser = pages.stranger()
    reply = browser.get("/compute_plans?status=PLAN_STATUS_DONE")
    assert reply.status == 303
    assert reply.headers["location"] == "/login?next=%2Fcompute_plans%3Fstatus%3DPLAN_STATUS_DONE"
    page = browser.text(reply.headers["location"])
    *_, after = re.findall(r'name="next" value="([^"]*)"', page)
    reply = browser.log_in("admin-main", then=after)
    assert (reply.status, reply.headers["location"]) == (303, "/compute_plans?status=PLAN_STATUS_DONE")
    assert "No plan is like that" in browser.words(reply.headers["location"])


def test_a_wrong_password_opens_nothing_and_the_name_stays(steady_pages):
    steady_pages.network.client()
    browser = steady_pages.stranger()
    reply = browser.log_in("admin-main", "wrong horse battery")
    assert reply.status == 400
    assert b"wrong, or the user has expired" in reply.body
    assert b'value="admin-main"' in reply.body
    assert b"wrong horse" not in reply.body
    assert browser.get("/").status == 303


def test_the_cookie_is_for_this_node_and_no_script(steady_pages):
    steady_pages.network.client()
    names = set()
    for owner in ("a", "b"):
        steady_pages.network.client(owner)
        reply = steady_pages.stranger(owner).log_in("admin-main")
        pair, *attributes = reply.headers["set-cookie"].split("; ")
        names.add(pair.split("=")[0])
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(attributes)
        assert "Domain" not in reply.headers["set-cookie"]
    assert len(names) == 2


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_a_cookie_that_came_by_https_goes_by_https_alone(scheme, secure):
    response, asked = Response(), {"type": "http", "scheme": scheme, "headers": [], "path": "/", "server": ("a", 1)}
    set_cookie(response, Request(asked), name="comity", value="secret")
    assert ("Secure" in response.headers["set-cookie"]) == secure


def test_a_session_is_new_at_each_login_and_ends_the_one_before(pages):
    pages.network.client()
    browser = pages.stranger()
    name = next(iter(pages.browser().cookies))
    browser.cookies[name] = "given-by-an-attacker"
    browser.log_in("admin-main")
    first = browser.cookies[name]
    assert first != "given-by-an-attacker"
    browser.log_in("admin-main")
    old = pages.stranger()
    old.cookies[name] = first
    assert old.get("/compute_plans").status == 303
    assert browser.get("/compute_plans").status == 200


def test_logging_out_ends_the_session_at_the_node(pages):
    browser = pages.browser()
    kept = dict(browser.cookies)
    assert browser.submit("/logout").headers["location"] == "/login"
    browser.cookies = kept
    assert browser.get("/compute_plans").status == 303


def test_a_token_of_the_api_is_no_cookie_and_a_cookie_no_token(steady_pages):
    browser, place = steady_pages.browser(), steady_pages.network.places["a"]
    (name, secret), *_ = browser.cookies.items()
    assert place.shows(secret).get("/compute_plan/").status == 401
    stranger = steady_pages.stranger()
    stranger.cookies[name] = place.client().token
    assert stranger.get("/compute_plans").status == 303
    assert place.client().get("/compute_plans").status == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_forms_of_another_site_are_refused(steady_pages, headers):
    browser = steady_pages.browser()
    csrf = browser.csrf
    for target in ("/logout", "/theme", "/login"):
        reply = browser.send(target, {"csrf": csrf, "theme": "dark", "username": "x", "password": "y"}, **headers)
        assert reply.status == 403, target
    assert browser.get("/compute_plans").status == 200


def test_forms_without_the_sessions_word_are_refused(steady_pages):
    browser, other = steady_pages.browser(), steady_pages.browser()
    for given_word in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": other.csrf}, {"csrf": "é"}):
        reply = browser.send("/logout", given_word)
        assert reply.status == 403
    assert browser.get("/compute_plans").status == 200


HOSTILE = [
    "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example",
    "https:/evil.example", "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", " //evil.example",
    "evil.example", "", "/%0d%0aset-cookie:x=y//",
]  # fmt: skip


@pytest.mark.parametrize("target", HOSTILE)
def test_a_login_sends_nobody_elsewhere(steady_pages, target):
    steady_pages.network.client()
    reply = steady_pages.stranger().log_in("admin-main", then=target)
    assert reply.status == 303
    assert within(target) == "/" or target.startswith("/%")
    assert re.fullmatch(r"/(?![/\\]).*|/", reply.headers["location"])
    assert not {"\r", "\n"} & set(reply.headers["location"])


@given(st.text(alphabet=st.sampled_from("/\\:.@?#%a\t\n\r \0é"), max_size=12))
def test_what_is_within_begins_with_one_slash(target):
    found = within(target)
    assert found.startswith("/")
    assert not found.startswith(("//", "/\\"))
    assert found.isprintable()
