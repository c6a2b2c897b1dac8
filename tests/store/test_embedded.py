"""The embedded store: one gateway per folder, a child that ends with its parent, data that survive."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.store import embedded
from gateway.store.embedded import InUse, NotStarted
from gateway.store.plain import client as client_of

HOLDER = """
import signal, sys, time
from pathlib import Path
from gateway.store import embedded
server = embedded.start(Path(sys.argv[1]), fsync="always")
print(server.process.pid, flush=True)
time.sleep(60)
"""
"""A gateway's process, for as long as nobody kills it."""


def held(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Another process that has started the store, and the process id of its server."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, cwd=Path.cwd())
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def say(url: str, *words: str) -> object:
    async def once() -> object:
        client = client_of(url)
        try:
            return await client.execute_command(*words)
        finally:
            await client.aclose()

    return asyncio.run(once())


def until(done: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_it_starts_keeps_its_files_to_its_owner_and_stops_clean(data: Path) -> None:
    server = embedded.start(data)
    assert say(server.url, "PING") is True
    assert data.stat().st_mode & 0o777 == 0o700
    assert (data / "valkey.sock").stat().st_mode & 0o077 == 0
    server.stop()
    assert server.process.returncode == 0
    assert not (data / "valkey.sock").exists()
    server.stop()  # twice is no fault


def test_it_is_set_up_to_lose_nothing(data: Path) -> None:
    server = embedded.start(data)
    values = {b"appendonly": b"yes", b"appendfsync": b"everysec", b"maxmemory-policy": b"noeviction", b"port": b"0"}
    kept = [say(server.url, "CONFIG", "GET", name.decode()) for name in values]
    server.stop()
    assert kept == [[name, value] for name, value in values.items()]


def test_a_second_gateway_on_one_folder_is_refused_and_told_what_to_do(data: Path) -> None:
    server = embedded.start(data)
    with pytest.raises(InUse) as caught:
        embedded.start(data)
    assert say(server.url, "PING") is True, "the first is left in peace"
    server.stop()
    assert str(caught.value) == (
        f"{data.resolve()} is in use by another gateway (process {os.getpid()}). Stop that one, or give this one "
        "another folder with store.directory, or let both use one server with store.url."
    )


def test_a_folder_that_was_given_back_can_be_used_again_and_has_what_was_written(data: Path) -> None:
    first = embedded.start(data)
    say(first.url, "SET", "k", "v")
    first.stop()
    second = embedded.start(data)
    assert say(second.url, "GET", "k") == b"v"
    second.stop()


def test_a_path_too_long_for_a_socket_is_told_before_anything_is_started(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    with pytest.raises(NotStarted, match=r"too long for a Unix socket: choose a shorter store\.directory$"):
        embedded.start(folder)


def test_a_server_that_ends_at_once_is_told_with_the_place_of_its_log(data: Path) -> None:
    with pytest.raises(NotStarted, match=r"^the embedded store ended at once \(exit 1\): see .*valkey\.log$"):
        embedded.start(data, fsync="nonsense")
    embedded.start(data).stop()  # the folder was given back


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends what was left behind")
def test_when_the_gateway_is_killed_its_server_ends_and_nothing_that_was_synced_is_lost(data: Path) -> None:
    process, pid = held(data)
    say(f"unix://{data.resolve()}/valkey.sock", "SET", "k", "v")
    with pytest.raises(InUse, match=f"process {process.pid}"):
        embedded.start(data)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert until(lambda: not alive(pid)), "the server outlived its gateway"
    again = embedded.start(data)
    assert say(again.url, "GET", "k") == b"v"
    again.stop()


def test_when_the_server_itself_is_killed_nothing_that_was_synced_is_lost(data: Path) -> None:
    server = embedded.start(data, fsync="always")
    say(server.url, "SET", "k", "v")
    server.process.kill()
    server.process.wait()
    server.stop()
    again = embedded.start(data)
    assert say(again.url, "GET", "k") == b"v"
    again.stop()


def test_a_server_that_was_left_behind_is_ended_in_order_by_the_next_start(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a system whose kernel does not end a child with its parent."""
    monkeypatch.setattr(embedded, "_die_with_parent", lambda _parent: None)
    orphan = embedded.start(data)
    say(orphan.url, "SET", "k", "v")
    orphan._lock.close()  # what the death of its gateway does
    again = embedded.start(data)
    assert orphan.process.wait(5) == 0
    assert say(again.url, "GET", "k") == b"v"
    again.stop()


def test_a_dead_socket_file_is_in_nobodys_way(data: Path) -> None:
    data.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(data / "valkey.sock"))
    embedded.start(data).stop()
