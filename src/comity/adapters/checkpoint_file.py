"""A checkpoint as one file.

The SHA-256 of all that follows; the length of the facts, 8 bytes; the facts as JSON; the arrays as
safetensors. So damage of any kind is seen, and no damaged run goes on.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import final

from comity.adapters.durable import write
from comity.ports.checkpoints import Checkpoint
from comity.values import codec
from comity.values.errors import DecodeError

SEAL, LENGTH = 32, 8


@final
class CheckpointFile:
    """The newest checkpoint of one run at a path."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, checkpoint: Checkpoint) -> None:
        facts = json.dumps(checkpoint.facts).encode()
        body = len(facts).to_bytes(LENGTH, "little") + facts + codec.encode(checkpoint.arrays)
        write(self._path, sha256(body).digest() + body, sync=True)

    def load(self) -> Checkpoint | None:
        if not self._path.exists():
            return None
        data = self._path.read_bytes()
        seal, body = data[:SEAL], memoryview(data)[SEAL:]
        if sha256(body).digest() != seal:
            raise DecodeError(f"the checkpoint {self._path} is damaged or is none; delete it to begin anew")
        end = LENGTH + int.from_bytes(body[:LENGTH], "little")
        return Checkpoint(json.loads(bytes(body[LENGTH:end])), codec.decode(body[end:]))
