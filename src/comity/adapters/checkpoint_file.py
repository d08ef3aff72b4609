"""A checkpoint as one file: the length of its facts, its facts as JSON, its arrays as safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import final

from comity.adapters.durable import write
from comity.ports.checkpoints import Checkpoint
from comity.values import codec
from comity.values.errors import DecodeError

LENGTH = 8


@final
class CheckpointFile:
    """The newest checkpoint of one run at a path."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, checkpoint: Checkpoint) -> None:
        facts = json.dumps(checkpoint.facts).encode()
        arrays = codec.encode(checkpoint.arrays)
        write(self._path, len(facts).to_bytes(LENGTH, "little") + facts + arrays, sync=True)

    def load(self) -> Checkpoint | None:
        if not self._path.exists():
            return None
        data = self._path.read_bytes()
        end = LENGTH + int.from_bytes(data[:LENGTH], "little")
        try:
            facts = json.loads(data[LENGTH:end])
        except ValueError as error:
            raise DecodeError(f"the checkpoint {self._path} is damaged ({error}); delete it to begin anew") from error
        if not isinstance(facts, dict) or not {"experiment", "sites", "history", "best_round"} <= facts.keys():
            raise DecodeError(f"{self._path} is not a checkpoint; delete it to begin anew")
        return Checkpoint(facts, codec.decode(data[end:]))
