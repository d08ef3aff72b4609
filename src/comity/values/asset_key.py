"""The key of something on a network: a UUID in lower case."""

from __future__ import annotations

import re

_KEY = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

PATTERN = rf"^{_KEY.pattern}\Z"
"""As a schema has it."""


def is_key(text: str) -> bool:
    """Whether a text is a key, and no name.

    >>> is_key("4a1bb84a-588a-596a-8d62-8fc93a622ea8"), is_key("heart")
    (True, False)
    """
    return _KEY.fullmatch(text) is not None
