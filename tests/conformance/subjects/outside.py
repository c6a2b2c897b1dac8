"""A provider that isn't in this tree, held to the same suite: its makers can do the same."""

from __future__ import annotations

import hmac
import json

from channels.contract import Callback, Channel, Cost, Message
from tests.conformance.outside import TABLE
from tests.conformance.subject import Case, Reporting, Sentence, Subject, message
from tests.conformance.wire import over_http, tampered
from tests.vendors.server import Received, Reply, json_reply

SECRET = "the-secret-of-the-tests"


def accept(received: Received) -> Reply:
    return json_reply(202, {"id": "m-1", "micros": 4200})


def _report(sent: Message, status: str, code: str = "") -> Callback:
    assert sent.callback_url is not None
    body = json.dumps({"status": status, "code": code}).encode()
    signature = hmac.digest(SECRET.encode(), sent.callback_url.encode() + body, "sha256").hex()
    return Callback("POST", sent.callback_url, {"x-own": signature}, body)


SUBJECT = Subject(
    provider="outside",
    module="tests.conformance.outside",
    arrange=over_http,
    settings={"secret": {"env": "S"}},
    secrets={"secret": SECRET},
    table=TABLE,
    cases={
        "sms": Case(
            message(Channel.SMS),
            accept=accept,
            refuse=lambda code: json_reply(422, {"code": code}),
            refusals=TABLE,
            unknown="strange",
            words=lambda received: str(received.json["text"]),
            lifetime=lambda received: float(received.json["ttl"]),
            priced=(json_reply(202, {"id": "m-1", "micros": 4200}), Cost(4200, "EUR")),
            reporting=Reporting(
                delivered=lambda sent: _report(sent, "delivered"),
                failed=lambda sent, code: _report(sent, "failed", code),
                failures=TABLE,
                progress=lambda sent: _report(sent, "progress"),
                forge=tampered("x-own"),
                bound="url",
            ),
        )
    },
    exempt={Sentence.REPLAYED: "it signs no time; its address is good for one attempt, which never goes back"},
)
