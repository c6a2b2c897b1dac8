"""SNS Publish against moto, which others wrote from Amazon's own service models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer
from moto.sns.models import sns_backends

from channels.contract import Channel, Context, Message, Wording
from channels.providers import aws_sns

REGION, KEY_ID, SECRET = "eu-west-1", "AKIAIOSFODNN7EXAMPLE", "a-secret-of-the-tests"
MESSAGES = {
    "plain": "482913 is your Shop code.",
    "letters beyond ASCII, and signs of form and query": "482913 – café & crème = 100 %+ «ñ»",
    "right to left": "רמז: 482913",
    "several segments": "482913 is your code. " * 20,
}


@pytest.fixture(scope="module")
def amazon() -> Iterator[str]:
    """The address of moto."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def sms(text: str) -> Message:
    return Message(Channel.SMS, "+14155550123", "482913", Wording(text, "en"), "att_1", 600, country="US")


@pytest.mark.parametrize("text", MESSAGES.values(), ids=list(MESSAGES))
async def test_what_is_sent_arrives_as_it_was_worded(amazon: str, text: str) -> None:
    settings = aws_sns.Settings.model_validate(
        {
            "type": "aws_sns",
            "region": REGION,
            "access_key_id": {"env": "A"},
            "secret_access_key": {"env": "B"},
            "base_url": amazon,
        }
    )
    context = Context(
        "sns", "otp-gateway/test", production=False, secrets={"access_key_id": KEY_ID, "secret_access_key": SECRET}
    )
    provider = aws_sns.build(settings, context)
    receipt = await provider.send(sms(text))
    await provider.close()
    taken = sns_backends["123456789012"][REGION].sms_messages
    assert taken[receipt.message_id] == ("+14155550123", text)
