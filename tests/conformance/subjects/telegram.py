"""Telegram Gateway in the conformance suite."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from channels import errors
from channels.contract import Callback, Channel, Cost, Message
from tests.conformance.subject import Case, Reporting, Subject, message
from tests.conformance.wire import over_http, tampered
from tests.vendors import telegram
from tests.vendors.server import Received, json_reply

TABLE = errors.load("telegram")
STATUSES = {"expired", "revoked"}


def _said(word: str, *, age: int = 0) -> Callable[[Message], Callback]:
    def make(sent: Message) -> Callback:
        assert sent.callback_url is not None
        raw = telegram.report(word, payload=sent.token)
        return replace(telegram.callback(raw, at=str(int(time.time()) - age)), url=sent.callback_url)

    return make


def _code(received: Received) -> str:
    return str(received.json["code"])


def _lifetime(received: Received) -> float:
    return float(received.json["ttl"])


SUBJECT = Subject(
    provider="telegram",
    arrange=over_http,
    settings={"access_token": {"env": "T"}},
    secrets={"access_token": telegram.TOKEN},
    table=TABLE,
    cases={
        "telegram": Case(
            message=message(Channel.TELEGRAM),
            accept=telegram.accept,
            refuse=telegram.refuse,
            refusals=set(TABLE) - STATUSES,
            unknown="SOMETHING_NEW",
            template=True,
            words=_code,
            lifetime=_lifetime,
            priced=(
                json_reply(200, {"ok": True, "result": {"request_id": "1", "request_cost": 0.0125}}),
                Cost(12_500, "USD"),
            ),
            reporting=Reporting(
                delivered=_said("delivered"),
                failed=lambda sent, word: _said(word)(sent),
                failures=STATUSES,
                progress=_said("sent"),
                forge=tampered("x-request-signature", "x-request-timestamp"),
                stale=_said("delivered", age=360),
                bound="url",
            ),
        )
    },
)
