"""What one rule found: the steps that it lets through, what it says, and its refusal if none is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from policies.model import Cap, Counter, Eye, Mode, Refusal, Step


class Finding(NamedTuple):
    """The answer of one rule. `says` goes to the decision log, so it holds no full number or address."""

    steps: tuple[Step, ...]
    says: str
    refusal: Refusal | None = None
    counters: tuple[Counter, ...] = ()
    caps: tuple[Cap, ...] = ()
    eyes: tuple[Eye, ...] = ()
    silent: frozenset[str] = frozenset()
    treatment: Mode = Mode.MONITOR
    suspicions: tuple[str, ...] = ()


def sift(steps: tuple[Step, ...], allows: Callable[[Step], bool], says: str, refusal: Refusal) -> Finding:
    """Let through the steps that the rule allows; with none left, its refusal stands."""
    kept = tuple(filter(allows, steps))
    if not kept:
        return Finding(kept, says, refusal)
    if len(kept) < len(steps):
        left = dict.fromkeys(step.channel for step in steps if step not in kept)
        says = f"{says}; leaves out {', '.join(left)}"
    return Finding(kept, says)
