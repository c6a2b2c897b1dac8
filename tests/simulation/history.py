"""What happened in one run, as the outside saw it, and what the store held in the end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.store.document import Stored


@dataclass(frozen=True)
class Event:
    """One line of a history. `at` in ms since the run began. What people and vendors ask comes as a call and, with the
    same `op`, its outcome: `ok`, `no` when it was refused, or `unknown` when no answer came."""

    at: int
    what: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.facts[name]
        except KeyError:
            raise AttributeError(name) from None

    def get(self, name: str) -> Any:
        return self.facts.get(name)

    def __str__(self) -> str:
        return f"{self.at / 1000:9.3f} {self.what:9} " + " ".join(f"{k}={v}" for k, v in self.facts.items())


@dataclass(frozen=True)
class Kept:
    """One verification as the store has it. `timer` in ms by the store, None when it is not armed; `zero` is when the
    run began by the store."""

    stored: Stored
    timer: int | None
    zero: int = 0


@dataclass
class History:
    """All of one run."""

    clock: Callable[[], int]
    events: list[Event] = field(default_factory=list)
    kept: dict[str, Kept] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)  # exceptions that nobody caught, errors that were logged
    purses: dict[str, int] = field(default_factory=dict)  # what was spent in the end, by the purse's key

    def add(self, what: str, **facts: Any) -> Event:
        event = Event(self.clock(), what, facts)
        self.events.append(event)
        return event

    def of(self, *whats: str) -> Iterator[Event]:
        return (event for event in self.events if event.what in whats)

    def digest(self) -> str:
        """A hash of everything: equal for equal runs."""
        lines = [*map(str, self.events), *(f"{id_} {kept}" for id_, kept in sorted(self.kept.items())), *self.faults]
        lines += [f"{key} {spent}" for key, spent in sorted(self.purses.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
