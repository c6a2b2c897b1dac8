"""What the HTTP surfaces are given by the composition root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.core.machine import Pace
from gateway.http.room import Room
from gateway.service.erasure import Erasure
from gateway.service.lists import Lists
from gateway.service.reports import Reports
from gateway.service.suppressions import Suppressions
from gateway.service.suspicion import Blocks
from gateway.service.verifications import Verifications
from gateway.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from channels.providers.simulator import Entry  # a provider is imported only when it is configured


@dataclass(frozen=True, slots=True)
class Surface:
    """The use-cases, who may call them, and what bounds a call."""

    verifications: Verifications
    reports: Reports
    suppressions: Suppressions
    lists: Lists
    erasure: Erasure
    blocks: Blocks
    metrics: Metrics
    log: Any  # a structlog logger
    api_keys: Mapping[str, str] = field(repr=False)  # SHA-256 of a key, in hex -> the app's name
    public_url: str  # without a trailing slash: vendors sign the addresses that begin with it
    readiness: Callable[[], Awaitable[list[str]]]  # what is not ready, in words fit for anybody; empty when all is
    draining: Callable[[], bool]  # true from the moment the process was told to stop: no new messages then
    version: str
    room: Room = field(default_factory=lambda: Room(128))  # for the starts and resends that are worked on
    trusted_proxies: tuple[str, ...] = ()  # networks whose X-Forwarded-For is believed
    max_body: int = 65_536  # bytes
    body_seconds: float = 10.0  # a body that isn't whole by then is refused
    min_useful: int = Pace().min_useful  # ms; the engine's own, so that `next` promises no step that it won't take
    simulator: Callable[[], Iterable[Entry]] | None = None  # its messages, newest first; None outside development
