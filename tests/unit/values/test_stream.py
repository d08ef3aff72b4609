"""STREAM-form AES-256-GCM: against NIST's specification written out anew, and against every way to tamper."""

from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.values import stream
from comity.values.errors import DecodeError, InvalidInput
from comity.values.stream import CHUNK, MOST_CHUNKS, SEALED_CHUNK, TAG

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def plain() -> bytes:
    return b"".join(i.to_bytes(4, "big") for i in range((3 * CHUNK + 1000) // 4))


@pytest.fixture(scope="module")
def sealed(plain) -> list[bytes]:
    return list(stream.seal_chunks(KEY, [plain]))


def opened(chunks, key=KEY, first=0) -> bytes:
    return b"".join(stream.open_chunks(key, chunks, first=first))


# An independent GCM: SP 800-38D, algorithms 1 (multiplication), 2 (GHASH), 3 (GCTR) and 4, on the AES block alone.


def gcm(key: bytes, nonce: bytes, plaintext: bytes) -> bytes:
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
    counters = (nonce + i.to_bytes(4, "big") for i in range(2, 3 + len(plaintext) // 16))
    ciphertext = bytes(a ^ b for a, b in zip(plaintext, b"".join(map(block, counters)), strict=False))
    lengths = bytes(8) + (8 * len(ciphertext)).to_bytes(8, "big")
    padded = ciphertext + bytes(-len(ciphertext) % 16) + lengths
    hashed, subkey = 0, int.from_bytes(block(bytes(16)), "big")
    for i in range(0, len(padded), 16):
        hashed = multiply(hashed ^ int.from_bytes(padded[i : i + 16], "big"), subkey)
    tag = hashed ^ int.from_bytes(block(nonce + (1).to_bytes(4, "big")), "big")
    return ciphertext + tag.to_bytes(16, "big")


def multiply(x: int, y: int) -> int:
    product = 0
    for bit in range(127, -1, -1):
        product ^= y if x >> bit & 1 else 0
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return product


@pytest.mark.parametrize(
    ("plaintext", "expected"),
    [  # McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test cases 13 and 14
        ("", "530f8afbc74536b9a963b4f1c4cb738b"),
        ("00" * 16, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
    ],
)
def test_the_independent_gcm_gives_the_published_answers(plaintext, expected):
    assert gcm(bytes(32), bytes(12), bytes.fromhex(plaintext)).hex() == expected


@pytest.mark.parametrize(
    ("index", "nonce"),
    [
        (0, "00000000000000 00000000 01"),
        (5, "00000000000000 00000005 01"),
        (MOST_CHUNKS - 1, "00000000000000 fffffffe 01"),
    ],
)
def test_a_last_chunk_is_gcm_under_the_documented_nonce(index, nonce):
    plaintext = b"the heart of the matter"
    expected = gcm(KEY, bytes.fromhex(nonce), plaintext)
    assert stream.seal_chunk(KEY, index, last=True, plaintext=plaintext) == expected


def test_a_full_chunk_is_gcm_under_a_nonce_that_ends_in_zero():
    sealed = stream.seal_chunk(bytes(32), 0, last=False, plaintext=bytes(CHUNK))
    assert sealed[:16].hex() == "cea7403d4d606b6e074ec5d3baf39d18"  # the same test case 14
    assert len(sealed) == SEALED_CHUNK


# Round trips


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7])
def test_what_was_sealed_opens_and_has_the_announced_size(size, plain):
    sealed = b"".join(stream.seal_chunks(KEY, [plain[:size]]))
    assert opened([sealed]) == plain[:size]
    assert len(sealed) == stream.sealed_size(size)
    assert stream.plain_size(len(sealed)) == size


@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(0, 3 * CHUNK + 1000), max_size=6))
def test_the_pieces_in_which_bytes_come_make_no_difference(cuts, plain, sealed):
    def pieces(data):
        edges = [0, *sorted(cuts), len(data)]
        return [memoryview(data)[a:b] for a, b in pairwise(edges)]

    assert list(stream.seal_chunks(KEY, pieces(plain))) == sealed
    assert opened(pieces(b"".join(sealed))) == plain


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_a_resume_goes_on_with_the_same_ciphertext(first, plain, sealed):
    assert list(stream.seal_chunks(KEY, [plain[first * CHUNK :]], first=first)) == sealed[first:]
    assert opened(sealed[first:], first=first) == plain[first * CHUNK :]


def test_a_reused_buffer_is_sealed_before_the_next_piece_is_asked_for(plain, sealed):
    def pieces():
        buffer = bytearray(1000)
        for start in range(0, len(plain), len(buffer)):
            taken = plain[start : start + len(buffer)]
            buffer[: len(taken)] = taken
            yield memoryview(buffer)[: len(taken)]

    assert list(stream.seal_chunks(KEY, pieces())) == sealed


# Tampering


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_changed_bit_is_refused(data, sealed):
    whole = bytearray(b"".join(sealed))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DecodeError):
        opened([whole])


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_truncation_is_refused(data, sealed):
    whole = b"".join(sealed)
    end = data.draw(st.integers(0, len(whole) - 1) | st.sampled_from([SEALED_CHUNK, 2 * SEALED_CHUNK, len(whole) - 1]))
    with pytest.raises(DecodeError):
        opened([whole[:end]])


@settings(deadline=None, max_examples=20)
@given(tail=st.binary(min_size=1, max_size=40))
def test_anything_appended_is_refused(tail, sealed):
    with pytest.raises(DecodeError):
        opened([*sealed, tail])


@pytest.mark.parametrize(
    "order",
    [[1, 0, 2, 3], [0, 2, 1, 3], [0, 0, 1, 2, 3], [0, 1, 1, 2, 3], [0, 2, 3], [1, 2, 3], [0, 1, 3], [0, 1, 2], [3]],
    ids=str,
)
def test_chunks_moved_doubled_or_left_out_are_refused(order, sealed):
    with pytest.raises(DecodeError):
        opened([sealed[i] for i in order])


def test_a_wrong_last_flag_is_refused():
    for truth in (True, False):
        sealed = stream.seal_chunk(KEY, 0, last=truth, plaintext=bytes(CHUNK))
        with pytest.raises(DecodeError, match="altered, moved or cut off"):
            stream.open_chunk(KEY, 0, last=not truth, sealed=sealed)


def test_a_blob_opens_with_no_other_key_and_at_no_other_place(sealed):
    with pytest.raises(DecodeError):
        opened(sealed, key=bytes(32))
    with pytest.raises(DecodeError):
        opened(sealed[1:], first=2)


@settings(deadline=None, max_examples=100)
@given(data=st.binary(max_size=200), index=st.integers(0, MOST_CHUNKS - 1), last=st.booleans())
def test_foreign_bytes_give_a_decode_error_and_no_other(data, index, last):
    with pytest.raises(DecodeError):
        stream.open_chunk(KEY, index, last=last, sealed=data)


# Refusals


@pytest.mark.parametrize("index", [-1, MOST_CHUNKS, 2**32, 2**40])
def test_no_chunk_lies_beyond_the_counter(index):
    with pytest.raises(InvalidInput, match="at most 4294967295"):
        stream.seal_chunk(KEY, index, last=True, plaintext=b"x")
    with pytest.raises(InvalidInput, match="at most 4294967295"):
        stream.open_chunk(KEY, index, last=True, sealed=bytes(TAG + 1))


@pytest.mark.parametrize(
    ("index", "last", "size"), [(0, False, CHUNK - 1), (0, False, 0), (0, True, CHUNK + 1), (1, True, 0)]
)
def test_a_plaintext_has_one_ciphertext_so_other_chunk_sizes_are_refused(index, last, size):
    with pytest.raises(InvalidInput, match="each but the last has 1048576"):
        stream.seal_chunk(KEY, index, last=last, plaintext=bytes(size))
    with pytest.raises(DecodeError, match="which no sealed chunk has"):
        stream.open_chunk(KEY, index, last=last, sealed=bytes(size + TAG))


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33])
def test_only_aes_256_keys_are_taken(length):
    with pytest.raises(InvalidInput, match="32 bytes"):
        stream.seal_chunk(bytes(length), 0, last=True, plaintext=b"x")


@given(size=st.integers(0, MOST_CHUNKS * CHUNK))
def test_sizes_go_both_ways(size):
    assert stream.plain_size(stream.sealed_size(size)) == size


@pytest.mark.parametrize(
    "size", [-1, 0, 15, SEALED_CHUNK + 1, SEALED_CHUNK + TAG, MOST_CHUNKS * SEALED_CHUNK + 17, 2**60]
)
def test_sizes_that_no_sealed_blob_has_are_refused(size):
    with pytest.raises(DecodeError):
        stream.plain_size(size)


@pytest.mark.parametrize("size", [-1, MOST_CHUNKS * CHUNK + 1])
def test_sizes_that_cannot_be_sealed_are_refused(size):
    with pytest.raises(InvalidInput):
        stream.sealed_size(size)
