"""Datasets, `data_manager` on the wire."""

from __future__ import annotations

import asyncio
import uuid

from starlette.responses import Response

from comity.adapters.execution import opener
from comity.domain.records import Dataset, need
from comity.node import registering
from comity.node.rest.bodies import Name, NewDataset, decoded
from comity.node.rest.call import Call, answer

LARGEST = 4 << 20
"""Bytes of an opener, and of a description."""


async def register(call: Call) -> Response:
    """Register a dataset by its opener and its description."""
    key = str(uuid.uuid4())
    async with call.upload() as upload:
        new = decoded(upload.text("json"), NewDataset)
        files = [
            (await asyncio.to_thread(registering.digest_of, path, most=LARGEST), path)
            for path in (upload.file("data_opener"), upload.file("description"))
        ]
        await asyncio.to_thread(lambda: opener.check(files[0][1].read_bytes()))
        event = new.event(key, opener=files[0][0], description=files[1][0])
        await registering.register(call.part, [(event, new.labels)], files)
    return answer(await call.read(lambda view: view.dataset(need(view.records, Dataset, key))), 201)


async def rename(call: Call) -> Response:
    """Give a dataset another name."""
    await registering.rename(call.part, "dataset", call.key, name=decoded(await call.body(), Name).name)
    return answer({})
