"""SNS Publish in the conformance suite."""

from __future__ import annotations

from channels import errors
from channels.contract import Channel
from tests.conformance.subject import Case, Sentence, Subject, message
from tests.conformance.wire import over_http
from tests.vendors import aws
from tests.vendors.server import Received, Reply

TABLE = errors.load("aws_sns")
_SILENT = "SNS writes what became of a message to CloudWatch Logs and nowhere else"


def _refuse(code: str) -> Reply:
    name, _, about = code.partition(":")
    return aws.refuse_publish(
        name, f"Invalid parameter: {about} Reason: it is not valid to publish to" if about else ""
    )


def _text(received: Received) -> str:
    return dict(received.form)["Message"]


SUBJECT = Subject(
    provider="aws_sns",
    arrange=over_http,
    settings={"region": aws.REGION, "access_key_id": {"env": "A"}, "secret_access_key": {"env": "B"}},
    secrets={"access_key_id": aws.KEY_ID, "secret_access_key": aws.SECRET},
    table=TABLE,
    cases={
        "sms": Case(
            message(Channel.SMS),
            accept=aws.accept,
            refuse=_refuse,
            refusals=TABLE,
            unknown="SomethingNew",
            words=_text,
        )
    },
    exempt={
        Sentence.LIFETIME: "Publish has no field for a lifetime",
        Sentence.PRICE: _SILENT,
        Sentence.REPORTS: _SILENT,
        Sentence.PROGRESS: _SILENT,
        Sentence.FORGED: _SILENT,
        Sentence.REPLAYED: _SILENT,
        Sentence.BOUND: _SILENT,
    },
)
