"""Plivo in the conformance suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from xml.etree import ElementTree as ET

from channels import errors
from channels.contract import Answer, Callback, Channel, Cost, Message
from tests.conformance.subject import Case, Reporting, Sentence, Subject, message
from tests.conformance.wire import over_http, tampered
from tests.vendors import plivo

TABLE = errors.load("plivo")
_SMS = [code for code in TABLE if code.startswith("sms.")]
_HTTP = [code for code in TABLE if code.startswith("http.")]
_CALLS = [code for code in TABLE if code not in (*_SMS, *_HTTP)]


def _url(sent: Message) -> str:
    assert sent.callback_url is not None
    return sent.callback_url


def _message(sent: Message, status: str, code: str = "") -> Callback:
    return plivo.callback(_url(sent), plivo.message_fields(status, code))


def _hangup(sent: Message, code: str) -> Callback:
    cause = code.removeprefix("call.").replace("xxx", "011")
    fields = plivo.hangup_fields(cause) if code.startswith("call.") else plivo.hangup_fields("", code)
    return plivo.callback(_url(sent), fields)


def _ringing(sent: Message) -> Callback:
    return plivo.callback(_url(sent), plivo.call_fields("ringing"))


def _forge_call(genuine: Callback) -> Mapping[str, Callback]:
    """A signature of the second version covers no field: it is not enough for a call."""
    form = [pair.split("=") for pair in genuine.body.decode().split("&")]
    older = plivo.callback_v2(genuine.url, [(name, value) for name, value in form])
    return {**_forge(genuine), "the second version": replace(older, body=genuine.body)}


def _spoken(answer: Answer) -> str:
    return "".join(ET.fromstring(answer.body).itertext())  # noqa: S314  # our own document


_forge = tampered("x-plivo-signature-v3", "x-plivo-signature-v3-nonce")
_SMS_CASE = Case(
    message(Channel.SMS),
    accept=plivo.accept,
    refuse=lambda code: plivo.refuse(int(code.removeprefix("http."))),
    refusals=_HTTP,
    unknown="http.422",
    words=lambda received: str(received.json["text"]),
    lifetime=lambda received: float(received.json["message_expiry"]),
    reporting=Reporting(
        delivered=lambda sent: _message(sent, "delivered"),
        failed=lambda sent, code: _message(sent, "undelivered", code.removeprefix("sms.")),
        failures=_SMS,
        progress=lambda sent: _message(sent, "queued"),
        forge=_forge,
        bound="url",
        priced=(lambda sent: _message(sent, "sent"), Cost(6_500, "USD")),
    ),
)

SUBJECT = Subject(
    provider="plivo",
    arrange=over_http,
    settings={
        "auth_id": plivo.ACCOUNT,
        "auth_token": {"env": "T"},
        "from_sms": "+14155550100",
        "from_voice": "+14155550101",
    },
    secrets={"auth_token": plivo.TOKEN},
    table=TABLE,
    cases={
        "sms": _SMS_CASE,
        "voice": replace(
            _SMS_CASE,
            message=message(Channel.VOICE),
            words=None,
            spoken=_spoken,
            lifetime=None,
            reporting=Reporting(
                delivered=lambda sent: _hangup(sent, "call.4000"),
                failed=_hangup,
                failures=_CALLS,
                progress=_ringing,
                forge=_forge_call,
                bound="url",
                priced=(lambda sent: _hangup(sent, "call.4000"), Cost(10_000, "USD")),
            ),
            exempt={Sentence.LIFETIME: "a call is made at once or not at all"},
        ),
    },
    exempt={Sentence.REPLAYED: "it signs no time; its address is good for one attempt, which never goes back"},
)
