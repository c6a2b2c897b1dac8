"""Callbacks that a vendor never sent: whoever reads one as genuine is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from channels.contract import Callback, Forged

Read = Callable[[Callback], object]


def assert_all_forged(read: Read, callbacks: Mapping[str, Callback]) -> None:
    taken = []
    for name, forged in callbacks.items():
        try:
            read(forged)
        except Forged:
            continue
        taken.append(name)
    assert not taken, f"read as genuine: {taken}"
