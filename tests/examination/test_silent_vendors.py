"""What the doctor sees where the vendor has no call that looks: little, and it says so."""

from __future__ import annotations

from typing import Any

import pytest

from channels.examination import Finding, Verdict
from tests.examination.looking import build, looked, told, verdicts
from tests.vendors import msg91, telegram, webhook
from tests.vendors.server import Received, Reply, json_reply


async def look_at_telegram(reply: Reply) -> tuple[dict[str, Finding], list[Received]]:
    asked: list[Received] = []

    def answer(received: Received) -> Reply:
        asked.append(received)
        return reply

    secrets = {"access_token": telegram.TOKEN}
    return await looked("telegram", answer, {"access_token": {"env": "T"}}, secrets), asked


@pytest.mark.parametrize("status", [200, 400])
async def test_telegram_s_token_is_judged_by_the_error_for_a_request_that_does_not_exist(status: int) -> None:
    found, asked = await look_at_telegram(telegram.refuse("REQUEST_ID_INVALID", status))
    assert verdicts(found) == {
        "access token": Verdict.OK,
        "clock": Verdict.OK,
        "callback address": Verdict.OK,
        "balance": Verdict.UNKNOWN,
    }
    assert [received.path for received in asked] == ["/checkVerificationStatus"]


async def test_a_wrong_telegram_token_gets_the_remedy_of_the_page() -> None:
    found, _ = await look_at_telegram(telegram.refuse("ACCESS_TOKEN_INVALID"))
    assert found["access token"].verdict is Verdict.FAULT
    assert found["access token"].remedy.startswith("Compare the token")
    found, _ = await look_at_telegram(json_reply(200, ["neither"]))
    assert found["access token"].verdict is Verdict.FAULT


async def test_msg91_is_reached_and_its_key_goes_nowhere() -> None:
    asked: list[Received] = []

    def answer(received: Received) -> Reply:
        asked.append(received)
        return Reply(302)

    settings: dict[str, Any] = {"authkey": {"env": "A"}, "template_id": msg91.TEMPLATE}
    found = await looked("msg91", answer, settings, {"authkey": msg91.AUTHKEY})
    assert verdicts(found) == {
        "API": Verdict.OK,
        "clock": Verdict.OK,
        "authkey, template and header": Verdict.UNKNOWN,
        "webhook": Verdict.UNKNOWN,
    }
    assert msg91.AUTHKEY not in f"{asked[0].path} {asked[0].headers}"


@pytest.mark.parametrize(
    ("status", "verdict"), [(204, "ok"), (401, "ok"), (405, "ok"), (301, "warning"), (502, "warning")]
)
async def test_a_webhook_that_answers_at_all_is_reached(status: int, verdict: str) -> None:
    settings: dict[str, Any] = {"channels": ["sms"], "secret": {"env": "S"}}
    secrets = {"secret": webhook.SECRET}
    asked: list[Received] = []

    def answer(received: Received) -> Reply:
        asked.append(received)
        return Reply(status)

    found = await looked("webhook", answer, settings, secrets, lambda url: {"url": f"{url}/otp"})
    assert (found["url"].verdict, found["secret"].verdict) == (verdict, Verdict.UNKNOWN)
    assert [(received.method, received.body) for received in asked] == [("HEAD", b"")]


async def test_the_simulator_is_ok() -> None:
    found = await told("simulator", build("simulator", {}, {}), {})
    assert found["simulator"].verdict is Verdict.OK
