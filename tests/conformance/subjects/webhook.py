"""The webhook to an operator's own sender in the conformance suite."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from channels.contract import Callback, Channel, Cost, ErrorClass, Message
from tests.conformance.subject import Case, Reporting, Sentence, Subject, message
from tests.conformance.wire import over_http, tampered
from tests.vendors import webhook
from tests.vendors.server import Received, Reply, json_reply

TABLE = {f"own.{error}": str(error) for error in ErrorClass}
"""A sender has codes of its own, and names the class beside each."""


def _refuse(code: str) -> Reply:
    return json_reply(422, {"error": TABLE.get(code), "code": code})


def _said(status: str, *, age: int = 0, **data: Any) -> Callable[[Message], Callback]:
    def make(sent: Message) -> Callback:
        assert sent.callback_url is not None
        raw = webhook.report(status, callback_url=sent.callback_url, **data)
        return replace(webhook.callback(raw, at=str(int(time.time()) - age)), url=sent.callback_url)

    return make


def _failed(sent: Message, code: str) -> Callback:
    return _said("failed", error=TABLE[code], code=code)(sent)


def _field(name: str) -> Callable[[Received], Any]:
    return lambda received: received.json["data"][name]


_CASE = Case(
    message=message(Channel.SMS),
    accept=webhook.accept,
    refuse=_refuse,
    refusals=TABLE,
    unknown="own.new",
    words=_field("text"),
    lifetime=_field("expires_in"),
    priced=(json_reply(202, {"cost": {"amount": "0.0042", "currency": "EUR"}}), Cost(4200, "EUR")),
    reporting=Reporting(
        delivered=_said("delivered"),
        failed=_failed,
        failures=TABLE,
        progress=_said("progress"),
        forge=tampered("webhook-signature", "webhook-timestamp", "webhook-id"),
        stale=_said("delivered", age=360),
        bound="url",
        priced=(_said("delivered", cost={"amount": "0.01", "currency": "USD"}), Cost(10_000, "USD")),
    ),
)

SUBJECT = Subject(
    provider="webhook",
    arrange=over_http,
    settings={"secret": {"env": "S"}},
    secrets={"secret": webhook.SECRET},
    table=TABLE,
    address=lambda url: {"url": f"{url}/otp"},
    cases={
        str(channel): replace(
            _CASE,
            message=message(channel),
            settings={"channels": [channel]},
            words=_field("spoken" if channel is Channel.VOICE else "text"),
        )
        for channel in Channel
    },
    exempt={
        Sentence.MALFORMED: "every 2xx is an acceptance, whatever its body says",
        Sentence.EMPTY: "every 2xx is an acceptance, and needs no body",
    },
)
