"""AWS End User Messaging in the conformance suite: its topic's clock stands still, and its certificate is at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from channels import errors
from channels.contract import Callback, Channel, Context, Cost, Message
from channels.providers.aws import Aws, Settings
from channels.transport import Reply as Answered
from tests.conformance.subject import Case, Reporting, Sentence, Subject, message
from tests.conformance.wire import over_http
from tests.vendors import aws
from tests.vendors.server import Received, Reply

TABLE = errors.load("aws")
EVENTS = {code for code in TABLE if code.startswith(("TEXT_", "VOICE_"))} - {"VOICE_CAPABILITY_NOT_AVAILABLE"}
_UNHEARD = "AWS never says that a person heard a call; its failures are read as those of an SMS are"


def build(settings: Settings, context: Context) -> Aws:
    async def fetch(_url: str) -> Answered:
        return Answered(200, {}, aws.certificate())

    return Aws(settings, context, errors.load("aws"), fetch=fetch, clock=lambda: aws.NOW)


def _refuse(code: str) -> Reply:
    kind, _, field = code.partition(":")
    if field:
        return aws.refuse(kind, Fields=[{"Name": field, "Message": "No."}])
    exception = kind.endswith(("Exception", "Signature", "Required", "Unavailable"))
    return aws.refuse(kind) if exception else aws.refuse("AnyException", kind)


def _event(sent: Message, name: str, **changes: object) -> Callback:
    return _signed(aws.notification(aws.event(name, sent.token, **changes)))


def _signed(content: dict[str, object]) -> Callback:
    return aws.callback(aws.signed(content))


def _forge(genuine: Callback) -> Mapping[str, Callback]:
    """Whatever Amazon signs is changed or left out, and other keys sign."""
    content = json.loads(genuine.body)
    unsigned = {name: text for name, text in content.items() if name != "Signature"}
    signed = ("Message", "MessageId", "Timestamp", "TopicArn", "Type", "Signature")
    forged = {f"another {name}": {**content, name: content[name][:-1] + "x"} for name in signed}
    forged |= {f"no {name}": {n: text for n, text in content.items() if n != name} for name in signed}
    forged |= {
        "another key": aws.signed(unsigned, aws.other_key()),
        "another topic": aws.signed({**unsigned, "TopicArn": f"{aws.TOPIC}2"}),
        "another host's certificate": aws.signed({**unsigned, "SigningCertURL": "https://evil.example/x.pem"}),
        "a subject more": {**content, "Subject": "x"},
    }
    return {name: replace(genuine, body=json.dumps(fields).encode()) for name, fields in forged.items()}


def _text(received: Received) -> str:
    return str(received.json["MessageBody"])


def _lifetime(received: Received) -> float:
    return float(received.json["TimeToLive"])


SUBJECT = Subject(
    provider="aws",
    module="tests.conformance.subjects.aws",
    arrange=over_http,
    settings={
        "region": aws.REGION,
        "access_key_id": {"env": "A"},
        "secret_access_key": {"env": "B"},
        "from_voice": "+14155550101",
        "configuration_set": "otp",
        "topic_arn": aws.TOPIC,
    },
    secrets={"access_key_id": aws.KEY_ID, "secret_access_key": aws.SECRET},
    table=TABLE,
    cases={
        "sms": Case(
            message(Channel.SMS),
            accept=aws.accept,
            refuse=_refuse,
            refusals=set(TABLE) - EVENTS,
            unknown="SOMETHING_NEW",
            words=_text,
            lifetime=_lifetime,
            reporting=Reporting(
                delivered=lambda sent: _event(sent, "TEXT_DELIVERED"),
                failed=_event,
                failures=EVENTS,
                progress=lambda sent: _event(sent, "TEXT_PENDING", final=False),
                forge=_forge,
                stale=lambda sent: _signed(
                    aws.notification(aws.event("TEXT_DELIVERED", sent.token), Timestamp="2026-01-05T09:54:00.000Z")
                ),
                bound="token",
                priced=(lambda sent: _event(sent, "TEXT_DELIVERED"), Cost(98_650, "USD")),
            ),
        ),
        "voice": Case(
            message(Channel.VOICE),
            accept=aws.accept,
            refuse=_refuse,
            refusals=set(TABLE) - EVENTS,
            unknown="SOMETHING_NEW",
            words=_text,
            lifetime=_lifetime,
            exempt={
                Sentence.PRICE: "its events of a call are not known to name one",
                Sentence.REPORTS: _UNHEARD,
                Sentence.PROGRESS: _UNHEARD,
                Sentence.FORGED: _UNHEARD,
                Sentence.REPLAYED: _UNHEARD,
                Sentence.BOUND: _UNHEARD,
            },
        ),
    },
)
