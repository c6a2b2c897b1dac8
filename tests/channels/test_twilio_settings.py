"""The configuration of a twilio provider: what it accepts, and what it says of what it doesn't."""

from __future__ import annotations

import json
from typing import Any

import pytest

from channels.contract import Channel
from channels.providers.twilio import Settings

API_KEY = "SK" + "0f" * 16
SERVICE = "MG" + "0e" * 16


def settings(**changes: Any) -> Settings:
    content = {
        "type": "twilio",
        "account_sid": "AC" + "0a" * 16,
        "auth_token": {"env": "TWILIO_AUTH_TOKEN"},
        "from_sms": "+14155550100",
        "from_voice": "+14155550101",
        "from_whatsapp": "+14155550102",
        "whatsapp_content_sid": "HX" + "0d" * 16,
    }
    return Settings.model_validate({**content, **changes})


def fault(**changes: Any) -> str:
    with pytest.raises(ValueError) as caught:
        settings(**changes)
    return json.dumps([error["msg"] for error in caught.value.errors()])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        (
            {"from_sms": None, "from_voice": None, "from_whatsapp": None, "whatsapp_content_sid": None},
            (
                "no channel has a sender: write from_sms or messaging_service_sid for SMS, from_voice for calls, "
                "from_whatsapp and whatsapp_content_sid for WhatsApp"
            ),
        ),
        (
            {"whatsapp_content_sid": None},
            "from_whatsapp needs whatsapp_content_sid, the approved authentication template",
        ),
        ({"from_whatsapp": None}, "a WhatsApp template needs from_whatsapp"),
        ({"api_key_sid": API_KEY}, "write both api_key_sid and api_key_secret"),
        ({"api_key_secret": {"env": "X"}}, "write both api_key_sid and api_key_secret"),
        ({"from_sms": 14155550100}, "put it in quotes: YAML reads it as a number"),
        ({"from_voice": "ACME"}, "write a number in E.164, such as '+14155550100'"),
        (
            {"from_sms": "A name far too long"},
            "write a number in E.164, a short code, or a sender name of at most 11 letters and digits",
        ),
        ({"account_sid": "SK123"}, "write AC and 32 hexadecimal digits: Console, Account Info"),
        ({"auth_token": "in the clear"}, "Input should be a valid dictionary or instance of SecretRef"),
    ],
)
def test_a_fault_in_the_configuration_says_what_to_write(changes: dict[str, Any], remedy: str) -> None:
    assert remedy in fault(**changes)


def test_channels_follow_from_the_senders() -> None:
    assert settings().channels == {Channel.SMS, Channel.VOICE, Channel.WHATSAPP}
    only = settings(from_voice=None, from_whatsapp=None, whatsapp_content_sid=None)
    assert only.channels == {Channel.SMS}
    service = settings(from_sms=None, messaging_service_sid=SERVICE)
    assert Channel.SMS in service.channels
    assert settings(from_sms="ACME").from_sms == "ACME"
