"""What the threat model names as its ground is there."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "threat-model.md").read_text()


def test_every_test_that_is_named_exists():
    named = re.findall(r"`((?:unit|stories|laws)/[\w/.]+)`", PAGE)
    assert named
    assert [each for each in named if not (TESTS / each).exists()] == []
