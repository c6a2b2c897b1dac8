"""The carriers of a configuration: each provider built and put under guard, and kept by a reload that changes nothing
of it, with its connections and all that its breaker knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from channels.contract import Provider
from gateway.config.settings import ProviderSection
from gateway.guard import Guarded
from gateway.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from channels.providers.simulator import Entry  # a provider is imported only when it is configured


class Unbuildable(Exception):
    """A provider refuses its settings or its secrets."""


@runtime_checkable
class Inboxed(Protocol):
    """A provider that shows its messages instead of sending them."""

    def inbox(self) -> Iterable[Entry]: ...


@dataclass(frozen=True, slots=True)
class Carried:
    """One provider, under guard, and what it was made from."""

    section: ProviderSection
    provider: Provider
    guarded: Guarded


Carriers = Mapping[str, Carried]


async def carriers(sections: Mapping[str, ProviderSection], kept: Carriers, metrics: Metrics, log: Any) -> Carriers:
    """A carrier for each section: the one that is there, if nothing of its section has changed. Raises Unbuildable, or
    what a module raises that it should not, with nothing left open."""
    made: dict[str, Carried] = {}
    try:
        for name, section in sections.items():
            before = kept.get(name)
            made[name] = before if before and before.section == section else _carried(section, metrics, log)
    except BaseException:
        await close(parted(made, kept))
        raise
    return made


def _carried(section: ProviderSection, metrics: Metrics, log: Any) -> Carried:
    try:
        provider = section.build()
    except ValueError as fault:
        raise Unbuildable(f"providers.{section.name}: {fault}") from None
    guarded = Guarded(
        provider,
        section.name,
        concurrency=section.settings.concurrency,
        timeout=section.settings.timeout,
        rate=section.settings.rate,
        metrics=metrics,
        log=log,
    )
    return Carried(section, provider, guarded)


def parted(before: Carriers, after: Carriers) -> list[Carried]:
    """Those that the one has and the other has not."""
    return [carried for name, carried in before.items() if after.get(name) is not carried]


async def close(those: Iterable[Carried]) -> None:
    """Close them, each whatever becomes of the others."""
    await asyncio.gather(*(carried.guarded.close() for carried in those), return_exceptions=True)


def inbox(those: Carriers) -> Callable[[], Iterable[Entry]] | None:
    """The messages of the simulator, when there is one."""
    providers = (carried.provider for carried in those.values())
    return next((provider.inbox for provider in providers if isinstance(provider, Inboxed)), None)
