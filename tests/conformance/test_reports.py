"""What every vendor reports later, and what none can make believe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations

from channels.contract import Callback, DeliveryReport, Forged, Provider, ReportKind
from gateway.core.model import AttemptStatus
from tests.conformance.reading import after, read
from tests.conformance.subject import TOKEN, URL, Case, Reporting, Sentence, Subject, every_case

DELIVERED, FAILED, SENT = AttemptStatus.DELIVERED, AttemptStatus.FAILED, AttemptStatus.SENT
OTHER_TOKEN = "b3RoZXItb3RoZXItb3RoZXI"


def reporting(case: Case) -> Reporting:
    assert case.reporting is not None
    return case.reporting


async def report(subject: Subject, case: Case, callback: Callback) -> DeliveryReport:
    provider = subject.build(case)
    (only,) = (await read(provider, callback)).reports
    await provider.close()
    return only


@every_case(Sentence.REPORTS)
async def test_a_delivered_message_is_reported_as_delivered(subject: Subject, case: Case) -> None:
    heard = await report(subject, case, reporting(case).delivered(case.message))
    assert (heard.kind, heard.error) == (ReportKind.DELIVERED, None)
    assert after([heard]) == [DELIVERED]


@every_case(Sentence.PROGRESS)
async def test_a_report_of_progress_moves_nothing(subject: Subject, case: Case) -> None:
    progress = reporting(case).progress
    assert progress is not None
    provider = subject.build(case)
    reports = (await read(provider, progress(case.message))).reports
    await provider.close()
    assert {heard.kind for heard in reports} <= {ReportKind.PROGRESS}
    assert set(after(reports)) <= {SENT}


@every_case(Sentence.REPORTS)
async def test_a_failed_message_is_reported_with_its_class_and_its_code(subject: Subject, case: Case) -> None:
    provider, heard = subject.build(case), {}
    for code in reporting(case).failures:
        (failed,) = (await read(provider, reporting(case).failed(case.message, code))).reports
        heard[code] = (failed.kind, str(failed.error), failed.vendor_code)
    await provider.close()
    assert heard == {
        code: (ReportKind.FAILED, subject.table[code], subject.shown(code)) for code in reporting(case).failures
    }
    assert heard


@every_case(Sentence.REPORTS)
async def test_reports_may_come_twice_in_any_order_and_before_the_answer(subject: Subject, case: Case) -> None:
    says = reporting(case)
    made = [says.delivered(case.message), says.failed(case.message, next(iter(says.failures)))]
    made += [says.progress(case.message)] if says.progress else []
    reports = [await report(subject, case, callback) for callback in made]
    for order in permutations(reports):
        for accepted in (True, False):
            turns = after([*order, *order], accepted=accepted)
            place = order.index(reports[0])
            assert set(turns[place:]) == {DELIVERED}  # once delivered, always delivered
            assert turns[len(order) :] == [turns[len(order) - 1]] * len(order)  # the second time changes nothing


@every_case(Sentence.REPORTS)
async def test_a_report_read_twice_by_one_provider_says_the_same_or_is_refused_as_a_replay(
    subject: Subject, case: Case
) -> None:
    callback = reporting(case).delivered(case.message)
    provider = subject.build(case)
    first = await read(provider, callback)
    try:
        assert await read(provider, callback) == first
    except Forged:
        assert not subject.excuse(case, Sentence.REPLAYED)
    await provider.close()


async def taken(provider: Provider, callbacks: Mapping[str, Callback]) -> list[str]:
    """The forgeries that the provider believed."""
    believed = []
    for name, callback in callbacks.items():
        try:
            await read(provider, callback)
        except Forged:
            continue
        believed.append(name)
    await provider.close()
    return believed


@every_case(Sentence.FORGED)
async def test_a_report_that_the_vendor_did_not_sign_is_refused(subject: Subject, case: Case) -> None:
    says = reporting(case)
    assert says.forge is not None
    genuine = says.failed(case.message, next(iter(says.failures)))
    forgeries = says.forge(genuine)
    assert len(forgeries) > 3
    assert await taken(subject.build(case), forgeries) == []
    assert await taken(subject.build(case), {"genuine": genuine}) == ["genuine"]


@every_case(Sentence.REPLAYED)
async def test_a_report_signed_more_than_five_minutes_ago_is_refused(subject: Subject, case: Case) -> None:
    stale = reporting(case).stale
    assert stale is not None
    assert await taken(subject.build(case), {"stale": stale(case.message)}) == []


@every_case(Sentence.BOUND)
async def test_a_report_cannot_be_used_for_another_message(subject: Subject, case: Case) -> None:
    says = reporting(case)
    genuine = says.delivered(case.message)
    if says.bound == "url":
        assert genuine.url.startswith(URL)
        moved = replace(genuine, url=genuine.url.replace(TOKEN, OTHER_TOKEN))
        assert await taken(subject.build(case), {"moved": moved}) == []
    else:
        assert says.bound == "token"
        assert TOKEN not in genuine.url
        other = says.delivered(replace(case.message, token=OTHER_TOKEN))
        tokens = [(await report(subject, case, callback)).token for callback in (genuine, other)]
        assert tokens == [TOKEN, OTHER_TOKEN]


NONSENSE = (b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 50_000, b"a=b&a=c", b'{"status": {}}', b"\x00" * 99)


@every_case(Sentence.REPORTS)
async def test_a_body_that_makes_no_sense_is_no_report_and_no_crash(subject: Subject, case: Case) -> None:
    provider = subject.build(case)
    genuine = reporting(case).delivered(case.message)
    for body in NONSENSE:
        try:
            assert (await read(provider, replace(genuine, body=body, query=(), url=URL))).reports == ()
        except Forged:
            assert not subject.excuse(case, Sentence.FORGED)
    await provider.close()
