"""What every vendor is handed: the words to the letter, and for how long they are worth anything; and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from channels.contract import Channel, Cost, Message
from tests.conformance.reading import read
from tests.conformance.subject import CODE, LIFETIME, Case, Sentence, Situation, Subject, every_case
from tests.vendors.mail import Certificate
from tests.vendors.server import Received, Reply

TEXTS = {
    "Latin and signs of markup": f'{CODE} <b>is</b> "your" code & more + 100% \\o/ é',
    "Arabic, right to left": f"رمز التحقق الخاص بك هو {CODE}",
    "Hebrew with its direction marked": f"\u200fהקוד שלך: \u202a{CODE}\u202c",
    "emoji beyond the basic plane": f"🔐 {CODE} 👩\u200d💻",
    "several lines": f"{CODE} is your code.\n\n@shop.example #{CODE}",
    "four segments": f"{CODE} " + "ваш код подтверждения " * 12 + "конец",
}


@every_case(Sentence.WORDS)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
async def test_words_in_any_script_arrive_letter_for_letter(
    subject: Subject, case: Case, certificate: Certificate, text: str
) -> None:
    async with subject.meet(case, Situation.ACCEPTED, certificate) as meeting:
        sent = worded(meeting.message, text)
        await meeting.provider.send(sent)
        if case.spoken:
            heard = case.spoken(meeting.provider.answer(sent))
        else:
            assert meeting.words is not None
            heard = meeting.words()
    assert heard == (CODE if case.template else text)


def worded(message: Message, text: str) -> Message:
    if message.channel is Channel.VOICE:
        return replace(message, wording=replace(message.wording, spoken=text))
    return replace(message, wording=replace(message.wording, text=text))


@every_case(Sentence.WORDS)
async def test_a_call_after_the_end_is_told_no_code(subject: Subject, case: Case) -> None:
    provider = subject.build(case)
    assert CODE.encode() not in provider.answer(None).body
    await provider.close()


@every_case(Sentence.LIFETIME)
async def test_the_vendor_is_told_how_long_the_message_is_worth_delivering(
    subject: Subject, case: Case, certificate: Certificate
) -> None:
    async with subject.meet(case, Situation.ACCEPTED, certificate) as meeting:
        assert meeting.lifetime is not None
        told = {}
        for seconds in (120, LIFETIME):
            await meeting.provider.send(replace(meeting.message, lifetime=seconds))
            told[seconds] = meeting.lifetime()
    assert told == {120: 120, LIFETIME: LIFETIME}


def _always(reply: Reply) -> Callable[[Received], Reply]:
    return lambda received: reply


@every_case(Sentence.PRICE)
async def test_a_price_is_read_into_millionths(subject: Subject, case: Case, certificate: Certificate) -> None:
    costs: list[tuple[Cost | None, Cost]] = []
    if case.priced:
        reply, cost = case.priced
        priced = replace(case, accept=_always(reply))
        async with subject.meet(priced, Situation.ACCEPTED, certificate) as meeting:
            costs.append(((await meeting.provider.send(meeting.message)).cost, cost))
    if case.reporting and case.reporting.priced:
        make, cost = case.reporting.priced
        provider = subject.build(case)
        (report,) = (await read(provider, make(case.message))).reports
        await provider.close()
        costs.append((report.cost, cost))
    assert costs
    for heard, expected in costs:
        assert heard == expected
        assert type(expected.micros) is int
