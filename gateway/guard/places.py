"""Room for so many requests at once: whoever finds a place takes it without waiting, the others stand in a line."""

from __future__ import annotations

import asyncio


class Places:
    """A semaphore that costs an addition while there is room, where asyncio's own takes nine calls. A place that gets
    free while somebody waits is handed on, so that nobody overtakes."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._line: dict[asyncio.Future[None], None] = {}  # in the order in which they came
        self.taken = 0

    def take(self) -> bool:
        """Take a place if one is free."""
        free = self.taken < self._number
        if free:
            self.taken += 1
        return free

    async def wait(self) -> None:
        """Wait for a place, and take it. For whom `take` had none."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line[turn] = None
        try:
            await turn
        except asyncio.CancelledError:
            self._line.pop(turn, None)
            if not turn.cancelled():  # a place was handed to it in the same moment
                self.leave()
            raise

    def leave(self) -> None:
        """Give a place back."""
        while self._line:
            turn = next(iter(self._line))
            del self._line[turn]
            if not turn.cancelled():  # by who has given up and not yet left
                turn.set_result(None)
                return
        self.taken -= 1
