"""An event loop whose time jumps to the next timer: minutes pass in milliseconds, the same way every time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Stuck(Exception):
    """Everybody waits for something that will never come."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready, and when nothing is, moves its clock to the next timer. It has no sockets, threads or
    signals, so nothing but the program and its seed decides in which order things happen."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = self  # the base class asks it to wait for sockets: see select

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> tuple[()]:
        """Where a real loop would sleep."""
        if timeout is None:
            raise Stuck
        self._now += timeout
        return ()

    def _process_events(self, event_list: object) -> None:
        """There are none: no socket is ever waited for."""

    def _write_to_self(self) -> None:
        """There is no other thread to be woken by."""

    def play(self, story: Coroutine[Any, Any, None]) -> list[str]:
        """Run a story to its end and then everything that it left behind. Gives back what nobody caught."""
        faults: list[str] = []
        self.set_exception_handler(lambda _loop, context: faults.append(_said(context)))
        try:
            self.run_until_complete(story)
            left = asyncio.all_tasks(self)
            for task in left:
                task.cancel()
            self.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        finally:
            self.close()
        return faults


def _said(context: dict[str, Any]) -> str:
    fault = context.get("exception")
    return f"{context['message']}: {fault!r}" if fault else str(context["message"])
