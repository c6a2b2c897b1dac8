"""What the clocks say where a phone number is: every time zone of its country, since a number alone tells no more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

Stretch = tuple[int, int]
"""From one moment up to another, in ms."""


_UNLISTED = {"AC": ("Atlantic/St_Helena",), "TA": ("Atlantic/St_Helena",), "XK": ("Europe/Belgrade",)}
"""Countries that number plans know and zone.tab, which goes by ISO 3166-1, does not, and the clocks that they keep."""


@lru_cache(maxsize=1)
def _by_country() -> dict[str, tuple[str, ...]]:
    """ISO 3166-1 alpha-2 -> IANA zones, as zone.tab of the time zone database has them."""
    found: dict[str, tuple[str, ...]] = dict(_UNLISTED)
    text = resources.files("tzdata").joinpath("zoneinfo/zone.tab").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            country, _, zone, *_ = line.split("\t")
            found[country] = (*found.get(country, ()), zone)
    return found


def of(country: str) -> tuple[str, ...]:
    """The zones of a country; none for the global networks and for a country that can't be told."""
    return _by_country().get(country, ())


def stretches(country: str, starts: time, ends: time, now: int, until: int) -> tuple[Stretch, ...]:
    """When it is between `starts` and `ends` (the next morning, if that is earlier) by the clock of any zone of the
    country, of all that touches what is from `now` up to `until`: in order, and apart from each other. They are whole,
    so that they are the same for whoever asks in the same night."""
    found: list[Stretch] = []
    day = now // 86_400_000
    days = {each for at in range(day, until // 86_400_000 + 1) for each in _nights(country, starts, ends, at)}
    for begin, end in sorted((b, e) for b, e in days if b < until and e > now):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return tuple(found)


@lru_cache(maxsize=4096)
def _nights(country: str, starts: time, ends: time, day: int) -> tuple[Stretch, ...]:
    """The nights of every zone that touch a day of UTC (counted from 1970): clocks differ by up to 14 hours from it."""
    that = datetime.fromtimestamp(day * 86_400, UTC).date()
    around = [that + timedelta(days=away) for away in (-2, -1, 0, 1)]
    return tuple(
        dict.fromkeys(night for zone in of(country) for night in _in_zone(ZoneInfo(zone), starts, ends, around))
    )


def _in_zone(zone: ZoneInfo, starts: time, ends: time, dates: list[date]) -> Iterator[Stretch]:
    for evening in dates:
        morning = evening if ends > starts else evening + timedelta(days=1)
        yield min(_moments(evening, starts, zone)), max(_moments(morning, ends, zone))


def _moments(day: date, clock: time, zone: ZoneInfo) -> tuple[int, int]:
    """When the clock says that: twice on the day that it is set back, and around the gap where it is set forward."""
    at = datetime.combine(day, clock, zone)
    return int(at.timestamp() * 1000), int(at.replace(fold=1).timestamp() * 1000)
