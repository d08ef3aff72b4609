"""Contributions rounded to bfloat16: half the bytes of float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from comity.values import bfloat16, tree
from comity.values.compression import Compressed, Compression
from comity.values.errors import InvalidInput
from comity.values.quantized import TOTAL
from comity.values.tree import Array, Tree


@final
@dataclass(frozen=True)
class BFloat16(Compression):
    """Each float of a contribution is rounded to the nearest of 8 significant bits, and takes two bytes.

    Off by less than one part in 256, whatever its size. Nothing is drawn, and nothing is remembered.

    >>> BFloat16().compressed({"w": tree.np.array([3.1415927])}, seed=0).total["w"].tolist()
    [3.140625]
    """

    def compressed(self, total: Tree, seed: int) -> Compressed:
        """The total with floats of more than two bytes rounded."""
        made: dict[str, Array] = {}
        wide: set[str] = set()
        for path, leaf in tree.flatten({TOTAL: total}).items():
            made[path] = leaf
            if leaf.dtype.kind == "f" and leaf.dtype.itemsize > 2:
                wide.add(path)
                try:
                    made[path] = bfloat16.rounded(leaf)
                except InvalidInput as error:
                    raise InvalidInput(f"a contribution: {path!r} {error}") from error
        return Compressed(tree.unflatten(made), frozenset(wide))
