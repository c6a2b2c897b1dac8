"""Meta's WhatsApp Cloud API in the conformance suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from channels import errors
from channels.contract import Callback, Channel, Message
from tests.conformance.subject import Case, Reporting, Sentence, Subject, message
from tests.conformance.wire import over_http, tampered
from tests.vendors import meta
from tests.vendors.server import Received, Reply

TABLE = errors.load("meta")
SHARED = "https://otp.example/callbacks/main/shared"


def _refuse(code: str) -> Reply:
    return meta.refuse(400, int(code))


def _code(received: Received) -> str:
    body, button = received.json["template"]["components"]
    assert body["parameters"] == button["parameters"]
    return str(body["parameters"][0]["text"])


def _said(word: str) -> Callable[[Message], Callback]:
    return lambda sent: _callback(meta.body(meta.status(word, sent.token)))


def _failed(sent: Message, code: str) -> Callback:
    return _callback(meta.body(meta.status("failed", sent.token, int(code))))


def _callback(raw: bytes) -> Callback:
    return replace(meta.callback(raw), url=SHARED)


SUBJECT = Subject(
    provider="meta",
    arrange=over_http,
    settings={
        "phone_number_id": meta.PHONE_ID,
        "access_token": {"env": "A"},
        "app_secret": {"env": "B"},
        "verify_token": {"env": "C"},
        "template": "login_code",
        "languages": ["en_US"],
    },
    secrets={
        "access_token": meta.ACCESS_TOKEN,
        "app_secret": meta.APP_SECRET,
        "verify_token": meta.VERIFY_TOKEN,
    },
    table=TABLE,
    cases={
        "whatsapp": Case(
            message=message(Channel.WHATSAPP),
            accept=meta.accept,
            refuse=_refuse,
            refusals=TABLE,
            unknown="999999",
            template=True,
            words=_code,
            reporting=Reporting(
                delivered=_said("delivered"),
                failed=_failed,
                failures=TABLE,
                progress=_said("sent"),
                forge=tampered("x-hub-signature-256"),
                bound="token",
            ),
        )
    },
    exempt={
        Sentence.ID: "Meta's id spells out the number in base64, so it goes no further",
        Sentence.LIFETIME: "it is a setting of the template, and not of the message",
        Sentence.PRICE: "neither its answers nor its reports name a price",
        Sentence.REPLAYED: "it signs no time; the token is good for one attempt, which never goes back",
    },
)
