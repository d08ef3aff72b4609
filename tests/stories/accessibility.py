"""What axe finds on pages, by all its rules, in light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

AXE = Path(__file__).parents[1] / "vectors" / "axe" / "axe.min.js"

FIND = "axe.run(document, {resultTypes: ['violations'], preload: false})"
"""Nothing is loaded for it: rules about style sheets of others have nothing to look at here."""


def barriers(page, targets: Sequence[str] = ("",)) -> list[str]:
    """The violations on these pages, with where they are; an empty target is the page as it stands.

    The page's context needs bypass_csp, since axe brings styles of its own.
    """
    axe, found = AXE.read_text(), list[str]()
    for target in targets:
        if target:
            page.goto(target)
        page.evaluate(axe)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            for each in page.evaluate(FIND)["violations"]:
                nodes = "; ".join(node["html"][:160] for node in each["nodes"][:3])
                found.append(f"{target or page.url} {theme}: {each['id']}: {nodes}")
    return found
