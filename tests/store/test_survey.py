"""A store that may lose data is refused in production, with what to set, and warned of in development."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.store import survey
from gateway.store.survey import REMEDIES, Unfit
from gateway.store.topology import reach
from tests.store.conftest import least
from tests.support.servers import running
from tests.support.six import Six
from tests.support.trio import trio

RIGHT = {"valkey_version": "8.1.0", "role": "master", "aof_enabled": "1", "maxmemory_policy": "noeviction"}


def wrong(**more: str) -> list[tuple[str, str]]:
    info = {**RIGHT, **more}
    return [(one.setting, one.value) for one in survey.judged(info, watched=False) if one.remedy]


async def test_a_server_as_it_comes_keeps_nothing_and_one_that_is_set_up_is_right(valkey: str, tmp_path: Path) -> None:
    with running(tmp_path / "s", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as server:
        plain, right = reach(server.url), reach(valkey)
        faults = [one for one in survey.judged(await survey.look(plain), watched=False) if one.remedy]
        assert [(one.setting, one.grave) for one in faults] == [("appendonly", False), ("maxmemory-policy", True)]
        with pytest.raises(Unfit) as caught:
            survey.refuse(faults)
        assert str(caught.value) == (
            "the store is not set up for production:\n"
            f"  appendonly is off. {REMEDIES['appendonly']}\n"
            f"  maxmemory-policy is allkeys-lru. {REMEDIES['eviction']}"
        )
        survey.refuse(survey.judged(await survey.look(right), watched=False))
        await plain.close()
        await right.close()


@pytest.mark.parametrize(
    ("info", "told"),
    [
        ({}, []),
        ({"valkey_version": "7.2.4"}, []),
        ({"valkey_version": "7.0.0"}, [("version", "Valkey 7.0.0")]),
        ({"role": "slave"}, [("role", "slave")]),
        ({"aof_enabled": "0"}, [("appendonly", "off")]),
        ({"maxmemory_policy": "volatile-ttl"}, [("maxmemory-policy", "volatile-ttl")]),
    ],
)
def test_each_setting_is_judged(info: dict[str, str], told: list[tuple[str, str]]) -> None:
    assert wrong(**info) == told


@pytest.mark.parametrize(("version", "old"), [("6.2.14", True), ("7.0.0", False), ("8.2.1", False)])
def test_redis_is_new_enough_from_seven_on(version: str, old: bool) -> None:
    info = {name: value for name, value in RIGHT.items() if name != "valkey_version"} | {"redis_version": version}
    assert bool(survey.judged(info, watched=False)[0].remedy) is old


def test_the_least_user_may_do_what_scripts_and_calls_do_and_no_more() -> None:
    folder = Path(survey.__file__).parent
    lua = "".join(file.read_text() for file in folder.glob("lua/*.lua"))
    calls = "".join(file.read_text() for file in folder.glob("*.py"))
    said = {*re.findall(r"redis\.call\('(\w+)'", lua), *re.findall(r"\(\s*\"([A-Z]{3,})\",", calls)}
    done = said | {"INFO", "PING", "ROLE"}
    known = {"AUTH", "SENTINEL", "SCRIPT", "CLUSTER", "ASKING", "WRONGPASS"}
    allowed = {word.removeprefix("+").upper() for word in least().split() if word.startswith("+")}
    assert {word for word in done if word not in known} == allowed - {"SCRIPT|LOAD"}


async def test_behind_sentinels_a_primary_must_need_its_replicas(tmp_path: Path) -> None:
    with trio(tmp_path / "t", "--appendonly", "yes") as group:
        calls = reach(group.url)
        before = await survey.look(calls)
        for server in group.servers:
            server.say("CONFIG", "SET", "min-replicas-to-write", "1", "min-replicas-max-lag", "10")
        after = await survey.look(calls)
        await calls.close()
    told = [[one.setting for one in survey.judged(info, watched=True) if one.remedy] for info in (before, after)]
    assert told == [["min-replicas-to-write"], []]
    assert survey.replicas(after) == 2


async def test_a_store_that_is_away_is_not_judged() -> None:
    calls = reach("unix:///nowhere/valkey.sock", timeout=0.1)
    assert await survey.try_look(calls) is None
    await calls.close()


async def test_of_a_clusters_servers_the_worst_is_judged(clustered: Six) -> None:
    calls = reach(clustered.url)
    wrong = clustered.holder("{7}")
    try:
        for one in clustered.servers:
            one.say("CONFIG", "SET", "appendonly", "yes")
        wrong.say("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        info = await survey.look(calls)
    finally:
        for one in clustered.servers:
            one.say("CONFIG", "SET", "appendonly", "no")
        wrong.say("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await calls.close()
    told = [one.setting for one in survey.judged(info, watched=True) if one.remedy]
    assert told == ["maxmemory-policy", "min-replicas-to-write"]
