"""Checkpoints: those of a public log open, and a checkpoint has one spelling."""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from comity.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from comity.ledger.note import sign_note
from comity.values.errors import DecodeError, InvalidInput

# Signed by the Go checksum database, whose key is in every Go toolchain:
# sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8
GO_KEY = Ed25519PublicKey.from_public_bytes(b64decode("Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")[1:])
GO_CHECKPOINT = """go.sum database tree
63096908
8lHrQPRYe4KT4WQ9/Qk8/taKnD6IRHbFgfN7vQE2Y54=

— sum.golang.org Az3gri/oVBN1jAhNZ/iS+W31psFAWRT20/GyrhpU6taFwulQGetBkH5S7wpGXdS935jiIGiUUAXBVHzT/P6fYhqAmAk=
"""

NAME = "example.org/log"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key()
ROOT = bytes(range(32))
SPELT = b64encode(ROOT).decode()

origins = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
checkpoints = st.builds(Checkpoint, origins, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))


def test_a_checkpoint_of_a_public_log_opens() -> None:
    root = b64decode("8lHrQPRYe4KT4WQ9/Qk8/taKnD6IRHbFgfN7vQE2Y54=")
    opened = open_checkpoint(GO_CHECKPOINT, "sum.golang.org", GO_KEY)
    assert opened == Checkpoint("go.sum database tree", 63096908, root)


def test_a_checkpoint_is_the_note_that_the_specification_shows() -> None:
    # Put together by hand from C2SP tlog-checkpoint (text) and signed-note (key id, signature line).
    text = f"{NAME}\n20852163\n{SPELT}\n"
    key_id = sha256(NAME.encode() + b"\x0a\x01" + PUBLIC.public_bytes_raw()).digest()[:4]
    line = b64encode(key_id + PRIVATE.sign(text.encode())).decode()
    note = sign_checkpoint(Checkpoint(NAME, 20852163, ROOT), NAME, PRIVATE)
    assert note == f"{text}\n— {NAME} {line}\n"


@given(checkpoints)
def test_what_is_signed_opens(checkpoint: Checkpoint) -> None:
    assert open_checkpoint(sign_checkpoint(checkpoint, NAME, PRIVATE), NAME, PUBLIC) == checkpoint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "3 lines"),
        (f"{NAME}\n1\n", "3 lines"),
        (f"{NAME}\n1\n{SPELT}\nextension\n", "3 lines"),
        (f"{NAME}\n1\n{SPELT}\n\n", "3 lines"),
        (f"\n1\n{SPELT}\n", "origin"),
        *(
            (f"{NAME}\n{size}\n{SPELT}\n", "size is|invalid literal|no checkpoint")
            for size in ("", "01", "+1", "-1", "1.0", "1_0", " 1", "1 ", "0x1", "one", "\u0661", "1" * 5000, 2**63)
        ),
        *(
            (f"{NAME}\n1\n{root}\n", "base64|32 bytes")
            for root in ("", "AAAA", SPELT[:-1], SPELT + "=", SPELT[:-2] + "9=", SPELT.replace("8", "-"), f" {SPELT}")
        ),
        (f"{NAME}\n1\n{b64encode(bytes(33)).decode()}\n", "32 bytes"),
    ],
)
def test_a_signed_text_that_is_no_checkpoint_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        open_checkpoint(sign_note(text or "\n", NAME, PRIVATE), NAME, PUBLIC)


@given(
    st.lists(
        origins | st.integers().map(str) | st.binary(max_size=40).map(lambda data: b64encode(data).decode()), max_size=5
    )
)
def test_a_signed_text_is_refused_or_is_the_only_spelling(lines: list[str]) -> None:
    note = sign_note("\n".join([*lines, ""]) or "\n", NAME, PRIVATE)
    try:
        checkpoint = open_checkpoint(note, NAME, PUBLIC)
    except DecodeError:
        return
    assert sign_checkpoint(checkpoint, NAME, PRIVATE) == note


def test_every_turned_bit_is_refused() -> None:
    data = GO_CHECKPOINT.encode()
    for bit in range(8 * len(data)):
        turned = (int.from_bytes(data) ^ 1 << bit).to_bytes(len(data)).decode(errors="surrogateescape")
        with pytest.raises(DecodeError):
            open_checkpoint(turned, "sum.golang.org", GO_KEY)


@given(st.text(st.characters(exclude_categories=[])))
def test_foreign_text_raises_nothing_but_decode_error(text: str) -> None:
    with pytest.raises(DecodeError):
        open_checkpoint(text, NAME, PUBLIC)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [("", 1, ROOT), ("two\nlines", 1, ROOT), (NAME, -1, ROOT), (NAME, 2**63, ROOT), (NAME, 1, ROOT[:-1])],
)
def test_what_no_log_is(origin: str, size: int, root: bytes) -> None:
    with pytest.raises(InvalidInput):
        Checkpoint(origin, size, root)


def test_an_origin_that_no_note_can_hold_is_not_signed() -> None:
    for origin in ("a tab\t", "\ud800"):
        with pytest.raises(InvalidInput):
            sign_checkpoint(Checkpoint(origin, 1, ROOT), NAME, PRIVATE)
