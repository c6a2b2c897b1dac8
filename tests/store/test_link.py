"""One connection for all calls: each gets its own reply or none, and a connection that broke is made anew."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.store import address
from gateway.store import link as links
from gateway.store.address import Tls
from gateway.store.link import Link, Script, connect
from gateway.store.wire import Away, Cut, Fault, Full, Late, Refused, Wire
from tests.support.certificate import certified, served
from tests.support.servers import running
from tests.support.weather import Weather

NUMBERS = itertools.count()
SCRIPT = Script.of("return {KEYS[1], ARGV[1]}")


@asynccontextmanager
async def linked(weather: Weather, timeout: float = 1.0, most: int = 10_000) -> AsyncIterator[Link]:  # noqa: ASYNC109 - of each call
    async with weather:
        link = connect(f"redis://127.0.0.1:{weather.port}", timeout=timeout, most=most)
        yield link
        await link.close()


async def own_reply(link: Link) -> str:
    """`right`, the name of a fault, or the worst thing possible."""
    word = f"{next(NUMBERS):012d}".encode()
    try:
        reply = await link.ask("ECHO", word)
    except Fault as fault:
        return type(fault).__name__
    return "right" if reply == word else "another's"


async def replies(link: Link, number: int) -> list[str]:
    return await asyncio.gather(*(own_reply(link) for _ in range(number)))


async def test_ten_thousand_calls_at_once_get_each_its_own_reply(valkey: str) -> None:
    link = connect(valkey, timeout=30)
    assert set(await replies(link, 10_000)) == {"right"}
    await link.close()


async def test_a_reply_that_is_cut_at_any_byte_is_given_to_nobody(valkey: str) -> None:
    weather = Weather(valkey)
    async with linked(weather, timeout=5) as link:
        for byte in range(7, 7 + 19 * 4):  # after the reply to the greeting
            weather.cut_after = byte
            told = await replies(link, 6)
            assert told == ["right"] * ((byte - 7) // 19) + ["Cut"] * (6 - (byte - 7) // 19), byte
            weather.cut_after = -1
            link.renew()


async def chaos(weather: Weather, link: Link, rounds: int, seed: int) -> set[str]:
    """What callers got while the connection was slow, silent, cut, and while some of them gave up."""
    choose, told = random.Random(seed), set[str]()  # noqa: S311 - a seed that can be run again
    for _ in range(rounds):
        weather.cut_after = choose.choice([-1, -1, choose.randrange(400)])
        weather.pause, weather.piece = choose.choice([(0, 65_536), (0.002, 50), (0.001, 7)])
        calls = [asyncio.create_task(own_reply(link)) for _ in range(choose.randrange(1, 60))]
        await asyncio.sleep(choose.random() * 0.01)
        for call in choose.sample(calls, len(calls) // 4):
            call.cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        told |= {result for result in results if isinstance(result, str)}
    return told


async def test_nobody_ever_gets_the_reply_of_another(valkey: str) -> None:
    weather = Weather(valkey)
    async with linked(weather, timeout=0.02) as link:
        told = await chaos(weather, link, 60, seed=1)
    assert {"right", "Late", "Cut"} <= told <= {"right", "Late", "Cut", "Away"}


class Forgetful(Wire):
    """Gives up the place in the queue together with its caller, as one would who thinks of calls and not of replies."""

    def _deliver(self, reply: object) -> None:
        while self._owed and self._owed[0][0].done():
            self._owed.popleft()
        super()._deliver(reply)


async def test_a_wire_that_forgot_who_gave_up_would_be_noticed(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "Wire", Forgetful)
    weather = Weather(valkey)
    async with linked(weather, timeout=0.02) as link:
        assert "another's" in await chaos(weather, link, 60, seed=1)


async def test_a_slow_store_keeps_its_connection_and_what_comes_late_is_thrown_away(valkey: str) -> None:
    weather = Weather(valkey, piece=19)  # one reply of twelve characters
    async with linked(weather, timeout=0.1) as link:
        await link.ask("PING")
        weather.pause = 0.02
        told = await replies(link, 10)
        assert told[0] == "right"
        assert told[-1] == "Late"
        weather.pause, weather.piece = 0, 65_536
        await asyncio.sleep(0.15)
        assert await replies(link, 50) == ["right"] * 50
    assert weather.connections == 1


async def test_a_store_that_says_nothing_is_left_and_reached_anew(valkey: str) -> None:
    weather = Weather(valkey)
    async with linked(weather, timeout=0.05) as link:
        await link.ask("PING")
        weather.swallow = True
        assert set(await replies(link, 20)) == {"Late"}
        weather.swallow = False
        await asyncio.sleep(0.01)
        assert await own_reply(link) == "right"
    assert weather.connections == 2


async def test_a_store_that_refuses_connections_is_told_in_time(valkey: str) -> None:
    async with linked(Weather(valkey, refuse=True), timeout=0.05) as link:
        with pytest.raises(Away, match=r"^not connected \(connection lost\)$"):
            await link.ask("PING")


async def test_a_store_that_refuses_connections_is_found_when_it_is_back(valkey: str) -> None:
    weather = Weather(valkey, refuse=True)
    async with linked(weather, timeout=5) as link:
        waiting = asyncio.create_task(own_reply(link))
        await asyncio.sleep(0.02)
        weather.refuse = False
        assert await waiting == "right"


async def test_while_there_is_no_connection_as_many_wait_as_may_be_under_way(valkey: str) -> None:
    weather = Weather(valkey, refuse=True)
    async with linked(weather, timeout=0.05, most=3) as link:
        assert sorted(await replies(link, 5)) == ["Away", "Away", "Away", "Full", "Full"]


async def test_more_calls_than_may_be_under_way_are_refused_at_once(valkey: str) -> None:
    link = connect(valkey, most=8)
    await link.ask("PING")
    told = await replies(link, 10)
    assert told == ["right"] * 8 + ["Full"] * 2
    with pytest.raises(Full, match=r"^too many calls under way$"):
        await link.ask_all(*[("PING",)] * 9)
    await link.close()


async def test_closing_under_load_leaves_nobody_waiting_and_tells_nobody_wrong(valkey: str) -> None:
    link = connect(valkey, timeout=30)
    await link.ask("PING")
    first = [asyncio.create_task(own_reply(link)) for _ in range(500)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(link.close())
    await asyncio.sleep(0)
    later = await replies(link, 20)
    assert set(await asyncio.gather(*first)) == {"right"}
    assert set(later) == {"Away"}
    await closing
    assert await own_reply(link) == "Away"


async def test_closing_while_it_connects_lets_those_go_who_wait(valkey: str) -> None:
    async with linked(Weather(valkey, refuse=True)) as link:
        waiting = [asyncio.create_task(own_reply(link)) for _ in range(5)]
        await asyncio.sleep(0.01)
        await link.close()
        assert await asyncio.gather(*waiting) == ["Away"] * 5


async def test_closing_just_as_it_has_connected_does_not_connect_anew(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, opened, closing = connect(valkey), [], list[asyncio.Task[None]]()

    async def close_at_once(*given: Any, **how: Any) -> Wire:
        opened.append(await address.open_wire(*given, **how))
        asyncio.get_running_loop().call_soon(lambda: closing.append(asyncio.create_task(link.close())))
        return opened[-1]

    monkeypatch.setattr(links, "open_wire", close_at_once)
    assert await own_reply(link) == "Away"
    await asyncio.gather(*closing)
    assert len(opened) == 1


async def test_who_has_closed_leaves_no_attempt_to_connect_behind(valkey: str) -> None:
    async with Weather(valkey, swallow=True) as weather:
        link = connect(f"redis://127.0.0.1:{weather.port}", timeout=5)
        waiting = asyncio.create_task(own_reply(link))
        while not weather.connections:  # noqa: ASYNC110 - a proxy that tells nobody
            await asyncio.sleep(0.001)
        before = link._connecting
        await link.close()
        assert before is not None
        assert before.done()
        assert await waiting == "Away"


async def test_what_may_have_run_is_never_sent_again(valkey: str) -> None:
    weather, key = Weather(valkey), f"link:{next(NUMBERS)}"
    done = sent = 0
    async with linked(weather, timeout=0.5) as link:
        for byte in range(7, 60):
            weather.cut_after = byte
            results = await asyncio.gather(*(link.ask("INCR", key) for _ in range(5)), return_exceptions=True)
            done += sum(isinstance(result, int) for result in results)
            sent += 5
            weather.cut_after = -1
            link.renew()
        assert done < int(await link.ask("GET", key)) <= sent
        await link.ask("DEL", key)


async def test_a_script_that_the_server_does_not_know_is_given_to_it(valkey: str) -> None:
    link = connect(valkey)
    await link.ask("SCRIPT", "FLUSH")
    for _ in range(2):
        told = await asyncio.gather(*(link.run(SCRIPT, ["k"], b"%d" % n) for n in range(50)))
        assert told == [[b"k", b"%d" % n] for n in range(50)]
    await link.close()


async def test_an_error_of_the_server_shows_its_kind_and_nothing_that_was_sent(valkey: str) -> None:
    link = connect(valkey)
    with pytest.raises(Refused) as caught:
        await link.ask("ECHO", "+14155550123", "482913")
    assert (str(caught.value), repr(caught.value)) == ("ERR", "Refused('ERR')")
    await link.close()


async def test_a_primary_that_became_a_replica_is_left_until_it_is_one_again(tmp_path: Path) -> None:
    with running(tmp_path / "s") as server:
        link = connect(server.url, timeout=0.3)
        await link.ask("SET", "k", "1")
        server.say("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(Refused, match=r"^READONLY$"):
            await link.ask("SET", "k", "2")
        server.say("REPLICAOF", "NO", "ONE")
        assert await link.ask("SET", "k", "3") == b"OK"
        await link.close()


async def test_a_server_that_is_started_again_is_reached_again_by_who_waits(tmp_path: Path) -> None:
    with running(tmp_path / "s", "--appendonly", "yes", "--appendfsync", "always") as server:
        link = connect(server.url, timeout=5)
        await link.ask("SET", "k", "1")
        server.kill()
        await asyncio.sleep(0.01)
        waiting = asyncio.create_task(link.ask("GET", "k"))
        await asyncio.to_thread(server.start)
        assert await waiting == b"1"
        await link.close()


@asynccontextmanager
async def scripted(answers: Callable[[], bytes]) -> AsyncIterator[Link]:
    """The way to a server that says what it is told to say."""
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while await reader.read(1_000):
            writer.write(answers())

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        link = connect(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=0.3)
        yield link
        await link.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)  # what was aborted is closed in the loop's next rounds


async def test_a_server_that_still_loads_its_data_is_waited_for() -> None:
    said = iter([b"-LOADING the dataset\r\n", b"-LOADING the dataset\r\n", b"+PONG\r\n", b"+OK\r\n"])
    async with scripted(lambda: next(said)) as link:
        assert await link.ask("SET", "k", "1") == b"OK"


@pytest.mark.parametrize("nonsense", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+PONG\r\n+ONE\r\n+TOO MANY\r\n"])
async def test_what_is_no_store_is_left(nonsense: bytes) -> None:
    async with scripted(lambda: nonsense) as link:
        with pytest.raises((Away, Cut)):
            await link.ask("PING")


async def test_a_user_a_password_and_a_database_are_given(tmp_path: Path) -> None:
    with running(tmp_path / "s") as server:
        server.say("ACL", "SETUSER", "app", "on", ">s3cret", "+@all", "~*")
        server.say("ACL", "SETUSER", "default", "off")
        link = connect(f"redis://app:s3cret@127.0.0.1:{server.port}/3")
        assert await link.ask("ACL", "WHOAMI") == b"app"
        assert b" db=3 " in await link.ask("CLIENT", "INFO")
        await link.close()


async def test_a_wrong_password_is_told_at_once_and_not_shown(tmp_path: Path) -> None:
    with running(tmp_path / "s", "--requirepass", "right") as server:
        for password, kind in (("", "NOAUTH"), (":wrong@", "WRONGPASS")):
            link = connect(f"redis://{password}127.0.0.1:{server.port}", timeout=60)
            async with asyncio.timeout(5):
                with pytest.raises(Away) as caught:
                    await link.ask("PING")
            assert str(caught.value) == f"not connected ({kind})"
            await link.close()


async def test_a_store_behind_tls_is_reached_when_its_certificate_is_trusted(valkey: str, tmp_path: Path) -> None:
    certificate, key = certified(tmp_path)
    async with Weather(valkey, tls=served(certificate, key)) as weather:
        url = f"rediss://127.0.0.1:{weather.port}"
        link = connect(url, tls=Tls(authority=certificate))
        assert set(await replies(link, 100)) == {"right"}
        await link.close()
        stranger = connect(url, timeout=60)
        async with asyncio.timeout(5):
            with pytest.raises(Away, match=r"^not connected \(SSLCertVerificationError\)$"):
                await stranger.ask("PING")
        await stranger.close()


async def test_late_means_that_it_may_have_run(valkey: str) -> None:
    weather, key = Weather(valkey), f"link:{next(NUMBERS)}"
    async with linked(weather, timeout=0.05) as link:
        await link.ask("PING")
        weather.swallow = True
        with pytest.raises(Late):
            await link.ask("INCR", key)
        weather.swallow = False
        assert await link.ask("GETDEL", key) == b"1"
