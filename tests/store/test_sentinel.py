"""Behind Sentinels: the primary is found and followed, and a failover costs patience, never a told approval."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.store.topology import members, reach
from gateway.store.valkey import Store
from gateway.store.waiting import Replicas
from gateway.store.wire import Away
from tests.store.traffic import WITHIN, Traffic
from tests.support.trio import Trio, trio


def test_hosts_have_the_usual_port_unless_they_name_another() -> None:
    assert members("one,two:5000,[::1]:6000,[fe80::1]", 26379) == [
        ("one", 26379),
        ("two", 5000),
        ("::1", 6000),
        ("fe80::1", 26379),
    ]


async def test_a_primary_is_found_when_a_sentinel_is_away(watched: Trio) -> None:
    hosts = ",".join(f"127.0.0.1:{port}" for port in (1, watched.sentinels[0].port, watched.sentinels[2].port))
    calls = reach(f"redis+sentinel://{hosts}/otp/0")
    assert (await calls.ask("ROLE"))[0] == b"master"
    await calls.close()


async def test_a_group_that_nobody_watches_is_told(watched: Trio) -> None:
    calls = reach(watched.url.replace("/otp/", "/other/"), timeout=0.3)
    with pytest.raises(Away, match=r"^not connected \(no Sentinel names a primary\)$"):
        await calls.ask("PING")
    await calls.close()


FAULTS: dict[str, tuple[Callable[[Trio], None], int]] = {
    # what happens, and how many replicas an approval waits for
    "frozen": (lambda group: group.primary().freeze(), 1),
    "switched in order": (lambda group: group.switch("COORDINATED"), 1),
    "switched by force": (lambda group: group.switch(), 2),  # the old one goes on for a while, with the other replica
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_in_a_failover_everybody_is_answered_in_time_and_no_told_approval_is_lost(
    fault: str, tmp_path: Path
) -> None:
    happens, number = FAULTS[fault]
    with trio(tmp_path / "t") as group:
        calls = reach(group.url)
        store = Store(calls, replicas=Replicas(reach(group.url), number, 400))
        traffic = Traffic(store)
        await traffic.run(lambda: happens(group), calls)
        told, approvals = await traffic.told()
        await store.close()
    print(f"{fault}: {told}")  # noqa: T201 - the classification, for whoever runs it with -s
    assert traffic.slowest < WITHIN, told
    assert approvals == 0, told
    assert len(traffic.approved) > 50, told
