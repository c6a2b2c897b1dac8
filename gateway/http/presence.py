"""Says in store.directory that this process serves and how its last reload ended, for `otp-gateway reload` to read."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_MOST = 65_536
"""Bytes of what is told: faults can be many."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a process says of itself."""

    pid: int
    namespace: str  # of its process ids: in another container, the same number is another process
    revision: str  # of the configuration in force
    file: str = ""  # that it was started with and reads again
    reloads: int = 0  # that have ended, well or not
    refused: tuple[str, ...] = ()  # the faults of the last one; empty when it was taken over
    warnings: tuple[str, ...] = ()  # of the last one
    parent: int = 0  # the process that passes signals on to this one; 0 where it has none

    @property
    def here(self) -> bool:
        """Whether its process id means the same to us."""
        return self.namespace == namespace()


class Presence:
    """A file that is locked for as long as the process lives, so that one left behind is never taken for it. Where the
    file can't be written the gateway serves all the same, and is reloaded by a signal alone."""

    def __init__(self, directory: Path, revision: str, file: str = "", parent: int = 0) -> None:
        self._file = directory / f"gateway-{os.getpid()}.json"
        self._descriptor = _locked(self._file)
        self.told = Told(os.getpid(), namespace(), revision, file, parent=parent)
        self._write()

    def tell(self, told: Told) -> None:
        """Replace what is said."""
        self.told = told
        self._write()

    def close(self) -> None:
        if self._descriptor is not None:
            self._file.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self) -> None:
        """In place, because a new file would not have the lock. A reader who comes in between reads again."""
        if self._descriptor is None:
            return
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(asdict(self.told)).encode(), 0)


def running(directory: Path) -> Iterator[Told]:
    """Every process that serves from this folder. What dead ones left behind is removed."""
    for file in sorted(directory.glob("gateway-*.json")):
        with suppress(OSError), file.open("rb") as opened:
            if _free(opened.fileno()):
                file.unlink(missing_ok=True)
                continue
            told = _read(opened.read(_MOST))
            if told:
                yield told


def namespace() -> str:
    """Which process ids those of this process are; "" where there is only one kind."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _read(content: bytes) -> Told | None:
    try:
        said = json.loads(content)
        return Told(**said | {"refused": tuple(said["refused"]), "warnings": tuple(said["warnings"])})
    except (ValueError, TypeError, KeyError):
        return None


def _locked(file: Path) -> int | None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another container's process of the same number has this folder too
        os.close(descriptor)
        return None
    return descriptor


def _free(descriptor: int) -> bool:
    """Whether nobody holds the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
