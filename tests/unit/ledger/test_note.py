"""Signed notes: the notes of others open, and nothing that differs from a note does."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from comity.ledger.note import LONGEST_NOTE, open_note, sign_note
from comity.values.errors import DecodeError, InvalidInput

# C2SP signed-note, the example of a verifier key: example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
SPECIFIED = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""
SPECIFIED_KEY = "AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
# golang.org/x/mod/sumdb/note, the examples of its documentation: a note signed by two keys, and the first one's seed.
GO = """If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=
"""
GO_KEYS = {
    "PeterNeumann": "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    "EnochRoot": "ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop",
}
PETER_PRIVATE = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"

NAME = "example.org/log"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key()
NOTE = sign_note("one line\nand another\n", NAME, PRIVATE)
SIGNATURE = NOTE.splitlines()[-1]


def public(verifier_key: str) -> Ed25519PublicKey:
    kind, *key = b64decode(verifier_key)
    assert kind == 1
    return Ed25519PublicKey.from_public_bytes(bytes(key))


def test_the_specified_note_opens() -> None:
    assert open_note(SPECIFIED, "example.com/foo", public(SPECIFIED_KEY)) == "This is an example message.\n"


@pytest.mark.parametrize("name", GO_KEYS)
def test_a_note_of_two_opens_for_each(name: str) -> None:
    text, _, _ = GO.rpartition("\n— Peter")
    assert open_note(GO, name, public(GO_KEYS[name])) == text


def test_a_note_is_signed_as_go_signs_it() -> None:
    text, _, _ = GO.rpartition("\n— Peter")
    note, _, _ = GO.rpartition("— Enoch")
    private = Ed25519PrivateKey.from_private_bytes(b64decode(PETER_PRIVATE)[1:])
    assert sign_note(text, "PeterNeumann", private) == note


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n")).map(lambda text: text + "\n")


@given(texts)
def test_what_is_signed_opens(text: str) -> None:
    assert open_note(sign_note(text, NAME, PRIVATE), NAME, PUBLIC) == text


def test_every_turned_bit_is_refused() -> None:
    data = NOTE.encode()
    refused = 0
    for bit in range(8 * len(data)):
        turned = (int.from_bytes(data) ^ 1 << bit).to_bytes(len(data))
        try:
            text = turned.decode()
        except UnicodeDecodeError:
            continue
        with pytest.raises(DecodeError):
            open_note(text, NAME, PUBLIC)
        refused += 1
    assert refused > 900


def test_every_cut_is_refused() -> None:
    for length in range(len(NOTE)):
        with pytest.raises(DecodeError):
            open_note(NOTE[:length], NAME, PUBLIC)
        if length:
            with pytest.raises(DecodeError):
                open_note(NOTE[length:], NAME, PUBLIC)


@given(st.text(st.characters(exclude_categories=[])) | st.text("a\n —+=A\x00\ud800"), st.booleans())
def test_foreign_text_raises_nothing_but_decode_error(text: str, sign: bool) -> None:
    with pytest.raises(DecodeError):
        open_note(text + f"\n\n{SIGNATURE}\n" * sign, NAME, PUBLIC)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (SIGNATURE, "2 signatures"),
        ("", "1 is needed|signature line"),
        ("no signature", "signature line"),
        ("- a AAAAAAA=", "signature line"),
        ("—  AAAAAAA=", "signature line"),
        ("— a+b AAAAAAA=", "signature line"),
        ("— a\u00a0b AAAAAAA=", "signature line"),
        ("— a AAAAAAA= ", "signature line"),
        ("— a AAAAAAA", "base64"),
        ("— a AAAAAAB=", "canonical"),
        ("— a AAAA\u00e9AA=", "base64"),
        ("— a AAAAAA==", "got 4 bytes"),
        ("— a\t AAAAAAA=", "control"),
        ("— \ud800 AAAAAAA=", None),
    ],
)
def test_further_lines_are_ignored_if_they_are_signatures(line: str, reason: str | None) -> None:
    if reason is None:
        assert open_note(NOTE + line + "\n", NAME, PUBLIC)
    else:
        with pytest.raises(DecodeError, match=reason):
            open_note(NOTE + line + "\n", NAME, PUBLIC)


def test_sixteen_large_signatures_of_others_are_ignored() -> None:
    others = "".join(f"— witness{number} {b64encode(bytes(5000)).decode()}\n" for number in range(16))
    assert open_note(NOTE + others, NAME, PUBLIC) == "one line\nand another\n"
    with pytest.raises(DecodeError, match="at most"):
        open_note(NOTE + others * 3, NAME, PUBLIC)
    assert len(NOTE + others * 3) > LONGEST_NOTE


def test_the_key_is_the_name_and_the_public_key() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    for name, key in (("example.org/other", PUBLIC), (NAME, other.public_key()), ("", PUBLIC), ("\ud800", PUBLIC)):
        with pytest.raises(DecodeError):
            open_note(NOTE, name, key)
    # A line that claims the name and the key id, but was signed by another key.
    forged = sign_note("one line\n", NAME, other)
    claimed = b64decode(SIGNATURE.split()[-1])[:4] + b64decode(forged.split()[-1])[4:]
    with pytest.raises(DecodeError, match="changed or forged"):
        open_note(f"one line\n\n— {NAME} {b64encode(claimed).decode()}\n", NAME, PUBLIC)


@pytest.mark.parametrize("text", ["", "no newline", "a tab\t\n", "a return\r\n", "\ud800\n"])
def test_what_is_no_text_of_a_note_is_not_signed(text: str) -> None:
    with pytest.raises(InvalidInput):
        sign_note(text, NAME, PRIVATE)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b", "a\x00b", "\ud800"])
def test_what_is_no_key_name_does_not_sign(name: str) -> None:
    with pytest.raises(InvalidInput):
        sign_note("text\n", name, PRIVATE)
