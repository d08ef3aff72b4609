"""A contribution as one long vector of the ring, segment by segment, and the sum of such vectors as a contribution.

The leaves lie one after the other in the order of their paths, all of them, always: which coordinates are zero shows
nowhere. Then come the weight, and how many floats the site clipped, so that neither is known of a site by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod, sqrt
from typing import Annotated, TypeAlias, final

import msgspec
import numpy as np
from cryptography.hazmat.primitives.ciphers import CipherContext
from msgspec import Meta

from comity.privacy import masks
from comity.privacy.fixed_point import PIECE, FloatEncoder, Scale, decode_floats, decode_integers, largest, working
from comity.privacy.skellam import drawn
from comity.privacy.terms import canonical
from comity.values import codec, tree
from comity.values.codec import Limits
from comity.values.contribution import Contribution
from comity.values.digest import Digest, digest
from comity.values.errors import DecodeError, InvalidInput
from comity.values.tree import Array, Tree

EXTRA = 2
"""The weight, and how many floats were clipped."""

MOST = 2**38 - EXTRA
"""Coordinates, at most."""

_Written: TypeAlias = tuple[str, bool, Annotated[list[Annotated[int, Meta(ge=0, le=2**38)]], Meta(max_length=16)]]
"""A leaf's path, whether it holds floats, and its shape."""


@final
@dataclass(frozen=True, slots=True)
class Leaf:
    """An array's place in the vector."""

    path: str
    floats: bool
    """Whether it holds floats; else integers or booleans."""
    shape: tuple[int, ...]
    first: int

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """What the coordinates of a vector mean; the same at every site of a sum."""

    leaves: tuple[Leaf, ...]

    @staticmethod
    def of(contribution: Contribution) -> Layout:
        """The layout of a contribution."""
        made, first = list[Leaf](), 0
        for path, array in tree.flatten(contribution.total).items():
            made.append(Leaf(path, array.dtype.kind == "f", array.shape, first))
            first += array.size
        return Layout(tuple(made))

    @property
    def numbers(self) -> int:
        """How many the contribution holds."""
        return sum(leaf.size for leaf in self.leaves)

    @property
    def size(self) -> int:
        """Coordinates of the vector."""
        return self.numbers + EXTRA

    @property
    def arrays(self) -> Digest:
        """What names, kinds and shapes of the arrays are known by, whatever they are encoded by and for."""
        return digest(canonical(self._written()))

    def form(self, scale: Scale, session: Digest) -> Digest:
        """What this layout, encoded at this scale, is known by in a session."""
        return digest(self.written(scale, session))

    def written(self, scale: Scale, session: Digest) -> bytes:
        """This layout, encoded at this scale for a session, in its one form, which `read_layout` reads."""
        return canonical(_Form(session, self._written(), *_known_by(scale)))

    def _written(self) -> list[_Written]:
        return [(leaf.path, leaf.floats, list(leaf.shape)) for leaf in self.leaves]


class _Form(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A layout as it is written, and by what it is encoded."""

    session: str
    """So that a form is one session's own, and goes with it."""
    leaves: Annotated[list[_Written], Meta(max_length=Limits().leaves)]
    bits: int
    sites: int
    max_weight: int
    clip: str
    excess: str


_FORMS = msgspec.json.Decoder(_Form)


def read_layout(data: bytes, scale_of: Callable[[int], Scale], session: Digest) -> Layout:
    """The layout that `Layout.written` wrote for its scale and this session; raises DecodeError for anything else.

    scale_of: the scale of a layout with so many numbers besides its extras; may raise what is raised then.
    What it claims is checked before anything is made of it: it comes from another organization.
    """
    if len(data) > Limits().header:
        raise DecodeError(f"the form of a secure sum has at most {Limits().header} bytes, not {len(data)}")
    try:
        form = _FORMS.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DecodeError(f"this is no form of a secure sum: {error}") from error
    made, first = list[Leaf](), 0
    for path, floats, shape in form.leaves:
        if len(shape) > Limits().rank or first + prod(shape) > MOST:
            raise DecodeError(f"{path[:80]!r} of shape {shape[:20]} is more than a secure sum takes")
        made.append(Leaf(path, floats, tuple(shape), first))
        first += prod(shape)
    layout, scale = Layout(tuple(made)), scale_of(first)
    if (form.bits, form.sites, form.max_weight, form.clip, form.excess) != _known_by(scale):
        raise DecodeError("the form of a secure sum is of another scale than its terms")
    try:
        codec.header({leaf.path: ("I64", leaf.shape) for leaf in made})
    except InvalidInput as error:
        raise DecodeError(f"the form of a secure sum has names that no tree has: {error}") from error
    if layout.written(scale, session) != data or [leaf.path for leaf in made] != sorted({leaf.path for leaf in made}):
        raise DecodeError("the form of a secure sum is not in its canonical form")
    return layout


def _known_by(scale: Scale) -> tuple[int, int, int, str, str]:
    noise = "" if scale.noise is None else f", noise {float(scale.noise.deviation)!r} of {scale.noise.shares}"
    return scale.bits, scale.sites, scale.max_weight, repr(float(scale.clip)), scale.excess + noise


@final
class Vector:
    """A contribution, looked at as a whole, to be encoded segment by segment; the same segment always alike.

    Raises InvalidInput for a number that is not finite, an integer or a weight that does not fit, and, where the
    scale says so, a float that would have to be clipped.
    """

    def __init__(self, contribution: Contribution, scale: Scale, *, norm: float | None, rounding: bytes) -> None:
        tree.check(_emptied(contribution.total), "a contribution")
        self.layout = Layout.of(contribution)
        self._arrays = tree.flatten(contribution.total)
        self._scale = scale
        self._rounding = rounding
        self._weight = _weight(contribution.weight, scale)
        self._factor = 1.0 if norm is None else _factor(self._arrays.values(), self._weight * norm)
        self._encoders: dict[np.dtype[np.floating], FloatEncoder] = {}
        self._over = {path: self._excess(path, array) for path, array in self._arrays.items()}
        self.clipped = 0 if scale.noise else sum(self._over.values())
        """How many floats are larger than they may be; under noise none, for that would tell of them."""

    def segment(self, index: int, length: int, out: Array | None = None) -> Array:
        """Coordinates of the ring: those of the segment of this number, where each has this length but the last.

        out: at least so long, is written instead of a new array, and given as far as it was.
        """
        first, last = index * length, min((index + 1) * length, self.layout.size)
        made = np.empty(last - first, masks.ring(self._scale.bits)) if out is None else out[: last - first]
        draws = masks.keystream(masks.derived(self._rounding, ["rounding", index]))
        noise = masks.keystream(masks.derived(self._rounding, ["noise", index])) if self._scale.noise else None
        for leaf in self.layout.leaves:
            begin, end = max(leaf.first, first), min(leaf.first + leaf.size, last)
            if begin < end:
                piece = self._arrays[leaf.path].reshape(-1)[begin - leaf.first : end - leaf.first]
                self._encode(leaf, piece, made[begin - first : end - first], draws)
                if noise is not None and leaf.floats:
                    self._add_noise(made[begin - first : end - first], noise)
        for at, number in enumerate((self._weight, min(self.clipped, self._scale.whole_limit))):
            place = self.layout.size - EXTRA + at
            if first <= place < last:
                made[place - first] = number
        return made

    def _encode(self, leaf: Leaf, piece: Array, out: Array, draws: CipherContext) -> None:
        if not leaf.floats:
            np.copyto(out.view(np.dtype(f"<i{out.itemsize}")), piece, casting="unsafe")
            return
        dtype = working(piece)
        if dtype not in self._encoders:
            self._encoders[dtype] = FloatEncoder(self._scale.bits, self._scale.fraction, dtype)
        limit = self._scale.limit(self._weight, dtype) if self._over[leaf.path] else None
        self._encoders[dtype].encode(piece, out, limit=limit, factor=self._factor, draws=draws)

    def _add_noise(self, out: Array, noise: CipherContext) -> None:
        signed = out.view(np.dtype(f"<i{out.itemsize}"))
        for first in range(0, len(out), PIECE):
            piece = signed[first : first + PIECE]
            piece += drawn(lambda count: noise.update(bytes(count)), len(piece), self._scale.variance).astype(
                piece.dtype
            )

    def _excess(self, path: str, array: Array) -> int:
        """How many numbers are too large; raises InvalidInput where they may not be clipped."""
        if array.dtype.kind != "f":
            if array.size and max(-int(array.min()), int(array.max())) > self._scale.whole_limit:
                raise InvalidInput(f"{path!r} holds an integer above {self._scale.whole_limit}; take bits=64")
            return 0
        limit = self._scale.limit(self._weight, working(array))
        try:
            most = largest(array)
        except InvalidInput as error:
            raise InvalidInput(f"a contribution: {path!r} {error}") from error
        if most * self._factor <= limit:
            return 0
        if self._scale.excess == "refuse":
            raise InvalidInput(
                f"{path!r} holds {most:g}, but at most {limit:g} goes into this secure sum; raise {self._scale.setting}"
            )
        return int(np.count_nonzero(np.abs(array) * self._factor > limit))


@final
@dataclass(frozen=True, slots=True)
class Summed:
    """What a secure sum gives."""

    total: Contribution
    """Floats in float64, integers in int64, as `gather` gives them."""
    clipped: int
    """How many floats were clipped, at all sites together."""
    error: float
    """What each float of the total is off by, at most, from the sum of what the sites clipped, until it is rounded to
    float64."""


def summed(layout: Layout, scale: Scale, segments: Iterable[Array], *, sites: int) -> Summed:
    """The sum that the segments of the ring are of; so many sites are in it."""
    total, (weight, clipped) = read(layout, scale, segments)
    return Summed(Contribution(total, weight), clipped=clipped, error=scale.error(sites))


def read(layout: Layout, scale: Scale, segments: Iterable[Array]) -> tuple[Tree, list[int]]:
    """(the leaves, the extras) that the segments of the ring hold."""
    leaves = {leaf.path: np.empty(leaf.size, np.float64 if leaf.floats else np.int64) for leaf in layout.leaves}
    filled = dict.fromkeys(leaves, 0)
    extra = list[int]()
    for leaf, piece in decoded(layout, scale, segments):
        if leaf is None:
            extra += [int(each) for each in piece]
            continue
        begin = filled[leaf.path]
        leaves[leaf.path][begin : begin + len(piece)] = piece
        filled[leaf.path] += len(piece)
    return tree.unflatten({leaf.path: leaves[leaf.path].reshape(leaf.shape) for leaf in layout.leaves}), extra


def decoded(layout: Layout, scale: Scale, segments: Iterable[Array]) -> Iterator[tuple[Leaf | None, Array]]:
    """Pieces of a sum's leaves in their order, floats as float64 and integers as int64; then, of no leaf, the extras.

    Every number is in one piece, the extras in one or two.
    """
    first = 0
    for segment in segments:
        last = first + len(segment)
        for leaf, begin, end in _parts(layout, first, last):
            piece = segment[leaf.first + begin - first : leaf.first + end - first]
            yield leaf, decode_floats(piece, scale.fraction) if leaf.floats else decode_integers(piece)
        if (begin := max(first, layout.size - EXTRA)) < last:
            yield None, decode_integers(segment[begin - first :])
        first = last


def _emptied(total: Tree) -> Tree:
    """The same names and kinds of numbers, and none of the numbers: these are looked at but once, further on."""
    return tree.map(lambda leaf: leaf.reshape(-1)[:0] if isinstance(leaf, np.ndarray) else leaf, total)


def _parts(layout: Layout, first: int, last: int) -> Iterator[tuple[Leaf, int, int]]:
    """Leaves that lie between two coordinates, with where in the leaf that begins and ends."""
    for leaf in layout.leaves:
        begin, end = max(leaf.first, first), min(leaf.first + leaf.size, last)
        if begin < end:
            yield leaf, begin - leaf.first, end - leaf.first


def _weight(weight: float, scale: Scale) -> int:
    if weight != int(weight) or weight > scale.max_weight:
        raise InvalidInput(
            f"a weight in a secure sum is a whole number up to max_weight={scale.max_weight}, not {weight:g}"
        )
    return int(weight)


def _factor(arrays: Iterable[Array], most: float) -> float:
    """What all floats are scaled by, so that their Euclidean norm is at most `most`."""
    squares = 0.0
    for array in arrays:
        if array.dtype.kind == "f":
            flat = array.reshape(-1)
            for first in range(0, len(flat), 1 << 16):
                wide = flat[first : first + (1 << 16)].astype(np.float64)
                squares += float(np.dot(wide, wide))
    norm = sqrt(squares)
    return min(1.0, most / norm) if norm else 1.0
