"""MSG91 in the conformance suite."""

from __future__ import annotations

from channels import errors
from channels.contract import Callback, Channel, Cost, Message
from tests.conformance.subject import Case, Reporting, Sentence, Subject, message
from tests.conformance.wire import over_http
from tests.vendors import msg91
from tests.vendors.server import Received, Reply

TABLE = errors.load("msg91")
STATUSES = {code for code in TABLE if len(code) < 3}


def _refuse(code: str) -> Reply:
    return msg91.refuse("flow id missing") if code == "template" else msg91.refuse("No.", code)


def _code(received: Received) -> str:
    return str(received.json["recipients"][0]["VAR1"])


def _report(sent: Message, status: str) -> Callback:
    return msg91.version_2(msg91.entry(status, sent.token))


SUBJECT = Subject(
    provider="msg91",
    arrange=over_http,
    settings={"authkey": {"env": "A"}, "template_id": msg91.TEMPLATE},
    secrets={"authkey": msg91.AUTHKEY},
    table=TABLE,
    cases={
        "sms": Case(
            message(Channel.SMS),
            accept=msg91.accept,
            refuse=_refuse,
            refusals=set(TABLE) - STATUSES,
            unknown="999",
            template=True,
            words=_code,
            reporting=Reporting(
                delivered=lambda sent: _report(sent, "1"),
                failed=_report,
                failures=STATUSES,
                progress=lambda sent: _report(sent, "8"),
                bound="token",
                priced=(lambda sent: _report(sent, "1"), Cost(10_000, "INR")),
            ),
        )
    },
    exempt={
        Sentence.LIFETIME: "the Flow API has no field for a lifetime",
        Sentence.FORGED: "MSG91 signs nothing: the token in each report alone protects, as its page in the docs says",
        Sentence.REPLAYED: "MSG91 signs nothing, and so no time either",
    },
)
