"""A Vonage account for the tests, its messages, and what sending them does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from channels.contract import Channel, Context, Message, SendError, Wording
from channels.providers.vonage import Settings, Vonage, build
from tests.vendors import vonage as vendor_vonage
from tests.vendors.server import Reply, Vendor

CODE = "482913"
TO = "+14155550123"
STATUS_URL = "https://otp.example/callbacks/main/tok3n"

SMS = Message(
    channel=Channel.SMS,
    to=TO,
    code=CODE,
    wording=Wording(f"{CODE} is your code & more", "en", spoken="Your code is 4, 8, 2, 9, 1, 3."),
    reference="ver_1.1",
    lifetime=600,
    callback_url=STATUS_URL,
    answer_url=f"{STATUS_URL}?answer=1",
    country="US",
)
WHATSAPP = replace(SMS, channel=Channel.WHATSAPP)
VOICE = replace(SMS, channel=Channel.VOICE)


def settings(**changes: Any) -> Settings:
    content = {
        "type": "vonage",
        "api_key": vendor_vonage.KEY,
        "api_secret": {"env": "S"},
        "application_id": vendor_vonage.APPLICATION,
        "private_key": {"env": "P"},
        "signature_secret": {"env": "W"},
        "from_sms": "+14155550100",
        "from_voice": "+14155550101",
        "from_whatsapp": "+14155550102",
        "whatsapp_template": "login_code",
        "timeout": 2.0,
    }
    return Settings.model_validate({**content, **changes})


def secrets() -> dict[str, str]:
    return {
        "api_secret": vendor_vonage.SECRET,
        "private_key": vendor_vonage.private_pem(),
        "signature_secret": vendor_vonage.SIGNATURE_SECRET,
    }


def context() -> Context:
    return Context("main", "otp-gateway/test", production=False, secrets=secrets())


def provider(vendor: Vendor, **changes: Any) -> Vonage:
    return build(settings(base_url=vendor.base_url, **changes), context())


async def sent(vendor: Vendor, message: Message, **changes: Any) -> Any:
    """The JSON, or the form, that one message makes."""
    built = provider(vendor, **changes)
    try:
        await built.send(message)
    finally:
        await built.close()
    request = vendor.received[-1]
    return dict(request.form) if request.path == "/sms/json" else request.json


async def refusal(vendor: Vendor, reply: Reply, message: Message = SMS, **changes: Any) -> SendError:
    vendor.replies.append(reply)
    built = provider(vendor, **changes)
    with pytest.raises(SendError) as caught:
        await built.send(message)
    await built.close()
    return caught.value
