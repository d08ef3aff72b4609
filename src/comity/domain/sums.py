"""The function `sum/1`, which every channel has: contributions are added by the node itself, without user code."""

from __future__ import annotations

import io
import tarfile
import uuid

from comity.domain.events import FunctionInput, FunctionOutput
from comity.domain.records import Function
from comity.domain.words import Permission
from comity.values.digest import digest

SUM = str(uuid.uuid5(uuid.NAMESPACE_URL, "comity:sum/1"))
"""Its key, the same in every channel."""

NAME = "sum/1"

SOURCE = b"""The parts, trees of arrays, are added leaf by leaf in the order of the names of the sites that they are of:
integers as 64-bit integers, all else as 64-bit floating-point numbers. Their paths and shapes are the same,
or the sum fails; a part without any leaf adds nothing. The node of the organization that adds runs this itself.
"""
"""What it does, in words: its description, and all that its archive holds."""


def archive() -> bytes:
    """The function's archive, the same bytes everywhere."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as packed:
        info = tarfile.TarInfo("sum.txt")
        info.size, info.mode = len(SOURCE), 0o644
        packed.addfile(info, io.BytesIO(SOURCE))
    return file.getvalue()


BLOBS = {digest(SOURCE): SOURCE, digest(archive()): archive()}
"""What every node has of it."""


def sum_function(founder: str, at: int) -> Function:
    """The function's record in a channel that was founded at this time."""
    described = digest(SOURCE)
    return Function(
        key=SUM,
        owner=founder,
        name=described,
        archive=digest(archive()),
        description=described,
        inputs={"parts": FunctionInput(kind="ASSET_MODEL", multiple=True, optional=True)},
        outputs={"total": FunctionOutput(kind="ASSET_MODEL", form="tree")},
        permission=Permission(public=True),
        status="FUNCTION_STATUS_READY",
        created_at=at,
        building_at=at,
        ready_at=at,
    )
