"""Twilio in the conformance suite."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from channels import errors
from channels.contract import Answer, Callback, Channel, Message
from tests.conformance.subject import Case, Reporting, Sentence, Subject, message
from tests.conformance.wire import over_http, tampered
from tests.vendors import twilio
from tests.vendors.server import Received, Reply

TABLE = errors.load("twilio")
_NO_PRICE = "its price is null when a message is created, and in no report"


def _refuse(code: str) -> Reply:
    return twilio.refuse(400, int(code))


def _field(name: str) -> Callable[[Received], str]:
    return lambda received: dict(received.form)[name]


def _spoken(answer: Answer) -> str:
    return "".join(ET.fromstring(answer.body).itertext())  # noqa: S314  # our own document


def _said(status: str, error: str = "") -> Callable[[Message], Callback]:
    def make(sent: Message) -> Callback:
        assert sent.callback_url is not None
        return twilio.callback(sent.callback_url, twilio.message_fields(status, error))

    return make


def _call(status: str, **more: str) -> Callable[[Message], Callback]:
    def make(sent: Message) -> Callback:
        assert sent.callback_url is not None
        return twilio.callback(sent.callback_url, twilio.call_fields(status, **more))

    return make


def _forge(genuine: Callback) -> Mapping[str, Callback]:
    """Fields that are repeated to the letter are signed once: a byte more is another field, or none."""
    forgeries = dict(tampered("x-twilio-signature")(genuine))
    del forgeries["a byte more"]
    more = genuine.body + b"&" + urlencode([("MessageStatus", "delivered")]).encode()
    return {**forgeries, "a field more": replace(genuine, body=more)}


MESSAGES = Reporting(
    delivered=_said("delivered"),
    failed=lambda sent, code: _said("undelivered", code)(sent),
    failures=TABLE,
    progress=_said("sent"),
    forge=_forge,
    bound="url",
)
_LETTERS = Case(
    message=message(Channel.SMS),
    accept=twilio.accept,
    refuse=_refuse,
    refusals=TABLE,
    unknown="29999",
    reporting=MESSAGES,
)

SUBJECT = Subject(
    provider="twilio",
    arrange=over_http,
    settings={
        "account_sid": twilio.ACCOUNT,
        "auth_token": {"env": "T"},
        "from_sms": "+14155550100",
        "from_voice": "+14155550101",
        "from_whatsapp": "+14155550102",
        "whatsapp_content_sid": "HX" + "0d" * 16,
    },
    secrets={"auth_token": twilio.TOKEN},
    table=TABLE,
    cases={
        "sms": replace(
            _LETTERS, words=_field("Body"), lifetime=lambda received: float(dict(received.form)["ValidityPeriod"])
        ),
        "whatsapp": replace(
            _LETTERS,
            message=message(Channel.WHATSAPP),
            template=True,
            words=lambda received: json.loads(dict(received.form)["ContentVariables"])["1"],
            exempt={
                Sentence.LIFETIME: "it has no validity period for WhatsApp; Meta's template sets it",
            },
        ),
        "voice": replace(
            _LETTERS,
            message=message(Channel.VOICE),
            spoken=_spoken,
            reporting=replace(
                MESSAGES,
                delivered=_call("completed", answered_by="human"),
                failed=lambda sent, code: _call("failed", ErrorCode=code)(sent),
                progress=_call("ringing"),
            ),
            exempt={Sentence.LIFETIME: "a call is made at once or not at all"},
        ),
    },
    exempt={
        Sentence.PRICE: _NO_PRICE,
        Sentence.REPLAYED: "it signs no time; the token in the address is good for one attempt, which never goes back",
    },
)
