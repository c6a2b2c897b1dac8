"""Every sentence fails a provider that breaks it: sixty lines that are right, each time with one thing made wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import aiohttp
import pytest

from channels import signing
from channels.contract import (
    Callback,
    Cost,
    DeliveryReport,
    ErrorClass,
    Message,
    Outcome,
    Receipt,
    ReportKind,
    SendError,
)
from channels.transport import Transport
from tests.conformance import outside, test_content, test_reports, test_secrecy, test_sending, test_subjects
from tests.conformance.subject import Case, Sentence, Subject
from tests.conformance.subjects import webhook
from tests.conformance.subjects.outside import SUBJECT
from tests.vendors.mail import Certificate

CASE = SUBJECT.cases["sms"]
Broken = Callable[[Any], None]
"""Takes a provider that is right, and makes one thing of it wrong."""


def spoiled(spoil: Broken) -> Subject:
    """The provider of the tests, spoiled."""

    class Spoiled(Subject):
        def build(self, case: Case, **changes: Any) -> Any:
            built = super().build(case, **changes)
            spoil(built)
            return built

    return Spoiled(**{each.name: getattr(SUBJECT, each.name) for each in fields(SUBJECT)})


def sending(change: Callable[[Any, Message], Awaitable[Receipt]]) -> Broken:
    def spoil(provider: Any) -> None:
        right = provider.send
        provider.send = lambda message: change(right, message)

    return spoil


def reading(change: Callable[[Any, Callback], Outcome]) -> Broken:
    def spoil(provider: Any) -> None:
        right = provider.read
        provider.read = lambda callback: change(right, callback)

    return spoil


def replying(**changes: Any) -> Broken:
    """A transport that gets something wrong: so it changes every error that it raises."""

    async def send(right: Any, message: Message) -> Receipt:
        try:
            receipt: Receipt = await right(message)
        except SendError as error:
            for name, value in changes.items():
                setattr(error, name, value)
            raise
        return receipt

    return sending(send)


async def accepts_everything(right: Any, message: Message) -> Receipt:
    try:
        receipt: Receipt = await right(message)
    except SendError:
        return Receipt("m-1")
    return receipt


async def sends_twice(right: Any, message: Message) -> Receipt:
    await right(message)
    receipt: Receipt = await right(message)
    return receipt


async def forgets_the_price(right: Any, message: Message) -> Receipt:
    return replace(await right(message), cost=None)


async def is_patient(right: Any, message: Message) -> Receipt:
    try:
        receipt: Receipt = await right(message)
    except SendError:
        await asyncio.sleep(1.0)
        raise
    return receipt


async def without_id(right: Any, message: Message) -> Receipt:
    return replace(await right(message), message_id="")


async def rounds_the_price(right: Any, message: Message) -> Receipt:
    receipt: Receipt = await right(message)
    return replace(receipt, cost=Cost(round(receipt.cost.micros, -4), "EUR") if receipt.cost else None)


def wording(change: Callable[[str], str]) -> Broken:
    def spoken(right: Any, message: Message) -> Any:
        return right(replace(message, wording=replace(message.wording, text=change(message.wording.text))))

    return sending(spoken)


def wide(provider: Any) -> None:
    provider._http = Transport(user_agent="t", timeout=5.0, concurrency=100)


def trusting(provider: Any) -> None:
    right = provider._http._open

    def unverified() -> aiohttp.ClientSession:
        session: aiohttp.ClientSession = right()
        session.connector._ssl = False  # type: ignore[union-attr]
        return session

    provider._http._open = unverified


def unsigned(right: Any, callback: Callback) -> Outcome:
    said = outside._content(callback.body)
    if said.get("status") not in list(ReportKind):
        return Outcome()
    return Outcome((DeliveryReport(ReportKind(said["status"])),))


def unbound(right: Any, callback: Callback) -> Outcome:
    """Believes whatever is signed for the address that the message was sent with, wherever it comes in."""
    outcome: Outcome = right(replace(callback, url=CASE.message.callback_url or ""))
    return outcome


def talkative(provider: Any) -> None:
    right = provider._http.request

    async def request(method: str, url: str, **rest: Any) -> Any:
        logging.getLogger("own").debug("sending %s", rest["body"])
        return await right(method, url, **rest)

    provider._http.request = request


def telling(provider: Any) -> None:
    right = provider.send

    async def send(message: Message) -> Receipt:
        try:
            receipt: Receipt = await right(message)
        except SendError as error:
            raise SendError(error.error, f"{error.vendor_code}:{message.to}") from None
        return receipt

    provider.send = send


def mute(report: DeliveryReport | None) -> Callable[[Any, Callback], Outcome]:
    """Reads the signature, and then always the same."""

    def read(right: Any, callback: Callback) -> Outcome:
        right(callback)
        return Outcome((report,) if report else ())

    return read


Test = Callable[[Subject, Case, Certificate], Awaitable[None]]


def report_test(test: Callable[[Subject, Case], Awaitable[None]]) -> Test:
    return lambda subject, case, certificate: test(subject, case)


def text_test(name: str) -> Test:
    test, text = test_content.test_words_in_any_script_arrive_letter_for_letter, test_content.TEXTS[name]
    return lambda subject, case, certificate: test(subject, case, certificate, text)


_DELIVERED = DeliveryReport(ReportKind.DELIVERED)
_FRAUD = DeliveryReport(ReportKind.FAILED, ErrorClass.FRAUD, "blocked")
_accepted = test_sending.test_an_acceptance_gives_the_vendors_id_of_the_message
_classed = test_sending.test_every_code_of_the_table_is_classed_as_the_table_says
_overruled = test_sending.test_the_operator_can_class_a_code_otherwise
_unknown = test_sending.test_a_code_that_nobody_knows_never_ends_the_cascade_nor_condemns_the_number
_down = test_sending.test_an_http_500_is_the_providers_fault_and_the_message_may_have_gone_out
_throttled = test_sending.test_an_http_429_says_how_long_to_stay_away
_unreadable = test_sending.test_an_answer_that_cannot_be_read_may_have_been_an_acceptance
_empty = test_sending.test_an_empty_answer_may_have_been_an_acceptance
_cut_off = test_sending.test_a_connection_that_breaks_once_the_message_is_out_is_ambiguous
_nobody = test_sending.test_a_refused_connection_has_sent_nothing
_untrusted = test_sending.test_nothing_is_said_to_a_server_whose_certificate_nobody_vouches_for
_pool = test_sending.test_no_more_messages_are_with_the_vendor_at_once_than_its_concurrency
_lifetime = test_content.test_the_vendor_is_told_how_long_the_message_is_worth_delivering
_priced = test_content.test_a_price_is_read_into_millionths
_delivered = report_test(test_reports.test_a_delivered_message_is_reported_as_delivered)
_progress = report_test(test_reports.test_a_report_of_progress_moves_nothing)
_failed = report_test(test_reports.test_a_failed_message_is_reported_with_its_class_and_its_code)
_order = report_test(test_reports.test_reports_may_come_twice_in_any_order_and_before_the_answer)
_forged = report_test(test_reports.test_a_report_that_the_vendor_did_not_sign_is_refused)
_bound = report_test(test_reports.test_a_report_cannot_be_used_for_another_message)

BUGS: Mapping[str, tuple[Test, Broken]] = {
    "it gives no id": (_accepted, sending(without_id)),
    "it sends twice": (_accepted, sending(sends_twice)),
    "it has one class for all codes": (_classed, replying(error=ErrorClass.UNKNOWN)),
    "it keeps the code to itself": (_classed, replying(vendor_code="")),
    "it takes every refusal for ambiguous": (_classed, replying(ambiguous=True)),
    "it is deaf to the operator": (_overruled, replying(error=ErrorClass.OPTED_OUT)),
    "it takes a strange code for fraud": (_unknown, replying(error=ErrorClass.FRAUD)),
    "it takes a strange code for a bad number": (_unknown, replying(error=ErrorClass.BAD_DESTINATION)),
    "it takes a 500 for surely not sent": (_down, replying(ambiguous=False)),
    "it overlooks Retry-After": (_throttled, replying(retry_after=None)),
    "it takes nonsense for an acceptance": (_unreadable, sending(accepts_everything)),
    "it takes an empty answer for an acceptance": (_empty, sending(accepts_everything)),
    "it overstays its deadline": (test_sending.test_the_deadline_is_kept, sending(is_patient)),
    "it takes a cut for surely not sent": (_cut_off, replying(ambiguous=False)),
    "it takes a refused connection for perhaps sent": (_nobody, replying(ambiguous=True)),
    "it trusts any certificate": (_untrusted, trusting),
    "its pool has no bound": (_pool, wide),
    "it sends ASCII only": (
        text_test("Arabic, right to left"),
        wording(lambda text: text.encode("ascii", "replace").decode()),
    ),
    "it sends one segment only": (text_test("four segments"), wording(lambda text: text[:160])),
    "it trims": (text_test("several lines"), wording(lambda text: " ".join(text.split()))),
    "it gives every message ten hours": (
        _lifetime,
        sending(lambda right, message: right(replace(message, lifetime=36_000))),
    ),
    "it forgets the price": (_priced, sending(forgets_the_price)),
    "it rounds the price": (_priced, sending(rounds_the_price)),
    "it never hears of a delivery": (_delivered, reading(mute(DeliveryReport(ReportKind.PROGRESS)))),
    "it takes progress for delivery": (_progress, reading(mute(_DELIVERED))),
    "it takes every failure for fraud": (_failed, reading(mute(_FRAUD))),
    "it takes a delivery for a failure": (_order, reading(mute(_FRAUD))),
    "it checks no signature": (_forged, reading(unsigned)),
    "it checks the signature of another address": (_bound, reading(unbound)),
}


@pytest.mark.parametrize(("test", "spoil"), BUGS.values(), ids=BUGS.keys())
async def test_a_sentence_fails_a_provider_that_breaks_it(test: Test, spoil: Broken, certificate: Certificate) -> None:
    with pytest.raises((AssertionError, TimeoutError, pytest.fail.Exception)):
        await test(spoiled(spoil), CASE, certificate)


async def test_a_window_that_is_too_wide_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "WINDOW", 86_400)
    test = test_reports.test_a_report_signed_more_than_five_minutes_ago_is_refused
    with pytest.raises(AssertionError):
        await test(webhook.SUBJECT, webhook.SUBJECT.cases["sms"])


@pytest.mark.parametrize("spoil", [talkative, telling])
async def test_a_provider_that_lets_something_out_is_noticed(
    spoil: Broken, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(AssertionError):
        await test_secrecy.test_no_code_number_token_or_key_is_logged_raised_or_shown(
            spoiled(spoil), CASE, certificate, caplog
        )


def test_a_provider_without_a_subject_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_subjects, "shipped", lambda: ["twilio", "new"])
    with pytest.raises(AssertionError, match=r"write tests/conformance/subjects/<name>.py for \['new'\]"):
        test_subjects.test_every_provider_of_the_tree_is_held_to_the_suite()


@pytest.mark.parametrize(
    "exempt",
    [
        {Sentence.FORGED: "we had no time to forge it yet"},  # it could be shown
        {Sentence.REPLAYED: "no time"},  # no reason
        {},  # nothing shown, and nothing said of it
    ],
)
def test_an_exemption_that_is_not_one_is_noticed(exempt: Mapping[Sentence, str]) -> None:
    with pytest.raises(AssertionError):
        test_subjects.test_an_exemption_says_why_and_hides_nothing_that_could_be_shown(
            replace(SUBJECT, exempt=exempt), CASE
        )


def test_a_code_that_nobody_tries_is_noticed() -> None:
    with pytest.raises(AssertionError):
        test_subjects.test_every_code_of_the_table_is_tried_in_an_answer_or_in_a_report(
            replace(SUBJECT, table={**SUBJECT.table, "forgotten": "content"})
        )
