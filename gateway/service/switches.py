"""The operator's switches: providers that are off for an outage, as every process hears it from the store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.store.steps import Unavailable
from gateway.store.switches import Off

if TYPE_CHECKING:
    from gateway.service.setup import Setup

PAUSE = 2.0
"""Seconds between two looks. Whoever switches a provider off may have to wait so long for every process to know."""


class Switches:
    """What this process has last heard. A store that is away changes nothing."""

    def __init__(self) -> None:
        self.off: Mapping[str, Off] = {}

    async def refresh(self, setup: Setup) -> None:
        """Ask the store, and tell the log and the metrics what has changed. Raises Unavailable."""
        before, self.off = self.off, await setup.store.off.read()
        for provider in self.off.keys() - before.keys():
            setup.metrics.disabled(provider, True)
            setup.log.warning("provider.disabled", provider=provider, reason=self.off[provider].reason or None)
        for provider in before.keys() - self.off.keys():
            setup.metrics.disabled(provider, False)
            setup.log.warning("provider.enabled", provider=provider)

    async def watch(self, setup: Setup, pause: float = PAUSE) -> None:
        """Refresh for ever."""
        while True:
            await asyncio.sleep(pause)
            await self.try_refresh(setup)

    async def try_refresh(self, setup: Setup) -> None:
        """Refresh if the store answers."""
        try:
            await self.refresh(setup)
        except Unavailable as fault:
            setup.log.warning("store.failed", operation="switches", fault=str(fault))
