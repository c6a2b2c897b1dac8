"""Vonage as it looks from outside: the bodies of its answers, and the reports that it signs and sends.

The bodies follow Vonage's pages on the Messages, SMS and Voice APIs. The tokens are made here with the standard library
alone, and the SMS API's signature from Vonage's description, so that the tests don't check a library against itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from channels.contract import Callback
from tests.vendors.server import Received, Reply, json_reply

KEY, SECRET = "12ab34cd", "the-api-secret-of-the-tests"
APPLICATION = "78d335fa-323d-4f01-9c77-82e1bb1c8f00"
SIGNATURE_SECRET = "the-signature-secret-of-the-tests"
MESSAGE = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
OLDER_MESSAGE = "0C000000217B7F02"
CALL = "63f61863-4a51-4f6b-86e1-46edebcf9356"


@cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def private_pem() -> str:
    return private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem() -> str:
    return private_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def accept(received: Received) -> Reply:
    """What Vonage answers to what it takes on: 202 for a message, 201 for a call, 200 from the SMS API."""
    if received.path == "/v1/messages":
        return json_reply(202, {"message_uuid": MESSAGE})
    if received.path == "/v1/calls":
        conversation = "CON-f972836a-550f-45fa-956c-12a2ab5b7d22"
        return json_reply(
            201, {"uuid": CALL, "status": "started", "direction": "outbound", "conversation_uuid": conversation}
        )
    return parts("0")


def parts(*statuses: str, price: str = "0.03330000") -> Reply:
    """The SMS API's answer, which is 200 whatever it says; it repeats the number."""
    good = {
        "to": "14155550123",
        "message-id": OLDER_MESSAGE,
        "remaining-balance": "3.14159265",
        "message-price": price,
        "network": "310260",
        "client-ref": "ver_1.1",
    }
    messages = [
        {"status": "0", **good}
        if status == "0"
        else {"to": "14155550123", "status": status, "error-text": "Refused for 14155550123"}
        for status in statuses
    ]
    return json_reply(200, {"message-count": str(len(messages)), "messages": messages})


def problem(status: int, code: str, **headers: str) -> Reply:
    """An error of the Messages API: its `type` ends in the code, and its `detail` may quote the number."""
    base = "https://developer.vonage.com/api-errors"
    kind = f"{base}/messages#{code}" if code.isdigit() else f"{base}#{code}"
    detail = "The number 14155550123 was refused"
    return json_reply(status, {"type": kind, "title": "Refused", "detail": detail, "instance": "bf0ca0bf"}, headers)


def message_status(status: str, code: str = "", channel: str = "sms", price: str = "") -> dict[str, Any]:
    content: dict[str, Any] = {
        "message_uuid": MESSAGE,
        "to": "14155550123",
        "from": "14155550100",
        "timestamp": "2026-01-05T10:00:09.000Z",
        "status": status,
        "client_ref": "ver_1.1",
        "channel": channel,
    }
    if code:
        kind = f"https://developer.vonage.com/api-errors/messages#{code}"
        content["error"] = {"type": kind, "title": code, "detail": "about 14155550123", "instance": "bf0ca0bf"}
    return {**content, "usage": {"currency": "EUR", "price": price}} if price else content


def call_event(status: str, **more: str) -> dict[str, Any]:
    named = "call_uuid" if status in ("human", "machine") else "uuid"
    return {
        "from": "14155550101",
        "to": "14155550123",
        named: CALL,
        "conversation_uuid": "CON-f972836a-550f-45fa-956c-12a2ab5b7d22",
        "status": status,
        "direction": "outbound",
        "timestamp": "2026-01-05T10:00:09.000Z",
        **more,
    }


def receipt(status: str, code: str = "0") -> dict[str, str]:
    """The fields of a delivery receipt of the SMS API."""
    return {
        "msisdn": "14155550123",
        "to": "ACME",
        "network-code": "310260",
        "messageId": OLDER_MESSAGE,
        "price": "0.03330000",
        "status": status,
        "scts": "2601051000",
        "err-code": code,
        "api-key": KEY,
        "client-ref": "ver_1.1",
        "message-timestamp": "2026-01-05 10:00:09",
    }


def signed_receipt(fields: Mapping[str, str], secret: str = SIGNATURE_SECRET, age: int = 0) -> dict[str, str]:
    """A receipt of an account whose receipts are signed with SHA-256 HMAC."""
    stamped = {**fields, "timestamp": str(int(time.time()) - age), "nonce": "8d1b2e"}
    return {**stamped, "sig": older_signature(stamped, secret)}


def older_signature(fields: Mapping[str, str], secret: str = SIGNATURE_SECRET) -> str:
    """The `sig` of the SMS API with SHA-256 HMAC, as Vonage describes it (Signing messages)."""
    text = "".join(f"&{name}={fields[name].replace('&', '_').replace('=', '_')}" for name in sorted(fields))
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def token(body: bytes, secret: str = SIGNATURE_SECRET, header: Mapping[str, str] | None = None, **claims: Any) -> str:
    """The token that a report carries. A claim that is None is left out."""
    full = {
        "iat": int(time.time()),
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": KEY,
        "application_id": APPLICATION,
        **claims,
    }
    given = {name: value for name, value in full.items() if value is not None}
    signed = f"{_part(header or {'typ': 'JWT', 'alg': 'HS256'})}.{_part(given)}"
    return f"{signed}.{_b64(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


def callback(url: str, content: Any, *, secret: str = SIGNATURE_SECRET, **claims: Any) -> Callback:
    """A signed report as the gateway hands it to a provider."""
    body = json.dumps(content, separators=(",", ":")).encode()
    return Callback("POST", url, {"authorization": f"Bearer {token(body, secret, **claims)}"}, body)


def form_callback(url: str, fields: Mapping[str, str]) -> Callback:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return Callback("POST", url, headers, urlencode(fields).encode())


def _part(content: Mapping[str, Any]) -> str:
    return _b64(json.dumps(content).encode())


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def look(received: Received, **changes: Any) -> Reply:
    """What Vonage says of a good account, by the last part of the path; `changes` replace some of it."""
    answers = {
        "get-balance": {"value": 10.28, "autoReload": False},
        "numbers": {"count": 1, "numbers": [{"country": "US", "msisdn": "14155550100", "features": ["VOICE", "SMS"]}]},
        APPLICATION: {
            "id": APPLICATION,
            "keys": {"public_key": public_pem()},
            "capabilities": {"voice": {}, "messages": {}},
        },
        "calls": {"count": 0, "_embedded": {"calls": []}},
        **changes,
    }
    if received.method != "GET":
        raise AssertionError("it was to look only")
    answer = answers[received.path.partition("?")[0].rpartition("/")[2]]
    return answer if isinstance(answer, Reply) else json_reply(200, answer)
