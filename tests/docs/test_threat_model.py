"""What the threat model names as its ground is there, and every promise names one."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "threat-model.md").read_text()
NAMED = re.compile(r"`((?:unit|stories|laws)/[\w/.]+)(?:::(\w+))?`")


def section(title: str) -> str:
    """What stands under a heading, down to the next."""
    return re.split(r"^## ", PAGE.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def test_every_test_that_is_named_exists():
    named = NAMED.findall(PAGE)
    assert named
    assert [path for path, _ in named if not (TESTS / path).exists()] == []
    odd = [name for path, name in named if name and f"def {name}(" not in (TESTS / path).read_text()]
    assert odd == []


def test_every_promise_names_its_test():
    rows = [line for line in section("What is promised").splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    assert [row for row in rows if not NAMED.search(row.split(" | ")[-1])] == []


def test_every_link_within_the_page_leads_somewhere():
    wanted = re.findall(r"\]\(#([\w-]+)\)", PAGE)
    titles = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^## (.*)$", PAGE, re.M)]
    assert wanted
    assert [each for each in wanted if each not in titles] == []
