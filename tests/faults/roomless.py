"""A gateway that works on every start at once: what it would be without a bound to that."""

from __future__ import annotations

from gateway.cli import main
from gateway.http.room import Room


def _as_it_is(_room: Room, _late: float) -> None:
    """However late the loop is."""


if __name__ == "__main__":
    Room._places = 1_000_000  # type: ignore[assignment, method-assign]
    Room.turned = _as_it_is  # type: ignore[method-assign]
    main()
