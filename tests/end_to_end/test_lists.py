"""A list as an operator meets it: a command denies a range, a code for it is refused, and a command takes it back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.support.process import Process

NUMBER = "+14155550123"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process(tmp_path_factory.mktemp("g") / "d") as process:
        yield process


def command(gateway: Process, *arguments: str) -> subprocess.CompletedProcess[str]:
    return gateway.run("list", *arguments, "--url", gateway.url, "--key-file", str(gateway.data / "demo-api-key"))


def test_a_range_is_denied_shown_and_taken_back(gateway: Process) -> None:
    added = command(gateway, "add", "+1415*", "--expires", "24h", "--reason", "pumping")
    assert (added.returncode, added.stderr) == (0, "")
    assert added.stdout.startswith("deny  +1415* since 20")
    refused = gateway.call("POST", "/v1/verifications", {"to": {"phone": NUMBER}})
    assert (refused.status, refused.json["code"], refused.json["rule"]) == (403, "destination_blocked", "lists")
    assert command(gateway, "show", NUMBER).stdout.endswith("(pumping)\n")
    removed = command(gateway, "remove", "+1415*")
    assert (removed.returncode, removed.stderr) == (0, "+1415* is on no list of this app.\n")
    assert gateway.start_one(NUMBER)["status"] == "pending"


def test_what_is_wrong_is_told_in_words_and_no_number_is_repeated(gateway: Process) -> None:
    told = command(gateway, "add", "4155550123")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("Error: invalid_request: ")
    assert "5550123" not in told.stderr
    assert command(gateway, "add", "+1415*", "--expires", "soon").returncode == 2
