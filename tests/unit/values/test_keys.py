"""Keys: whose word it is and for what, and nothing accepted that protects nothing."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.values.errors import DecodeError
from comity.values.keys import SIZE, Identity, PublicKeys, from_base64, to_base64

ME, OTHER = (Identity.from_bytes(bytes([n]) * 64) for n in (1, 2))

# Secret and public key: RFC 8032, section 7.1, test 2; RFC 7748, section 6.1, Alice.
RFC_8032 = (
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
)
RFC_7748 = (
    "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
)


def test_public_keys_are_those_of_the_rfcs():
    identity = Identity.from_bytes(bytes.fromhex(RFC_8032[0] + RFC_7748[0]))
    assert from_base64(identity.public.signing).hex() == RFC_8032[1]
    assert from_base64(identity.public.sealing).hex() == RFC_7748[1]


def test_keys_come_back_from_their_bytes():
    made = Identity.generate()
    assert Identity.from_bytes(made.to_bytes()).public == made.public
    for length in (0, 63, 65):
        with pytest.raises(DecodeError, match=f"64 bytes, not {length}"):
            Identity.from_bytes(bytes(length))


def test_a_signature_is_for_one_message_purpose_and_key():
    signature = ME.sign("entry", b"message")
    ME.public.verify("entry", b"message", signature)
    for keys, purpose, message, given_ in (
        (OTHER.public, "entry", b"message", signature),
        (ME.public, "request", b"message", signature),
        (ME.public, "entry", b"messagf", signature),
        (ME.public, "entry", b"message", signature[:-1]),
        (ME.public, "entry", b"message", b""),
    ):
        with pytest.raises(DecodeError, match=f"the signature of this {purpose} is not that of the key"):
            keys.verify(purpose, message, given_)


def test_what_is_sealed_is_opened_by_its_keys_in_its_context():
    sealed = ME.public.seal(b"message", b"context")
    assert ME.open(sealed, b"context") == b"message"
    assert ME.public.seal(b"message", b"context") != sealed
    for keys, data, context in (
        (OTHER, sealed, b"context"),
        (ME, sealed, b"another"),
        (ME, sealed[:-1], b"context"),
        (ME, sealed[:-1] + bytes([sealed[-1] ^ 1]), b"context"),
        (ME, b"", b"context"),
    ):
        with pytest.raises(DecodeError, match="not sealed to these keys, or not for this context"):
            keys.open(data, context)


# The encodings of points of small order, as libsodium refuses them (ed25519_ref10.c, x25519_ref10.c), and those of the
# same points that are not reduced or carry the other sign.
P = 2**255 - 19
ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SIGNING = [0, 1, P - 1, P, P + 1, ORDER_8, P - ORDER_8]
SEALING = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    P - 1,
    P,
    P + 1,
]


@pytest.mark.parametrize("sign", [0, 1 << 255])
@pytest.mark.parametrize("y", SIGNING)
def test_a_signing_key_of_small_order_is_refused(y, sign):
    with pytest.raises(DecodeError, match="small order"):
        PublicKeys(signing=to_base64((y | sign).to_bytes(SIZE, "little")), sealing=ME.public.sealing)


@pytest.mark.parametrize("u", SEALING)
def test_a_sealing_key_of_small_order_is_refused(u):
    encoded = u.to_bytes(SIZE, "little")
    with pytest.raises(ValueError, match="shared key"):
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(encoded))
    with pytest.raises(DecodeError, match="small order"):
        PublicKeys(signing=ME.public.signing, sealing=to_base64(encoded))


def test_why_small_orders_are_refused():
    """Under the neutral element one signature fits every message."""
    neutral = (1).to_bytes(SIZE, "little")
    for message in (b"one", b"another"):
        Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(SIZE), message)


@pytest.mark.parametrize("text", ["", "AAAA", "A" * 43, "A" * 44, "A" * 42 + "B=", "-" * 43 + "=", "é", " " + "A" * 43])
def test_keys_are_canonical_base64_of_their_size(text):
    with pytest.raises(DecodeError):
        PublicKeys(signing=text, sealing=ME.public.sealing)


@given(st.text(max_size=60) | st.binary(max_size=40).map(to_base64), st.none() | st.just(SIZE))
@settings(deadline=None, derandomize=True)
def test_base64_has_one_form(text, size):
    try:
        data = from_base64(text, size)
    except DecodeError:
        return
    assert to_base64(data) == text
    assert size is None or len(data) == size
