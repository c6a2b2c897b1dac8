"""Looks at how the store is set up: whether it is new enough, takes writes, and keeps what it is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from gateway.store.link import Calls
from gateway.store.wire import Fault

OLDEST = {"redis": (7, 0), "valkey": (7, 2)}
"""The versions that the scripts are tested with, and what they need."""

REMEDIES = {
    "version": "Run Redis 7.0 or newer, or Valkey 7.2 or newer.",
    "replica": "Name the primary in `store.url`.",
    "appendonly": "Set `appendonly yes` and `appendfsync everysec` in the store: without it, a crash loses "
    "verifications that apps were told of.",
    "eviction": "Set `maxmemory-policy noeviction` in the store: with any other, it throws limits and verifications "
    "away when its memory is full.",
    "min-replicas": "Set `min-replicas-to-write 1` and `min-replicas-max-lag 10` in every server of the store: without "
    "it, a primary that was cut off goes on taking writes that the failover then throws away.",
}
"""What docs/operations.md says to do about each."""


class Unfit(Exception):
    """The store is set up in a way that production refuses."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One setting, as it is. `remedy` is empty when it is right; `grave`: it does harm already, or nothing works."""

    setting: str
    value: str
    remedy: str = ""
    grave: bool = False


@runtime_checkable
class Several(Protocol):
    """The way to a store of several servers."""

    async def everywhere(self, *words: str | bytes | int) -> list[Any]:
        """The reply of each."""


async def look(calls: Calls | Several) -> dict[str, str]:
    """What the store says of itself (INFO); of several servers, the one that has most to be set. Raises wire.Fault."""
    told = await calls.everywhere("INFO") if isinstance(calls, Several) else [await calls.ask("INFO")]
    return max(map(_read, told), key=lambda info: sum(bool(one.remedy) for one in judged(info, watched=True)))


def _read(told: bytes) -> dict[str, str]:
    text = told.decode("utf-8", "replace")
    rows = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, colon, value in rows if colon}


def judged(info: Mapping[str, str], *, watched: bool) -> list[Judgement]:
    """`watched`: another server may take over, by Sentinels or in a cluster."""
    return list(_judged(info, watched))


def _judged(info: Mapping[str, str], watched: bool) -> Iterator[Judgement]:
    kind, version = kind_of(info)
    old = _numbers(version) < OLDEST[kind]
    yield Judgement("version", f"{kind.capitalize()} {version}", REMEDIES["version"] if old else "", grave=True)
    replica = info.get("role") == "slave"
    yield Judgement("role", info.get("role", ""), REMEDIES["replica"] if replica else "", grave=True)
    kept = info.get("aof_enabled") == "1"
    yield Judgement("appendonly", "on" if kept else "off", "" if kept else REMEDIES["appendonly"])
    if policy := info.get("maxmemory_policy"):
        limited = info.get("maxmemory", "0") != "0"
        remedy = "" if policy == "noeviction" else REMEDIES["eviction"]
        yield Judgement("maxmemory-policy", policy, remedy, grave=limited)
    if watched:
        good = info.get("min_slaves_good_slaves")  # told only where both settings are above 0
        remedy = "" if good is not None else REMEDIES["min-replicas"]
        yield Judgement("min-replicas-to-write", "set" if good is not None else "0", remedy)


def kind_of(info: Mapping[str, str]) -> tuple[str, str]:
    """redis or valkey, and the version of it."""
    if "valkey_version" in info:
        return "valkey", info["valkey_version"]
    return "redis", info.get("redis_version", "0")


def replicas(info: Mapping[str, str]) -> int:
    """How many replicas follow the server that was looked at."""
    return int(info.get("connected_slaves", 0))


def refuse(judgements: list[Judgement]) -> None:
    """Raises Unfit for what is not right, with what to do about each."""
    wrong = [f"{one.setting} is {one.value}. {one.remedy}" for one in judgements if one.remedy]
    if wrong:
        raise Unfit("\n".join(["the store is not set up for production:", *(f"  {line}" for line in wrong)]))


async def try_look(calls: Calls) -> dict[str, str] | None:
    """The same as `look`; None when the store does not answer, or forbids it."""
    try:
        return await look(calls)
    except Fault:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
