"""Functions."""

from __future__ import annotations

import asyncio
import uuid

from starlette.responses import Response

from comity.adapters.execution.archive import Limits
from comity.domain.records import Function, need
from comity.node import registering
from comity.node.rest.bodies import Name, NewFunction, decoded
from comity.node.rest.call import Call, answer
from comity.node.rest.datasets import LARGEST


async def register(call: Call) -> Response:
    """Register a function by its archive and its description."""
    key = str(uuid.uuid4())
    async with call.upload() as upload:
        new = decoded(upload.text("json"), NewFunction)
        archive, description = upload.file("file"), upload.file("description")
        files = [
            (await asyncio.to_thread(registering.digest_of, archive, most=Limits().bytes), archive),
            (await asyncio.to_thread(registering.digest_of, description, most=LARGEST), description),
        ]
        await asyncio.to_thread(registering.check_archive, archive)
        event = new.event(key, archive=files[0][0], description=files[1][0])
        await registering.register(call.part, [(event, new.labels)], files)
    return answer(await call.read(lambda view: view.function(need(view.records, Function, key))), 201)


async def rename(call: Call) -> Response:
    """Give a function another name."""
    await registering.rename(call.part, "function", call.key, name=decoded(await call.body(), Name).name)
    return answer({})
