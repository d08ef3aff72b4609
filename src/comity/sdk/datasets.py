"""Datasets registered at a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

from comity.sdk.client import Client, Files
from comity.sdk.packing import pack
from comity.values.errors import InvalidInput

NOBODY: Mapping[str, Any] = {"public": False, "authorized_ids": []}
"""Permissions of what only its owner may use."""


@final
@dataclass(frozen=True, kw_only=True)
class NewDataset:
    """An opener, and the folders that it reads."""

    name: str
    opener: Path
    """A Python file."""
    folders: Sequence[Path]
    """One for each data sample."""
    description: Path | None = None
    permissions: Mapping[str, Any]
    """Who may use it, as REST takes them."""
    logs: Mapping[str, Any] = field(default_factory=lambda: NOBODY)
    """Who may read the logs of tasks on it, besides its owner."""
    upload: bool = False
    """Whether the folders are sent, to a node on another machine; they are registered in place if not."""


def add(client: Client, new: NewDataset) -> dict[str, Any]:
    """The dataset as the node shows it, with its samples; nothing of it stays when they cannot be registered."""
    for folder in new.folders:
        if not folder.is_dir():
            raise InvalidInput(f"{folder} is no folder; a data sample is a folder of files")
    value = {"name": new.name, "permissions": new.permissions, "logs_permission": new.logs}
    with TemporaryDirectory() as made:
        about = new.description or Path(made, "description.md")
        if new.description is None:
            about.write_text(f"# {new.name}\n")
        dataset = client.upload("/data_manager/", Files(value, [("data_opener", new.opener), ("description", about)]))
        given = {"data_manager_keys": [dataset["key"]]}
        try:
            if new.upload:
                packed = [(str(at), pack(folder, Path(made, f"{at}.tar"))) for at, folder in enumerate(new.folders)]
                samples = client.upload("/data_sample/", Files(given, packed))
            else:
                paths = [str(folder.resolve()) for folder in new.folders]
                samples = client.post("/data_sample/", {**given, "paths": paths})
        except BaseException:
            client.post(f"/data_manager/{dataset['key']}/withdraw/", {"reason": "its samples were not registered"})
            raise
    dataset["data_sample_keys"] = [each["key"] for each in samples]
    return dataset
