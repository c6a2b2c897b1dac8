"""What the doctor sees of a WhatsApp sender at Meta: whether it is registered, and where its reports go."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from channels.examination import Finding, Verdict
from tests.examination.looking import looked, verdicts
from tests.vendors import meta

SETTINGS: dict[str, Any] = {
    "phone_number_id": meta.PHONE_ID,
    "access_token": {"env": "T"},
    "app_secret": {"env": "A"},
    "verify_token": {"env": "V"},
    "template": "login_code",
    "languages": ["en_US"],
}
SECRETS = {"access_token": meta.ACCESS_TOKEN, "app_secret": meta.APP_SECRET, "verify_token": meta.VERIFY_TOKEN}
OURS = "https://otp.example/callbacks/main/shared"


async def look(**changes: object) -> dict[str, Finding]:
    return await looked("meta", partial(meta.look, **changes), SETTINGS, SECRETS)


async def test_a_good_sender_is_ok_but_for_what_meta_tells_nobody() -> None:
    assert verdicts(await look()) == {
        "phone number ID": Verdict.OK,
        "callback address": Verdict.OK,
        "clock": Verdict.OK,
        "template": Verdict.UNKNOWN,
        "app secret": Verdict.UNKNOWN,
    }


@pytest.mark.parametrize(
    ("levels", "seen"),
    [
        ({"application": OURS}, "reports go to the gateway"),
        ({"application": "https://other.example", "phone_number": OURS}, "reports go to the gateway"),
        ({"application": OURS, "whatsapp_business_account": "https://x.example"}, "reports go to another address"),
        ({"application": OURS + "/"}, "reports go to another address"),
        ({}, "no address is entered"),
        (None, "no address is entered"),
    ],
)
async def test_the_nearest_address_is_the_one_that_counts(levels: dict[str, str] | None, seen: str) -> None:
    found = (await look(webhook_configuration={"webhook_configuration": levels}))["callback address"]
    assert found.seen == seen


async def test_a_number_that_is_not_registered_is_at_fault_and_one_of_low_quality_is_not() -> None:
    assert (await look(platform_type={"platform_type": "NOT_APPLICABLE"}))["phone number ID"].verdict is Verdict.FAULT
    low = {"platform_type": "CLOUD_API", "quality_rating": "RED"}
    assert (await look(platform_type=low))["phone number ID"].verdict is Verdict.WARNING


async def test_a_token_that_may_only_send_is_no_fault() -> None:
    found = await looked("meta", lambda _: meta.refuse(403, 200), SETTINGS, SECRETS)
    assert found["phone number ID"].seen == "could not be checked: the token may not look (200)"


async def test_an_expired_token_is_one_finding_with_the_remedy_of_the_page() -> None:
    found = await looked("meta", lambda _: meta.refuse(401, 190), SETTINGS, SECRETS)
    refusal = found["phone number ID, callback address"]
    assert refusal.seen == "provider_account (190)"
    assert refusal.remedy.startswith("The token has expired, or lacks")
