"""A process that serves collects garbage seldom, and all the same never has more of it than a bounded number."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from gateway.http import process


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


class Circle:
    """As an exception that its own traceback holds: only a collection frees it."""

    def __init__(self) -> None:
        self.own = self


def most(circles: int) -> int:
    """How many of so many circles lay about at once, at the most."""
    there: weakref.WeakSet[Circle] = weakref.WeakSet()
    found = 0
    for number in range(circles):
        there.add(Circle())
        if number % 1_000 == 0:
            found = max(found, len(there))
    return found


def test_circles_are_collected_before_they_are_many() -> None:
    process._settle()
    assert most(100_000) <= 20_000


def test_circles_that_nobody_collects_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_YOUNG", 0)  # which switches the collector off
    process._settle()
    assert most(100_000) > 20_000
    gc.collect()
