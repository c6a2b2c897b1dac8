"""The record of decisions: lines come out whole and in order, files stay bounded, and nothing ever waits for a disk."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.telemetry import traffic
from gateway.telemetry.traffic import TrafficFile, Unwritable


def opened(file: Path, **how: Any) -> tuple[TrafficFile, list[int]]:
    lost: list[int] = []
    how = {"max_bytes": 65_536, "keep": 3, "every": 0.001} | how
    return TrafficFile(file, lost=lost.append, **how), lost


def numbers(*files: Path) -> list[int]:
    return [json.loads(line)["n"] for file in files for line in file.read_text().splitlines()]


def test_every_line_is_there_in_order_when_it_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "traffic.jsonl"
    record, lost = opened(file)
    for n in range(500):
        record.write({"n": n, "word": "naïve"})
    record.close()
    assert (numbers(file), lost) == (list(range(500)), [])
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().isascii()


def test_it_goes_on_where_an_earlier_process_stopped(tmp_path: Path) -> None:
    for n in range(2):
        record, _ = opened(tmp_path / "t")
        record.write({"n": n})
        record.close()
    assert numbers(tmp_path / "t") == [0, 1]


def test_what_is_written_is_there_without_closing(tmp_path: Path) -> None:
    record, _ = opened(tmp_path / "t")
    record.write({"n": 1})
    for _ in range(2000):
        if (tmp_path / "t").read_bytes():
            break
        threading.Event().wait(0.001)
    assert numbers(tmp_path / "t") == [1]
    record.close()


def test_a_file_that_is_full_is_set_aside_and_only_so_many_are_kept(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(traffic, "_BATCH", 10)
    record, lost = opened(tmp_path / "t", max_bytes=400, keep=2)
    for n in range(1000):
        record.write({"n": n})
    record.close()
    files = [tmp_path / "t.2", tmp_path / "t.1", tmp_path / "t"]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(file.stat().st_size <= 400 for file in files)
    kept = numbers(*files)
    assert kept == list(range(kept[0], 1000))
    assert lost == []


class Stuck:
    """A disk that does not answer until it is told to."""

    def __init__(self, real: Any) -> None:
        self.real, self.free, self.reached = real, threading.Event(), threading.Event()

    def __call__(self, file: Path) -> Any:
        opened = self.real(file)
        disk = self

        class File:
            def write(self, content: bytes) -> int:
                disk.reached.set()
                disk.free.wait(10)
                return int(opened.write(content))

            def __getattr__(self, name: str) -> Any:
                return getattr(opened, name)

        return File()


def stuck(tmp_path: Path, monkeypatch: Any) -> tuple[Stuck, TrafficFile, list[int]]:
    disk = Stuck(traffic._open)
    monkeypatch.setattr(traffic, "_open", disk)
    record, lost = opened(tmp_path / "t", pending=10)
    record.write({"n": 0})
    disk.reached.wait(10)
    return disk, record, lost


def test_a_disk_that_hangs_costs_lines_and_never_waits(tmp_path: Path, monkeypatch: Any) -> None:
    disk, record, lost = stuck(tmp_path, monkeypatch)
    for n in range(1, 100):
        record.write({"n": n})
    assert lost == [1] * 89
    disk.free.set()
    record.close()
    assert numbers(tmp_path / "t") == list(range(11))


def test_a_record_that_waited_for_its_disk_would_be_caught(tmp_path: Path, monkeypatch: Any) -> None:
    disk, record, lost = stuck(tmp_path, monkeypatch)
    record._pending = 10**9  # the planted fault: it never loses a line, and so grows without an end
    for n in range(1, 100):
        record.write({"n": n})
    assert lost == []
    disk.free.set()
    record.close()


def test_a_disk_that_is_full_costs_lines_until_there_is_room(tmp_path: Path, monkeypatch: Any) -> None:
    record, lost = opened(tmp_path / "t")
    real: Callable[[Any, Any], None] = TrafficFile._append
    full = [True]

    def append(self: TrafficFile, lines: Any) -> None:
        if full[0]:
            full[0] = False
            raise OSError(28, os.strerror(28))
        real(self, lines)

    monkeypatch.setattr(TrafficFile, "_append", append)
    record.write({"n": 0})
    while not lost:
        threading.Event().wait(0.001)
    record.write({"n": 1})
    record.close()
    assert (lost, numbers(tmp_path / "t")) == ([1], [1])


def test_a_place_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(Unwritable) as refused:
        opened(tmp_path)
    assert str(refused.value) == f"{tmp_path} can't be written: is a directory. Name another with record.file."


def two_writers(tmp_path: Path) -> list[int]:
    """The numbers that are kept of what two processes write to one file, which is set aside again and again."""
    both = [opened(tmp_path / "t", max_bytes=400, keep=200)[0] for _ in range(2)]
    for n in range(2000):
        both[n % 2].write({"n": n})
    for record in both:
        record.close()
    assert all(file.stat().st_size <= 400 for file in tmp_path.iterdir())
    return sorted(numbers(*tmp_path.iterdir()))


def test_two_processes_write_one_file_and_no_line_is_lost_when_it_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "_BATCH", 10)
    assert two_writers(tmp_path) == list(range(2000))


def test_without_a_look_at_whose_file_it_is_a_full_one_is_written_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: who goes on with the file that the other one set aside sets the new one aside as well."""
    monkeypatch.setattr(traffic, "_BATCH", 10)
    monkeypatch.setattr(traffic, "_same", lambda *_: True)
    with pytest.raises((AssertionError, FileNotFoundError)):
        assert two_writers(tmp_path) == list(range(2000))
