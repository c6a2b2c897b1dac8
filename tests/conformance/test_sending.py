"""Every provider, whatever its vendor answers: accepted, refused, out of order, slow, or not there at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from channels.contract import REMEDIES, ErrorClass, Receipt, Remedy, SendError
from tests.conformance.subject import (
    RETRY_AFTER,
    TIMEOUT,
    Case,
    Meeting,
    Refused,
    Sentence,
    Situation,
    Subject,
    every_case,
)
from tests.vendors.mail import Certificate

Verdict = tuple[ErrorClass, bool]
SENT_PERHAPS: Verdict = (ErrorClass.PROVIDER_DOWN, True)
SURELY_NOT_SENT: Verdict = (ErrorClass.PROVIDER_DOWN, False)


async def refusal(meeting: Meeting) -> SendError:
    with pytest.raises(SendError) as caught:
        await meeting.provider.send(meeting.message)
    return caught.value


async def verdict(subject: Subject, case: Case, situation: Situation, certificate: Certificate) -> Verdict:
    async with subject.meet(case, situation, certificate) as meeting:
        error = await refusal(meeting)
    return error.error, error.ambiguous


@every_case(Sentence.ID)
async def test_an_acceptance_gives_the_vendors_id_of_the_message(
    subject: Subject, case: Case, certificate: Certificate
) -> None:
    async with subject.meet(case, Situation.ACCEPTED, certificate) as meeting:
        receipt = await meeting.provider.send(meeting.message)
        assert meeting.requests() == 1
    assert receipt.message_id
    assert receipt.message_id.isprintable()


@every_case(Sentence.REFUSED)
async def test_every_code_of_the_table_is_classed_as_the_table_says(
    subject: Subject, case: Case, certificate: Certificate
) -> None:
    heard = {}
    for code in case.refusals:
        async with subject.meet(case, Refused(code), certificate) as meeting:
            error = await refusal(meeting)
        heard[code] = (str(error.error), error.vendor_code)
        assert not error.ambiguous or error.error is ErrorClass.PROVIDER_DOWN  # an internal error may come late
    assert heard == {code: (subject.table[code], subject.shown(code)) for code in case.refusals}
    assert heard


@every_case(Sentence.REFUSED)
async def test_the_operator_can_class_a_code_otherwise(subject: Subject, case: Case, certificate: Certificate) -> None:
    code = next(iter(case.refusals))
    other = "content" if subject.table[code] != "content" else "sender"
    changes = {"errors": {subject.shown(code): other}}
    async with subject.meet(case, Refused(code), certificate, **changes) as meeting:
        assert (await refusal(meeting)).error == other


@every_case(Sentence.UNKNOWN)
async def test_a_code_that_nobody_knows_never_ends_the_cascade_nor_condemns_the_number(
    subject: Subject, case: Case, certificate: Certificate
) -> None:
    async with subject.meet(case, Refused(case.unknown), certificate) as meeting:
        error = await refusal(meeting)
    assert REMEDIES[error.error] in (Remedy.NEXT_PROVIDER, Remedy.NEXT_CHANNEL)
    assert (error.vendor_code, error.ambiguous) == (subject.shown(case.unknown), False)


@every_case(Sentence.SERVER_ERROR)
async def test_an_http_500_is_the_providers_fault_and_the_message_may_have_gone_out(
    subject: Subject, case: Case, certificate: Certificate
) -> None:
    assert await verdict(subject, case, Situation.SERVER_ERROR, certificate) == SENT_PERHAPS


@every_case(Sentence.THROTTLED)
async def test_an_http_429_says_how_long_to_stay_away(subject: Subject, case: Case, certificate: Certificate) -> None:
    async with subject.meet(case, Situation.THROTTLED, certificate) as meeting:
        error = await refusal(meeting)
    assert (error.error, error.ambiguous, error.retry_after) == (ErrorClass.THROTTLED, False, RETRY_AFTER)


@every_case(Sentence.MALFORMED)
async def test_an_answer_that_cannot_be_read_may_have_been_an_acceptance(
    subject: Subject, case: Case, certificate: Certificate
) -> None:
    assert await verdict(subject, case, Situation.MALFORMED, certificate) == SENT_PERHAPS


@every_case(Sentence.EMPTY)
async def test_an_empty_answer_may_have_been_an_acceptance(
    subject: Subject, case: Case, certificate: Certificate
) -> None:
    assert await verdict(subject, case, Situation.EMPTY, certificate) == SENT_PERHAPS


@every_case(Sentence.SLOW)
async def test_the_deadline_is_kept(subject: Subject, case: Case, certificate: Certificate) -> None:
    async with subject.meet(case, Situation.SLOW, certificate) as meeting:
        began = time.monotonic()
        async with asyncio.timeout(TIMEOUT + 0.75):
            error = await refusal(meeting)
        assert time.monotonic() - began > TIMEOUT * 0.9
    assert (error.error, error.ambiguous) == SENT_PERHAPS


@every_case(Sentence.RESET)
async def test_a_connection_that_breaks_once_the_message_is_out_is_ambiguous(
    subject: Subject, case: Case, certificate: Certificate
) -> None:
    assert await verdict(subject, case, Situation.RESET, certificate) == SENT_PERHAPS


@every_case(Sentence.NOBODY)
async def test_a_refused_connection_has_sent_nothing(subject: Subject, case: Case, certificate: Certificate) -> None:
    assert await verdict(subject, case, Situation.NOBODY, certificate) == SURELY_NOT_SENT


@every_case(Sentence.UNTRUSTED)
async def test_nothing_is_said_to_a_server_whose_certificate_nobody_vouches_for(
    subject: Subject, case: Case, certificate: Certificate
) -> None:
    async with subject.meet(case, Situation.UNTRUSTED, certificate) as meeting:
        error = await refusal(meeting)
        assert meeting.requests() == 0
    assert (error.error, error.ambiguous, error.vendor_code) == (*SURELY_NOT_SENT, "tls")


@every_case(Sentence.POOL)
async def test_no_more_messages_are_with_the_vendor_at_once_than_its_concurrency(
    subject: Subject, case: Case, certificate: Certificate
) -> None:
    async with subject.meet(case, Situation.ACCEPTED, certificate, concurrency=3) as meeting:
        assert meeting.hold is not None
        async with meeting.hold() as most:
            sends = [asyncio.create_task(meeting.provider.send(meeting.message)) for _ in range(12)]
            await until(lambda: most() >= 3)
            await asyncio.sleep(0.01)
        receipts = await asyncio.gather(*sends)
        assert (most(), meeting.requests()) == (3, 12)
    assert all(isinstance(receipt, Receipt) for receipt in receipts)


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while not reached():  # noqa: ASYNC110  # what it waits for is not ours to signal
            await asyncio.sleep(0.001)
