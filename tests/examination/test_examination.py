"""How findings are made: clocks, masks, refusals that are alike, and that no provider of the tree is left out."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest

from channels.contract import ErrorClass, SendError
from channels.examination import Examinable, Finding, Inquiry, clock, fault, masked, ok
from channels.remedies import CLASSES, Remedies, load
from channels.transport import Reply, refused
from tests.conformance.subject import found as subjects
from tests.conformance.subject import shipped
from tests.examination import looking

DATE = "Mon, 05 Jan 2026 10:00:00 GMT"
AT = 1_767_607_200.0


@pytest.mark.parametrize(
    ("now", "verdict", "seen"),
    [
        (AT, "ok", "agrees with the vendor's"),
        (AT + 60, "ok", "agrees with the vendor's"),
        (AT + 61, "warning", "61 s ahead of the vendor's"),
        (AT - 300, "warning", "300 s behind the vendor's"),
        (AT - 301, "fault", "301 s behind the vendor's"),
    ],
)
def test_a_clock_is_judged_by_how_far_it_is_off(now: float, verdict: str, seen: str) -> None:
    finding = clock(DATE, now)
    assert finding is not None
    assert (finding.verdict, finding.seen) == (verdict, seen)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 05 Jan 2026 10:00:00", "Mon, 99 Jan 99999 10:00:00 GMT"])
def test_a_date_that_is_none_says_nothing_of_the_clock(date: str) -> None:
    assert clock(date, AT) is None


@pytest.mark.parametrize(
    ("sender", "shown"),
    [
        ("+14155550100", "+1415*****00"),
        ("14155550100", "1415*****00"),
        ("+2908123", "+2****23"),
        ("89203", "89203"),
        ("ACME", "ACME"),
        ("pool-0a1b", "pool-0a1b"),
    ],
)
def test_a_number_is_masked_and_a_name_is_not(sender: str, shown: str) -> None:
    assert masked(sender) == shown


def _refusal(code: str) -> SendError:
    return SendError(ErrorClass.PROVIDER_ACCOUNT, code)


async def _gathered(**answers: Finding | Exception) -> list[Finding]:
    async def check(answer: Finding | Exception) -> Finding:
        if isinstance(answer, Exception):
            raise answer
        return answer

    checks: dict[str, Awaitable[Finding]] = {what: check(answer) for what, answer in answers.items()}
    inquiry = Inquiry(lambda reply: refused(reply, ErrorClass.UNKNOWN), Remedies({"20003": "Compare them."}, {}))
    return await inquiry.findings(checks)


async def test_refusals_that_are_alike_are_one_finding_and_others_stay() -> None:
    found = await _gathered(a=_refusal("20003"), b=_refusal("20003"), c=_refusal("20005"), d=ok("d", "good"))
    assert [(one.what, one.seen) for one in found] == [
        ("a, b", "provider_account (20003)"),
        ("c", "provider_account (20005)"),
        ("d", "good"),
    ]


async def test_a_bug_in_a_check_is_not_taken_for_a_refusal() -> None:
    with pytest.raises(KeyError):
        await _gathered(a=KeyError("status"))


async def test_an_answer_without_content_is_no_answer() -> None:
    async def reply() -> Reply:
        return Reply(200, {"Date": DATE}, b"[]")

    inquiry = Inquiry(lambda reply: refused(reply, ErrorClass.UNKNOWN), Remedies({}, {}), lambda: AT)
    with pytest.raises(SendError, match="unreadable"):
        await inquiry.read(reply())
    assert [finding.what for finding in await inquiry.findings({})] == ["clock"]


def test_a_remedy_is_that_of_the_code_then_of_the_class() -> None:
    remedies = Remedies({"20003": "by code", "sender": "by class on the page"}, {})
    assert remedies.of(SendError(ErrorClass.PROVIDER_ACCOUNT, "20003")) == "by code"
    assert remedies.of(SendError(ErrorClass.SENDER, "1")) == "by class on the page"
    assert remedies.of(SendError(ErrorClass.PROVIDER_DOWN, "dns")).startswith("The name can't be resolved")
    assert remedies.of(SendError(ErrorClass.FRAUD, "1")) == CLASSES[ErrorClass.FRAUD]


@pytest.mark.parametrize("kind", shipped())
async def test_every_provider_of_the_tree_can_look(kind: str) -> None:
    subject = subjects()[kind]
    for case in subject.cases.values():
        provider = subject.build(case)
        assert isinstance(provider, Examinable)
        await provider.close()


GOOD = fault("account", "provider_account (20003)", load("twilio").by_code["20003"])


@pytest.mark.parametrize(
    "change",
    [
        {"what": "SMS from +14155550100"},
        {"seen": "the key is the-auth-token-of-the-tests"},
        {"remedy": "Something that no page says."},
        {"remedy": ""},
        {"anchor": "no-such-heading"},
    ],
)
def test_a_finding_that_shows_a_secret_or_strays_from_the_page_would_be_caught(change: dict[str, Any]) -> None:
    """The planted bugs for what every other test here asks of each finding."""
    secrets = {"auth_token": "the-auth-token-of-the-tests"}
    looking._fit("twilio", [GOOD], secrets)
    with pytest.raises(AssertionError):
        looking._fit("twilio", [replace(GOOD, **change)], secrets)
