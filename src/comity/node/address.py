"""Where a hub is, by which way it is reached, and how it is known."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp


@final
@dataclass(frozen=True)
class Address:
    """Where a hub is, by which way it is reached, and how it is known."""

    url: str
    certificate: str = ""
    """SHA-256 of its certificate, hexadecimal; empty when an authority vouches for it."""
    authorities: Path | None = None
    """PEM file of those that are trusted instead of all others: a proxy that inspects TLS shows certificates of its
    own. It can read and delay what passes, as the hub can, and like the hub it can forge nothing."""

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the one certificate that it may show; empty when an authority vouches for it."""
        return b"" if self.authorities is not None else bytes.fromhex(self.certificate)

    @cached_property
    def context(self) -> ssl.SSLContext:
        """What a connection is made by; where there is a fingerprint, whoever makes one has to compare it."""
        made = ssl.create_default_context(cafile=self.authorities)
        if self.fingerprint:
            made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
        return made

    @cached_property
    def tls(self) -> ssl.SSLContext | aiohttp.Fingerprint:
        """The same for aiohttp; one object, since connections are kept for the one they were made with."""
        return aiohttp.Fingerprint(self.fingerprint) if self.fingerprint else self.context

    @cached_property
    def proxy(self) -> str | None:
        """The HTTP proxy that the environment names: HTTPS_PROXY, but for what NO_PROXY names and this machine itself.

        Not left to aiohttp's `trust_env`, which also takes users and passwords for the hub from ~/.netrc.
        """
        host = urlsplit(self.url).hostname or ""
        named = getproxies().get("https", "")
        if not named or host == "localhost" or host.startswith("127.") or proxy_bypass(host):
            return None
        proxy = named if "://" in named else f"http://{named}"
        return proxy if urlsplit(proxy).scheme == "http" else None
