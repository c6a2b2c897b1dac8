"""The suite itself: every provider is in it, with its whole table and all its channels, and each exemption says why."""

from __future__ import annotations

import pytest

from channels import errors
from channels.contract import Channel
from tests.conformance.subject import Case, Sentence, Subject, found, shipped

SUBJECTS = found()
_CASES = [
    pytest.param(subject, case, id=f"{subject.provider}-{name}")
    for subject in SUBJECTS.values()
    for name, case in subject.cases.items()
]


def test_every_provider_of_the_tree_is_held_to_the_suite() -> None:
    missing = set(shipped()) - {subject.provider for subject in SUBJECTS.values()}
    assert not missing, f"write tests/conformance/subjects/<name>.py for {sorted(missing)}: see the README there"


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS.keys())
def test_every_code_of_the_table_is_tried_in_an_answer_or_in_a_report(subject: Subject) -> None:
    cases = subject.cases.values()
    tried = {code for case in cases for code in case.refusals}
    tried |= {code for case in cases if case.reporting for code in case.reporting.failures}
    assert set(subject.table) == tried
    shipping = errors._TABLES / f"{subject.provider}.yaml"
    if shipping.exists():
        assert set(errors.load(subject.provider)) <= tried


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS.keys())
async def test_every_channel_that_a_provider_can_have_is_a_case(subject: Subject) -> None:
    carried: set[Channel] = set()
    for case in subject.cases.values():
        provider = subject.build(case)
        assert case.message.channel in provider.channels
        carried |= provider.channels
        await provider.close()
    assert carried == {case.message.channel for case in subject.cases.values()}


@pytest.mark.parametrize(("subject", "case"), _CASES)
def test_an_exemption_says_why_and_hides_nothing_that_could_be_shown(subject: Subject, case: Case) -> None:
    reports = case.reporting
    shown = {
        Sentence.REFUSED: bool(case.refusals),
        Sentence.UNKNOWN: bool(case.unknown),
        Sentence.WORDS: bool(case.words or case.spoken),
        Sentence.LIFETIME: case.lifetime is not None,
        Sentence.PRICE: case.priced is not None or bool(reports and reports.priced),
        Sentence.REPORTS: reports is not None and bool(reports.failures),
        Sentence.PROGRESS: bool(reports and reports.progress),
        Sentence.FORGED: bool(reports and reports.forge),
        Sentence.REPLAYED: bool(reports and reports.stale),
        Sentence.BOUND: bool(reports and reports.bound),
    }
    assert {sentence: not subject.excuse(case, sentence) for sentence in shown} == shown
    reasons = {**subject.exempt, **case.exempt}
    assert [sentence for sentence, reason in reasons.items() if len(reason.split()) < 4] == []
