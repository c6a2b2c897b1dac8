"""AWS's events through an SNS topic: which messages are genuine, what they say, how the subscription is confirmed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from channels import errors
from channels.contract import (
    Callback,
    Channel,
    Context,
    Cost,
    DeliveryReport,
    ErrorClass,
    Forged,
    InboundText,
    Outcome,
    ReportKind,
    SendError,
    Unread,
)
from channels.providers._aws_events import CERTIFICATES, FETCHES, Topic
from channels.providers.aws import Aws
from channels.transport import Reply
from tests.channels.test_aws import SECRETS, settings
from tests.vendors import aws as vendor_aws
from tests.vendors.aws import (
    CERTIFICATE_URL,
    HOST,
    NOW,
    TOPIC,
    callback,
    confirmation,
    event,
    notification,
    signed,
    written,
)

SHIPPED = errors.load("aws")


class Amazon:
    """Amazon's host for the topic's region, as far as it is asked: certificates and confirmations, by GET."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.certificates = {CERTIFICATE_URL: vendor_aws.certificate()}
        self.fails: SendError | Reply | None = None

    async def __call__(self, url: str) -> Reply:
        self.asked.append(url)
        await asyncio.sleep(0)
        if isinstance(self.fails, SendError):
            raise self.fails
        if self.fails:
            return self.fails
        if "?Action=ConfirmSubscription" in url:
            return Reply(200, {}, b"<ConfirmSubscriptionResponse/>")
        pem = self.certificates.get(url)
        return Reply(200, {}, pem) if pem else Reply(404, {}, b"")


@pytest.fixture
def amazon() -> Amazon:
    return Amazon()


def provider(amazon: Amazon, now: Callable[[], datetime] = lambda: NOW, **changes: Any) -> Aws:
    context = Context("main", "ua", production=False, secrets=SECRETS)
    return Aws(settings(**changes), context, SHIPPED, fetch=amazon, clock=now)


@pytest.fixture
def aws(amazon: Amazon) -> Aws:
    return provider(amazon)


async def report(aws: Aws, content: dict[str, Any]) -> DeliveryReport:
    (only,) = (await aws.receive(callback(signed(notification(content))))).reports
    return only


# --- what events say ---


async def test_a_delivery_is_reported_with_its_token_and_its_price(aws: Aws) -> None:
    assert await report(aws, event("TEXT_DELIVERED")) == DeliveryReport(
        ReportKind.DELIVERED, None, "TEXT_DELIVERED", vendor_aws.MESSAGE, Cost(98_650, "USD"), "tok3n"
    )


@pytest.mark.parametrize(
    ("name", "final", "kind"),
    [
        ("TEXT_SUCCESSFUL", True, ReportKind.DELIVERED),
        ("TEXT_SUCCESSFUL", False, ReportKind.PROGRESS),
        ("TEXT_PENDING", False, ReportKind.PROGRESS),
        ("TEXT_QUEUED", False, ReportKind.PROGRESS),
        ("TEXT_UNREACHABLE", False, ReportKind.PROGRESS),
        ("TEXT_UNREACHABLE", True, ReportKind.FAILED),
        ("VOICE_INITIATED", False, ReportKind.PROGRESS),
        ("VOICE_ANSWERED", False, ReportKind.PROGRESS),
        ("VOICE_COMPLETED", True, ReportKind.PROGRESS),
        ("TEXT_OF_TOMORROW", True, ReportKind.PROGRESS),
    ],
)
async def test_only_what_is_final_moves_the_fallback(aws: Aws, name: str, final: bool, kind: ReportKind) -> None:
    found = await report(aws, event(name, final=final))
    assert (found.kind, found.vendor_code, found.token) == (kind, name, "tok3n")


async def test_every_failure_of_the_table_is_classed_as_the_table_says(aws: Aws) -> None:
    failures = {name: error for name, error in SHIPPED.items() if name.startswith(("TEXT_", "VOICE_"))}
    failures.pop("VOICE_CAPABILITY_NOT_AVAILABLE")  # the reason of an exception
    assert len(failures) == 14
    for name, error in failures.items():
        found = await report(aws, event(name))
        assert (found.kind, found.error, found.vendor_code) == (ReportKind.FAILED, error, name)


async def test_the_operator_can_class_an_event_otherwise(amazon: Amazon) -> None:
    found = await report(provider(amazon, errors={"VOICE_FAILED": "temporary"}), event("VOICE_FAILED"))
    assert found.error is ErrorClass.TEMPORARY


async def test_the_price_is_read_once_and_only_where_it_is_one(aws: Aws) -> None:
    assert (await report(aws, event("TEXT_PENDING", final=False))).cost is None
    for amount in (None, "0.1", -1, True, float("nan"), float("inf"), {"a": 1}):
        odd = event("TEXT_DELIVERED", totalMessagePrice=amount, totalCarrierFee=None)
        assert (await report(aws, odd)).cost is None
    lone = event("TEXT_DELIVERED", totalCarrierFee="?")
    assert (await report(aws, lone)).cost == Cost(95_820, "USD")


@pytest.mark.parametrize(
    "content",
    [
        "Test message.",
        "[]",
        "{}",
        "[" * 60_000,
        event("TEXT_DELIVERED", context={}),
        event("TEXT_DELIVERED", context=None),
        event("TEXT_DELIVERED", context={"token": 7}),
        event("TEXT_DELIVERED", eventType=7),
    ],
)
async def test_a_genuine_message_that_says_nothing_of_a_message_of_ours_is_no_report(aws: Aws, content: object) -> None:
    assert await aws.receive(callback(signed(notification(content)))) == Outcome()


async def test_what_a_person_wrote_to_a_number_with_two_way_sms_is_read(aws: Aws) -> None:
    content, at = written("Stop it"), round(NOW.timestamp() * 1000)
    outcome = await aws.receive(callback(signed(notification(content))))
    assert outcome == Outcome(
        texts=(InboundText(Channel.SMS, "+14155550123", "Stop it", at, content["inboundMessageId"]),)
    )


@pytest.mark.parametrize(
    "changes", [{"messageBody": None}, {"messageBody": 1}, {"originationNumber": None}, {"originationNumber": ["+1"]}]
)
async def test_half_a_text_is_none(aws: Aws, changes: dict[str, Any]) -> None:
    assert await aws.receive(callback(signed(notification(written("STOP", **changes))))) == Outcome()


async def test_a_number_in_an_event_is_never_what_finds_the_message(aws: Aws) -> None:
    found = await report(aws, event("TEXT_DELIVERED", destinationPhoneNumber="+442079460000", messageId="\n" * 9))
    assert (found.token, found.message_id) == ("tok3n", "")
    assert "tok3n" not in repr(found)


# --- genuine or forged ---

GENUINE = signed(notification(event("TEXT_BLOCKED")))
SIGNED = ("Message", "MessageId", "Timestamp", "TopicArn", "Type", "Signature")
OTHER_HOSTS = (
    f"http://sns.eu-west-1.amazonaws.com/{CERTIFICATE_URL.rpartition('/')[2]}",
    CERTIFICATE_URL.replace("eu-west-1", "us-east-1"),
    CERTIFICATE_URL.replace("sns.eu-west-1.amazonaws.com", "sns.eu-west-1.amazonaws.com.evil.example"),
    CERTIFICATE_URL.replace("sns.eu-west-1.amazonaws.com", "evil.example/sns.eu-west-1.amazonaws.com"),
    CERTIFICATE_URL.replace("https://", "https://evil@"),
    CERTIFICATE_URL.replace("https://", "https://evil.example\\@"),
    CERTIFICATE_URL.replace(".com/", ".com:8443/"),
    CERTIFICATE_URL.replace("sns.eu-west-1", "bucket.s3.eu-west-1"),
    CERTIFICATE_URL.replace(".pem", ".pem?x=.pem"),
    CERTIFICATE_URL + "\n",
    f"{HOST}../{CERTIFICATE_URL.rpartition('/')[2]}",
    f"{HOST}?Action=Publish",
    "",
)


def forgeries() -> dict[str, dict[str, Any]]:
    changed = {f"another {name}": {**GENUINE, name: str(GENUINE[name]) + "x"} for name in SIGNED}
    needed = (*SIGNED, "SignatureVersion", "SigningCertURL")
    lacking = {f"no {name}": {k: v for k, v in GENUINE.items() if k != name} for name in needed}
    theirs = vendor_aws.other_key()
    return {
        **changed,
        **lacking,
        "a subject more": {**GENUINE, "Subject": "x"},
        "another key": signed(notification(event("TEXT_BLOCKED")), theirs),
        "no such version": {**GENUINE, "SignatureVersion": "3"},
        "the version below": {**GENUINE, "SignatureVersion": "1"},
        "another topic": signed(notification("x", TopicArn=TOPIC + "2")),
        "another account": signed(notification("x", TopicArn=TOPIC.replace("1234", "4321"))),
        "an hour old": signed(notification("x", Timestamp="2026-01-05T09:00:00.000Z")),
        "of the future": signed(notification("x", Timestamp="2026-01-05T10:06:00.000Z")),
        "no time at all": signed(notification("x", Timestamp="yesterday")),
        "half a surrogate": {**GENUINE, "Message": "\ud800"},
        "a number for a text": {**GENUINE, "Message": 7},
        **{f"certificate at {url!r}": signed(notification("x", SigningCertURL=url)) for url in OTHER_HOSTS},
    }


Read = Callable[[Callback], Awaitable[object]]


async def assert_all_forged(read: Read, messages: dict[str, dict[str, Any]]) -> None:
    taken = []
    for name, forged in messages.items():
        try:
            await read(callback(forged))
        except Forged:
            continue
        taken.append(name)
    assert taken == []


async def test_every_forgery_is_refused_and_the_genuine_message_is_read(aws: Aws, amazon: Amazon) -> None:
    assert (await aws.receive(callback(GENUINE))).reports[0].error is ErrorClass.NO_CHANNEL
    await assert_all_forged(aws.receive, forgeries())
    for body in (b"", b"null", b"[]", b"{}", b"\xff", b'{"Type": "Notification"}', b'{"Type": ["Notification"]}'):
        with pytest.raises(Forged):
            await aws.receive(replace(callback(GENUINE), body=body))
    assert amazon.asked == [CERTIFICATE_URL]


async def test_no_forgery_makes_the_gateway_ask_another_host(aws: Aws, amazon: Amazon) -> None:
    for url in OTHER_HOSTS:
        with pytest.raises(Forged):
            await aws.receive(callback(signed(notification("x", SigningCertURL=url))))
    assert amazon.asked == []


async def test_a_reader_that_looks_for_amazon_anywhere_in_the_address_is_noticed(amazon: Amazon) -> None:
    class Loose(Topic):
        def _certificate_url(self, envelope: Any) -> str:
            url = str(envelope["SigningCertURL"])
            if "amazonaws.com" not in url:
                raise Forged
            amazon.certificates[url] = vendor_aws.certificate()  # the attacker's host serves one too
            return url

    loose = provider(amazon)
    loose._topic = Loose(TOPIC, amazon, lambda: NOW)
    theirs = {"their certificate": signed(notification("x", SigningCertURL=OTHER_HOSTS[2]))}
    await assert_all_forged(provider(amazon).receive, theirs)
    with pytest.raises(AssertionError, match="their certificate"):
        await assert_all_forged(loose.receive, theirs)


async def test_a_reader_that_does_not_pin_the_topic_is_noticed(aws: Aws) -> None:
    async def lax(callback: Callback) -> object:
        content = json.loads(callback.body)
        topic = Topic(content["TopicArn"], Amazon(), lambda: NOW)
        envelope = topic.open(callback.body)
        await topic.learn(envelope)
        return topic.check(envelope)

    messages = {name: message for name, message in forgeries().items() if name == "another topic"}
    await assert_all_forged(aws.receive, messages)
    with pytest.raises(AssertionError, match="another topic"):
        await assert_all_forged(lax, messages)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "", "Delivery – é\nstatus"])
async def test_both_versions_of_the_signature_are_read_with_and_without_a_subject(
    aws: Aws, version: str, subject: str | None
) -> None:
    content = event("TEXT_DELIVERED", note='Grüße\n"quoted" \\ é')
    message = signed(notification(content, SignatureVersion=version, Subject=subject))
    assert (await aws.receive(callback(message))).reports[0].kind is ReportKind.DELIVERED


async def test_a_certificate_out_of_its_time_signs_nothing(amazon: Amazon) -> None:
    amazon.certificates[CERTIFICATE_URL] = vendor_aws.certificate(until=timedelta(hours=-1))
    with pytest.raises(Forged):
        await provider(amazon).receive(callback(GENUINE))


async def test_a_certificate_with_a_key_of_another_kind_signs_nothing(amazon: Amazon) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - timedelta(1), NOW + timedelta(1))
    amazon.certificates[CERTIFICATE_URL] = builder.sign(key, SHA256()).public_bytes(Encoding.PEM)
    with pytest.raises(Forged):
        await provider(amazon).receive(callback(GENUINE))


async def test_without_a_topic_nobody_may_call(amazon: Amazon) -> None:
    with pytest.raises(Forged):
        await provider(amazon, topic_arn=None).receive(callback(GENUINE))


# --- certificates ---


async def test_a_certificate_is_fetched_once_for_many_messages_at_once(aws: Aws, amazon: Amazon) -> None:
    outcomes = await asyncio.gather(*(aws.receive(callback(GENUINE)) for _ in range(50)))
    assert len(outcomes) == 50
    assert amazon.asked == [CERTIFICATE_URL]
    assert aws.read(callback(GENUINE)) == outcomes[0]


@pytest.mark.parametrize(
    "fails",
    [
        SendError(ErrorClass.PROVIDER_DOWN, "timeout"),
        Reply(500, {}, b""),
        Reply(302, {}, b""),
        Reply(200, {}, b"no PEM"),
    ],
)
async def test_while_no_certificate_is_to_be_had_the_message_is_to_come_again(
    aws: Aws, amazon: Amazon, fails: SendError | Reply
) -> None:
    amazon.fails = fails
    with pytest.raises(Unread):
        await aws.receive(callback(GENUINE))
    amazon.fails = None
    assert (await aws.receive(callback(GENUINE))).reports


async def test_a_certificate_that_amazon_does_not_have_proves_nothing(aws: Aws) -> None:
    with pytest.raises(Forged):
        await aws.receive(callback(signed(notification("x", SigningCertURL=numbered(1)))))


def numbered(number: int) -> str:
    return f"{HOST}SimpleNotificationService-{number:032x}.pem"


async def test_made_up_certificates_cost_amazon_and_us_little(amazon: Amazon) -> None:
    time = [NOW]
    aws = provider(amazon, lambda: time[0])
    for number in range(100):
        with pytest.raises((Forged, Unread)):
            await aws.receive(callback(signed(notification("x", SigningCertURL=numbered(number)))))
    assert len(amazon.asked) == FETCHES
    time[0] += timedelta(minutes=1)
    assert (await aws.receive(callback(GENUINE))).reports


async def test_few_certificates_are_kept(amazon: Amazon) -> None:
    aws = provider(amazon)
    for number in range(CERTIFICATES + 2):
        amazon.certificates[numbered(number)] = vendor_aws.certificate()
        await aws.receive(callback(signed(notification("x", SigningCertURL=numbered(number)))))
    assert aws._topic is not None
    assert len(aws._topic._certificates) == CERTIFICATES


# --- the subscription ---


async def test_a_genuine_subscription_is_confirmed_at_the_topics_own_host(aws: Aws, amazon: Amazon) -> None:
    assert await aws.receive(callback(signed(confirmation()))) == Outcome()
    visited = amazon.asked[-1]
    assert visited.startswith(f"{HOST}?")
    assert parse_qs(urlsplit(visited).query) == {
        "Action": ["ConfirmSubscription"],
        "TopicArn": [TOPIC],
        "Token": ["2336412f37f"],
    }


@pytest.mark.parametrize(
    "where", ["http://169.254.169.254/latest/meta-data/", "https://evil.example/?Action=x", "file:///"]
)
async def test_the_address_in_a_confirmation_is_not_visited(aws: Aws, amazon: Amazon, where: str) -> None:
    await aws.receive(callback(signed(confirmation(SubscribeURL=where))))
    assert all(url.startswith(HOST) for url in amazon.asked)


async def test_a_forged_confirmation_confirms_nothing(aws: Aws, amazon: Amazon) -> None:
    genuine = signed(confirmation())
    for forged in (
        {**genuine, "Token": "another"},
        {**genuine, "SubscribeURL": "https://evil.example/"},
        signed(confirmation(), vendor_aws.other_key()),
        signed(confirmation(TopicArn=TOPIC + "2")),
    ):
        with pytest.raises(Forged):
            await aws.receive(callback(forged))
    assert all("ConfirmSubscription" not in url for url in amazon.asked)


@pytest.mark.parametrize("fails", [SendError(ErrorClass.PROVIDER_DOWN, "timeout"), Reply(403, {}, b"")])
async def test_a_confirmation_that_failed_is_to_come_again(aws: Aws, amazon: Amazon, fails: SendError | Reply) -> None:
    await aws.receive(callback(GENUINE))  # the certificate is known
    amazon.fails = fails
    with pytest.raises(Unread):
        await aws.receive(callback(signed(confirmation())))


async def test_the_end_of_a_subscription_is_heard_and_not_undone(aws: Aws, amazon: Amazon) -> None:
    assert await aws.receive(callback(signed(confirmation(Type="UnsubscribeConfirmation")))) == Outcome()
    assert amazon.asked == [CERTIFICATE_URL]
