"""The configuration of a vonage provider: what it accepts, and what it says of what it doesn't."""

from __future__ import annotations

import json
from typing import Any

import pytest

from channels.contract import Channel
from channels.providers.vonage import Settings


def settings(**changes: Any) -> Settings:
    content = {
        "type": "vonage",
        "api_key": "12ab34cd",
        "api_secret": {"env": "S"},
        "application_id": "78d335fa-323d-4f01-9c77-82e1bb1c8f00",
        "private_key": {"file": "/run/secrets/vonage.pem"},
        "signature_secret": {"env": "W"},
        "from_sms": "ACME",
        "from_voice": "+14155550101",
        "from_whatsapp": "+14155550102",
        "whatsapp_template": "login_code",
    }
    return Settings.model_validate({**content, **changes})


def fault(**changes: Any) -> str:
    with pytest.raises(ValueError) as caught:
        settings(**changes)
    return json.dumps([error["msg"] for error in caught.value.errors()])  # type: ignore[attr-defined]


NOBODY = {"from_sms": None, "from_voice": None, "from_whatsapp": None, "whatsapp_template": None}


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        (NOBODY, "no channel has a sender: write from_sms for SMS, from_voice for calls, from_whatsapp and"),
        ({"whatsapp_template": None}, "from_whatsapp needs whatsapp_template, the approved authentication template"),
        ({"from_whatsapp": None}, "whatsapp_template needs from_whatsapp"),
        ({"private_key": None}, "write both application_id and private_key, or neither"),
        ({"application_id": None, "private_key": None}, "from_voice needs application_id and private_key"),
        (
            {"application_id": None, "private_key": None, "from_voice": None, "api_key": None},
            "the Messages API needs application_id and private_key, or api_key and api_secret",
        ),
        ({"sms_api": "sms", "api_secret": None}, "sms_api: sms needs api_key, and api_secret or sign_sms: true"),
        (
            {"sms_api": "sms", "sign_sms": True, "signature_secret": None},
            "sign_sms and sms_receipts_signed need signature_secret",
        ),
        ({"signature_secret": None}, "Vonage signs its reports: write signature_secret, from Dashboard, API Settings"),
        ({"from_voice": 14155550101}, "put it in quotes: YAML reads it as a number"),
        ({"from_voice": "ACME"}, "write a number in E.164, such as '+14155550100'"),
        ({"application_id": "my app"}, "write the application's id: Dashboard, Applications"),
        ({"whatsapp_locale": "pt-BR"}, "write the template's language as WhatsApp spells it, such as en or pt_BR"),
        ({"api_secret": "in the clear"}, "Input should be a valid dictionary or instance of SecretRef"),
        ({"sms_api": "rest"}, "Input should be 'messages' or 'sms'"),
    ],
)
def test_a_fault_in_the_configuration_says_what_to_write(changes: dict[str, Any], remedy: str) -> None:
    assert remedy in fault(**changes)


def test_channels_follow_from_the_senders() -> None:
    assert settings().channels == {Channel.SMS, Channel.VOICE, Channel.WHATSAPP}
    only = settings(from_voice=None, from_whatsapp=None, whatsapp_template=None)
    assert only.channels == {Channel.SMS}


def test_the_older_sms_api_alone_needs_a_key_and_its_secret_and_no_more() -> None:
    bare = {"type": "vonage", "sms_api": "sms", "from_sms": "ACME", "api_key": "12ab34cd", "api_secret": {"env": "S"}}
    assert Settings.model_validate(bare).channels == {Channel.SMS}
    signed = {**bare, "api_secret": None, "sign_sms": True, "signature_secret": {"env": "W"}}
    assert Settings.model_validate(signed).sign_sms
