"""The sum of contributions that lie in files, piece by piece: as `gather` adds them, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, final

import numpy as np

from comity.values import codec, quantized
from comity.values.codec import Leaf
from comity.values.contribution import same_leaves
from comity.values.errors import DecodeError, InvalidInput
from comity.values.quantized import LEVELS, SCALES, TOTAL
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

    def read(self, path: str, first: int, count: int) -> tuple[Array, Array]:
        """(bytes of elements of an array, in C order, the numbers that they are of), once they were looked at.

        Raises DecodeError for a float that is not finite, and a boolean that is neither 0 nor 1.
        """
        leaf = self.leaves[path]
        self._file.seek(leaf.begin + first * leaf.width)
        data = np.fromfile(self._file, np.uint8, count * leaf.width)
        if len(data) != count * leaf.width:
            raise DecodeError(f"the part of {self.name} breaks off in {path!r}")
        try:
            return data, codec.numbers(data, leaf.stored)
        except DecodeError as error:
            raise DecodeError(f"in the part of {self.name}, {path!r} {error}") from error


@final
class Summand:
    """A part as it is added: levels of 8 bits are the floats that they stand for."""

    def __init__(self, part: Part) -> None:
        self.name = part.name
        self._part = part
        self._levels = {_total(path): path for path in part.leaves if path.startswith(f"{LEVELS}/")}
        self._scales = dict[str, Array]()
        scales = {_total(path): path for path in part.leaves if path.startswith(f"{SCALES}/")}
        if odd := sorted((self._levels.keys() ^ scales.keys()) | (self._levels.keys() & part.leaves.keys())):
            raise DecodeError(f"in the part of {part.name}, {odd[0]!r} has levels without scales, or is there twice")
        packed = {*self._levels.values(), *scales.values()}
        self.kinds = {path: (_wide(leaf.dtype), leaf.shape) for path, leaf in part.leaves.items() if path not in packed}
        for path, held in self._levels.items():
            levels, of = part.leaves[held], part.leaves[scales[path]]
            try:
                quantized.check((levels.dtype, levels.shape), (of.dtype, of.shape))
            except DecodeError as error:
                raise DecodeError(f"in the part of {part.name}, {held!r}: {error}") from error
            self.kinds[path] = np.float64, levels.shape
            self._scales[path] = part.read(scales[path], 0, prod(of.shape))[1]

    def numbers(self, path: str, first: int, count: int) -> Array:
        """Elements of an array, in C order; raises DecodeError where they are none."""
        if path not in self._levels:
            return self._part.read(path, first, count)[1]
        held = self._levels[path]
        try:
            return quantized.numbers(self._part.read(held, first, count)[1], self._scales[path], first)
        except DecodeError as error:
            raise DecodeError(f"in the part of {self.name}, {held!r} {error}") from error


def _total(path: str) -> str:
    """Whose levels, or scales, an array of this path holds."""
    return TOTAL + path[path.index("/") :]


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
        levels = _levels(part.leaves)
        salted = {name: (leaf.stored, leaf.shape) for name, leaf in part.leaves.items()}
        yield codec.header({**salted, SALT: ("U8", (len(salt),))}) if salt else part.head
        for name, leaf in part.leaves.items():  # one after the other in the file, without gaps
            for first in range(0, prod(leaf.shape), PIECE):
                data, numbers = part.read(name, first, min(PIECE, prod(leaf.shape) - first))
                if smallest_count and leaf.dtype.kind in "iu" and name not in levels:
                    _check_counts(name, numbers, smallest_count)
                yield data.data
        if salt:
            yield salt


def _levels(leaves: Mapping[str, Leaf]) -> set[str]:
    """Arrays that stand for floats, which are no counts: by what they are, and not by what they are called alone."""
    found: set[str] = set()
    for name, leaf in leaves.items():
        of = leaves.get(SCALES + name.removeprefix(LEVELS)) if name.startswith(f"{LEVELS}/") else None
        try:
            quantized.check((leaf.dtype, leaf.shape), of and (of.dtype, of.shape))
        except DecodeError:
            continue
        found.add(name)
    return found


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
        adding = [Summand(part) for part in opened if part.leaves]
        first = _common(adding).kinds if adding else {}
        paths = sorted(first)
        yield codec.header({path: (codec.stored_as(np.dtype(first[path][0])), first[path][1]) for path in paths})
        for path in paths:
            yield from map(_bytes, _sums(adding, path, np.dtype(first[path][0])))


def _sums(parts: Sequence[Summand], path: str, wide: np.dtype[Any]) -> Iterator[Array]:
    count = prod(parts[0].kinds[path][1])
    for first in range(0, count, PIECE):
        size = min(PIECE, count - first)
        total = parts[0].numbers(path, first, size).astype(wide)
        for part in parts[1:]:
            with np.errstate(over="ignore", invalid="ignore"):  # looked at below
                np.add(total, part.numbers(path, first, size), out=total, dtype=wide, casting="same_kind")
        if wide.kind == "f" and not np.isfinite(total).all():
            raise InvalidInput(f"the sum of {path!r} is too large for a floating-point number")
        yield total


def _bytes(array: Array) -> memoryview:
    return array.view(np.uint8).data


def _common(parts: Sequence[Summand]) -> Summand:
    """One whose arrays are those of most parts, of the first where no more have others; all must have them."""
    kinds = [each.kinds for each in parts]
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
