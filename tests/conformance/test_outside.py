"""A provider from outside this tree, in under sixty lines: the configuration finds it, and the suite holds it too."""

from __future__ import annotations

from pathlib import Path

import pytest

from channels.contract import Channel, Context, ErrorClass, ReportKind, SendError
from gateway.config.providers import kind
from tests.conformance import outside
from tests.conformance.subject import URL, message
from tests.conformance.subjects.outside import SECRET, SUBJECT, accept
from tests.vendors.server import Vendor, json_reply

TYPE = "tests.conformance.outside:build"


def test_it_is_under_sixty_lines_and_knows_nothing_of_the_gateway() -> None:
    source = Path(outside.__file__).read_text(encoding="utf-8")
    assert len(source.splitlines()) < 60
    assert "import gateway" not in source
    assert "from gateway" not in source


async def test_the_configuration_finds_it_by_its_address_and_it_sends_and_reads() -> None:
    named = kind(TYPE)
    async with Vendor(accept) as vendor:
        settings = named.schema.model_validate({"type": TYPE, "base_url": vendor.base_url, "secret": {"env": "S"}})
        provider = named.build(
            settings, Context("own", "otp-gateway/test", production=True, secrets={"secret": SECRET})
        )
        receipt = await provider.send(message(Channel.SMS))
        vendor.replies.append(json_reply(422, {"code": "blocked"}))
        with pytest.raises(SendError) as caught:
            await provider.send(message(Channel.SMS))
        says = SUBJECT.cases["sms"].reporting
        assert says is not None
        (report,) = provider.read(says.delivered(message(Channel.SMS))).reports
        await provider.close()
    assert (receipt.message_id, report.kind, named.calls_back) == ("m-1", ReportKind.DELIVERED, True)
    assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.OPTED_OUT, "blocked")
    assert vendor.received[0].json["report"] == URL
