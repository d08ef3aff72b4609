"""How the pages look: light, dark, or as the system is."""

from __future__ import annotations

from starlette.responses import Response

from comity.faces.web.frame import THEME
from comity.faces.web.session import set_cookie, within
from comity.faces.web.visit import Visit, to
from comity.values.errors import unknown

CHOICES = ("auto", "light", "dark")

YEAR = 365 * 24 * 60 * 60


async def choose(visit: Visit) -> Response:
    """Keep the choice in the browser, and go back to where it was made."""
    chosen = visit.field("theme")
    if chosen not in CHOICES:
        raise unknown("theme", chosen, CHOICES)
    made = to(within(visit.field("next")))
    set_cookie(made, visit.call.request, name=THEME, value=chosen, seconds=YEAR)
    return made
