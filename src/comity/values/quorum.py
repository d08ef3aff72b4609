"""How many sites a round needs."""

from math import ceil


def enough(quorum: float, selected: int) -> int:
    """Of so many sites that were selected: a number of sites, or below 1 a share of them; one at least.

    >>> enough(0.5, 3), enough(2, 3), enough(0.1, 30)
    (2, 2, 3)
    """
    # 0.1 · 30 is a little above 3
    return max(1, ceil(quorum * selected - 1e-9)) if quorum < 1 else int(quorum)
