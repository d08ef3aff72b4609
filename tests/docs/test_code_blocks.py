"""Every Python block of README and docs runs, page by page, as a reader would run it."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = {"python"}
NOT_RUN = {"", "sh", "mermaid", "json", "toml"}


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    for language, code in blocks(page):
        assert language in RUN | NOT_RUN, f"say how a block of {language!r} is to be tested"
        if language in RUN:
            exec(compile(code, str(page), "exec"), module.__dict__)


def test_readme_tells_the_whole_story_in_25_lines():
    language, code = blocks(ROOT / "README.md")[0]
    lines = [line for line in code.splitlines() if line.strip()]
    assert language == "python"
    assert len(lines) <= 25
    for word in ("Experiment", "simulate", "baselines", "table", "predict", "save"):
        assert word in code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
