"""Styles, scripts and pictures of the pages: held in memory, and named by their digests so that browsers keep them."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""Media types by the endings of names; a file with another ending is not served."""

FOR_EVER = "public, max-age=31536000, immutable"


@final
@dataclass(frozen=True)
class Static:
    """One file."""

    name: str
    body: bytes = field(repr=False)
    packed: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """Of what it holds; another content has another address."""
        return sha256(self.body).hexdigest()[:16]


@final
class Statics:
    """The files of some folders, by name; of two with the same name, that of the later folder."""

    def __init__(self, *folders: Path) -> None:
        files = [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix in KINDS]
        self._files = {path.name: _read(path) for path in files}

    def url(self, name: str) -> str:
        """The address of a file; raises KeyError for one that is not there."""
        return f"/static/{self._files[name].digest}/{name}"

    async def serve(self, request: Request) -> Response:
        """Answer a request for `/static/{digest}/{name}`."""
        found = self._files.get(request.path_params["name"])
        if found is None or found.digest != request.path_params["digest"]:
            return PlainTextResponse("there is no such file", 404)
        headers = {"cache-control": FOR_EVER, "x-content-type-options": "nosniff", "vary": "accept-encoding"}
        kind = KINDS[Path(found.name).suffix]
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(found.packed, headers={**headers, "content-encoding": "gzip"}, media_type=kind)
        return Response(found.body, headers=headers, media_type=kind)


def _read(path: Path) -> Static:
    body = path.read_bytes()
    return Static(path.name, body, gzip.compress(body, mtime=0))
