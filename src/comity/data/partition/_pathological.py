"""Sites that know only a few classes.

McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", AISTATS 2017,
section 3, sort the rows by class and give each site two shards. A shard there may hold two classes; here
it holds one, so that a site has exactly the number of classes asked for.
"""

from __future__ import annotations

import numpy as np

from comity.data.partition.units import generator, names, spread, units
from comity.values import bounds
from comity.values.errors import InvalidInput
from comity.values.rows import RowsGiven
from comity.values.site import Site


def pathological(
    rows: RowsGiven, *, sites: int, classes_per_site: int = 2, seed: int = 0, test_fraction: float = 0.2
) -> list[Site]:
    """Sites with exactly `classes_per_site` classes each; a class is shared out evenly among its sites.

    Each class is given to as many sites as any other, give or take one. Raises InvalidInput when some class
    would belong to no site, or has fewer rows than sites it is given to.
    """
    people = units(rows, sites)
    known, class_of = people.classes()
    bounds.count("classes_per_site", classes_per_site)
    if not 1 <= classes_per_site <= len(known):
        raise InvalidInput(
            f"classes_per_site must be from 1 to {len(known)}, the classes there are, not {classes_per_site}"
        )
    if sites * classes_per_site < len(known):
        raise InvalidInput(
            f"{sites} sites with {classes_per_site} classes each leave some of {len(known)} classes to nobody; "
            "use more sites or more classes_per_site"
        )
    source = generator(seed)
    holders: list[list[int]] = [[] for _ in known]
    for site in range(sites):
        used = np.array([len(each) for each in holders])
        for each in np.lexsort((source.random(len(known)), used))[:classes_per_site]:
            holders[each].append(site)
    dealt = np.empty(people.count, np.int64)
    for each, sharing in enumerate(holders):
        members = class_of == each
        count = int(members.sum())
        if count < len(sharing):
            raise InvalidInput(
                f"class {known[each]} has {count} {people.noun} for {len(sharing)} sites; "
                "use fewer sites or fewer classes_per_site"
            )
        dealt[members] = np.array(sharing)[spread(count, np.ones(len(sharing)), source)]
    return people.deal(dealt, names=names(sites), seed=seed, test_fraction=test_fraction)
