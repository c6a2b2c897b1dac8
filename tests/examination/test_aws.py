"""What the doctor sees of End User Messaging and of SNS: all, or that the key is right and may not look."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from channels.examination import Finding, Verdict
from tests.examination.looking import looked, verdicts
from tests.vendors import aws
from tests.vendors.server import Reply

KEYS: dict[str, Any] = {
    "region": aws.REGION,
    "access_key_id": {"env": "A"},
    "secret_access_key": {"env": "B"},
}
SETTINGS: dict[str, Any] = {
    **KEYS,
    "from_sms": "pool-0123456789abcdef",
    "from_voice": "+14155550101",
    "configuration_set": "otp",
    "topic_arn": aws.TOPIC,
}
SECRETS = {"access_key_id": aws.KEY_ID, "secret_access_key": aws.SECRET}
VOICE = "voice from +1415*****01"


async def look(settings: dict[str, Any] | None = None, **changes: object) -> dict[str, Finding]:
    return await looked("aws", partial(aws.look, **changes), {**SETTINGS, **(settings or {})}, SECRETS)


async def test_a_good_account_is_ok_but_for_the_subscription() -> None:
    found = await look()
    assert verdicts(found) == {
        "account": Verdict.OK,
        "spend limit": Verdict.OK,
        "SMS from pool-0123456789abcdef": Verdict.OK,
        VOICE: Verdict.OK,
        "configuration set": Verdict.OK,
        "clock": Verdict.OK,
        "subscription of the topic": Verdict.UNKNOWN,
    }
    assert found["spend limit"].seen == "SMS 500 US dollars a month"


async def test_a_wrong_secret_is_one_finding_with_the_remedy_of_the_page() -> None:
    found = await looked("aws", aws.look, SETTINGS, {**SECRETS, "secret_access_key": "another-secret"})
    refusal = next(iter(found.values()))
    assert (refusal.verdict, refusal.seen) == (Verdict.FAULT, "provider_account (InvalidSignatureException)")
    assert refusal.remedy == "Wrong secret, or the machine's clock is more than five minutes off."


async def test_a_key_that_may_only_send_is_right_and_shows_nothing_else() -> None:
    found = await looked("aws", lambda _: aws.refuse("AccessDeniedException"), SETTINGS, SECRETS)
    assert found["account"].seen == "could not be checked: the key is right and may not look"
    assert {one for what, one in verdicts(found).items() if what != "clock"} == {Verdict.UNKNOWN}


def _events(**changes: object) -> dict[str, Any]:
    good: dict[str, Any] = {
        "Enabled": True,
        "MatchingEventTypes": ["ALL"],
        "SnsDestination": {"TopicArn": aws.TOPIC},
    }
    return {"DescribeConfigurationSets": {"ConfigurationSets": [{"EventDestinations": [{**good, **changes}]}]}}


@pytest.mark.parametrize(
    ("changes", "what", "verdict", "seen"),
    [
        (
            {"DescribeAccountAttributes": {"AccountAttributes": [{"Name": "ACCOUNT_TIER", "Value": "SANDBOX"}]}},
            "account",
            "warning",
            "in the sandbox: it sends to verified numbers only",
        ),
        (
            {
                "DescribeSpendLimits": {
                    "SpendLimits": [{"Name": "TEXT_MESSAGE_MONTHLY_SPEND_LIMIT", "EnforcedLimit": 1}]
                }
            },
            "spend limit",
            "warning",
            "SMS 1 US dollars a month",
        ),
        ({"DescribePhoneNumbers": {"PhoneNumbers": []}}, VOICE, "fault", "not in this account and region"),
        (
            {"DescribePhoneNumbers": {"PhoneNumbers": [], "NextToken": "more"}},
            VOICE,
            "unknown",
            "could not be checked: the account has more than 50 numbers",
        ),
        (
            {"DescribePhoneNumbers": {"PhoneNumbers": [{"PhoneNumber": "+14155550101", "Status": "PENDING"}]}},
            VOICE,
            "fault",
            "its status is PENDING",
        ),
        (
            {
                "DescribePhoneNumbers": {
                    "PhoneNumbers": [{"PhoneNumber": "+14155550101", "NumberCapabilities": ["SMS"]}]
                }
            },
            VOICE,
            "fault",
            "it can't do VOICE",
        ),
        (
            {"DescribePools": aws.refuse("ResourceNotFoundException")},
            "SMS from pool-0123456789abcdef",
            "fault",
            "sender (ResourceNotFoundException)",
        ),
        (_events(), "configuration set", "ok", "its events go to topic_arn"),
        (_events(Enabled=False), "configuration set", "fault", "no enabled event destination leads to topic_arn"),
        (
            _events(SnsDestination={"TopicArn": "arn:aws:sns:eu-west-1:123456789012:other"}),
            "configuration set",
            "fault",
            "no enabled event destination leads to topic_arn",
        ),
        (_events(MatchingEventTypes=["TEXT_ALL"]), "configuration set", "warning", "its events lack VOICE_ALL"),
    ],
)
async def test_what_is_wrong_is_told(changes: dict[str, Any], what: str, verdict: str, seen: str) -> None:
    found = (await look(**changes))[what]
    assert (found.verdict, found.seen) == (verdict, seen)


@pytest.mark.parametrize(
    ("sender", "operation"),
    [
        ("ACME", "DescribeSenderIds"),
        ("arn:aws:sms-voice:eu-west-1:123456789012:sender-id/ACME/GB", "DescribeSenderIds"),
        ("arn:aws:sms-voice:eu-west-1:123456789012:pool/pool-0a1b", "DescribePools"),
        ("phone-0a1b2c3d4e5f", "DescribePhoneNumbers"),
    ],
)
async def test_each_kind_of_sender_is_looked_up_by_its_own_operation(sender: str, operation: str) -> None:
    denied = aws.refuse("ResourceNotFoundException")
    found = await look({"from_sms": sender, "from_voice": None}, **{operation: denied})
    assert found[f"SMS from {sender}"].verdict is Verdict.FAULT


async def test_a_clock_that_signatures_would_fail_by_is_found_out() -> None:
    late = aws.refuse("InvalidSignatureException")
    hour = datetime.fromtimestamp(datetime.now(UTC).timestamp() - 3600, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    found = await looked("aws", lambda _: Reply(400, late.body, {**late.headers, "Date": hour}), SETTINGS, SECRETS)
    assert found["clock"].verdict is Verdict.FAULT
    assert found["clock"].seen.endswith("ahead of the vendor's")


async def look_at_sns(**changes: object) -> dict[str, Finding]:
    settings = {**KEYS, "sender_id": "ACME"}
    return await looked("aws_sns", partial(aws.look_at_sns, **changes), settings, SECRETS)


async def test_sns_tells_its_sandbox_and_its_spend_limit() -> None:
    assert verdicts(await look_at_sns()) == {
        "account": Verdict.OK,
        "spend limit": Verdict.OK,
        "clock": Verdict.OK,
        "SMS from ACME": Verdict.UNKNOWN,
    }
    sandbox = await look_at_sns(GetSMSSandboxAccountStatus="<IsInSandbox>true</IsInSandbox>", GetSMSAttributes="<x/>")
    assert sandbox["account"].verdict is Verdict.WARNING
    assert sandbox["spend limit"].seen.startswith("none is set")


async def test_a_key_that_may_only_publish_is_right_and_shows_nothing_else() -> None:
    denied = aws.refuse_publish("AuthorizationError", status=403)
    found = await look_at_sns(GetSMSSandboxAccountStatus=denied, GetSMSAttributes=denied)
    assert found["account"].verdict is Verdict.UNKNOWN
    wrong = await looked("aws_sns", aws.look_at_sns, KEYS, {**SECRETS, "secret_access_key": "another-secret"})
    assert next(iter(wrong.values())).seen == "provider_account (SignatureDoesNotMatch)"
