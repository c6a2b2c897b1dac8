"""The record of decisions: one JSON object per line, in a file that is rotated by its size and never waited for."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import BinaryIO

Line = Mapping[str, object]

_BATCH = 100
"""Lines written at once, at the most."""


class Unwritable(Exception):
    """The file can't be had. The message is for the operator."""


class TrafficFile:
    """Lines are handed to a thread, which writes them at least every `every` seconds. Of a disk that is too slow or
    full, lines are lost, and `lost` is told how many, from that thread: no request ever waits for the record.

    Several processes may write one file: whoever writes or rotates it holds its lock meanwhile."""

    def __init__(
        self,
        file: Path,
        *,
        max_bytes: int,
        keep: int,
        lost: Callable[[int], None],
        pending: int = 20_000,
        every: float = 1.0,
    ) -> None:
        """Raises Unwritable."""
        self._file = file
        self._max_bytes = max_bytes
        self._keep = keep
        self._lost = lost
        self._pending = pending
        self._every = every
        self._lines: SimpleQueue[Line | None] = SimpleQueue()
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._opened: BinaryIO | None = _open(file)
        except OSError as error:
            reason = (error.strerror or "it is out of reach").lower()
            raise Unwritable(f"{file} can't be written: {reason}. Name another with record.file.") from None
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self._thread.start()

    def write(self, line: Line) -> None:
        """Take a line. Costs a microsecond; the line is not to be changed afterwards."""
        if self._lines.qsize() >= self._pending:
            self._lost(1)
        else:
            self._lines.put(line)

    def close(self, seconds: float = 5.0) -> None:
        """Write what is left, and wait for that no longer than `seconds`."""
        self._lines.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        going = True
        while going:
            batch = self._batch()
            going = batch[-1] is not None
            lines = [line for line in batch if line is not None]
            try:
                self._append(lines)
            except OSError:
                self._lost(len(lines))
                self._shut()
        self._shut()

    def _batch(self) -> list[Line | None]:
        """The next lines: all that come within `every` seconds of the first. Ends with None when nothing follows."""
        batch = [self._lines.get()]
        end = time.monotonic() + self._every
        while batch[-1] is not None and len(batch) < _BATCH:
            try:
                batch.append(self._lines.get(timeout=max(0.0, end - time.monotonic())))
            except Empty:
                break
        return batch

    def _append(self, lines: list[Line]) -> None:
        content = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
        while True:
            with self._locked() as opened:
                size = os.fstat(opened.fileno()).st_size
                if size == 0 or size + len(content) <= self._max_bytes:
                    opened.write(content)
                    opened.flush()
                    return
                self._rotate()

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """The file that has the name now: another process may have set aside the one that was open."""
        while True:
            if self._opened is None:
                self._opened = _open(self._file)
            fcntl.flock(self._opened.fileno(), fcntl.LOCK_EX)
            if _same(self._opened, self._file):
                break
            self._shut()
        try:
            yield self._opened
        finally:
            with suppress(OSError):
                fcntl.flock(self._opened.fileno(), fcntl.LOCK_UN)

    def _rotate(self) -> None:
        """FILE becomes FILE.1, FILE.1 becomes FILE.2, and the last one goes."""
        for number in range(self._keep - 1, 0, -1):
            with suppress(FileNotFoundError):
                self._aside(number).replace(self._aside(number + 1))
        self._file.replace(self._aside(1))

    def _aside(self, number: int) -> Path:
        return self._file.with_name(f"{self._file.name}.{number}")

    def _shut(self) -> None:
        if self._opened is not None:
            with suppress(OSError):
                self._opened.close()
            self._opened = None


def _same(opened: BinaryIO, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(opened.fileno()), file.stat())
    except FileNotFoundError:
        return False


def _open(file: Path) -> BinaryIO:
    """For appending, readable by its owner only."""
    file.touch(mode=0o600)
    return file.open("ab")
