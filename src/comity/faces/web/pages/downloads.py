"""Files for those who look at pages, as the API gives them to programs."""

from __future__ import annotations

from starlette.responses import Response

from comity.faces.web.visit import Endpoint, Visit
from comity.node.rest import measured
from comity.node.rest.call import Endpoint as Rest
from comity.node.rest.reading import BINARY, TEXT, file


def _as_the_api(endpoint: Rest) -> Endpoint:
    async def give(visit: Visit) -> Response:
        return await endpoint(visit.call)

    return give


model = _as_the_api(file("model", name="model", media=BINARY))
opener = _as_the_api(file("opener", name="opener.py", media=TEXT))
archive = _as_the_api(file("archive", name="function", media=BINARY))
performances = _as_the_api(measured.export)
