"""Every block of Python and bash in README and docs runs, page by page, as a reader would run it.

`make test` runs some pages with fewer rounds than they say; `make docs` and `make long` as they stand.
"""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = {"python", "bash"}
NOT_RUN = {"", "sh", "mermaid", "json", "toml", "dockerfile"}

SHORTER = {
    "README.md": {"rounds=15": "rounds=2"},
    "docs/howto/experiments.md": {"rounds=3": "rounds=1", "--rounds 5": "--rounds 2"},
    "docs/howto/from-substra.md": {"rounds=3": "rounds=2", "eval_frequency=3": "eval_frequency=2"},
}
"""What a page says, and what it is run with in its stead."""


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text())


def shortened(page: Path) -> list[tuple[str, str]]:
    told = page.read_text()
    for said, instead in SHORTER.get(str(page.relative_to(ROOT)), {}).items():
        assert said in told, f"{page.name} does not say {said} any more; say here what makes it short"
        told = told.replace(said, instead)
    return BLOCK.findall(told)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_runs(page, tmp_path, monkeypatch):
    run(page, shortened(page), tmp_path, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("page", [ROOT / name for name in SHORTER], ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_runs_as_it_stands(page, tmp_path, monkeypatch):
    run(page, blocks(page), tmp_path, monkeypatch)


def run(page, told, tmp_path, monkeypatch):
    if sys.version_info >= (3, 12) and any("import execute_experiment" in code for _, code in told):
        pytest.skip("SubstraFL 1.0 needs distutils, which Python 3.12 has not")
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    for language, code in told:
        assert language in RUN | NOT_RUN, f"say how a block of {language!r} is to be tested"
        if language == "python":
            exec(compile(code, str(page), "exec"), module.__dict__)
    if script := "".join(code for language, code in told if language == "bash"):
        in_one_shell(script)


def in_one_shell(script: str) -> None:
    """A page's blocks share a shell, so that what one starts in the background another can use, or end."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = ["bash", "-euo", "pipefail", "-c", script]
    with Path("printed").open("w+") as printed:
        shell = subprocess.Popen(
            command, env={**os.environ, "PATH": path}, stdout=printed, stderr=printed, start_new_session=True
        )
        try:
            assert shell.wait(120) == 0, Path("printed").read_text()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)


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
