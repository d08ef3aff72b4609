"""Texts of others as they may be shown on a terminal, or to someone who has to judge them."""

from __future__ import annotations


def legible(text: str) -> str:
    r"""The text with every sign that is not seen spelled out, but for line ends, tabs and blanks.

    Escape sequences could move the cursor over what was printed; marks of direction could show code in another order
    than it runs ("Trojan Source", CVE-2021-42574).

    >>> print(legible("a\x1b[2Jb\u202ec"))
    a\x1b[2Jb\u202ec
    """
    return "".join(sign if sign.isprintable() or sign in "\n\t" else ascii(sign)[1:-1] for sign in text)
