"""Messages that an SNS topic posts to the gateway: which are genuine, and the subscription that they begin with.

Every field is checked before any is believed: the topic is the configured one, the signature is Amazon's, the message
is fresh. The certificate comes over TLS from the one host that serves the topic's region, and the address that a
message names for a confirmation is not visited: it is built anew from the topic. So a made-up message makes the gateway
ask nobody but Amazon. (SNS Developer Guide, "Verifying the signatures of Amazon SNS messages".)
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import Certificate, load_pem_x509_certificate

from channels.contract import Forged, SendError, Unread
from channels.providers._aws import REGION, Clock, domain
from channels.providers._reading import json_object
from channels.transport import Reply

TOPIC = rf"arn:aws[a-z-]*:sns:({REGION}):[0-9]{{12}}:[A-Za-z0-9_-]{{1,256}}"

FRESH = timedelta(minutes=5)
"""How far a message's signed Timestamp may be from now. SNS repeats a refused message for one minute unless the topic's
delivery policy says otherwise."""

CERTIFICATES = 4
"""Certificates that are kept. SNS has one for a region and changes it about once a year."""

FETCHES = 10
"""Certificates that are asked for in a minute, at the most: whoever knows the topic's name can name certificates."""

NOTIFICATION = "Notification"
CONFIRMATION = "SubscriptionConfirmation"

_CONFIRMATIONS = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED: Mapping[str, tuple[str, ...]] = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: _CONFIRMATIONS,
    "UnsubscribeConfirmation": _CONFIRMATIONS,
}
_OPTIONAL = "Subject"
_HASHES = {"1": SHA1(), "2": SHA256()}  # noqa: S303 - version 1 is what SNS signs with until a topic is told otherwise
_PEM = r"SimpleNotificationService-[A-Za-z0-9]{1,64}\.pem"

Envelope = Mapping[str, str]
Fetch = Callable[[str], Awaitable[Reply]]
"""Gets an https address. Raises SendError when no answer came."""


class Topic:
    """One SNS topic, by its ARN."""

    def __init__(self, arn: str, fetch: Fetch, clock: Clock) -> None:
        found = re.fullmatch(TOPIC, arn)
        if found is None:
            raise ValueError("not the ARN of an SNS topic")
        self._arn = arn
        self._host = f"https://sns.{found[1]}.{domain(found[1])}/"
        self._fetch = fetch
        self._clock = clock
        self._certificates: OrderedDict[str, Certificate] = OrderedDict()
        self._fetched: deque[datetime] = deque(maxlen=FETCHES)
        self._one_at_a_time = asyncio.Lock()

    def open(self, body: bytes) -> Envelope:
        """The fields of a message that is meant for this topic. Nothing is proven yet: see `check`. Raises Forged."""
        content = {name: value for name, value in json_object(body).items() if isinstance(value, str)}
        needed = {*_SIGNED.get(content.get("Type", ""), ()), "Signature"} - {_OPTIONAL}
        whole = len(needed) > 1 and needed <= content.keys()
        if not whole or content["TopicArn"] != self._arn or not self._fresh(content["Timestamp"]):
            raise Forged
        return content

    async def learn(self, envelope: Envelope) -> None:
        """Get the certificate that a message names, unless it is known. Raises Forged and Unread."""
        url = self._certificate_url(envelope)
        async with self._one_at_a_time:
            if url in self._certificates:
                return
            now = self._clock()
            if len(self._fetched) == FETCHES and now - self._fetched[0] < timedelta(minutes=1):
                raise Unread
            self._fetched.append(now)
            self.trust(url, await self._download(url))

    def trust(self, url: str, pem: bytes) -> None:
        """Keep a certificate that came from that address. Raises Unread for what is none."""
        try:
            self._certificates[url] = load_pem_x509_certificate(pem)
        except ValueError:
            raise Unread from None
        while len(self._certificates) > CERTIFICATES:
            self._certificates.popitem(last=False)

    def check(self, envelope: Envelope) -> None:
        """Raises Forged unless Amazon signed the message, and Unread when its certificate is not known: see `learn`."""
        certificate = self._certificates.get(self._certificate_url(envelope))
        if certificate is None:
            raise Unread
        algorithm, key = _HASHES.get(envelope.get("SignatureVersion", "")), _key(certificate)
        valid = certificate.not_valid_before_utc <= self._clock() <= certificate.not_valid_after_utc
        if algorithm is None or key is None or not valid:
            raise Forged
        try:
            signature = base64.b64decode(envelope["Signature"], validate=True)
            key.verify(signature, signed_text(envelope).encode(), PKCS1v15(), algorithm)
        except (ValueError, InvalidSignature):
            raise Forged from None

    async def confirm(self, envelope: Envelope) -> None:
        """Tell SNS that the subscription is wanted. Only for a message that was checked. Raises Unread."""
        query = {"Action": "ConfirmSubscription", "TopicArn": self._arn, "Token": envelope["Token"]}
        try:
            reply = await self._fetch(f"{self._host}?{urlencode(query)}")
        except SendError:
            raise Unread from None
        if not reply.ok:
            raise Unread

    async def _download(self, url: str) -> bytes:
        try:
            reply = await self._fetch(url)
        except SendError:
            raise Unread from None
        if 400 <= reply.status < 500:
            raise Forged  # Amazon has no such certificate
        if not reply.ok:
            raise Unread
        return reply.body

    def _certificate_url(self, envelope: Envelope) -> str:
        """Its chain of trust is the TLS connection to Amazon's host: no other host can be named. Raises Forged."""
        url = envelope.get("SigningCertURL", "")
        if not re.fullmatch(re.escape(self._host) + _PEM, url):
            raise Forged
        return url

    def _fresh(self, stamp: str) -> bool:
        try:
            sent = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f%z")
        except ValueError:
            return False
        return abs(self._clock() - sent) <= FRESH


def signed_text(envelope: Envelope) -> str:
    """What SNS signs: each name and its value on lines of their own. The subject only where there is one."""
    names = (name for name in _SIGNED[envelope["Type"]] if name in envelope)
    return "".join(f"{name}\n{envelope[name]}\n" for name in names)


def _key(certificate: Certificate) -> RSAPublicKey | None:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPublicKey) else None
