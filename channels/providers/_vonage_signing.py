"""Vonage's signatures: the token that our requests carry, the token that its reports carry, and the SMS API's `sig`.

Sources: developer.vonage.com, Getting started: Authentication (JWT), Webhooks (Validating signed webhooks) and Signing
messages; all compared with the official Python SDK, which leaves `payload_hash` unchecked.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from channels.contract import Callback, Forged
from channels.providers._vonage_settings import SignatureMethod

Clock = Callable[[], float]
"""Seconds since 1970."""

TOKEN_LIFE = 15 * 60
"""Seconds that a token of ours is good for: what Vonage's own generators write."""

TOKEN_USE = 10 * 60
"""Seconds that it is used. A signature with RSA costs more than the rest of a request."""

WINDOW = 5 * 60
"""Seconds that a signed report may be old, or ahead of our clock."""

_REMEMBERED = 20_000  # tokens of reports, about 4 MB; older ones are forgotten first
_JTI = 128  # characters; Vonage's are UUIDs
_BLOCK = 32  # bytes

_PERMITTED = ["HS256"]
_CLAIMS: Any = {
    "require": ["iat", "jti", "payload_hash"],
    **dict.fromkeys(("verify_iat", "verify_jti", "verify_aud", "verify_sub"), False),  # the first two are checked here
}


class Bearer:
    """Writes the Authorization header of an application's requests. The key is read once: PEM costs 50 ms a time."""

    def __init__(self, application_id: str, pem: str, clock: Clock) -> None:
        self._application_id = application_id
        self._key = _private_key(pem)
        self._clock = clock
        self._header, self._renewal = "", 0.0

    @property
    def public_key(self) -> RSAPublicKey:
        return self._key.public_key()

    def header(self) -> str:
        now = self._clock()
        if now >= self._renewal:
            claims = {
                "application_id": self._application_id,
                "iat": int(now),
                "exp": int(now) + TOKEN_LIFE,
                "jti": str(uuid4()),
            }
            self._header = f"Bearer {jwt.encode(claims, self._key, 'RS256')}"
            self._renewal = now + TOKEN_USE
        return self._header


def _private_key(pem: str) -> RSAPrivateKey:
    """Raises ValueError with the remedy. An environment variable often holds the line breaks as backslash and n."""
    try:
        key = load_pem_private_key(pem.replace("\\n", "\n").encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError(
            "vonage: private_key is not an RSA private key in PEM without a password: "
            "make a new one on the application's page of the dashboard, and keep the file that it downloads"
        )
    return key


class SignedReports:
    """Checks the token that a report of the Messages API or of the Voice API carries.

    The token holds a hash of the body, but not the address. So each token is remembered with the address that it came
    to: there it may come again, because Vonage repeats a report that was not taken; anywhere else it is a forgery.
    """

    def __init__(self, secrets: Iterable[str], clock: Clock) -> None:
        # Vonage sets no least length. PyJWT warns of short keys at each use; zeros up to the block's size change
        # nothing in an HMAC (RFC 2104, section 2) and spare the log the warning.
        self._keys = [secret.encode().ljust(_BLOCK, b"\0") for secret in secrets]
        self._clock = clock
        self._seen: dict[bytes, tuple[float, bytes]] = {}  # in the order of their coming

    def check(self, callback: Callback) -> None:
        """Raises Forged."""
        claims = self._claims(callback.headers.get("authorization", ""))
        issued, jti, body_hash = claims["iat"], claims["jti"], claims["payload_hash"]
        if isinstance(issued, bool) or not isinstance(issued, int | float) or not isinstance(body_hash, str):
            raise Forged
        now = self._clock()
        if not abs(now - issued) <= WINDOW:  # so written that a NaN is forged too
            raise Forged
        if not hmac.compare_digest(
            body_hash.encode(errors="replace"), hashlib.sha256(callback.body).hexdigest().encode()
        ):
            raise Forged
        self._once(jti, callback.url, now)

    def _claims(self, authorization: str) -> Mapping[str, Any]:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Forged
        for key in self._keys:
            try:
                claims: Mapping[str, Any] = jwt.decode(token.strip(), key, _PERMITTED, _CLAIMS)
            except (jwt.InvalidTokenError, ValueError):
                continue
            return claims
        raise Forged

    def _once(self, jti: object, url: str, now: float) -> None:
        if not isinstance(jti, str) or not 0 < len(jti) <= _JTI:
            raise Forged
        self._forget(now)
        name, place = _digest(jti), _digest(url)
        if self._seen.setdefault(name, (now, place))[1] != place:
            raise Forged

    def _forget(self, now: float) -> None:
        """A token older than twice the window can't pass any more."""
        for name, (since, _) in list(islice(self._seen.items(), 100)):
            if now - since <= 2 * WINDOW and len(self._seen) < _REMEMBERED:
                break
            del self._seen[name]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


def sms_signature(fields: Mapping[str, str], secret: str, method: SignatureMethod) -> str:
    """The `sig` of the SMS API, in hex: over the other fields by name, with & and = within them as underscores."""
    text = "".join(f"&{name}={_plain(value)}" for name, value in sorted(fields.items()) if name != "sig")
    if method == "md5hash":  # what Vonage documents; the account's owner chooses a better one in the dashboard
        return hashlib.md5((text + secret).encode(), usedforsecurity=False).hexdigest()
    return hmac.new(secret.encode(), text.encode(), method).hexdigest()


def _plain(value: str) -> str:
    return value.replace("&", "_").replace("=", "_")


def check_receipt(fields: Mapping[str, str], secrets: Sequence[str], method: SignatureMethod, now: float) -> None:
    """Raises Forged for a delivery receipt of the SMS API whose `sig` is missing, wrong or old."""
    try:
        given = fields.get("sig", "").lower().encode()
        good = [hmac.compare_digest(given, sms_signature(fields, secret, method).encode()) for secret in secrets]
    except ValueError:  # half a surrogate pair, which JSON can spell
        raise Forged from None
    stamp = fields.get("timestamp", "")
    if not any(good) or not (stamp.isascii() and stamp.isdigit() and abs(now - int(stamp[:12])) <= WINDOW):
        raise Forged
