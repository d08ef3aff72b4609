"""Archives with a Dockerfile, unpacked."""

from itertools import count
from pathlib import Path

import pytest

END = 'ENTRYPOINT ["python3", "function.py", "--function-name", "train"]'


@pytest.fixture
def archive(tmp_path):
    """Write a folder with a Dockerfile and files; gives the folder."""
    numbers = count()

    def make(dockerfile: str, files: dict[str, str] | None = None) -> Path:
        folder = tmp_path / f"archive{next(numbers)}"
        folder.mkdir()
        for name, text in {"function.py": "", **(files or {}), "Dockerfile": dockerfile}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder

    return make


@pytest.fixture
def lines(archive):
    """An archive whose Dockerfile has these lines between the usual first and last."""

    def make(*between: str, files: dict[str, str] | None = None) -> Path:
        return archive("\n".join(["FROM python:3.11-slim", *between, "COPY function.py .", END]), files)

    return make
