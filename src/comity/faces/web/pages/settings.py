"""What this node is, and what a user may set."""

from __future__ import annotations

from starlette.responses import Response

from comity.faces.web.visit import Visit
from comity.node.rest.organizations import VERSION


async def show(visit: Visit) -> Response:
    """The user, the node, and the colours of the pages."""
    rights = sorted(visit.call.principal.rights)
    return await visit.show("settings.html", lambda _: {"version": VERSION, "rights": rights, "wrong": ""})
