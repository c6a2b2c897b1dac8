"""The commands that ask policies know of nights, of lists and of domains without mail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from gateway.cli import main

ROOT = Path(__file__).parents[3]

CASES = """cases:
  - name: Nobody in Britain is rung up at night
    to: "+447400123456"
    at: 2026-01-05T22:00:00Z
    expect: { channels: [sms, whatsapp] }
  - name: By day somebody is
    to: "+447400123456"
    at: 2026-01-05T12:00:00Z
    expect: { channels: [sms, whatsapp, voice] }
  - name: What an app denies gets nothing
    to: "+447400123456"
    listed: deny
    expect: { problem: destination_blocked, rule: lists }
  - name: A domain without mail gets none
    email: ana@example.org
    mail: refuses
    expect: { problem: destination_blocked, rule: email }
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    data = yaml.safe_load((ROOT / "config.yaml").read_text())
    policy = data["policies"]["default"]
    policy["quiet_hours"] = {"channels": ["voice"]}
    policy["email"] = {"no_mail": "deny"}
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(data))
    return file


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_expectations_hold_at_a_time_for_a_list_and_for_what_the_dns_says(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "cases.yaml"
    file.write_text(CASES)
    result = run("policy", "test", str(file), "--config", str(config))
    assert (result.output, result.exit_code) == ("4 cases: 4 passed, 0 failed\n", 0)


def test_explain_tells_when_a_step_is_silent(config: Path) -> None:
    asked = ("explain", "--to", "+447400123456", "--config", str(config), "--json", "--at")
    steps = json.loads(run(*asked, "2026-01-05T20:55:00Z").output)["steps"]
    assert [(s["channel"], s.get("silent")) for s in steps if s["channel"] == "voice"] == [
        ("voice", ["2026-01-05T21:00:00Z to 2026-01-06T08:00:00Z"])
    ]
    by_night = json.loads(run(*asked, "2026-01-05T23:00:00Z").output)
    assert "voice" not in {step["channel"] for step in by_night["steps"]}
    assert {"rule": "quiet_hours", "says": "it is night in GB, or will be soon; leaves out voice"}.items() <= next(
        note for note in by_night["rules"] if note["rule"] == "quiet_hours"
    ).items()
    assert run(*asked, "tonight").exit_code == 2
