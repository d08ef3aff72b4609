"""How a node names itself with each request, to the hub and through it to the members of its channels."""

from __future__ import annotations

import re

_AGENT = re.compile(r"comity/([0-9A-Za-z.+!-]{1,30})(?: \(([a-z]{1,20})\))?\Z", re.ASCII)


def agent(version: str, sandbox: str) -> str:
    """The User-Agent header of a node of this version that reached this level of isolation.

    >>> agent("0.1.0", "bubblewrap")
    'comity/0.1.0 (bubblewrap)'
    """
    return f"comity/{version} ({sandbox})"


def read_agent(header: str) -> tuple[str, str]:
    """(version, level of isolation), each empty when the header does not say.

    >>> read_agent("comity/0.1.0 (bubblewrap)")
    ('0.1.0', 'bubblewrap')
    >>> read_agent("curl/8.0")
    ('', '')
    """
    found = _AGENT.match(header)
    return (found[1], found[2] or "") if found else ("", "")
