"""One deadline for many requests that may all take equally long: a single timer watches over them."""

from __future__ import annotations

import asyncio
import time


class Deadlines:
    """Whatever takes longer than `seconds` is cancelled. `asyncio.timeout` sets a timer for each request and takes it
    back, which nearly none needs; here the oldest is the next to be late, so that one timer looks after them all."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._under_way: dict[Deadline, None] = {}  # oldest first
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, deadline: Deadline) -> None:
        self._under_way[deadline] = None
        if self._timer is None:
            self._wake(self.seconds)

    def leave(self, deadline: Deadline) -> None:
        self._under_way.pop(deadline, None)

    def close(self) -> None:
        """Leave no timer behind. What is still under way keeps its deadline."""
        if self._timer and not self._under_way:
            self._timer.cancel()
            self._timer = None

    def _wake(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer, now = None, time.monotonic()
        for deadline in list(self._under_way):
            if deadline.at > now:
                self._wake(deadline.at - now)
                return
            self.leave(deadline)
            deadline.pass_by()


class Deadline:
    """One of them, as a context manager: raises TimeoutError where `asyncio.timeout` would."""

    __slots__ = ("_among", "_cancelling", "_passed", "_task", "at")

    def __init__(self, among: Deadlines) -> None:
        task = asyncio.current_task(asyncio.get_running_loop())
        if task is None:
            raise RuntimeError("a deadline is kept by a task")
        self._among = among
        self._task = task
        self._passed = False
        self._cancelling = task.cancelling()
        self.at = time.monotonic() + among.seconds

    def pass_by(self) -> None:
        self._passed = True
        self._task.cancel()

    def __enter__(self) -> None:
        self._among.watch(self)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._among.leave(self)
        # Whoever else has cancelled the task meanwhile is obeyed.
        if self._passed and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError
