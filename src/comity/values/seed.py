"""Seeds and mini-batches: all randomness of an experiment follows from its one seed.

Every framework draws its batches here, so numpy and torch see the same rows in the same order.
"""

import hashlib
from collections.abc import Iterator

import numpy as np

from comity.values.errors import InvalidInput
from comity.values.tree import Array


def derive(seed: int, *names: str | int) -> int:
    """A seed (63 bits) for one use, from the experiment's seed and the names of that use.

    >>> derive(42, "round", 1) == derive(42, "round", 1) != derive(42, "round", 2)
    True
    """
    text = "\x1f".join([str(seed), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def batches(rows: int, batch_size: int, steps: int, seed: int) -> Iterator[Array]:
    """`steps` arrays of row positions: a fresh shuffle for each pass, the last batch of a pass may be short.

    >>> [len(batch) for batch in batches(rows=5, batch_size=2, steps=4, seed=0)]
    [2, 2, 1, 2]

    Raises InvalidInput when there are no rows or no batch size: no pass would ever end.
    """
    if rows < 1 or batch_size < 1:
        raise InvalidInput(f"batches need at least one row, and one row a batch, not {rows} rows and {batch_size}")
    generator = np.random.Generator(np.random.SFC64(seed))
    while steps > 0:
        order = generator.permutation(rows)
        for start in range(0, rows, batch_size):
            yield order[start : start + batch_size]
            steps -= 1
            if steps == 0:
                return
