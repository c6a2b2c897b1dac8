"""An opt-out as an operator meets it: a vendor says so, the next code takes another way, and a command lifts it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.process import Process

OPTED_OUT = "+14155550108"  # the simulator's number of a person who has said STOP on every channel


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process(tmp_path_factory.mktemp("g") / "d") as process:
        yield process


def suppression(gateway: Process, *arguments: str) -> subprocess.CompletedProcess[str]:
    where = ("--url", gateway.url, "--key-file", str(gateway.data / "demo-api-key"))
    return gateway.run("suppression", *arguments, *where)


def test_what_a_vendor_says_is_remembered_listed_and_lifted(gateway: Process) -> None:
    first = gateway.start_one(OPTED_OUT, channels=["sms"])
    assert [(a["channel"], a["reason"]) for a in first["attempts"]] == [("sms", "opted_out")]
    refused = gateway.call("POST", "/v1/verifications", {"to": {"phone": OPTED_OUT}, "channels": ["sms"]})
    assert (refused.status, refused.json["code"], refused.json["rule"]) == (403, "opted_out", "suppression")

    listed = suppression(gateway, "list", OPTED_OUT)
    assert listed.returncode == 0
    assert listed.stdout.startswith("sms       since 20")
    assert listed.stdout.endswith(", until it is lifted (vendor)\n")

    lifted = suppression(gateway, "lift", OPTED_OUT, "--channel", "sms")
    assert (lifted.returncode, lifted.stdout, lifted.stderr) == (0, "lifted: sms\n", "")
    again = suppression(gateway, "lift", OPTED_OUT, "--channel", "sms")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "No opt-out is known.\n")
    anew = gateway.start_one(OPTED_OUT, channels=["sms"], purpose="payment")  # whose cooldown has not begun
    assert [a["channel"] for a in anew["attempts"]] == ["sms"]


def test_erase_says_what_was_erased(gateway: Process) -> None:
    started = gateway.start_one("+14155550188")
    where = ("--url", gateway.url, "--key-file", str(gateway.data / "demo-api-key"))
    erased = gateway.run("erase", "+14155550188", *where)
    assert (erased.returncode, erased.stdout, erased.stderr) == (0, "erased 1 verification, 1 of them pending\n", "")
    assert gateway.call("GET", f"/v1/verifications/{started['id']}").status == 404
    assert gateway.run("erase", "+14155550188", *where).stdout == "erased 0 verifications\n"


def test_an_operator_adds_one_and_sees_it_as_json(gateway: Process) -> None:
    added = suppression(gateway, "add", "bounced@example.org", "--reason", "complaint", "--json")
    assert added.returncode == 0
    (entry,) = json.loads(added.stdout)["suppressions"]
    assert (entry["channel"], entry["reason"], entry["expires_at"]) == ("email", "complaint", None)
    assert 'otp_suppressions_total{action="added",channel="email"} 1.0' in gateway.metrics()


def test_what_is_wrong_is_told_in_words_and_ends_with_1(gateway: Process) -> None:
    for arguments in (("list", "4155550108"), ("add", OPTED_OUT, "--channel", "email")):
        told = suppression(gateway, *arguments)
        assert (told.returncode, told.stdout) == (1, "")
        assert told.stderr.startswith("Error: invalid_")
        assert "5550108" not in told.stderr
