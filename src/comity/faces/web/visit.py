"""One request for a page: who makes it, what it asks, and how it is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, final
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from comity.faces.web.frame import Frame, theme_of
from comity.faces.web.headers import HEADERS
from comity.faces.web.live import Feeds
from comity.faces.web.rendering import Rendering
from comity.node import approving
from comity.node.accounts.roles import Right
from comity.node.rest.call import Call
from comity.node.rest.render import View

Work: TypeAlias = Callable[[View], Mapping[str, Any]]
"""What a page shows, found in one reading of the channel."""


@final
@dataclass(frozen=True)
class Visit:
    """A request, and what it came with."""

    call: Call
    rendering: Rendering
    feeds: Feeds
    cookie: str = ""
    """The secret of the session."""
    live: bool = False
    """Whether only the parts that follow what happens are asked for, which hold nothing of the session's own."""
    form: Mapping[str, str] | None = None
    """Fields of a form that was sent and is known to be this session's own; of one that is repeated, all, with commas
    between them."""

    @property
    def query(self) -> Mapping[str, str]:
        """The query's parameters that are not empty, as a form sends them: several values have commas between them."""
        given = self.call.request.query_params
        self.call.parameters  # noqa: B018 raises for what is no text
        made = {name: ",".join(each for each in given.getlist(name) if each) for name in given}
        return {name: value for name, value in made.items() if value}

    def field(self, name: str) -> str:
        """A field of the form; empty when it is not there."""
        return (self.form or {}).get(name, "").strip()

    async def show(self, template: str, work: Work | None = None, *, status: int = 200) -> Response:
        """The page that a template makes of what is found."""

        def read(view: View) -> tuple[Frame, Mapping[str, Any]]:
            return self._frame(view), {"now": view.now, **(work(view) if work else {})}

        frame, context = await self.call.read(read)
        return await self.rendering.page(template, frame, context, status=status)

    async def show_anyone(self, template: str, context: Mapping[str, Any], *, status: int = 200) -> Response:
        """The same for a page that tells nothing of the channel."""
        url = self.call.request.url
        frame = Frame(path=url.path, query=url.query, theme=theme_of(self.call.request.cookies))
        return await self.rendering.page(template, frame, context, status=status)

    async def frame(self) -> Frame:
        """What is around a page that anyone may see: with the navigation for one who is known."""
        if self.call.caller is not None:
            return await self.call.read(self._frame)
        url = self.call.request.url
        return Frame(path=url.path, query=url.query, theme=theme_of(self.call.request.cookies))

    def _frame(self, view: View) -> Frame:
        who, url = self.call.principal, self.call.request.url
        stewards = Right.APPROVE in who.rights
        alike = Frame(
            path=url.path,
            query=url.query,
            organization=view.organization,
            channel=view.channel,
            rights=who.rights,
            approvals=approving.waiting(view.log, view.organization) if stewards else 0,
            size=view.log.size,
            live=self.live,
        )
        if self.live:
            return alike
        return replace(
            alike,
            theme=theme_of(self.call.request.cookies),
            user=who.username,
            role=who.role.value,
            csrf=self.call.api.accounts.csrf(self.cookie),
        )


def to(path: str) -> Response:
    """Have the browser load another page of this node."""
    return RedirectResponse(quote(path, safe="/?&=%#:,+@~"), 303, headers=dict(HEADERS))


Endpoint: TypeAlias = Callable[[Visit], Awaitable[Response]]
"""What answers a request for a page."""
