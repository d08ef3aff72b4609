"""What the page on Substra names is there: tests, and every route that Substra's clients call."""

import re
from pathlib import Path

import pytest

from comity.node.rest.routes import ROUTES

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "reference" / "substra-compatibility.md").read_text()

OWN = (
    *(
        "/network/",
        "/log/",
        "/approval/",
        "/policy/",
        "/budget/",
        "/metrics",
        "/live",
        "/ready",
        "/docs",
        "/openapi.json",
    ),
    *(
        "/data_manager/{key}/withdraw/",
        "/function/{key}/review/",
        "/function/{key}/approve/",
        "/function/{key}/refuse/",
    ),
    "/compute_plan/{key}/rounds/",
)
"""What Substra has not."""


def test_every_test_that_is_named_exists():
    named = re.findall(r"`((?:unit|substra|stories|laws)/[\w/.]+)::(\w+)`", PAGE)
    assert len(named) > 50
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (TESTS / path).exists() or f"def {name}(" not in (TESTS / path).read_text()
    ]
    assert missing == []


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_stands_in_the_page(route):
    if not route.path.startswith(OWN):
        assert f"`{route.method} {route.path}`" in PAGE


def test_every_route_of_the_page_is_served():
    served = {f"{route.method} {route.path}" for route in ROUTES}
    named = re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`]+)`", PAGE)
    assert [each for each in named if each not in served] == []
