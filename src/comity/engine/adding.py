"""The sum of contributions that lie in files, piece by piece: as `gather` adds them, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, final

import numpy as np

from comity.values import codec
from comity.values.codec import Leaf
from comity.values.contribution import same_leaves
from comity.values.errors import DecodeError, InvalidInput
from comity.values.stream import Bytes
from comity.values.tree import Array

PIECE = 1 << 19
"""Elements that are added at a time."""

SALT = "~salt"
"""After all names that begin with a letter; what is random in a file that nobody but its owner may guess."""


@final
class Part:
    """A file that a site has left, open."""

    def __init__(self, name: str, file: BinaryIO, size: int) -> None:
        self.name = name
        self._file = file
        try:
            length = file.read(8)
            self.head = length + file.read(codec.header_size(length) - 8)
            self.leaves: Mapping[str, Leaf] = codec.layout(self.head, size)
        except DecodeError as error:
            raise DecodeError(f"the part of {name} cannot be read: {error}") from error

    def piece(self, path: str, first: int, count: int) -> Array:
        """Elements of an array, in C order; raises DecodeError when one is not finite."""
        leaf = self.leaves[path]
        self._file.seek(leaf.begin + first * leaf.dtype.itemsize)
        made = np.fromfile(self._file, leaf.dtype, count)
        if len(made) != count:
            raise DecodeError(f"the part of {self.name} breaks off in {path!r}")
        if made.dtype.kind == "f" and not np.isfinite(made).all():
            raise DecodeError(f"the part of {self.name} holds a number in {path!r} that is not finite")
        if made.dtype.kind == "b" and (made.view(np.uint8) > 1).any():
            raise DecodeError(f"the part of {self.name} holds a boolean in {path!r} that is neither 0 nor 1")
        return made


def checked(path: Path, salt: bytes = b"", smallest_count: int = 0) -> Iterator[Bytes]:
    """The file's bytes, each piece once it was looked at; raises DecodeError where it is no tree of finite arrays.

    Looked at is what comes out: who still writes to the file changes both, or neither.

    salt: is added as one more array, so that the digest tells nobody what the others may be. smallest_count: raises
    InvalidInput for a whole number that is not 0 and closer to it than this.
    """
    with path.open("rb") as file:
        part = Part("this task", file, path.stat().st_size)
        if salt and SALT in part.leaves:
            raise DecodeError(f"an array of this tree is called {SALT!r}, as is what the node adds")
        salted = {name: (leaf.dtype, leaf.shape) for name, leaf in part.leaves.items()}
        yield codec.header({**salted, SALT: (np.dtype(np.uint8), (len(salt),))}) if salt else part.head
        for name, leaf in part.leaves.items():  # one after the other in the file, without gaps
            for first in range(0, prod(leaf.shape), PIECE):
                piece = part.piece(name, first, min(PIECE, prod(leaf.shape) - first))
                if smallest_count and piece.dtype.kind in "iu":
                    _check_counts(name, piece, smallest_count)
                yield _bytes(piece)
        if salt:
            yield salt


def _check_counts(name: str, piece: Array, smallest: int) -> None:
    few = (piece != 0) & (piece < smallest) & (piece > -smallest if piece.dtype.kind == "i" else True)
    if few.any():
        raise InvalidInput(f"{name!r} holds a count below {smallest}, which may not leave by itself")


def added(parts: Sequence[tuple[str, Path]]) -> Iterator[Bytes]:
    """The file of the sum of parts, each named by its site and in the order given; one without arrays adds nothing.

    Floats are added in float64 and integers in int64. Raises DecodeError or InvalidInput, naming the site, for a
    part that is not well-formed, not finite, or has other arrays than the first; InvalidInput for a sum that is not
    finite.
    """
    with ExitStack() as stack:
        opened = [Part(name, stack.enter_context(path.open("rb")), path.stat().st_size) for name, path in parts]
        adding = [part for part in opened if part.leaves]
        first = _common(adding).leaves if adding else {}
        paths = sorted(first)
        wide = {path: (np.dtype(_wide(first[path].dtype)), first[path].shape) for path in paths}
        yield codec.header(wide)
        for path in paths:
            yield from map(_bytes, _sums(adding, path, wide[path][0]))


def _sums(parts: Sequence[Part], path: str, wide: np.dtype[Any]) -> Iterator[Array]:
    count = prod(parts[0].leaves[path].shape)
    for first in range(0, count, PIECE):
        size = min(PIECE, count - first)
        total = parts[0].piece(path, first, size).astype(wide)
        for part in parts[1:]:
            with np.errstate(over="ignore", invalid="ignore"):  # looked at below
                np.add(total, part.piece(path, first, size), out=total, dtype=wide, casting="same_kind")
        if wide.kind == "f" and not np.isfinite(total).all():
            raise InvalidInput(f"the sum of {path!r} is too large for a floating-point number")
        yield total


def _bytes(array: Array) -> memoryview:
    return array.view(np.uint8).data


def _common(parts: Sequence[Part]) -> Part:
    """One whose arrays are those of most parts, of the first where no more have others; all must have them."""
    kinds = [{path: (_wide(leaf.dtype), leaf.shape) for path, leaf in each.leaves.items()} for each in parts]
    at = max(range(len(parts)), key=lambda at: kinds.count(kinds[at]))
    others = "that of" if len(parts) == 2 else "those of the others, such as"
    for part, kind in zip(parts, kinds, strict=True):
        try:
            same_leaves(kinds[at], kind)
        except InvalidInput as error:
            raise InvalidInput(f"the part of {part.name} does not fit {others} {parts[at].name}: {error}") from error
    return parts[at]


def _wide(dtype: np.dtype[Any]) -> type:
    return np.float64 if dtype.kind == "f" else np.int64
