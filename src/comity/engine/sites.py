"""The sites of a simulation, loaded when they are needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, final

from comity.values.errors import InvalidInput
from comity.values.rows import concatenate
from comity.values.site import Site

SitesGiven: TypeAlias = Sequence[Site] | Mapping[str, Callable[[], Site]]
"""Sites, or for very many: how to load each, by name."""

POOLED = "pooled"


@final
class Sites:
    """Sites by name; `names` are in order, which is the order of every sum."""

    def __init__(self, given: SitesGiven) -> None:
        self._load = dict(given) if isinstance(given, Mapping) else _held(given)
        if not self._load:
            raise InvalidInput("there are no sites; give at least one")
        self.given_order = tuple(self._load)
        self.names = tuple(sorted(self._load))

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._load

    def __iter__(self) -> Iterator[Site]:
        return (self.load(name) for name in self.names)

    def load(self, name: str) -> Site:
        """The site of this name."""
        if name not in self._load:
            raise InvalidInput(f"there is no site {name!r} among the {len(self)} of this run")
        site: Any = self._load[name]()
        if not isinstance(site, Site) or site.name != name:
            raise InvalidInput(f"what was loaded for site {name!r} is {site!r}; give a co.Site of that name")
        return site

    def pooled(self) -> Site:
        """One site with everybody's training rows, for the pooled baseline."""
        return Site(POOLED, concatenate([site.train for site in self]))


def _held(given: Any) -> dict[str, Callable[[], Site]]:
    if isinstance(given, Site | str):
        raise InvalidInput(f"sites must be a list of co.Site values, not {given!r}")
    listed = list(given)
    for each in listed:
        if not isinstance(each, Site):
            raise InvalidInput(f"sites must be co.Site values, got a {type(each).__name__}")
    name, times = max(Counter(site.name for site in listed).items(), key=lambda each: each[1], default=("", 0))
    if times > 1:
        raise InvalidInput(f"{times} sites are called {name!r}; names must differ")
    return {site.name: lambda site=site: site for site in listed}
