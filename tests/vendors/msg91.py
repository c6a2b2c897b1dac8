"""MSG91 as it looks from outside: the Flow API's answers, and its reports in versions 2 and 3.

The reports are the samples of msg91.com/help ("How to use Webhook to get the delivery report on the desired URL?").
That CRQID goes along with each recipient and comes back in the report is how its clients use the field.
"""

from __future__ import annotations

import json
from urllib.parse import urlencode

from channels.contract import Callback
from tests.vendors.server import Received, Reply, json_reply

AUTHKEY = "273848Axxxxxxxxxx5f0c1e2dP1"
TEMPLATE, TEMPLATE_HI = "0123456789abcdef01234567", "89abcdef0123456789abcdef"
REQUEST = "346568736e69363236363130"
URL = "https://otp.example/callbacks/main/shared"


def accept(received: Received) -> Reply:
    """200 and the id of the request; an error in words for the wrong key."""
    if received.headers.get("authkey") != AUTHKEY:
        return refuse("Invalid authkey", status=401)
    return json_reply(200, {"type": "success", "message": REQUEST})


def refuse(message: str, code: str | None = None, status: int = 200) -> Reply:
    content = {"type": "error", "message": message}
    return json_reply(status, content if code is None else {**content, "code": code})


def entry(status: str, token: str = "tok3n", **changes: object) -> dict[str, object]:
    """One report, less the fields that version 2 keeps outside."""
    return {
        "date": "2026-01-05 15:30:20",
        "amount": "0.01",
        "clientid": "",
        "INMSID": "0",
        "CRQID": token,
        "ctCode": "900",
        "number": "919812345678",
        "credit": "1",
        "status": status,
        "desc": "DELIVERED" if status == "1" else "FAILED",
        "failedReason": "",
        **changes,
    }


def version_2(*entries: dict[str, object], **headers: str) -> Callback:
    data = [{"senderId": "ACMEIN", "requestId": REQUEST, "report": [one], "userId": "27"} for one in entries]
    return _callback(urlencode({"data": json.dumps(data)}).encode(), "application/x-www-form-urlencoded", headers)


def version_3(one: dict[str, object], **headers: str) -> Callback:
    content = {**one, "senderId": "ACMEIN", "requestId": REQUEST, "userId": "27", "campaignName": "API"}
    return _callback(json.dumps(content).encode(), "application/json", headers)


def _callback(body: bytes, kind: str, headers: dict[str, str]) -> Callback:
    names = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return Callback("POST", URL, {"content-type": kind, **names}, body)
