"""Twilio as it looks from outside: the bodies of its answers, and the callbacks that it signs and sends.

The answers follow Twilio's OpenAPI description of the Message and Call resources, and samples of its errors. The call
callback has the fields of recorded ones. The signature is computed here from Twilio's description of it (Usage,
Security, Validating requests), so that the tests don't check the SDK against itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import urlencode

import aiohttp

from channels.contract import Callback
from tests.vendors.server import Received, Reply, json_reply

ACCOUNT = "AC" + "0a1b2c3d" * 4
TOKEN = "the-auth-token-of-the-tests"
MESSAGE = "SM" + "00112233" * 4
CALL = "CA" + "44556677" * 4


def accept(received: Received) -> Reply:
    """201, as Twilio answers a message or a call that it takes on, and what it says of one later. The body repeats the
    number and the text."""
    if received.method == "GET":
        return resource(received)
    form = dict(received.form)
    call = received.path.endswith("/Calls.json")
    created = {
        "account_sid": ACCOUNT,
        "sid": CALL if call else MESSAGE,
        "status": "queued",
        "to": form.get("To"),
        "from": form.get("From"),
        "body": form.get("Body"),
        "price": None,
        "price_unit": "USD",
        "date_created": "Mon, 05 Jan 2026 10:00:00 +0000",
        "date_updated": "Mon, 05 Jan 2026 10:00:00 +0000",
        "error_code": None,
        "error_message": None,
    }
    return json_reply(201, created)


def resource(received: Received, price: str | None = "-0.00750") -> Reply:
    """200 for a Message or a Call that is asked for by its SID. The price is null for a while after the delivery. It is
    negative; a message's unit has been seen in either case, a call's is in capitals."""
    sid = received.path.rpartition("/")[2].removesuffix(".json")
    unit = "USD" if sid.startswith("CA") else "usd"
    content = {"sid": sid, "account_sid": ACCOUNT, "status": "delivered", "to": "+14155550123", "body": "482913"}
    return json_reply(200, {**content, "price": price, "price_unit": unit})


def refuse(status: int, code: int | None, message: str = "Authenticate", **headers: str) -> Reply:
    """Twilio's own shape of an error. The code is sometimes left out."""
    content = {"detail": "", "message": message, "status": status}
    if code is not None:
        content |= {"code": code, "more_info": f"https://www.twilio.com/docs/errors/{code}"}
    return json_reply(status, content, headers)


def problem(status: int, code: int) -> Reply:
    """The shape of RFC 9457, which Twilio's newer services use."""
    kind = f"https://www.twilio.com/docs/errors/{code}"
    return json_reply(status, {"type": kind, "title": "Refused", "status": status, "code": code})


def sign(url: str, fields: list[tuple[str, str]], token: str = TOKEN) -> str:
    """X-Twilio-Signature: the URL and the fields, sorted and without duplicates, under HMAC-SHA1 and in base64."""
    text = url + "".join(name + value for name, value in sorted(set(fields)))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def message_fields(status: str, error: str = "") -> list[tuple[str, str]]:
    fields = [
        ("SmsSid", MESSAGE),
        ("SmsStatus", status),
        ("MessageStatus", status),
        ("To", "+14155550123"),
        ("MessageSid", MESSAGE),
        ("AccountSid", ACCOUNT),
        ("From", "+14155550100"),
        ("ApiVersion", "2010-04-01"),
    ]
    return [*fields, ("ErrorCode", error)] if error else fields


def call_fields(status: str, answered_by: str = "", **more: str) -> list[tuple[str, str]]:
    fields = {
        "Called": "+14155550123",
        "ToState": "",
        "Direction": "outbound-api",
        "Timestamp": "Mon, 05 Jan 2026 10:00:09 +0000",
        "CallbackSource": "call-progress-events",
        "SequenceNumber": "3",
        "CallSid": CALL,
        "To": "+14155550123",
        "From": "+14155550100",
        "CallStatus": status,
        "ApiVersion": "2010-04-01",
        "AccountSid": ACCOUNT,
        **({"AnsweredBy": answered_by} if answered_by else {}),
        **more,
    }
    return list(fields.items())


def callback(
    url: str,
    fields: list[tuple[str, str]],
    *,
    token: str = TOKEN,
    query: tuple[tuple[str, str], ...] = (),
    signature: str | None = None,
) -> Callback:
    """A callback as the gateway hands it to a provider."""
    headers = {"x-twilio-signature": sign(url, fields, token) if signature is None else signature}
    return Callback("POST", url, headers, urlencode(fields).encode(), query)


async def call_back(url: str, fields: list[tuple[str, str]], token: str = TOKEN) -> tuple[int, bytes]:
    """Send a signed callback over HTTP, as Twilio would. Returns the status and body of the answer."""
    headers = {"X-Twilio-Signature": sign(url, fields, token), "Content-Type": "application/x-www-form-urlencoded"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=urlencode(fields).encode(), headers=headers) as response,
    ):
        return response.status, await response.read()


NUMBER, SERVICE, TEMPLATE = "+14155550100", "MG" + "0c" * 16, "HX" + "0d" * 16


def look(received: Received, **changes: object) -> Reply:
    """What Twilio's resources say of a good account, by their last part of the path; `changes` replace some of it.
    The account's answer holds its auth token, as the real one does."""
    answers: dict[str, object] = {
        f"{ACCOUNT}.json": {"sid": ACCOUNT, "status": "active", "type": "Full", "auth_token": TOKEN},
        "Balance.json": {"account_sid": ACCOUNT, "balance": "12.50", "currency": "USD"},
        "IncomingPhoneNumbers.json": {
            "incoming_phone_numbers": [{"phone_number": NUMBER, "capabilities": {"sms": True, "voice": True}}]
        },
        "OutgoingCallerIds.json": {"outgoing_caller_ids": []},
        "ShortCodes.json": {"short_codes": [{"short_code": "89203"}]},
        "PhoneNumbers": {"phone_numbers": [{"phone_number": NUMBER}]},
        "ShortCodes": {"short_codes": []},
        "AlphaSenders": {"alpha_senders": []},
        "Senders": {"senders": [{"sid": "XE0", "status": "ONLINE", "sender_id": f"whatsapp:{NUMBER}"}]},
        "ApprovalRequests": {"sid": TEMPLATE, "whatsapp": {"status": "approved", "category": "AUTHENTICATION"}},
        **changes,
    }
    if received.method != "GET":
        raise AssertionError("it was to look only")
    answer = answers[received.path.partition("?")[0].rpartition("/")[2]]
    return answer if isinstance(answer, Reply) else json_reply(200, answer)
