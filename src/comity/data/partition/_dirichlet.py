"""Label skew of an adjustable strength.

Each class is dealt to the sites by shares from a symmetric Dirichlet distribution, as Yurochkin et al.,
"Bayesian Nonparametric Federated Learning of Neural Networks", ICML 2019, section 4. Hsu, Qi and Brown,
"Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification", 2019,
introduced the same alpha but fix the sizes and draw each site's mix of classes; here sizes differ, too.
"""

from __future__ import annotations

import numpy as np

from comity.data.partition.units import generator, names, spread, units
from comity.values import bounds
from comity.values.errors import InvalidInput
from comity.values.rows import RowsGiven
from comity.values.site import Site

TRIES = 1000


def dirichlet(
    rows: RowsGiven, *, sites: int, alpha: float, min_rows: int = 10, seed: int = 0, test_fraction: float = 0.2
) -> list[Site]:
    """Sites whose mixes of classes differ: nearly one class each for alpha of 0.1, nearly alike for 100.

    The deal is drawn again until every site has `min_rows` rows; raises InvalidInput after 1,000 draws.
    """
    bounds.positive("alpha", alpha)
    bounds.count("min_rows", min_rows)
    people = units(rows, sites)
    if sites * min_rows > people.count:
        raise InvalidInput(
            f"{sites} sites of at least {min_rows} {people.noun} need {sites * min_rows}, but there are "
            f"{people.count}; use fewer sites or a lower min_rows"
        )
    known, class_of = people.classes()
    source = generator(seed)
    for _ in range(TRIES):
        site = np.empty(people.count, np.int64)
        for each in range(len(known)):
            members = class_of == each
            site[members] = spread(int(members.sum()), source.dirichlet(np.full(sites, alpha)), source)
        if np.bincount(site, minlength=sites).min() >= min_rows:
            return people.deal(site, names=names(sites), seed=seed, test_fraction=test_fraction)
    raise InvalidInput(
        f"in {TRIES} draws with alpha={alpha} some of {sites} sites always had fewer than {min_rows} {people.noun}; "
        "use a larger alpha, fewer sites or a lower min_rows"
    )
