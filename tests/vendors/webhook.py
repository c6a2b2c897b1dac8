"""A sender of the operator's own: it takes what the webhook provider posts, checks it, and reports back, signed.

The signature is computed here from the text of Standard Webhooks 1.0.0, so that the tests don't check the code against
itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping

from channels.contract import Callback
from tests.vendors.server import Received, Reply, json_reply

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
OTHER_KEY = b"fedcba9876543210fedcba9876543210"
OTHER_SECRET = f"whsec_{base64.b64encode(OTHER_KEY).decode()}"
URL = "https://otp.example/callbacks/own/tok3n"
NOW = 1_767_607_200


def accept(received: Received) -> Reply:
    """202, with all that an answer may say."""
    return json_reply(202, {"message_id": "m-1f0c", "cost": {"amount": "0.0042", "currency": "EUR"}})


def sign(key: bytes, message_id: str, at: str, body: bytes) -> str:
    text = message_id.encode() + b"." + at.encode() + b"." + body
    return f"v1,{base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()}"


def genuine(received: Received, key: bytes = KEY) -> bool:
    """What an operator's sender does first with every message."""
    message_id, at = received.headers["webhook-id"], received.headers["webhook-timestamp"]
    return sign(key, message_id, at, received.body) in received.headers["webhook-signature"].split(" ")


def report(status: object, **data: object) -> bytes:
    about = {"callback_url": URL, "status": status, **data}
    content = {"type": "message.report", "timestamp": "2026-01-05T10:00:00Z", "data": about}
    return json.dumps(content).encode()


def callback(raw: bytes, *, message_id: str = "evt_1", at: str = str(NOW), signature: str | None = None) -> Callback:
    headers: Mapping[str, str] = {
        "webhook-id": message_id,
        "webhook-timestamp": at,
        "webhook-signature": sign(KEY, message_id, at, raw) if signature is None else signature,
    }
    return Callback("POST", URL, headers, raw)
