"""The sites of a simulation, loaded when they are needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, final

from comity.values.digest import Digest
from comity.values.errors import InvalidInput
from comity.values.fingerprint import fingerprint
from comity.values.rows import concatenate, same_columns
from comity.values.site import Site, as_sites

SitesGiven: TypeAlias = Sequence[Site] | Mapping[str, Callable[[], Site]]
"""Sites, or for very many: how to load each, by name."""

POOLED = "pooled"


@final
class Sites:
    """Sites by name; `names` are in order, which is the order of every sum.

    Raises InvalidInput, when a site is given or loaded, where its columns have other names than another's.
    """

    def __init__(self, given: SitesGiven) -> None:
        self._load = dict(given) if isinstance(given, Mapping) else _held(given)
        if not self._load:
            raise InvalidInput("there are no sites; give at least one")
        self.given_order = tuple(self._load)
        self.names = tuple(sorted(self._load))
        self._known = not isinstance(given, Mapping)
        self._named: tuple[str, tuple[str, ...]] = ("", ())
        if self._known:
            for site in self:
                self.expect(f"site {site.name!r}", site.train.columns)

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
        if not self._known:
            self.expect(f"site {name!r}", site.train.columns)
        return site

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of x's columns, as the first that has any names them; () until then."""
        return self._named[1]

    def expect(self, whose: str, columns: tuple[str, ...]) -> None:
        """Hold the sites to these columns too; raises InvalidInput where theirs are known to be others."""
        same_columns(self._named, (whose, columns))
        if columns and not self.columns:
            self._named = (whose, columns)

    @property
    def rows(self) -> Digest | None:
        """A digest of all sites' rows; None for sites that are loaded when they are needed."""
        return fingerprint(list(self)) if self._known else None

    def pooled(self) -> Site:
        """One site with everybody's training rows, for the pooled baseline."""
        return Site(POOLED, concatenate([site.train for site in self]))


def _held(given: Any) -> dict[str, Callable[[], Site]]:
    listed = as_sites(given)
    name, times = max(Counter(site.name for site in listed).items(), key=lambda each: each[1], default=("", 0))
    if times > 1:
        raise InvalidInput(f"{times} sites are called {name!r}; names must differ")
    return {site.name: lambda site=site: site for site in listed}
