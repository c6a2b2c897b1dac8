"""Plivo as it looks from outside: the bodies of its answers, and the callbacks that it signs and sends.

The bodies follow Plivo's pages on the Message and Call resources. The signatures are computed here as its pages say,
with the joints of the address and the fields that its SDK has and no page describes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import urlencode

from channels.contract import Callback
from tests.vendors.server import Received, Reply, json_reply

ACCOUNT = "MA" + "0A1B2C3D4E5F6G7H8I"
TOKEN = "the-auth-token-of-the-tests"
MESSAGE = "db3ce55a-7f1d-11e1-8ea7-1231380bc196"
CALL = "9834029e-58b6-11e1-b8b7-a5bd0e4e126f"
NONCE = "05429567804466091622"

Fields = list[tuple[str, str]]


def accept(received: Received) -> Reply:
    """202 for a message, 201 for a call."""
    api = "97ceeb52-58b6-11e1-86da-77300b68f8bb"
    if received.path.endswith("/Call/"):
        return json_reply(201, {"message": "call fired", "request_uuid": CALL, "api_id": api})
    return json_reply(202, {"message": "message(s) queued", "message_uuid": [MESSAGE], "api_id": api})


def refuse(status: int, sentence: str = "14155550123 was refused", **headers: str) -> Reply:
    return json_reply(status, {"api_id": "97ceeb52-58b6-11e1-86da-77300b68f8bb", "error": sentence}, headers)


def message_fields(status: str, error: str = "", amount: str = "0.00650") -> Fields:
    fields = {
        "MessageUUID": MESSAGE,
        "ParentMessageUUID": MESSAGE,
        "To": "14155550123",
        "From": "14155550100",
        "Type": "sms",
        "Status": status,
        "Units": "1",
        "TotalRate": amount,
        "TotalAmount": amount,
        "MCC": "310",
        "MNC": "260",
        "ErrorCode": error,
        "PartInfo": "1 of 1",
        "Sequence": "2",
        "QueuedTime": "2026-01-05 10:00:00.000000",
        "PowerpackUUID": "",
    }
    return list(fields.items())


def call_fields(status: str, event: str = "StartApp", **more: str) -> Fields:
    fields = {
        "ALegRequestUUID": CALL,
        "ALegUUID": CALL,
        "CallStatus": status,
        "CallUUID": CALL,
        "Direction": "outbound",
        "Event": event,
        "From": "14155550101",
        "RequestUUID": CALL,
        "To": "14155550123",
        **more,
    }
    return list(fields.items())


def hangup_fields(code: str, status: str = "completed", source: str = "Callee", cost: str = "0.01000") -> Fields:
    return call_fields(
        status,
        "Hangup",
        HangupCause="NORMAL_CLEARING",
        HangupCauseCode=code,
        HangupCauseName="Normal Hangup",
        HangupSource=source,
        Duration="21",
        BillDuration="60",
        BillRate="0.01",
        TotalCost=cost,
    )


def sign(url: str, fields: Fields, token: str = TOKEN, nonce: str = NONCE) -> str:
    """X-Plivo-Signature-V3 of a POST, whose query, if any, has one field."""
    joint = "" if not fields else "." if "?" in url else "?"
    text = f"{url}{joint}{''.join(name + value for name, value in sorted(fields))}.{nonce}"
    return _hmac(token, text)


def sign_v2(url: str, token: str = TOKEN, nonce: str = NONCE) -> str:
    return _hmac(token, url.partition("?")[0] + nonce)


def callback(
    url: str, fields: Fields, *, token: str = TOKEN, signature: str | None = None, main: bool = False
) -> Callback:
    """A callback with a signature of the third version, as the gateway hands it to a provider."""
    name = "x-plivo-signature-ma-v3" if main else "x-plivo-signature-v3"
    given = sign(url, fields, token) if signature is None else signature
    return _post(url, fields, {name: given, "x-plivo-signature-v3-nonce": NONCE})


def callback_v2(url: str, fields: Fields, *, token: str = TOKEN) -> Callback:
    """A callback with a signature of the second version alone."""
    headers = {"x-plivo-signature-v2": sign_v2(url, token), "x-plivo-signature-v2-nonce": NONCE}
    return _post(url, fields, headers)


def _post(url: str, fields: Fields, headers: dict[str, str]) -> Callback:
    query = tuple(tuple(pair.split("=", 1)) for pair in url.partition("?")[2].split("&") if pair)
    return Callback("POST", url, headers, urlencode(fields).encode(), query)  # type: ignore[arg-type]  # pairs


def _hmac(token: str, text: str) -> str:
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha256).digest()).decode()


def look(received: Received, **changes: object) -> Reply:
    """What Plivo's resources say of a good account, by their name; `changes` replace some of it."""
    answers: dict[str, object] = {
        "Account": {
            "account_type": "standard",
            "auth_id": ACCOUNT,
            "billing_mode": "prepaid",
            "cash_credits": "1.80900",
        },
        "Number": {"number": "14155550100", "sms_enabled": True, "voice_enabled": True},
        "Powerpack": {"uuid": MESSAGE, "name": "codes"},
        **changes,
    }
    if received.method != "GET":
        raise AssertionError("it was to look only")
    answer = answers[received.path.strip("/").split("/")[-2]]
    return answer if isinstance(answer, Reply) else json_reply(200, answer)
