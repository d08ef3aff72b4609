"""Signed notes: a short text and who stands by it, readable by people and by the tools of transparency logs.

C2SP signed-note v1.0.0: the text, an empty line, then lines of `— NAME BASE64`, where the base64 holds a key id of four
bytes and an Ed25519 signature (type 0x01) of the text. Signatures of keys one does not know are ignored, so that keys
can rotate and witnesses can add theirs. Nothing in a note is to be believed, or read, before a signature is verified.
"""

import binascii
from base64 import b64decode, b64encode
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from comity.values.errors import DecodeError, InvalidInput

LONGEST_NOTE = 256 * 1024  # characters; sixteen post-quantum signatures, which a reader must accept, take half of it
KEY_ID_BYTES = 4


def sign_note(text: str, name: str, private_key: Ed25519PrivateKey) -> str:
    """A note of this text with one signature by the key of this name.

    Raises InvalidInput for a text that is no note's (it ends with a newline and has no other control character) and
    for a name that is empty or holds a space or a plus.
    """
    if not text.endswith("\n") or _has_control_characters(text):
        raise InvalidInput(f"a note ends with a newline and has no other control characters, got {text!r}")
    if not _is_key_name(name):
        raise InvalidInput(f"a key's name is not empty and has no space, control character or plus, got {name!r}")
    signature = private_key.sign(_utf8(text))
    return f"{text}\n— {name} {b64encode(_key_id(name, private_key.public_key()) + signature).decode()}\n"


def open_note(note: str, name: str, public_key: Ed25519PublicKey) -> str:
    """The text of a note that the key of this name signed; other keys' signatures are ignored.

    Raises DecodeError if the note is malformed anywhere, is not signed by this key or is signed by it twice, or if the
    signature is wrong.
    """
    if len(note) > LONGEST_NOTE:
        raise DecodeError(f"a note has at most {LONGEST_NOTE} characters, got {len(note)}; it was not read")
    if _has_control_characters(note):
        raise DecodeError("a note has no control characters but newlines; it was changed on its way")
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise DecodeError("a note is a text, an empty line and signature lines; this one is cut or something else")
    text += "\n"
    known = (name, _key_id(name, public_key))
    ours = [signed for *key, signed in map(_signature, signatures[:-1].split("\n")) if tuple(key) == known]
    if len(ours) != 1:
        raise DecodeError(f"the note has {len(ours)} signatures of {name} with this key, 1 is needed; check the key")
    try:
        public_key.verify(ours[0], _utf8(text))
    except InvalidSignature as error:
        raise DecodeError(f"the signature of {name} is wrong; the note was changed or forged") from error
    return text


def _signature(line: str) -> tuple[str, bytes, bytes]:
    """The key's name, the key id and the signature in a line."""
    match line.split(" "):
        case ["—", name, base64] if _is_key_name(name):
            data = decode_base64(base64)
        case _:
            raise DecodeError(f"a signature line is '— NAME BASE64', got {line[:200]!r}")
    if len(data) <= KEY_ID_BYTES:
        raise DecodeError(f"a signature is a key id of 4 bytes and more, got {len(data)} bytes in {line[:200]!r}")
    return name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:]


def decode_base64(text: str) -> bytes:
    """The bytes of RFC 4648 base64 in its one canonical spelling.

    >>> decode_base64("AQI=")
    b'\\x01\\x02'
    """
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DecodeError(f"this is not base64 ({error}): {text[:200]!r}") from error
    if b64encode(data).decode() != text:
        raise DecodeError(f"this is not the canonical base64 of its bytes: {text[:200]!r}")
    return data


def _key_id(name: str, public_key: Ed25519PublicKey) -> bytes:
    return sha256(_utf8(name) + b"\n\x01" + public_key.public_bytes_raw()).digest()[:KEY_ID_BYTES]


def _is_key_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(map(str.isspace, name)) and not _has_control_characters(name)


def _has_control_characters(text: str) -> bool:
    return any(character < " " and character != "\n" for character in text)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise DecodeError(f"this is not valid Unicode ({error}); it was changed on its way") from error
