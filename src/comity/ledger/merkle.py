"""Merkle trees over a log: the root of any size, and proofs that others check without the log.

RFC 6962, section 2.1: a leaf's hash is SHA-256(0x00 ‖ data), a node's is SHA-256(0x01 ‖ left ‖ right), and the root of
nothing is SHA-256 of nothing. Only complete subtrees are kept, since no later leaf changes them; subtree `index` of
`level` covers the leaves from index · 2^level to (index + 1) · 2^level, so level 0 holds the leaf hashes.

Edges, as the vectors of transparency-dev/merkle have them: the empty log is a prefix of every log, so there is no
proof from size 0; from a size to itself the proof is empty and the roots need only be equal; every hash of a proof and
every leaf hash has 32 bytes.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Protocol, final

from comity.values.errors import DecodeError, InvalidInput

HASH_BYTES = 32
LARGEST_SIZE = 2**63 - 1  # what a database's integer holds


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf.

    >>> leaf_hash(b"").hex()[:16]
    '6e340b9cffb37a98'
    """
    return sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node above two subtrees."""
    return sha256(b"\1" + left + right).digest()


class Hashes(Protocol):
    """The hashes of the complete subtrees of one tree."""

    def get(self, level: int, index: int) -> bytes:
        """The hash that was put there; a tree asks only for what it has put."""
        ...

    def put(self, level: int, index: int, hash: bytes) -> None:
        """Keep a hash; a tree puts each place once, lower levels first."""
        ...


@final
class HashesInMemory:
    """Hashes in a dictionary, gone with the process."""

    def __init__(self) -> None:
        self._hashes: dict[tuple[int, int], bytes] = {}

    def get(self, level: int, index: int) -> bytes:
        return self._hashes[level, index]

    def put(self, level: int, index: int, hash: bytes) -> None:
        self._hashes[level, index] = hash


@final
class Tree:
    """The Merkle tree of a log that grows; on average an append reads one hash and writes two.

    It remembers its size alone: when appends are rolled back, make it anew with the size that was kept.

    >>> tree = Tree(HashesInMemory(), size=0)
    >>> for entry in (b"a", b"b", b"c"):
    ...     tree.append(leaf_hash(entry))
    >>> proof = tree.inclusion(1, size=3)
    >>> verify_inclusion(proof, leaf=leaf_hash(b"b"), index=1, size=3, root=tree.root())
    """

    def __init__(self, hashes: Hashes, size: int) -> None:
        self._hashes = hashes
        self._size = size

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self._size

    def append(self, leaf: bytes) -> None:
        """Add a leaf by its hash (`leaf_hash`) and complete the subtrees that it closes."""
        if len(leaf) != HASH_BYTES:
            raise InvalidInput(f"a leaf is added by its hash of 32 bytes, got {len(leaf)}; use leaf_hash(data)")
        level, index, top = 0, self._size, leaf
        self._hashes.put(level, index, top)
        while index % 2:
            top = node_hash(self._hashes.get(level, index - 1), top)
            level, index = level + 1, index // 2
            self._hashes.put(level, index, top)
        self._size += 1

    def root(self, size: int | None = None) -> bytes:
        """The root now, or as it was at an earlier size (RFC 6962, section 2.1)."""
        size = self._size if size is None else size
        if not 0 <= size <= self._size:
            raise InvalidInput(f"no root at size {size} in a tree of {self._size} leaves; ask for 0 to {self._size}")
        return self._subtree(0, size) if size else sha256().digest()

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that a leaf is in the tree of a size: the audit path (RFC 6962, section 2.1.1)."""
        if not 0 <= index < size <= self._size:
            raise InvalidInput(f"no leaf {index} in a tree of size {size} here; 0 <= index < size <= {self._size}")
        return self._path(0, index, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of one size is a prefix of that of another (RFC 6962, section 2.1.2)."""
        if not 1 <= old <= new <= self._size:
            raise InvalidInput(f"no proof from size {old} to {new} here; 1 <= old <= new <= {self._size}")
        level, index = _last_complete(old, new)
        start = [self._hashes.get(level, index)] if index else []
        return start + self._path(level, index, new)

    def _path(self, level: int, index: int, size: int) -> list[bytes]:
        return [
            self._subtree(sibling << above, min(sibling + 1 << above, size))
            for above, sibling in _siblings(level, index, size)
        ]

    def _subtree(self, begin: int, end: int) -> bytes:
        # Its complete subtrees are the binary digits of its width; they are joined from the smallest, on the right.
        top = b""
        for level in range((end - begin).bit_length()):
            if (end - begin) >> level & 1:
                end -= 1 << level
                left = self._hashes.get(level, end >> level)
                top = node_hash(left, top) if top else left
        return top


def verify_inclusion(proof: Sequence[bytes], *, leaf: bytes, index: int, size: int, root: bytes) -> None:
    """Pass if the leaf of this hash stands at `index` in the tree of this size and root.

    Raises DecodeError, naming what failed. The size and the root must come from a checkpoint that is trusted.
    """
    if not 0 <= index < size <= LARGEST_SIZE:
        raise DecodeError(f"no tree of size {size} has a leaf {index}; ask the log again")
    path = list(_siblings(0, index, size))
    _check_count(proof, len(path))
    _check_lengths([leaf, *proof])
    top = leaf
    for (_, sibling), hash in zip(path, proof, strict=True):
        # A left sibling has an even index.
        top = node_hash(top, hash) if sibling % 2 else node_hash(hash, top)
    if top != root:
        raise DecodeError(
            f"the proof of leaf {index} leads to the root {top.hex()}, not to {root.hex()} of size {size}; "
            "the leaf is not in this log"
        )


def verify_consistency(
    proof: Sequence[bytes], *, old_size: int, old_root: bytes, new_size: int, new_root: bytes
) -> None:
    """Pass if the log of the old size and root is a prefix of that of the new size and root.

    Raises DecodeError, naming what failed. There is nothing to prove from size 0, so that is refused too.
    """
    if not 1 <= old_size <= new_size <= LARGEST_SIZE:
        raise DecodeError(f"no proof leads from size {old_size} to {new_size}; 1 <= old <= new is needed")
    level, index = _last_complete(old_size, new_size)
    path = list(_siblings(level, index, new_size))
    # Where the old tree is one complete subtree, its root is known and the proof leaves it out.
    first = 1 if index else 0
    _check_count(proof, first + len(path))
    _check_lengths(proof)
    old = new = proof[0] if first else old_root
    for (_, sibling), hash in zip(path, proof[first:], strict=True):
        if sibling % 2:
            new = node_hash(new, hash)
        else:
            old, new = node_hash(hash, old), node_hash(hash, new)
    for name, got, size, root in (("old", old, old_size, old_root), ("new", new, new_size, new_root)):
        if got != root:
            raise DecodeError(
                f"the proof leads to the {name} root {got.hex()}, not to {root.hex()} of size {size}; "
                "the log was changed or has forked"
            )


def _siblings(level: int, index: int, size: int) -> Iterator[tuple[int, int]]:
    """The places beside the way from a node up to the root; a last node without a neighbour moves up alone."""
    last = size - 1 >> level
    while last:
        sibling = index ^ 1
        if sibling <= last:
            yield level, sibling
        level, index, last = level + 1, index >> 1, last >> 1


def _last_complete(old: int, new: int) -> tuple[int, int]:
    """Where the old tree ends: its rightmost, smallest complete subtree; the new tree's root if they are equal."""
    level = new.bit_length() if old == new else (old & -old).bit_length() - 1
    return level, max(0, (old >> level) - 1)


def _check_count(proof: Sequence[bytes], expected: int) -> None:
    if len(proof) != expected:
        raise DecodeError(f"the proof has {len(proof)} hashes where {expected} are needed; ask the log again")


def _check_lengths(hashes: Sequence[bytes]) -> None:
    for hash in hashes:
        if len(hash) != HASH_BYTES:
            raise DecodeError(f"a hash has 32 bytes, got one of {len(hash)}; ask the log again")
