"""A function's requirements, locked to what it was tried with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from comity.adapters import durable
from comity.adapters.environments.lock import locked_requirements
from comity.sdk.packing import taken
from comity.values.errors import InvalidInput


def lock(file: Path) -> Sequence[str]:
    """Write into a `function.json` what the modules beside it import, locked to the versions installed here.

    Raises InvalidInput when there is no such file, and what `locked_requirements` raises.
    """
    try:
        said = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file} cannot be read as JSON ({error}); write it first") from error
    if not isinstance(said, dict):
        raise InvalidInput(f'{file} is not like {{"entry": "model:train", "outputs": {{}}}}')
    folder = file.parent
    modules = (path for path in sorted(folder.rglob("*.py")) if taken(path.relative_to(folder)))
    lines = locked_requirements(modules, folder)
    durable.write(file, f"{json.dumps({**said, 'requirements': lines}, indent=2, ensure_ascii=False)}\n".encode())
    return lines
