"""How a node comes by environments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

from comity.values import bounds


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Builds:
    """Where distributions come from, and how much may be spent on them."""

    own: bool = True
    """Whether the node's own environment serves where it has every requirement at the version that is locked."""
    index: str = "https://pypi.org/simple"
    """Address of a package index; user and password in it never show. Empty for none."""
    indexes: tuple[str, ...] = ("https://pypi.org/simple", "https://download.pytorch.org/whl/")
    """How addresses of indexes begin that a function may name beside the node's own."""
    wheels: Path | None = None
    """A folder of wheels beside the index, or instead of it."""
    only_wheels: bool = True
    """Whether nothing is built from source, which runs code of strangers as the node's user, with network."""
    bytes: int = 20 * 2**30
    """Of disk that built environments may take up; those in use are never deleted for it."""
    images: int = 10 * 2**30
    """Of disk that unpacked functions and their images may take up; those in use are never deleted for it."""
    seconds: float = 1800.0
    """Of wall-clock time for one build."""
    at_once: int = 2
    """Builds at the same time."""

    def __post_init__(self) -> None:
        bounds.count("bytes", self.bytes)
        bounds.count("images", self.images)
        bounds.positive("seconds", self.seconds)
        bounds.count("at_once", self.at_once, least=1)
