"""What limits mean, said as plainly as possible, and the store to ask about it in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from gateway.store import valkey
from gateway.store.wants import Counter
from tests.store.drafts import Shelf

Rule = tuple[int, int, bool]
"""An amount, a window in milliseconds, and whether it only looks on."""


class Model:
    """What the limits mean, said as plainly as possible: all the starts that passed, and a look back at them."""

    def __init__(self, groups: Sequence[Sequence[Rule]]) -> None:
        self.groups = groups
        self.passed: list[int] = []

    def wait(self, rule: Rule, now: int) -> int:
        """How long until fewer than `amount` of the starts that passed lie within the window."""
        amount, window, _ = rule
        inside = sorted(at for at in self.passed if at > now - window)
        return 0 if len(inside) < amount else inside[-amount] + window - now

    def start(self, now: int) -> int:
        """The longest wait of the rules that refuse; 0 when it passes, and is counted."""
        longest = max((self.wait(r, now) for rules in self.groups for r in rules if not r[2]), default=0)
        if not longest:
            self.passed.append(now)
        return longest

    def most(self, rule: Rule) -> int:
        """The most starts that any window of this rule's length held."""
        return max(sum(at <= other < at + rule[1] for other in self.passed) for at in self.passed)


def counters(shelf: Shelf, groups: Sequence[Sequence[Rule]]) -> list[Counter]:
    return [shelf.counter(f"g{number}", *rules) for number, rules in enumerate(groups)]


def run(url: str, work: Callable[[Shelf], object]) -> object:
    async def once() -> object:
        shelf = Shelf(url)
        try:
            return await work(shelf)  # type: ignore[misc]
        finally:
            await shelf.store.close()

    return asyncio.run(once())


def plant(monkeypatch: pytest.MonkeyPatch, right: str, wrong: str) -> None:
    """Put a fault into the scripts."""
    read = valkey._source
    assert read("prelude").count(right) == 1
    monkeypatch.setattr(valkey, "_source", lambda name: read(name).replace(right, wrong))
