"""The sites of a simulation, loaded when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias, final

from comity.values.errors import InvalidInput
from comity.values.rows import concatenate
from comity.values.site import Site

Given: TypeAlias = Sequence[Site] | Mapping[str, Callable[[], Site]]
"""Sites, or for very many: how to load each, by name."""

POOLED = "pooled"


@final
class Sites:
    """Sites by name; `names` are in order, which is the order of every sum."""

    def __init__(self, given: Given) -> None:
        if isinstance(given, Mapping):
            self._load: Mapping[str, Callable[[], Site]] = given
            self.given_order = tuple(given)
        else:
            listed = list(given)
            wrong = next((each for each in listed if not isinstance(each, Site)), None)
            if wrong is not None:
                raise InvalidInput(f"sites must be co.Site values, got a {type(wrong).__name__}")
            self._load = {site.name: _held(site) for site in listed}
            self.given_order = tuple(site.name for site in listed)
            double = (
                next((n for n in self._load if self.given_order.count(n) > 1), None) if len(listed) < 1000 else None
            )
            if double or len(self._load) != len(listed):
                raise InvalidInput(f"two sites are called {double!r}; names must differ")
        if not self._load:
            raise InvalidInput("there are no sites; give at least one")
        self.names = tuple(sorted(self._load))

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Site]:
        return (self.load(name) for name in self.names)

    def load(self, name: str) -> Site:
        """The site of this name."""
        site = self._load[name]()
        if site.name != name:
            raise InvalidInput(f"the site loaded for {name!r} calls itself {site.name!r}")
        return site

    def pooled(self) -> Site:
        """One site with everybody's training rows, for the pooled baseline."""
        return Site(POOLED, concatenate([site.train for site in self]))


def _held(site: Site) -> Callable[[], Site]:
    return lambda: site
