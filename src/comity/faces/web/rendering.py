"""Templates, and the answers that are made of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from comity.faces.web import words
from comity.faces.web.frame import Frame
from comity.faces.web.headers import HEADERS, UNKEPT
from comity.faces.web.statics import Statics

HERE = Path(__file__).parent


@final
class Rendering:
    """Makes pages of templates. Everything that a template is given is escaped, and a name that is missing is an error.

    Further folders of templates and of static files stand beside those of the node's pages: a template there extends
    `base.html` as they do. `playground` says whether the navigation leads to one.
    """

    def __init__(
        self, statics: Statics | None = None, *, templates: tuple[Path, ...] = (), playground: bool = False
    ) -> None:
        self.statics = statics or Statics(HERE / "static")
        self._playground = playground
        self._environment = Environment(
            loader=FileSystemLoader([HERE / "templates", *templates]),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(words.FILTERS)

    def part(self, template: str, context: Mapping[str, Any]) -> str:
        """What a template makes of this, such as a piece of a page that is sent by itself."""
        return self._environment.get_template(template).render(context)

    async def page(
        self, template: str, frame: Frame, context: Mapping[str, Any] | None = None, *, status: int = 200
    ) -> HTMLResponse:
        """The page as an answer."""
        whole = {**(context or {}), "frame": frame, "static": self.statics.url, "playground": self._playground}
        body = await asyncio.to_thread(self.part, template, whole)
        return HTMLResponse(body, status, headers={**HEADERS, **UNKEPT})
