"""A TLS certificate of one's own, known to others by its fingerprint."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

YEARS = 10
"""It is trusted by its fingerprint, so that its end matters only to those who check it otherwise."""


def self_signed(names: Sequence[str], now: datetime) -> tuple[bytes, bytes]:
    """(certificate, private key) as PEM, for these host names and addresses."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "comity hub")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), secret


def pin(pem: bytes) -> str:
    """By what clients know a certificate that nobody else vouches for: its SHA-256, hexadecimal.

    Empty for one that an authority has issued: clients trust that, also when it issues the next.
    """
    certificate = x509.load_pem_x509_certificate(pem)
    if certificate.issuer != certificate.subject:
        return ""
    return sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
