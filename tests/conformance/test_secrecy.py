"""What no provider lets out: the code, the number, the words, the token of the callback and its own keys."""

from __future__ import annotations

import logging
from collections.abc import Collection

import pytest

from channels.contract import Forged, SendError
from tests.conformance.reading import read
from tests.conformance.subject import CODE, EMAIL, PHONE, TOKEN, Case, Refused, Sentence, Situation, Subject, every_case
from tests.vendors.mail import Certificate

VENDORS = ("mail.log",)
"""Loggers of the vendors on loopback: what a vendor writes down is not the gateway's."""

_SENTENCES = {
    Situation.SERVER_ERROR: Sentence.SERVER_ERROR,
    Situation.THROTTLED: Sentence.THROTTLED,
    Situation.MALFORMED: Sentence.MALFORMED,
    Situation.EMPTY: Sentence.EMPTY,
    Situation.RESET: Sentence.RESET,
    Situation.NOBODY: Sentence.NOBODY,
    Situation.UNTRUSTED: Sentence.UNTRUSTED,
}


def situations(subject: Subject, case: Case) -> list[Situation | Refused]:
    """All that the suite can provoke, but for the slow one."""
    some = [Refused(code) for code in list(case.refusals)[:3]]
    possible = [each for each, sentence in _SENTENCES.items() if not subject.excuse(case, sentence)]
    return [Situation.ACCEPTED, *some, *possible]


async def everything_said(
    subject: Subject, case: Case, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> str:
    """Every record, error and representation that a provider leaves behind, at the most talkative level."""
    caplog.set_level(logging.DEBUG)
    said = []
    for situation in situations(subject, case):
        async with subject.meet(case, situation, certificate) as meeting:
            try:
                said.append(repr(await meeting.provider.send(meeting.message)))
            except SendError as error:
                said.append(f"{error!r} {error} {error.vendor_code} {error.__cause__!r} {error.__context__!r}")
            said += [repr(meeting.provider), repr(meeting.message)]
    said += await heard(subject, case)
    records = [record for record in caplog.records if record.name not in VENDORS]
    return "\n".join([*said, *(f"{record.getMessage()} {record.__dict__}" for record in records)])


async def heard(subject: Subject, case: Case) -> list[str]:
    says, provider, said = case.reporting, subject.build(case), []
    if says is not None:
        callbacks = [says.delivered(case.message), says.failed(case.message, next(iter(says.failures)))]
        forgeries = list(says.forge(callbacks[1]).values())[:5] if says.forge else []
        for callback in [*callbacks, *forgeries]:
            try:
                said.append(repr(await read(provider, callback)))
            except Forged as error:
                said.append(f"{error!r} {error.__cause__!r}")
    said.append(repr(provider))
    await provider.close()
    return said


def leaked(subject: Subject, case: Case, text: str) -> list[str]:
    """Which of the secrets are in the text, by name."""
    secrets: dict[str, Collection[str]] = {
        "code": [CODE, "4, 8, 2, 9, 1, 3"],
        "number": [PHONE[1:], case.message.to],
        "address": [EMAIL],
        "token": [TOKEN],
        "words": [case.message.wording.text],
        "key": subject.secrets.values(),
    }
    return [name for name, values in secrets.items() if any(value in text for value in values if value)]


@every_case(Sentence.REFUSED)
async def test_no_code_number_token_or_key_is_logged_raised_or_shown(
    subject: Subject, case: Case, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    text = await everything_said(subject, case, certificate, caplog)
    assert len(text) > 100
    assert leaked(subject, case, text) == []


@every_case(Sentence.REFUSED)
def test_neither_the_settings_nor_the_table_hold_a_secret(subject: Subject, case: Case) -> None:
    assert leaked(subject, case, f"{subject.settings} {case.settings}") == []
