"""Meta's WhatsApp Cloud API as it looks from outside: the bodies of its answers, and the reports that it signs.

The shapes follow Meta's pages on sending messages, on error codes and on the status webhook. The ids are made as Meta
makes them: base64, with the recipient's number in it.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

from channels.contract import Callback
from tests.vendors.server import Received, Reply, json_reply

PHONE_ID = "106540352242922"
ACCESS_TOKEN = "EAAJ-the-access-token-of-the-tests"
APP_SECRET = "the-app-secret-of-the-tests"
VERIFY_TOKEN = "the-verify-token-of-the-tests"
NUMBER = "14155550123"


def wamid(number: str = NUMBER) -> str:
    raw = bytes([0x1C, 0x18, len(number)]) + number.encode() + b"\x15\x02\x00\x11\x18\x1281BEED5AA5C81C9871\x00"
    return f"wamid.{base64.b64encode(raw).decode()}"


def accept(received: Received) -> Reply:
    """200, which says that the message was taken on, and no more."""
    to = received.json["to"]
    return json_reply(
        200,
        {
            "messaging_product": "whatsapp",
            "contacts": [{"input": to, "wa_id": to.lstrip("+")}],
            "messages": [{"id": wamid(to.lstrip("+")), "message_status": "accepted"}],
        },
    )


def refuse(status: int, code: object, message: str = "Rate limit hit", **more: Any) -> Reply:
    error = {
        "message": f"(#{code}) {message}",
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": message},
        "fbtrace_id": "Az8or2yhqkZfEZ-_4Qn_Bam",
        **more,
    }
    return json_reply(status, {"error": error})


def status(word: str, token: str | None = "tok3n", code: int | None = None) -> dict[str, Any]:
    """One entry of a report's `statuses`."""
    content: dict[str, Any] = {
        "id": wamid(),
        "status": word,
        "timestamp": "1767607200",
        "recipient_id": NUMBER,
        "pricing": {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "authentication"},
    }
    if token is not None:
        content["biz_opaque_callback_data"] = token
    if code is not None:
        details = f"Message undeliverable to {NUMBER}"
        content["errors"] = [{"code": code, "title": "Failed", "message": "Failed", "error_data": {"details": details}}]
    return content


def written(text: str, *, sender: str = NUMBER, **changes: Any) -> dict[str, Any]:
    """One entry of `messages`: what a person wrote to the number."""
    return {
        "from": sender,
        "id": wamid(sender),
        "timestamp": "1767607200",
        "type": "text",
        "text": {"body": text},
        **changes,
    }


def body(*statuses: Mapping[str, Any], messages: Sequence[Mapping[str, Any]] = ()) -> bytes:
    contacts = [{"profile": {"name": "Ana"}, "wa_id": message.get("from")} for message in messages]
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "14155550100", "phone_number_id": PHONE_ID},
        **({"statuses": list(statuses)} if statuses or not messages else {}),
        **({"contacts": contacts, "messages": list(messages)} if messages else {}),
    }
    changes = [{"field": "messages", "value": value}]
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "0", "changes": changes}]}).encode()


def sign(raw: bytes, secret: str = APP_SECRET) -> str:
    """X-Hub-Signature-256 (Graph API, Webhooks, Validating payloads)."""
    return f"sha256={hmac.digest(secret.encode(), raw, 'sha256').hex()}"


def callback(raw: bytes, *, secret: str = APP_SECRET, signature: str | None = None) -> Callback:
    headers = {"x-hub-signature-256": sign(raw, secret) if signature is None else signature}
    return Callback("POST", "https://otp.example/callbacks/wa/shared", headers, raw)


def handshake(**changes: str) -> Callback:
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": VERIFY_TOKEN, **changes}
    return Callback("GET", "https://otp.example/callbacks/wa/shared", {}, b"", tuple(query.items()))


def look(received: Received, **changes: Any) -> Reply:
    """What Meta says of a registered number, by the first field that is asked for; `changes` replace some of it."""
    answers = {
        "platform_type": {"platform_type": "CLOUD_API", "quality_rating": "GREEN", "name_status": "APPROVED"},
        "webhook_configuration": {
            "webhook_configuration": {"application": "https://otp.example/callbacks/main/shared"},
        },
        **changes,
    }
    if received.method != "GET":
        raise AssertionError("it was to look only")
    answer = answers[received.path.partition("fields=")[2].partition(",")[0]]
    return answer if isinstance(answer, Reply) else json_reply(200, {**answer, "id": PHONE_ID})
