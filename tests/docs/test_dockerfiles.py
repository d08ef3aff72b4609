"""Dockerfiles that the docs show are followed by a node."""

import re
from pathlib import Path

import pytest

from comity.adapters.substra.recipe import read

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = [
    (page, text)
    for page in DOCS.rglob("*.md")
    for text in re.findall(r"```dockerfile\n(.*?)```", page.read_text(), re.S)
]


@pytest.mark.parametrize(("page", "text"), SHOWN, ids=[page.name for page, _ in SHOWN])
def test_it_is_followed(tmp_path, page, text):
    (tmp_path / "Dockerfile").write_text(text)
    for names in re.findall(r"^COPY (.*) \S+$", text, re.M):
        for name in names.split():
            (tmp_path / name).touch()
    assert read(tmp_path, default=(3, 11)).program.script.endswith("/function.py")
