"""DKIM (RFC 6376): an email that its domain vouches for, signed with dkimpy, and the record that has to be published.

Every header that matters is signed once more than it occurs (section 5.4.2), so that no second From, Subject or To can
be put beside the signed ones. A key is RSA or Ed25519 (RFC 8463). dkimpy reckons RSA in Python: 16 ms of a processor
for 2,048 bits, in a thread; Ed25519 takes a tenth of one, and not every receiver knows it yet.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from pydantic import BaseModel, ConfigDict, Field, model_validator

from channels.contract import SecretRef
from channels.examination import Finding, fault, ok, unknown
from channels.providers._senders import form

SIGNED = (
    *("From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
    *("MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Language"),
)
"""The headers of section 5.4.1 that our emails have."""

LEAST = 1024
"""Bits of an RSA key, at the least (RFC 8301, section 3.2, which advises 2,048)."""

_NAME = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_MISSING = "the extra dkim is not installed: install dkimpy[ed25519], or the gateway with its extra, as in '.[dkim]'"

LookUp = Callable[[str], Awaitable[str | None]]
"""The text of a TXT record; None where there is none. Raises OSError when nobody can tell."""


class DkimSettings(BaseModel):
    """The signature of the sender's domain."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    domain: Annotated[str, form(_NAME, "write a domain name, such as shop.example")] = Field(
        description="The domain that signs: that of from_address, or a parent of it, else DMARC does not count it."
    )
    selector: Annotated[str, form(_NAME, "write a selector, such as otp1")] = Field(
        description="The name of the key: its record is at <selector>._domainkey.<domain>."
    )
    key: SecretRef = Field(description="The private key in PEM: RSA of 1,024 bits or more, or Ed25519.")

    @model_validator(mode="after")
    def _installed(self) -> Self:
        if find_spec("dkim") is None or find_spec("nacl") is None:
            raise ValueError(_MISSING)
        return self


class Signer:
    """Signs emails with one key. Raises ValueError for a key that can't sign."""

    def __init__(self, settings: DkimSettings, pem: str) -> None:
        self._library: Any = import_module("dkim")
        self._domain, self._selector = settings.domain, settings.selector
        private = _private(pem)
        self._rsa = isinstance(private, RSAPrivateKey)
        self._key = _as_dkimpy_reads_it(private)
        self._public = _published(private)

    def __repr__(self) -> str:
        return f"Signer({self.name})"

    @property
    def name(self) -> str:
        """Where the record is."""
        return f"{self._selector}._domainkey.{self._domain}"

    @property
    def record(self) -> str:
        """What the record says."""
        return f"v=DKIM1; k={'rsa' if self._rsa else 'ed25519'}; p={self._public}"

    async def signed(self, content: bytes) -> bytes:
        """The email with its signature before it."""
        return await asyncio.to_thread(self._sign, content)

    def _sign(self, content: bytes) -> bytes:
        signer = self._library.DKIM(
            content, signature_algorithm=b"rsa-sha256" if self._rsa else b"ed25519-sha256", linesep=b"\r\n"
        )
        present = [name.lower() for name, _ in signer.headers]
        names = [name.lower().encode() for name in SIGNED]
        signature: bytes = signer.sign(
            self._selector.encode(),
            self._domain.encode(),
            self._key,
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=[name for each in names for name in [each] * (present.count(each) + 1)],
        )
        return signature + content

    async def examine(self, look_up: LookUp) -> Finding:
        """Whether receivers find the key that signs."""
        publish = f"Publish a TXT record at {self.name}: {self.record}"
        try:
            text = await look_up(self.name)
        except OSError:
            return unknown("DKIM record", "the name servers do not answer", publish)
        if text is None:
            return fault("DKIM record", f"there is none at {self.name}", publish)
        found = re.search(r"(?:^|;)\s*p\s*=([^;]*)", text)
        if found is None or re.sub(r"\s", "", found[1]) != self._public:
            return fault("DKIM record", f"another key is published at {self.name}", publish)
        return ok("DKIM record", f"the key that signs is published at {self.name}")


async def look_up(name: str) -> str | None:
    """Ask the machine's name servers, with the library that comes with dkimpy."""
    resolver: Any = import_module("dns.asyncresolver")
    errors: Any = import_module("dns.exception")
    absent: Any = import_module("dns.resolver")
    try:
        answer = await resolver.resolve(name, "TXT", lifetime=5)
    except (absent.NXDOMAIN, absent.NoAnswer):
        return None
    except (errors.DNSException, OSError) as error:
        raise OSError(type(error).__name__) from None
    return b"".join(next(iter(answer)).strings).decode("utf-8", "replace")


def _private(pem: str) -> RSAPrivateKey | Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):  # not PEM, or under a passphrase
        raise ValueError("dkim.key is no private key in PEM without a passphrase") from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("dkim.key is of another kind: make an RSA or an Ed25519 key")
    if key.key_size < LEAST:
        raise ValueError(f"dkim.key has {key.key_size} bits, which receivers refuse: make one of 2048")
    return key


def _as_dkimpy_reads_it(key: RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return base64.b64encode(key.private_bytes_raw())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _published(key: RSAPrivateKey | Ed25519PrivateKey) -> str:
    """SubjectPublicKeyInfo for RSA (RFC 6376, section 3.6.1), the bare 32 bytes for Ed25519 (RFC 8463, section 4.2)."""
    if isinstance(key, Ed25519PrivateKey):
        return base64.b64encode(key.public_key().public_bytes_raw()).decode()
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()
