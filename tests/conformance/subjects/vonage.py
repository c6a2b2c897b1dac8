"""Vonage in the conformance suite: the Messages API, the SMS API and the Voice API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from channels import errors
from channels.contract import Callback, Channel, Cost, Message
from tests.conformance.subject import Case, Reporting, Sentence, Subject, message
from tests.conformance.wire import over_http, tampered
from tests.vendors import vonage
from tests.vendors.server import Received, Reply

TABLE = errors.load("vonage")
_NUMBERS = [code for code in TABLE if code.isdigit()]
_SMS = [code for code in TABLE if code.startswith("sms.")]
_RECEIPTS = [code for code in TABLE if code.startswith("dlr.")]
_STATUSES = ("expired", "failed", "rejected")
_CALLS = ("busy", "cancelled", "failed", "machine", "rejected", "timeout", "unanswered")
_DETAILS = (
    "cannot_route",
    "declined",
    "internal_error",
    "invalid_number",
    "number_out_of_service",
    "restricted",
    "unavailable",
)
_WORDS = [code for code in TABLE if "-" in code or code in ("unauthorized", "forbidden", "unprovisioned")]
"""Error types of all of its APIs."""


def _url(sent: Message) -> str:
    assert sent.callback_url is not None
    return sent.callback_url


def _message(sent: Message, status: str, code: str = "", age: int = 0) -> Callback:
    content = vonage.message_status(status, code, str(sent.channel))
    return vonage.callback(_url(sent), content, iat=int(time.time()) - age)


def _message_failed(sent: Message, code: str) -> Callback:
    return _message(sent, code) if code == "undeliverable" else _message(sent, "rejected", code)


def _charged(sent: Message, status: str) -> Callback:
    return vonage.callback(_url(sent), vonage.message_status(status, channel=str(sent.channel), price="0.0333"))


def _call(sent: Message, status: str, age: int = 0, **more: str) -> Callback:
    return vonage.callback(_url(sent), vonage.call_event(status, **more), iat=int(time.time()) - age)


def _call_failed(sent: Message, code: str) -> Callback:
    return _call(sent, code) if code in _CALLS else _call(sent, "failed", detail=code)


def _receipt(sent: Message, status: str, code: str = "0", age: int = 0) -> Callback:
    return vonage.form_callback(_url(sent), vonage.signed_receipt(vonage.receipt(status, code), age=age))


def _receipt_failed(sent: Message, code: str) -> Callback:
    return _receipt(sent, code) if code in _STATUSES else _receipt(sent, "failed", code.removeprefix("dlr."))


def _forge_receipt(genuine: Callback) -> Mapping[str, Callback]:
    without = genuine.body[: genuine.body.index(b"&sig=")]
    return {**tampered()(genuine), "no signature": replace(genuine, body=without)}


def _code(received: Received) -> str:
    body, button = (part["parameters"] for part in received.json["custom"]["template"]["components"])
    assert body == button
    return str(body[0]["text"])


MESSAGES = Reporting(
    delivered=lambda sent: _message(sent, "delivered"),
    failed=_message_failed,
    failures=[*_NUMBERS, "undeliverable"],
    progress=lambda sent: _message(sent, "submitted"),
    forge=tampered("authorization"),
    stale=lambda sent: _message(sent, "delivered", age=360),
)
_SMS_CASE = Case(
    message(Channel.SMS),
    accept=vonage.accept,
    refuse=lambda code: vonage.problem(422, code),
    refusals=[*_NUMBERS, *_WORDS],
    unknown="1999",
    words=lambda received: str(received.json["text"]),
    lifetime=lambda received: float(received.json["ttl"]),
    reporting=replace(MESSAGES, priced=(lambda sent: _charged(sent, "submitted"), Cost(33_300, "EUR"))),
)


def _older_refusal(code: str) -> Reply:
    return vonage.parts(code.removeprefix("sms."))


SUBJECT = Subject(
    provider="vonage",
    arrange=over_http,
    settings={
        "api_key": vonage.KEY,
        "api_secret": {"env": "A"},
        "signature_secret": {"env": "C"},
        "from_sms": "ACME",
        "from_whatsapp": "+14155550102",
        "whatsapp_template": "login_code",
    },
    secrets={
        "api_secret": vonage.SECRET,
        "private_key": vonage.private_pem(),
        "signature_secret": vonage.SIGNATURE_SECRET,
    },
    table=TABLE,
    cases={
        "sms": _SMS_CASE,
        "sms-older": replace(
            _SMS_CASE,
            settings={"sms_api": "sms", "sms_receipts_signed": True},
            refuse=_older_refusal,
            refusals=_SMS,
            unknown="sms.999",
            words=lambda received: dict(received.form)["text"],
            lifetime=lambda received: float(dict(received.form)["ttl"]) / 1000,
            priced=(vonage.parts("0", "0"), Cost(66_600, "EUR")),
            reporting=Reporting(
                delivered=lambda sent: _receipt(sent, "delivered"),
                failed=_receipt_failed,
                failures=[*_RECEIPTS, *_STATUSES],
                progress=lambda sent: _receipt(sent, "buffered"),
                forge=_forge_receipt,
                stale=lambda sent: _receipt(sent, "delivered", age=360),
            ),
        ),
        "whatsapp": replace(
            _SMS_CASE,
            message=message(Channel.WHATSAPP),
            words=_code,
            template=True,
            lifetime=None,
            reporting=replace(MESSAGES, priced=(lambda sent: _charged(sent, "delivered"), Cost(33_300, "EUR"))),
            exempt={Sentence.LIFETIME: "Meta takes it from the template"},
        ),
        "voice": replace(
            _SMS_CASE,
            message=message(Channel.VOICE),
            settings={
                "application_id": vonage.APPLICATION,
                "private_key": {"env": "B"},
                "from_voice": "+14155550101",
            },
            refusals=_WORDS,
            unknown="strange-error",
            words=lambda received: str(received.json["ncco"][0]["text"]),
            lifetime=None,
            reporting=Reporting(
                delivered=lambda sent: _call(sent, "human"),
                failed=_call_failed,
                failures=[*_CALLS, *_DETAILS],
                progress=lambda sent: _call(sent, "ringing"),
                forge=tampered("authorization"),
                stale=lambda sent: _call(sent, "human", age=360),
                priced=(lambda sent: _call(sent, "completed", price="0.0120"), Cost(12_000, "EUR")),
            ),
            exempt={Sentence.LIFETIME: "a call is made at once or not at all"},
        ),
    },
    exempt={Sentence.BOUND: "it signs the time and the body; the token in the address binds it, and each comes once"},
)
