"""Keys that development makes for itself."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.config import Invalid, Settings, apikey, development, load
from gateway.core.keys import api_key_hash

TEXT = """\
mode: development
store: {directory: DATA}
apps: {demo: {name: Demo}, other: {name: Other, keys: [{id: k1, sha256: HASH}]}}
providers: {sim: {type: simulator}}
channels: {sms: {providers: [sim]}, voice: {providers: [sim]}, whatsapp: {providers: [sim]}, email: {providers: [sim]}}
policies: {default: {countries: {allow: [US]}}}
"""


def loaded(folder: Path, *, make_keys: bool = True, text: str = TEXT) -> Settings:
    file = folder / "config.yaml"
    file.write_text(text.replace("DATA", str(folder / "data")).replace("HASH", "b" * 64))
    return load(file, {}, make_keys=make_keys)


def test_the_keys_are_made_once_and_read_again(tmp_path: Path) -> None:
    first, second = loaded(tmp_path), loaded(tmp_path)
    assert len(first.lookup) == 32
    assert [len(key) for key in first.sealing.values()] == [32]
    assert first.lookup != next(iter(first.sealing.values()))
    assert (first.lookup, first.sealing, first.api_keys) == (second.lookup, second.sealing, second.api_keys)


def test_an_app_without_keys_gets_one_in_a_file_and_others_keep_theirs(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    key = (tmp_path / "data" / "demo-api-key").read_text().strip()
    assert apikey.FORM.fullmatch(key)
    assert {digest: owner.app for digest, owner in settings.api_keys.items()} == {
        api_key_hash(key): "demo",
        "b" * 64: "other",
    }
    assert not (tmp_path / "data" / "other-api-key").exists()


def test_only_the_owner_can_read_the_keys(tmp_path: Path) -> None:
    loaded(tmp_path)
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["demo-api-key", "lookup", "sealing"]  # and no draft is left
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (tmp_path / "data" / "secrets").stat().st_mode & 0o077 == 0


def test_judging_a_file_writes_nothing(tmp_path: Path) -> None:
    settings = loaded(tmp_path, make_keys=False)
    assert settings.lookup == b""
    assert not (tmp_path / "data").exists()


def test_processes_that_start_at_once_have_the_same_keys(tmp_path: Path) -> None:
    loaded(tmp_path, make_keys=False)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: load(tmp_path / "config.yaml", {}), range(16)))
    assert len({(s.lookup, *s.sealing.values(), *s.api_keys) for s in found}) == 1


def test_the_key_of_a_process_that_was_faster_stays(tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "lookup"
    development._publish(file, "first")
    development._publish(file, "second")  # had looked before the first wrote
    assert file.read_text() == "first\n"


def test_the_test_would_see_a_key_that_was_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(draft: Path, file: Path) -> None:
        file.write_text(draft.read_text())

    monkeypatch.setattr(os, "link", careless)
    file = tmp_path / "secrets" / "lookup"
    development._publish(file, "first")
    development._publish(file, "second")
    assert file.read_text() == "second\n"


@pytest.mark.parametrize("name", ["secrets/lookup", "demo-api-key"])
def test_a_damaged_key_is_told_and_not_replaced(tmp_path: Path, name: str) -> None:
    loaded(tmp_path)
    file = tmp_path / "data" / name
    file.write_text("x\n")
    with pytest.raises(Invalid) as invalid:
        loaded(tmp_path)
    remedy = "Delete it and start again: another one is made."
    assert str(invalid.value) == f"{tmp_path}/config.yaml: store.directory: {file} holds no key. {remedy}"
    assert file.read_text() == "x\n"


def test_a_folder_that_can_not_hold_the_keys_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(Invalid) as invalid:
        loaded(tmp_path)
    problem = f"{tmp_path}/data can't hold the keys of development: not a directory"
    assert (
        str(invalid.value)
        == f"{tmp_path}/config.yaml: store.directory: {problem}. Name a folder that can be written to."
    )
