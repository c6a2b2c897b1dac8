"""Telegram Gateway as it looks from outside: its answers, and the delivery reports that it signs.

The shapes and the signature follow core.telegram.org/gateway/api ("RequestStatus", "Checking report integrity").
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from channels.contract import Callback
from tests.vendors.server import Received, Reply, json_reply

TOKEN = "AAF-the-access-token-of-the-tests"
REQUEST = "189164351897364"
NUMBER = "+14155550123"
NOW = 1_767_607_200


def accept(received: Received) -> Reply:
    """200 and ok: the message was sent, and charged."""
    result = {
        "request_id": REQUEST,
        "phone_number": received.json["phone_number"],
        "request_cost": 0.01,
        "remaining_balance": 99.87,
        "delivery_status": {"status": "sent", "updated_at": NOW},
    }
    return json_reply(200, {"ok": True, "result": result})


def refuse(error: object, status: int = 200) -> Reply:
    return json_reply(status, {"ok": False, "error": error})


def report(word: str, **more: Any) -> bytes:
    content = {
        "request_id": REQUEST,
        "phone_number": NUMBER,
        "request_cost": 0.01,
        "delivery_status": {"status": word, "updated_at": NOW},
        "payload": "tok3n",
        **more,
    }
    return json.dumps(content).encode()


def sign(raw: bytes, at: str, token: str = TOKEN) -> str:
    """X-Request-Signature: the key is the SHA-256 of the token, the text the time, a line feed and the raw body."""
    key = hashlib.sha256(token.encode()).digest()
    return hmac.new(key, at.encode() + b"\n" + raw, hashlib.sha256).hexdigest()


def callback(raw: bytes, *, at: str = str(NOW), token: str = TOKEN, signature: str | None = None) -> Callback:
    headers = {
        "x-request-timestamp": at,
        "x-request-signature": sign(raw, at, token) if signature is None else signature,
    }
    return Callback("POST", "https://otp.example/callbacks/tg/tok3n", headers, raw)
