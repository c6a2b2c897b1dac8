"""A process says that it serves in a file that nobody else can be taken for."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from gateway.http.presence import Presence, running


def test_a_process_is_found_with_what_it_tells_until_it_ends(tmp_path: Path) -> None:
    presence = Presence(tmp_path / "data", "abc")
    (found,) = running(tmp_path / "data")
    assert (found.pid, found.here, found.revision, found.reloads) == (os.getpid(), True, "abc", 0)
    presence.tell(replace(presence.told, revision="def", reloads=1, refused=("a fault",), warnings=("ü", "b")))
    assert list(running(tmp_path / "data")) == [presence.told]
    presence.tell(replace(presence.told, refused=()))  # shorter than what it replaces
    assert list(running(tmp_path / "data")) == [presence.told]
    presence.close()
    assert list(running(tmp_path / "data")) == []
    assert list((tmp_path / "data").iterdir()) == []


def test_what_a_dead_process_left_behind_is_removed_and_never_signalled(tmp_path: Path) -> None:
    presence = Presence(tmp_path, "abc")
    left = tmp_path / "gateway-1.json"
    left.write_text((tmp_path / f"gateway-{os.getpid()}.json").read_text())
    assert [told.pid for told in running(tmp_path)] == [os.getpid()]
    assert not left.exists()
    presence.close()


def test_a_process_of_another_container_is_not_one_of_here(tmp_path: Path) -> None:
    presence = Presence(tmp_path, "abc")
    presence.tell(replace(presence.told, namespace="pid:[1]"))
    (found,) = running(tmp_path)
    assert not found.here
    presence.close()


def test_a_folder_that_cannot_be_written_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    presence = Presence(tmp_path / "file", "abc")
    presence.tell(presence.told)
    presence.close()
    assert list(running(tmp_path / "nowhere")) == []
