"""`otp-gateway provider` against a real store: what it writes, what it says, and whom it refuses."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main

Command = Callable[..., Result]

CONFIG = """
mode: development
store: {{url: "{url}", prefix: "{prefix}"}}
apps: {{demo: {{name: Demo}}}}
providers:
  sim: {{type: simulator}}
  spare: {{type: simulator}}
  idle: {{type: simulator, enabled: false}}
channels:
  sms: {{providers: [sim, spare, idle]}}
  voice: {{providers: [sim]}}
  whatsapp: {{providers: [sim, spare]}}
  email: {{providers: [sim, spare]}}
policies: {{default: {{countries: {{allow: [US]}}}}}}
"""


def command(tmp_path: Path, url: str) -> Command:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.format(url=url, prefix=f"t{uuid.uuid4().hex[:8]}"))
    return lambda *words: CliRunner().invoke(main, ["provider", *words, "--config", str(file)])


@pytest.fixture
def provider(tmp_path: Path, valkey: str) -> Command:
    return command(tmp_path, valkey)


def test_all_are_listed_with_what_they_carry(provider: Command) -> None:
    listed = provider("list")
    assert (listed.exit_code, listed.stdout.splitlines()) == (
        0,
        [
            "sim              on (sms, voice, whatsapp, email)",
            "spare            on (sms, whatsapp, email)",
            "idle             off in the configuration (in no order)",
        ],
    )


def test_one_is_switched_off_and_on_again(provider: Command) -> None:
    off = provider("disable", "spare", "--reason", "maintenance")
    assert (off.exit_code, off.stdout, off.stderr) == (
        0,
        "spare is off: every gateway knows it within 2 seconds.\n",
        "",
    )
    line = provider("list").stdout.splitlines()[1]
    assert line.startswith("spare            off since 20")
    assert line.endswith(" UTC: maintenance (sms, whatsapp, email)")
    on = provider("enable", "spare")
    assert (on.exit_code, on.stdout) == (0, "spare is on: every gateway knows it within 2 seconds.\n")
    assert provider("enable", "spare").stdout == "spare was not switched off.\n"


def test_a_channel_that_is_left_with_nobody_is_named(provider: Command) -> None:
    off = provider("disable", "sim")
    assert (off.exit_code, off.stderr) == (0, "warning: voice has no other provider that is on.\n")


def test_an_unknown_name_is_refused_with_those_that_exist(provider: Command) -> None:
    for word in ("disable", "enable"):
        refused = provider(word, "smi")
        assert refused.exit_code == 2
        assert "there is no provider 'smi': write one of sim, spare, idle" in refused.stderr


def test_a_provider_that_the_file_disables_is_not_said_to_send(provider: Command) -> None:
    on = provider("enable", "idle")
    assert on.exit_code == 0
    assert "providers.idle.enabled is false in " in on.stderr


def test_a_reason_of_two_lines_is_refused(provider: Command) -> None:
    assert provider("disable", "sim", "--reason", "a\nb").exit_code == 2


def test_an_embedded_store_without_its_gateway_is_said_to_be_that(tmp_path: Path, data: Path) -> None:
    file = tmp_path / "config.yaml"
    text = CONFIG.format(url="embedded", prefix="otp").replace("store: {", f'store: {{directory: "{data}", ')
    file.write_text(text)
    refused = CliRunner().invoke(main, ["provider", "list", "--config", str(file)])
    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"Error: no gateway runs on {data}, which holds the store. Start it, or ")


def test_a_store_that_does_not_answer_is_said_to_be_that(tmp_path: Path) -> None:
    refused = command(tmp_path, f"unix://{tmp_path}/nobody.sock")("list")
    assert refused.exit_code == 1
    assert refused.stderr == f"Error: the store does not answer (unix://{tmp_path}/nobody.sock).\n"
