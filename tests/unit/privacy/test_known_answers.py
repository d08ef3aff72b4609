"""What is called of others gives what its standard says; Shamir's shares are those worked out by hand."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.privacy import masks, shamir
from comity.values.errors import DecodeError, InvalidInput
from comity.values.keys import SUITE

P = 2**255 - 19


def test_x25519_of_rfc_7748():
    """Section 6.1: Alice's and Bob's keys, and what they share."""
    alice = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    bob = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    public = {
        alice: bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
        bob: bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"),
    }
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert masks.shared_secret(alice, public[bob]).hex() == shared
    assert masks.shared_secret(bob, public[alice]).hex() == shared


def test_hkdf_of_rfc_5869():
    """Appendix A.1 with salt, A.3 without, as masks have it."""
    secret = bytes.fromhex("0b" * 22)
    made = HKDF(
        algorithm=SHA256(), length=42, salt=bytes.fromhex("000102030405060708090a0b0c"), info=bytes(range(0xF0, 0xFA))
    ).derive(secret)
    assert made.hex() == ("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
    made = HKDF(algorithm=SHA256(), length=42, salt=None, info=b"").derive(secret)
    assert made.hex() == ("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")


def test_aes_128_ctr_of_sp_800_38a():
    """F.5.1, whose counter does not begin at zero."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    counter = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    plain = bytes.fromhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    made = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor().update(plain)
    assert made.hex() == (
        "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
        "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"
    )


def test_a_keystream_is_that_key_counted_from_zero():
    """SP 800-38A, F.1.1, says what the key makes of its first block; here the blocks are 0 and 1."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    assert block.update(bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")).hex() == "3ad77bb40d7a3660a89ecaf32466ef97"
    counted = block.update(bytes(16)) + block.update(bytes(15) + b"\x01")
    assert masks.keystream(key).update(bytes(32)) == counted


RFC_9180 = {
    # Appendix A.1.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode, sequence number 0 has an
    # associated text, which `cryptography` does not offer; so the key schedule is followed by hand below.
    "info": "4f6465206f6e2061204772656369616e2055726e",
    "skRm": "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
    "pkRm": "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
    "enc": "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
    "shared_secret": "fe0e18c9f024ce43799ae393c7e8fe8fce9d218875e8227b0187c04e7d2ea1fc",
    "key": "4531685d41d65f03dc48f6b8302c05b0",
    "base_nonce": "56d890e5accaaf011cff4b7d",
    "ct": "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a",
    "pt": "4265617574792069732074727574682c20747275746820626561757479",
    "aad": "436f756e742d30",
}


def test_hpke_opens_what_the_key_schedule_of_rfc_9180_seals():
    """The RFC's key and nonce, found by its own schedule, seal a text without associated data; the suite opens it."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    vector = {name: bytes.fromhex(each) for name, each in RFC_9180.items()}
    recipient = X25519PrivateKey.from_private_bytes(vector["skRm"])
    assert recipient.public_key().public_bytes_raw() == vector["pkRm"]
    sealed = AESGCM(vector["key"]).encrypt(vector["base_nonce"], vector["pt"], vector["aad"])
    assert sealed == vector["ct"]  # the RFC's own, so key and nonce are its
    plain = AESGCM(vector["key"]).encrypt(vector["base_nonce"], vector["pt"], b"")
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
    assert suite.decrypt(vector["enc"] + plain, recipient, vector["info"]) == vector["pt"]


def test_shares_are_sealed_to_112_bytes():
    recipient = X25519PrivateKey.from_private_bytes(bytes(32))
    sealed = SUITE.encrypt(bytes(64), recipient.public_key(), b"context")
    assert len(sealed) == 112
    assert SUITE.decrypt(sealed, recipient, b"context") == bytes(64)


def element(number):
    return number.to_bytes(32, "little")


def scripted(*numbers):
    drawn = iter(numbers)
    return lambda count: next(drawn).to_bytes(count, "little")


def test_shares_worked_out_by_hand():
    """f(x) = 1234 + 166 x + 94 x², the example of many lectures; and one that goes around the field."""
    shares = shamir.split(element(1234), 3, [1, 2, 3, 4, 5, 6], scripted(166, 94))
    assert {place: shamir.number(each) for place, each in shares.items()} == {
        1: 1494,
        2: 1942,
        3: 2578,
        4: 3402,
        5: 4414,
        6: 5614,
    }
    # Of 2, 4 and 5: 1942·(4·5)/((4-2)(5-2)) + 3402·(2·5)/((2-4)(5-4)) + 4414·(2·4)/((2-5)(4-5)) = 1234
    assert shamir.combine({place: shares[place] for place in (2, 4, 5)}, 3) == element(1234)
    around = shamir.split(element(P - 1), 2, [1, 2], scripted(3))
    assert {place: shamir.number(each) for place, each in around.items()} == {1: 2, 2: 5}
    assert shamir.combine(around, 2) == element(P - 1)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, P - 1), st.integers(1, 12), st.data())
def test_any_threshold_of_shares_opens_and_fewer_do_not(secret, places, data):
    threshold = data.draw(st.integers(1, places))
    random = data.draw(st.randoms(use_true_random=False)).randbytes
    shares = shamir.split(element(secret), threshold, range(1, places + 1), random)
    some = data.draw(st.permutations(sorted(shares)))[: data.draw(st.integers(threshold, places))]
    assert shamir.combine({place: shares[place] for place in some}, threshold) == element(secret)
    with pytest.raises(DecodeError, match="do not open"):
        shamir.combine({place: shares[place] for place in some[: threshold - 1]}, threshold)


def test_fewer_shares_fit_every_secret():
    """With one share less than the threshold, any secret has coefficients that explain it: here for every secret."""
    share = shamir.split(element(7), 2, [1, 2], scripted(5))[1]
    for secret in (0, 7, P - 1):
        other = (shamir.number(share) - secret) % P
        assert shamir.split(element(secret), 2, [1, 2], scripted(other))[1] == share


def test_an_element_is_drawn_again_where_it_is_none():
    assert shamir.element(scripted(P, 2**255 - 1, 2**255 + 5)) == element(5)


def test_what_is_no_share_is_refused():
    for odd in (bytes(31), bytes(33), P.to_bytes(32, "little"), b"\xff" * 32):
        with pytest.raises(DecodeError, match="no secret or share"):
            shamir.number(odd)
    for threshold, places in ((0, [1]), (2, [1]), (1, [0]), (1, [1, 1])):
        with pytest.raises(InvalidInput, match="cannot open a secret"):
            shamir.split(element(1), threshold, places, scripted())
