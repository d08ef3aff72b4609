"""Data samples, `data_sample` on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starlette.responses import Response

from comity.domain.records import DataSample, need
from comity.node.registering_samples import link, register_in_place, register_uploaded
from comity.node.rest.bodies import NewSamples, decoded, form, keys
from comity.node.rest.call import Call, answer
from comity.values.errors import InvalidInput


async def register(call: Call) -> Response:
    """Register data samples: folders of this node by their paths as JSON, or a form of one archive for each."""
    if call.request.headers.get("content-type", "").startswith("multipart/"):
        made = await _uploaded(call)
    else:
        new = decoded(await call.body(), NewSamples)
        roots, datasets = call.api.sample_roots, new.data_manager_keys
        made = await register_in_place(call.part, _paths(new), datasets=datasets, roots=roots)
    return answer(await call.read(lambda view: [view.sample(need(view.records, DataSample, key)) for key in made]), 201)


async def relate(call: Call) -> Response:
    """Link data samples to further datasets."""
    given = form(await call.body())
    linked, datasets = keys(given.get("data_sample_keys", [])), keys(given.get("data_manager_keys", []))
    await link(call.part, linked, datasets=datasets)
    return answer({})


async def _uploaded(call: Call) -> list[str]:
    async with call.upload() as upload:
        new = decoded(upload.text("json"), NewSamples)
        if not upload.files:
            raise InvalidInput("the form has no archive of a data sample")
        folder = call.api.folder / "samples"
        archives = list(upload.files.values())
        return await register_uploaded(call.part, archives, datasets=new.data_manager_keys, folder=folder)


def _paths(new: NewSamples) -> Sequence[Path]:
    given = [*(new.paths or ()), *((new.path,) if new.path is not None else ())]
    if not given:
        raise InvalidInput("name the data samples' folders at this node as 'path' or 'paths', or upload their archives")
    return [Path(each) for each in given]
