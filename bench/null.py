"""A provider that accepts every message and sends none: what a start costs without its vendor."""

from __future__ import annotations

from channels.contract import Answer, Callback, Channel, Context, Message, Outcome, ProviderSettings, Receipt


class Settings(ProviderSettings):
    """Nothing to set."""


class Null:
    """Carries nothing and keeps nothing."""

    channels = frozenset(Channel)

    async def send(self, message: Message) -> Receipt:
        return Receipt("null")

    def read(self, callback: Callback) -> Outcome:
        return Outcome()

    def answer(self, message: Message | None) -> Answer:
        return Answer()

    async def close(self) -> None:
        return None


def build(settings: Settings, context: Context) -> Null:
    return Null()
