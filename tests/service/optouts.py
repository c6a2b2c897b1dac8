"""A vendor that hands over what people write, and what stands of their opt-outs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from channels.contract import INBOUND, Answer, Callback, Channel, ErrorClass, Forged, InboundText, Outcome, SendError
from gateway.service.requests import Destinations, understood
from tests.support.world import PHONE, POLICY, FakeCarrier, World

TO = understood(PHONE, None)
OPTED_OUT = SendError(ErrorClass.OPTED_OUT, "21610")


class Listening(FakeCarrier):
    """A vendor that hands over what people write: `number text` in a signed body."""

    def inbound(self, callback: Callback) -> Outcome:
        if callback.headers.get("x-signature") != "signed":
            raise Forged
        sender, _, text = callback.body.decode().partition(" ")
        facts = dict(callback.query)
        said_at = int(facts["said_at"]) if "said_at" in facts else None
        heard = InboundText(Channel.SMS, sender, text, said_at, facts.get("id", ""))
        return Outcome(texts=(heard,), answer=Answer(b"<Response/>", "text/xml"))


def ears(world: World) -> World:
    world.one = Listening("one")
    world.wire(replace(world.setup, carriers={"one": world.one, "two": world.two}))
    return world


async def write(
    world: World, text: str, *, sender: str = PHONE, to: str = "one", signature: str = "signed", **facts: object
) -> Answer:
    """A person writes to a number of a provider's. `facts`: when, and the message's id, as the vendor tells them."""
    callback = Callback("POST", f"https://otp.example/callbacks/{to}/inbound", {"x-signature": signature}, b"")
    query = tuple((name, str(fact)) for name, fact in facts.items())
    return await world.reports.take(to, INBOUND, replace(callback, body=f"{sender} {text}".encode(), query=query))


async def standing(world: World, app: str = "shop", to: Destinations = TO) -> dict[str, str]:
    """Channel -> reason."""
    return {entry.channel: entry.reason for entry in (await world.suppressions.search(app, to)).entries}


def events(world: World, name: str) -> list[dict[str, Any]]:
    return [line for line in world.logged if line["event"] == name]


def policies(**changes: Any) -> dict[str, Any]:
    return {"default": {**POLICY, **changes}}


def sent(world: World) -> list[str]:
    return [str(message.channel) for message in world.sent]
