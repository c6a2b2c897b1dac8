"""A cap on messages a second: they are spaced evenly, as a vendor's own queue would space them, but on our side."""

from __future__ import annotations

from channels.contract import ErrorClass, SendError


class Rate:
    """Gives out turns, `per_second` of them; None is no cap. Holds one number, whatever the load."""

    def __init__(self, per_second: float | None) -> None:
        self.capped = bool(per_second)
        self._gap = 1 / per_second if per_second else 0.0
        self._next = 0.0

    def turn(self, now: float, patience: float) -> float:
        """Take a turn: the seconds to wait for it. Raises SendError, and takes none, when that is beyond patience."""
        wait = max(0.0, self._next - now)
        if wait > patience:
            raise SendError(ErrorClass.THROTTLED, "rate", retry_after=wait)
        self._next = now + wait + self._gap
        return wait
