"""All distributions that some need, by what each says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import metadata
from importlib.metadata import Distribution

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from comity.values.errors import InvalidInput
from comity.values.requirements import SELF


def needed(roots: Iterable[Requirement], folders: Sequence[str]) -> dict[str, Distribution]:
    """By canonical name: the roots and whatever they need, in turn, as found in the folders, the first one's first.

    comity's own needs are not followed. Raises InvalidInput when one is not there or is another version.
    """
    found: dict[str, Distribution] = {}
    followed: set[tuple[str, str]] = set()
    waiting = [("", root) for root in roots]
    while waiting:
        source, need = waiting.pop()
        name = canonicalize_name(need.name)
        distribution = found.get(name) or next(iter(metadata.distributions(name=name, path=list(folders))), None)
        said = f"{source} needs {need}" if source else f"{need} is needed"
        if distribution is None:
            raise InvalidInput(f"{said}, and it is not installed")
        if not need.specifier.contains(distribution.version, prereleases=True):
            raise InvalidInput(f"{said}, and it is {distribution.version}")
        found[name] = distribution
        for extra in {"", *need.extras} if name != SELF else ():
            if (name, extra) not in followed:
                followed.add((name, extra))
                waiting += [(name, each) for each in _needs(distribution, extra)]
    return found


def _needs(distribution: Distribution, extra: str) -> list[Requirement]:
    try:
        said = [Requirement(text) for text in distribution.requires or ()]
    except InvalidRequirement as error:
        raise InvalidInput(f"{distribution.name} says that it needs something that cannot be read: {error}") from error
    return [each for each in said if each.marker is None or each.marker.evaluate({"extra": extra})]
