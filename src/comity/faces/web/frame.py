"""What is around every page: who looks at it, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from comity.node.accounts.roles import Right

Theme: TypeAlias = Literal["auto", "light", "dark"]

THEME = "comity-theme"
"""The cookie that holds how pages look; it says nothing of whoever has it."""


@final
@dataclass(frozen=True, kw_only=True)
class Frame:
    """Of one page, for one who looks at it. The default is a page that anyone may see."""

    path: str = "/"
    """Of the page, without its query."""
    query: str = ""
    theme: Theme = "auto"
    organization: str = ""
    channel: str = ""
    user: str = ""
    role: str = ""
    rights: frozenset[Right] = frozenset()
    csrf: str = ""
    """What every form carries that changes something."""
    approvals: int = 0
    """Functions that wait for this user's word."""
    size: int = 0
    """Entries of the log of which the page was made."""
    live: bool = False
    """Whether nothing is around it: an open page takes its live parts from it."""

    @property
    def target(self) -> str:
        """The page's whole address."""
        return f"{self.path}?{self.query}" if self.query else self.path


def theme_of(cookies: dict[str, str]) -> Theme:
    """How the pages shall look.

    >>> theme_of({"comity-theme": "dark"}), theme_of({"comity-theme": "pink"})
    ('dark', 'auto')
    """
    match cookies.get(THEME):
        case "light":
            return "light"
        case "dark":
            return "dark"
        case _:
            return "auto"
