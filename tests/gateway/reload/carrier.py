"""A provider from outside of the project, which the configurations of these tests name by its module."""

from __future__ import annotations

import asyncio

from pydantic import Field

from channels.contract import (
    Answer,
    Callback,
    Channel,
    Context,
    Cost,
    ErrorClass,
    Message,
    Outcome,
    ProviderSettings,
    Receipt,
    SecretRef,
    SendError,
)

FREE = True

BUILT: list[Carrier] = []
"""Every one that was built, oldest first. A test empties it."""


class Settings(ProviderSettings):
    """The section."""

    channels: list[Channel] = Field([Channel.SMS, Channel.VOICE], description="What it carries.")
    slow: bool = Field(False, description="Every message waits until the test lets it go.")
    broken: bool = Field(False, description="Can't be built.")
    prices: bool = Field(False, description="Tells the price of a message when it is asked, and then slowly.")
    token: SecretRef | None = Field(None, description="A secret.")


class Carrier:
    """Keeps every message, and refuses them once it is closed."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self.name = context.name
        self.channels = frozenset(settings.channels)
        self.sent: list[Message] = []
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.closed = False
        self.prices = settings.prices
        self.asked, self.tell = asyncio.Event(), asyncio.Event()
        if not settings.slow:
            self.go.set()

    async def send(self, message: Message) -> Receipt:
        self.begun.set()
        await self.go.wait()
        if self.closed:
            raise SendError(ErrorClass.PROVIDER_DOWN, "closed")
        self.sent.append(message)
        return Receipt("m-1")

    def read(self, callback: Callback) -> Outcome:
        return Outcome()

    def answer(self, message: Message | None) -> Answer:
        return Answer()

    async def price(self, message_id: str) -> Cost | None:
        self.asked.set()
        await self.tell.wait()
        if self.closed:
            raise SendError(ErrorClass.PROVIDER_DOWN, "closed")
        return Cost(7_500, "USD")

    async def close(self) -> None:
        self.closed = True


def build(settings: Settings, context: Context) -> Carrier:
    if settings.broken:
        raise ValueError("the account has no sender")
    BUILT.append(Carrier(settings, context))
    return BUILT[-1]
