"""What is refused of an opener before anything of it runs."""

import pytest

from comity.adapters.execution.opener import LARGEST, check
from comity.values.errors import InvalidInput

METHODS = "    def get_data(self, folders): ...\n    def fake_data(self, n): ...\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("class Rows(Opener):\n    def get_data(self:\n", r"no Python 3\.\d+: .*, at line 2"),
        ("x = '\0'\n", "null bytes"),
        ("(" * 5000, "too many nested"),
        ("-" * 200_000 + "1", "opener"),
        ("", "defines no class with get_data and fake_data"),
        ("import numpy\n\ndef get_data(folders): ...\n", "defines no class"),
        ("from substratools import Opener\nfrom pathlib import Path\n", "defines no class"),
        ("class Rows:\n    pass\n", "subclass of substratools.Opener"),
        (f"class A(t.Opener):\n{METHODS}class B(Opener):\n{METHODS}", "exactly one opener, not: A, B"),
    ],
)
def test_what_cannot_be_an_opener(text, why):
    with pytest.raises(InvalidInput, match=why):
        check(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        f"import substratools as tools\n\nclass Rows(tools.Opener):\n{METHODS}",
        f"class Rows:\n{METHODS}",
        "class Rows(Shared):\n    pass\n",
        "from our_openers import Rows\n",
        "from . import rows\n",
        "Rows = type('Rows', (Opener,), {})\n",
        f"class Shared(tools.Opener):\n    def helper(self): ...\n\nclass Rows(Shared):\n{METHODS}",
        "try:\n    import substratools\nexcept ImportError:\n    raise\nelse:\n    class Rows(substratools.Opener):\n"
        "        def get_data(self, folders): ...\n        def fake_data(self, n): ...\n",
        "#" * (LARGEST + 1),
    ],
)
def test_what_may_be_one(text):
    check(text.encode())


def test_nothing_of_it_runs():
    check(f"raise SystemExit\n\nclass Rows(Opener):\n{METHODS}".encode())
