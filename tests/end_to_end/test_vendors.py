"""One verification over three channels and two vendors, with real processes and the vendors on loopback."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from tests.support.process import Process
from tests.vendors import twilio
from tests.vendors.mail import Mailbox, letter, serving
from tests.vendors.server import Vendor


def configuration(twilio_url: str, mail_port: int) -> dict[str, Any]:
    return {
        "mode": "development",
        "apps": {"demo": {"name": "Demo"}},
        "providers": {
            "twilio": {
                "type": "twilio",
                "account_sid": twilio.ACCOUNT,
                "auth_token": {"env": "TWILIO_AUTH_TOKEN"},
                "from_sms": "+14155550199",
                "from_voice": "+14155550199",
                "base_url": twilio_url,
            },
            "mail": {
                "type": "smtp",
                "host": "127.0.0.1",
                "port": mail_port,
                "security": "none",
                "from_address": "Demo <no-reply@demo.example.org>",
            },
        },
        "channels": {
            "sms": {"providers": ["twilio"]},
            "voice": {"providers": ["twilio"]},
            "email": {"providers": ["mail"]},
        },
        "policies": {
            "default": {
                "extends": "default",
                "countries": {"allow": ["US"]},
                "fallback": [
                    {"channel": "sms", "wait": "30s"},
                    {"channel": "voice", "wait": "30s"},
                    {"channel": "email", "wait": "30s"},
                ],
            }
        },
    }


async def until(gateway: Process, id_: str, channel: str, status: str) -> None:
    async with asyncio.timeout(10):
        while True:
            attempt = (await asyncio.to_thread(gateway.read, id_))["attempts"][-1]
            if (attempt["channel"], attempt["status"]) == (channel, status):
                return
            await asyncio.sleep(0.02)


async def test_sms_fails_by_report_the_call_meets_a_machine_and_the_email_arrives(data: Path) -> None:
    box = Mailbox()
    async with Vendor(twilio.accept) as vendor, serving(box) as mail_port:
        config = configuration(vendor.base_url, mail_port)
        with Process(data, config, TWILIO_AUTH_TOKEN=twilio.TOKEN) as gateway:
            body = {"to": {"phone": "+14155550123", "email": "ana@demo.example.org"}}
            started = await asyncio.to_thread(gateway.call, "POST", "/v1/verifications", body)
            id_ = started.json["id"]
            await until(gateway, id_, "sms", "sent")
            sms = dict(vendor.received[0].form)
            code = re.search(r"\d{6}", sms["Body"])
            assert code
            assert sms["To"] == "+14155550123"

            forged = await twilio.call_back(sms["StatusCallback"], twilio.message_fields("undelivered", "30006"), "no")
            assert forged[0] == 401
            assert (await asyncio.to_thread(gateway.read, id_))["channel"] == "sms"

            told = await twilio.call_back(sms["StatusCallback"], twilio.message_fields("undelivered", "30006"))
            assert told == (204, b"")
            await until(gateway, id_, "voice", "sent")
            call = dict(vendor.received[-1].form)
            status, twiml = await twilio.call_back(call["Url"], twilio.call_fields("in-progress", "machine_start"))
            assert (status, twiml.count(b"<Hangup")) == (200, 1)

            await until(gateway, id_, "email", "sent")
            plain = letter(box).get_body(("plain",))
            assert plain is not None
            assert code[0] in plain.get_content()
            verdict = await asyncio.to_thread(gateway.call, "POST", f"/v1/verifications/{id_}/check", {"code": code[0]})
            assert verdict.json["verdict"] == "approved"

            after = await twilio.call_back(call["Url"], twilio.call_fields("in-progress", "human"))
            assert after[1].count(b"<Say") == 0  # nothing is said once it has ended
            log = gateway.log.read_text()
            assert [secret for secret in (code[0], "+14155550123", "ana@", twilio.TOKEN) if secret in log] == []
