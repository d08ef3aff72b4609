"""A checkpoint as two files.

The one: the SHA-256 of all that follows; the length of the facts, 8 bytes; the facts as JSON; the arrays as
safetensors. It is replaced whole. Beside it `NAME.history`, a line of JSON for each entry, to which is only
added; the facts say how many of its bytes count and their SHA-256, so that what a crash left behind them does
not. So damage of any kind is seen, and no damaged run goes on.
"""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any, final

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
        self._beside = path.with_name(f"{path.name}.history")
        self._length, self._hash = 0, sha256()

    def save(self, checkpoint: Checkpoint) -> None:
        lines = b"".join(json.dumps(each).encode() + b"\n" for each in checkpoint.history)
        if lines:
            self._append(lines)
        length, seal = self._length + len(lines), self._hash.copy()
        seal.update(lines)
        facts = json.dumps({"facts": checkpoint.facts, "history": [length, seal.hexdigest()]}).encode()
        body = len(facts).to_bytes(LENGTH, "little") + facts + codec.encode(checkpoint.arrays)
        write(self._path, sha256(body).digest() + body, sync=True)
        self._length, self._hash = length, seal

    def load(self) -> Checkpoint | None:
        if not self._path.exists():
            return None
        data = self._path.read_bytes()
        seal, body = data[:SEAL], memoryview(data)[SEAL:]
        if sha256(body).digest() != seal:
            raise self._damaged(self._path)
        end = LENGTH + int.from_bytes(body[:LENGTH], "little")
        held = json.loads(bytes(body[LENGTH:end]))
        if held.keys() != {"facts", "history"}:
            raise DecodeError(f"the checkpoint {self._path} is of another version of comity; delete it to begin anew")
        return Checkpoint(held["facts"], codec.decode(body[end:]), self._history(*held["history"]))

    def _append(self, lines: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._beside.open("r+b" if self._beside.exists() else "wb") as file:
            file.truncate(self._length)
            file.seek(self._length)
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    def _history(self, length: int, seal: str) -> tuple[dict[str, Any], ...]:
        data = self._beside.read_bytes()[:length] if self._beside.exists() else b""
        made = sha256(data)
        if made.hexdigest() != seal:
            raise self._damaged(self._beside)
        self._length, self._hash = length, made
        return tuple(json.loads(line) for line in data.splitlines())

    def _damaged(self, path: Path) -> DecodeError:
        return DecodeError(f"the checkpoint {path} is damaged or is none; delete {self._path} to begin anew")
