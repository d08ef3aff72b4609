"""Descriptions, which others wrote, as HTML: Markdown without its HTML, its pictures, and links that run code."""

from __future__ import annotations

from markdown_it import MarkdownIt
from markupsafe import Markup

LONGEST = 200_000
"""Characters that are shown."""


def prose(text: str) -> Markup:
    """Markdown as HTML. Headings begin below those of the page.

    >>> print(prose("# Heart <script> [y](javascript:z)"))
    <h3>Heart &lt;script&gt; [y](javascript:z)</h3>
    <BLANKLINE>
    """
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table").disable("image")
    tokens = parser.parse(text[:LONGEST])
    for token in tokens:
        if token.tag in ("h1", "h2", "h3", "h4"):
            token.tag = f"h{int(token.tag[1]) + 2}"
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", "noreferrer nofollow")
    return Markup(parser.renderer.render(tokens, parser.options, {}))
