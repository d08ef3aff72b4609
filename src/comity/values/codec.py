"""Trees to safetensors bytes and back, and a tree's digest.

A file is an 8-byte little-endian header length, a JSON header, and the arrays' bytes
(https://github.com/huggingface/safetensors#format). Written here it is canonical: the header is RFC 8785
JSON of the leaves by path, without metadata, padded with spaces to a multiple of 8; the leaves follow
one another in the order of their paths, C-contiguous and little-endian. So equal trees have equal
bytes, and a tree's digest is the SHA-256 of that file. A writer may have some of the arrays stored as BF16, which
are read as float32; that is another file, of another digest.

Read here it may come from an enemy. Whatever the header claims is checked against what was got before
anything is allocated for it; a file that any other writer of the format made is read as well, and its
metadata is dropped. Non-finite numbers are neither written nor read.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np

from comity.values import bfloat16
from comity.values import tree as trees
from comity.values.digest import Digest, canonical
from comity.values.errors import DecodeError, InvalidInput
from comity.values.tree import SEPARATOR, Array, Tree

Bytes: TypeAlias = bytes | bytearray | memoryview

METADATA = "__metadata__"
ALIGNMENT = 8
DTYPES = {
    **{"BOOL": np.dtype("?"), "F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8")},
    **{f"I{8 * width}": np.dtype(f"<i{width}") for width in (1, 2, 4, 8)},
    **{f"U{8 * width}": np.dtype(f"<u{width}") for width in (1, 2, 4, 8)},
}
NAMES = {dtype.str: name for name, dtype in DTYPES.items()}
BF16 = "BF16"
STORED = {**DTYPES, BF16: np.dtype("<u2")}
"""What lies in a file, by the name that its header gives it."""
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a file may claim before it is refused."""

    bytes: int = 2**34
    """Of the whole file."""
    header: int = 2**21
    """Bytes of the JSON header; parsing may take some twenty times as much memory."""
    leaves: int = 10_000
    depth: int = 32
    """Keys in a leaf's path."""
    rank: int = 16
    """Axes of an array."""
    name: int = 512
    """Bytes of a leaf's path in UTF-8."""


def encode(tree: Tree, as_bf16: Collection[str] = ()) -> bytes:
    """The tree's canonical safetensors file; raises InvalidInput when a leaf cannot be written or is not finite.

    as_bf16: paths of leaves that are stored as BF16, to which they have to be rounded already.

    >>> decode(encode({"net": {"w": np.arange(3)}}))
    {'net': {'w': array([0, 1, 2])}}
    """
    return b"".join(segments(tree, as_bf16))  # pyright: ignore[reportArgumentType, reportCallIssue] arrays are buffers


def digest(tree: Tree) -> Digest:
    """The SHA-256 of the tree's canonical file, hashed leaf by leaf: the file is never built.

    >>> digest({"a": np.ones(2), "b": np.zeros(1)}) == digest({"b": np.zeros(1), "a": np.ones(2)})
    True
    """
    sha = hashlib.sha256()
    for segment in segments(tree):
        sha.update(segment)  # pyright: ignore[reportArgumentType] an array is a buffer
    return Digest("sha256:" + sha.hexdigest())


def decode(data: Bytes, limits: Limits = Limits()) -> Tree:
    """The tree that a safetensors file holds; raises DecodeError when it is anything less than well-formed.

    The arrays are read-only. Where they lie aligned they are views of `data`, which must not be changed
    while they are in use; elsewhere they are copies.
    """
    view = memoryview(data).cast("B").toreadonly()
    leaves = {
        path: _leaf(path, view[leaf.begin : leaf.end], leaf.stored, leaf.shape)
        for path, leaf in layout(view, len(view), limits).items()
    }
    try:
        return trees.unflatten(dict(sorted(leaves.items())))
    except InvalidInput as error:
        raise DecodeError(f"the arrays' names do not make a tree: {error}") from error


@final
@dataclass(frozen=True, slots=True)
class Leaf:
    """Where an array lies in a file, and what it is."""

    stored: str
    """As what it lies there: a key of STORED."""
    shape: tuple[int, ...]
    begin: int
    """Its first byte in the file."""
    end: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """As what it is read."""
        return DTYPES["F32"] if self.stored == BF16 else DTYPES[self.stored]

    @property
    def width(self) -> int:
        """Bytes of a number in the file."""
        return STORED[self.stored].itemsize


def layout(head: Bytes, size: int, limits: Limits = Limits()) -> dict[str, Leaf]:
    """The arrays of a file of so many bytes by their paths, in the order in which they lie there.

    head: the file's first bytes; all of it or at least its header, whose length the first 8 bytes say.
    Raises DecodeError; what the arrays hold is not looked at.
    """
    header, begin = _header(memoryview(head).cast("B"), size, limits)
    leaves: dict[str, Leaf] = {}
    end = 0
    for path, stored, shape, start, stop in _entries(header, limits):
        if start != end:
            raise DecodeError(f"{path!r} begins at byte {start} of the data where byte {end} belongs")
        if stop > size - begin:
            raise DecodeError(f"{path!r} ends at byte {stop} of the data, of which there are {size - begin} bytes")
        leaves[path] = Leaf(stored, shape, begin + start, begin + stop)
        end = stop
    if end != size - begin:
        raise DecodeError(f"{size - begin - end} bytes of the data belong to no array")
    return leaves


def header(leaves: Mapping[str, tuple[str, tuple[int, ...]]]) -> bytes:
    """What stands before the arrays of a canonical file: as what they lie there, and their shapes, in order of path."""
    entries: dict[str, object] = {}
    begin = 0
    for path, (stored, shape) in leaves.items():
        if fault := _fault(path, Limits()):
            raise InvalidInput(f"this tree cannot be encoded: {fault}")
        end = begin + math.prod(shape) * STORED[stored].itemsize
        entries[path] = {"data_offsets": [begin, end], "dtype": stored, "shape": list(shape)}
        begin = end
    text = canonical(entries)
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def stored_as(dtype: np.dtype[Any]) -> str:
    """As what an array of this dtype lies in a file.

    >>> stored_as(np.dtype(np.float32))
    'F32'
    """
    return NAMES[dtype.newbyteorder("<").str]


def segments(tree: Tree, as_bf16: Collection[str] = ()) -> Iterator[bytes | Array]:
    """The tree's canonical file piece by piece, so that it need not be built; raises what `encode` raises."""
    trees.check(tree, "this tree cannot be encoded")
    leaves = trees.flatten(tree)
    yield header({p: (BF16 if p in as_bf16 else stored_as(leaf.dtype), leaf.shape) for p, leaf in leaves.items()})
    for path, leaf in leaves.items():
        if path in as_bf16:
            try:
                leaf = bfloat16.halves(leaf)
            except InvalidInput as error:
                raise InvalidInput(f"this tree cannot be encoded: {path!r} {error}") from error
        little = leaf.astype(leaf.dtype.newbyteorder("<"), order="C", copy=False)
        yield little.reshape(-1).view(np.uint8)


def header_size(first: Bytes, limits: Limits = Limits()) -> int:
    """Bytes of a file before its arrays, which its first 8 bytes say; raises DecodeError when they are too many."""
    length = int.from_bytes(memoryview(first)[:8], "little")
    if length > limits.header:
        raise DecodeError(f"the header claims {length} bytes; the limit is {limits.header}")
    return 8 + length


def _header(view: memoryview, size: int, limits: Limits) -> tuple[bytes, int]:
    if not 8 <= size <= limits.bytes:
        raise DecodeError(f"a file of {size} bytes is not between 8 and the limit of {limits.bytes} bytes")
    length = int.from_bytes(view[:8], "little")
    if length > min(limits.header, size - 8, len(view) - 8):
        raise DecodeError(f"the header claims {length} bytes; {size - 8} bytes follow and the limit is {limits.header}")
    return bytes(view[8 : 8 + length]), 8 + length


def _entries(header: bytes, limits: Limits) -> list[tuple[str, str, tuple[int, ...], int, int]]:
    """Name, as what it lies there, shape, begin and end of every array, in the order of their bytes."""
    document = _parse(header)
    metadata = document.pop(METADATA, {})
    if not (isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())):
        raise DecodeError(f"{METADATA} must map names to strings, got {str(metadata)[:80]}")
    if len(document) > limits.leaves:
        raise DecodeError(f"{len(document)} arrays are more than the limit of {limits.leaves}")
    entries = [(path, *_entry(path, claim, limits)) for path, claim in document.items()]
    return sorted(entries, key=lambda entry: entry[3:])


def _parse(header: bytes) -> dict[str, Any]:
    if not header.startswith(b"{"):
        raise DecodeError(f"the header must be a JSON object, got {header[:20]!r}")
    try:
        return json.loads(header.decode(), object_pairs_hook=_object, parse_float=_number, parse_constant=_number)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"the header is not well-formed JSON: {str(error)[:200]}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key occurs twice")
    return made


def _number(text: str) -> None:
    raise ValueError(f"{text[:40]} where only whole numbers belong")


def _entry(path: str, claim: Any, limits: Limits) -> tuple[str, tuple[int, ...], int, int]:
    if fault := _fault(path, limits):
        raise DecodeError(fault)
    if not isinstance(claim, dict) or claim.keys() != {"dtype", "shape", "data_offsets"}:
        raise DecodeError(f"{path!r} needs dtype, shape and data_offsets and nothing else, got {str(claim)[:80]}")
    stored: Any = claim["dtype"]
    if not isinstance(stored, str) or stored not in STORED:
        raise DecodeError(f"{path!r} has dtype {str(stored)[:20]!r}, which is none of {', '.join(STORED)}")
    width, shape = STORED[stored].itemsize, _whole(path, "shape", claim["shape"])
    offsets = _whole(path, "data_offsets", claim["data_offsets"])
    if len(shape) > limits.rank:
        raise DecodeError(f"{path!r} has {len(shape)} axes, more than the limit of {limits.rank}")
    # numpy refuses an empty array too whose other axes overflow
    if math.prod(axis for axis in shape if axis) * width > limits.bytes:
        raise DecodeError(f"{path!r} claims the shape {shape}, more than the limit of {limits.bytes} bytes")
    if len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * width:
        raise DecodeError(f"{path!r} of shape {shape} and {stored} does not fit its data_offsets {offsets}")
    return stored, shape, *offsets


def _whole(path: str, what: str, numbers: Any) -> tuple[int, ...]:
    if not isinstance(numbers, list) or not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
        raise DecodeError(f"{path!r} has {what} {str(numbers)[:80]}; a list of whole numbers below 2^63 belongs there")
    return tuple(numbers)


def _fault(path: str, limits: Limits) -> str | None:
    """Why this cannot be a leaf's path, or None."""
    if UNPRINTABLE.search(path) or path == METADATA:
        return f"{path[:80]!r} cannot be the name of an array"
    if len(path.encode()) > limits.name:
        return f"an array's name takes {len(path.encode())} bytes, more than the limit of {limits.name}"
    keys = path.split(SEPARATOR)
    if not all(keys):
        return f"the path {path!r} has an empty name"
    return f"{path!r} is deeper than the limit of {limits.depth} keys" if len(keys) > limits.depth else None


def numbers(data: Array, stored: str) -> Array:
    """What bytes in a file, as an array of them, are of; a view of them but for BF16.

    Raises DecodeError for a boolean that is neither 0 nor 1, and for a float that is not finite.
    """
    flat = data.view(STORED[stored])
    if stored == BF16:
        flat = bfloat16.whole(flat)
    if flat.dtype.kind == "b" and flat.size and flat.view(np.uint8).max() > 1:
        raise DecodeError("holds a boolean that is neither 0 nor 1")
    if flat.dtype.kind == "f" and not trees.finite(flat):
        raise DecodeError("holds a number that is not finite")
    return flat


def _leaf(path: str, part: memoryview, stored: str, shape: tuple[int, ...]) -> Array:
    try:
        leaf = numbers(np.frombuffer(part, dtype=np.uint8), stored).reshape(shape)
    except DecodeError as error:
        raise DecodeError(f"{path!r} {error}") from error
    if not leaf.flags.aligned:
        leaf = leaf.copy()
    leaf.flags.writeable = False
    return leaf
