"""Merkle trees: RFC 6962 written out, the vectors of others, and proofs with one thing changed."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.ledger.merkle import HashesInMemory, Tree, leaf_hash, verify_consistency, verify_inclusion
from comity.values.errors import DecodeError, InvalidInput

VECTORS = Path(__file__).parents[2] / "vectors" / "rfc6962"
INCLUSION, CONSISTENCY = (json.loads((VECTORS / f"{kind}.json").read_text()) for kind in ("inclusion", "consistency"))

# The leaves and roots that the reference implementation of certificate transparency is tested with
# (github.com/google/certificate-transparency, merkletree/merkle_tree_test.py); the vectors are proofs in this tree.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}

SPELT_ROOTS = {b64encode(bytes.fromhex(root)).decode() for root in ROOTS.values()}


# RFC 6962, section 2.1, as it is written there.
def mth(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return hashlib.sha256(b"\x00" + leaves[0] if leaves else b"").digest()
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    return [*path(m, leaves[:k]), mth(leaves[k:])] if m < k else [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], known: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if known else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], known), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def split(n: int) -> int:
    return 1 << (n - 1).bit_length() - 1


def grown(leaves: list[bytes]) -> Tree:
    tree = Tree(HashesInMemory(), size=0)
    for leaf in leaves:
        tree.append(leaf_hash(leaf))
    return tree


def numbered(size: int) -> list[bytes]:
    return [str(index).encode() for index in range(size)]


def decoded(vector: dict[str, Any]) -> list[bytes]:
    return [b64decode(hash) for hash in vector["proof"] or []]


def by_name(vectors: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("vector", vectors, ids=[vector["name"] for vector in vectors])


@by_name(INCLUSION)
def test_inclusion_vector(vector: dict[str, Any]) -> None:
    index, size, leaf, root = (
        vector["leafIdx"],
        vector["treeSize"],
        b64decode(vector["leafHash"]),
        b64decode(vector["root"]),
    )
    if vector["wantErr"]:
        with pytest.raises(DecodeError):
            verify_inclusion(decoded(vector), leaf=leaf, index=index, size=size, root=root)
    else:
        verify_inclusion(decoded(vector), leaf=leaf, index=index, size=size, root=root)


@by_name(CONSISTENCY)
def test_consistency_vector(vector: dict[str, Any]) -> None:
    old_size, new_size = vector["size1"], vector["size2"]
    old_root, new_root = b64decode(vector["root1"]), b64decode(vector["root2"])
    sizes_and_roots = {"old_size": old_size, "old_root": old_root, "new_size": new_size, "new_root": new_root}
    if vector["wantErr"]:
        with pytest.raises(DecodeError):
            verify_consistency(decoded(vector), **sizes_and_roots)
    else:
        verify_consistency(decoded(vector), **sizes_and_roots)


def test_tree_gives_the_roots_and_proofs_of_the_vectors() -> None:
    tree = grown(LEAVES)
    assert {size: tree.root(size).hex() for size in range(9)} == ROOTS
    # The other true vectors are of sizes 1 with made-up roots.
    included = [v for v in INCLUSION if not v["wantErr"] and v["root"] in SPELT_ROOTS]
    consistent = [v for v in CONSISTENCY if not v["wantErr"] and v["root2"] in SPELT_ROOTS]
    assert (len(included), len(consistent)) == (5, 5)
    for vector in included:
        assert tree.inclusion(vector["leafIdx"], vector["treeSize"]) == decoded(vector), vector["name"]
    for vector in consistent:
        assert tree.consistency(vector["size1"], vector["size2"]) == decoded(vector), vector["name"]


@given(st.lists(st.binary(max_size=8), max_size=70), st.data())
def test_tree_is_rfc_6962(leaves: list[bytes], data: st.DataObject) -> None:
    tree = grown(leaves)
    assert tree.size == len(leaves)
    assert tree.root() == mth(leaves)
    size = data.draw(st.integers(0, len(leaves)))
    root = tree.root(size)
    assert root == mth(leaves[:size])
    if not size:
        return
    index = data.draw(st.integers(0, size - 1))
    proof = tree.inclusion(index, size)
    assert proof == path(index, leaves[:size])
    verify_inclusion(proof, leaf=leaf_hash(leaves[index]), index=index, size=size, root=root)
    old = data.draw(st.integers(1, size))
    proof = tree.consistency(old, size)
    assert proof == subproof(old, leaves[:size], True)
    verify_consistency(proof, old_size=old, old_root=tree.root(old), new_size=size, new_root=root)


def changed(proof: list[bytes]) -> Iterator[list[bytes]]:
    """The proof with one bit turned, a hash cut, lengthened, lost, doubled or added, and with two hashes exchanged."""
    for place, hash in enumerate(proof):
        before, after = proof[:place], proof[place + 1 :]
        for bit in range(256):
            turned = (int.from_bytes(hash) ^ 1 << bit).to_bytes(32)
            yield [*before, turned, *after]
        for replaced in ([hash[:-1]], [hash + b"\0"], [b""], [], [hash, hash]):
            yield [*before, *replaced, *after]
    for place in range(len(proof) + 1):
        yield [*proof[:place], bytes(32), *proof[place:]]
        yield [*proof[:place], b"", *proof[place:]]
    for place in range(1, len(proof)):
        yield [*proof[: place - 1], proof[place], proof[place - 1], *proof[place + 1 :]]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 11, 13])
def test_every_changed_inclusion_proof_is_refused(size: int) -> None:
    leaves = numbered(size)
    tree = grown(leaves)
    root = tree.root()
    for index in range(size):
        leaf, proof = leaf_hash(leaves[index]), tree.inclusion(index, size)
        for wrong in changed(proof):
            with pytest.raises(DecodeError):
                verify_inclusion(wrong, leaf=leaf, index=index, size=size, root=root)
        for elsewhere in {*range(-1, 2 * size), 2**64} - {index}:
            with pytest.raises(DecodeError):
                verify_inclusion(proof, leaf=leaf, index=elsewhere, size=size, root=root)


@pytest.mark.parametrize("new_size", [1, 2, 3, 4, 5, 6, 7, 8, 11, 13])
def test_every_changed_consistency_proof_is_refused(new_size: int) -> None:
    tree = grown(numbered(new_size))
    for old_size in range(1, new_size + 1):
        sizes = {"old_size": old_size, "new_size": new_size}
        roots = {"old_root": tree.root(old_size), "new_root": tree.root()}
        proof = tree.consistency(old_size, new_size)
        for wrong in changed(proof):
            with pytest.raises(DecodeError):
                verify_consistency(wrong, **sizes, **roots)
        for side in roots:
            for wrong_root in (bytes(32), roots[side][:-1], b""):
                with pytest.raises(DecodeError):
                    verify_consistency(proof, **sizes, **{**roots, side: wrong_root})


@given(st.integers(2, 60), st.data())
def test_a_log_whose_past_was_changed_has_no_proof(new_size: int, data: st.DataObject) -> None:
    old_size = data.draw(st.integers(1, new_size - 1))
    place = data.draw(st.integers(0, old_size - 1))
    leaves = numbered(new_size)
    shown = grown(leaves).root(old_size)
    forked = grown([*leaves[:place], b"another", *leaves[place + 1 :]])
    with pytest.raises(DecodeError, match="root"):
        verify_consistency(
            forked.consistency(old_size, new_size),
            old_size=old_size,
            old_root=shown,
            new_size=new_size,
            new_root=forked.root(),
        )


@given(
    st.lists(st.binary(max_size=40) | st.binary(min_size=32, max_size=32), max_size=70),
    st.tuples(st.integers(), st.integers()) | st.tuples(st.integers(0, 2**64), st.integers(0, 2**64)),
    st.tuples(st.binary(max_size=40), st.binary(min_size=32, max_size=32)),
)
def test_foreign_proofs_raise_nothing_but_decode_error(
    proof: list[bytes], sizes: tuple[int, int], hashes: tuple[bytes, bytes]
) -> None:
    (first, second), (left, right) = sizes, hashes
    # A few are true: a tree of one leaf, a log of equal sizes and roots.
    with suppress(DecodeError):
        verify_inclusion(proof, leaf=left, index=first, size=second, root=right)
        assert (first, second, left, proof) == (0, 1, right, [])
    with suppress(DecodeError):
        verify_consistency(proof, old_size=first, old_root=left, new_size=second, new_root=right)
        assert (first, left, proof) == (second, right, [])


class Counting:
    """Hashes that count what is asked of them."""

    def __init__(self) -> None:
        self.hashes = HashesInMemory()
        self.calls = Counter[str]()

    def get(self, level: int, index: int) -> bytes:
        self.calls["get"] += 1
        return self.hashes.get(level, index)

    def put(self, level: int, index: int, hash: bytes) -> None:
        self.calls["put", level, index] += 1
        self.hashes.put(level, index, hash)


def test_cost_is_logarithmic_and_no_hash_is_put_twice() -> None:
    hashes = Counting()
    tree = Tree(hashes, size=0)
    for index in range(1000):
        tree.append(leaf_hash(str(index).encode()))
    gets = hashes.calls.pop("get")
    # 1000 leaves and, for each level, 1000 // 2^level complete subtrees; each of these needed one read.
    subtrees = sum(1000 >> level for level in range(1, 10))
    assert (gets, len(hashes.calls)) == (subtrees, 1000 + subtrees)
    assert set(hashes.calls.values()) == {1}
    for size in range(1, 1001, 37):
        for ask, sizes in ((tree.root, [size]), (tree.inclusion, [size // 3, size]), (tree.consistency, [size, 1000])):
            hashes.calls.clear()
            ask(*sizes)
            assert hashes.calls["get"] <= 2 * (1000).bit_length()


def test_a_tree_goes_on_from_the_size_that_was_kept() -> None:
    hashes = HashesInMemory()
    leaves = numbered(21)
    for size, leaf in enumerate(leaves):
        Tree(hashes, size).append(leaf_hash(leaf))
    assert Tree(hashes, 21).root() == mth(leaves)


def test_what_a_tree_refuses() -> None:
    tree = grown(numbered(3))
    for size in (-1, 4):
        with pytest.raises(InvalidInput, match=f"size {size}"):
            tree.root(size)
    for index, size in ((0, 0), (3, 3), (-1, 3), (0, 4)):
        with pytest.raises(InvalidInput, match=f"leaf {index}"):
            tree.inclusion(index, size)
    for old, new in ((0, 0), (0, 3), (-1, 3), (3, 2), (3, 4)):
        with pytest.raises(InvalidInput, match=f"size {old} to {new}"):
            tree.consistency(old, new)
    with pytest.raises(InvalidInput, match="got 5"):
        tree.append(b"entry")
