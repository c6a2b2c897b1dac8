"""Holds log lines to the closed inventory of events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.telemetry.events import CONTEXT, EVENTS

_KNOWN = {event.name: {*event.fields, *CONTEXT, "event"} for event in EVENTS}


def strays(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """What is in these lines and not in the inventory."""
    found = []
    for line in lines:
        name = line["event"]
        if name not in _KNOWN:
            found.append(f"{name}: not in the inventory")
        else:
            found += [f"{name}: has no field {field}" for field in sorted(line.keys() - _KNOWN[name])]
    return found
