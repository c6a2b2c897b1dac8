"""`otp-gateway policy simulate` replays what the gateway recorded against a changed configuration."""

from __future__ import annotations

import gc
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config.yaml"
BEGAN = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def start(at: int, id_: str, country: str = "US", **more: Any) -> dict[str, Any]:
    phone = {"to": f"to-{at}", "prefix": f"p-{at % 7}", "country": country, "type": "mobile", "valid": True}
    ids = {"id": id_} if id_ else {}
    head = {"v": 1, "at": BEGAN + at * 1000, "event": "start", **ids, "app": "demo", "purpose": "default"}
    return {**head, "phone": phone, "ip": f"{at:016x}", **more}


def end(at: int, id_: str, status: str = "approved") -> dict[str, Any]:
    return {"v": 1, "at": BEGAN + at * 1000, "event": "end", "id": id_, "status": status, "channel": "sms"}


TRAFFIC = [
    start(0, "a"),
    start(1, "b", "IN"),
    {"v": 1, "at": BEGAN + 5000, "event": "message", "id": "b", "step": 1, "by": "fallback", "channel": "whatsapp"},
    end(9, "a"),
    start(10, "", "HK", refused="country"),
    start(11, "c", "IN"),
    end(20, "b"),
]


def written(file: Path, lines: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """Without India, with Hong Kong, and calls before texts."""
    text = (
        CONFIG.read_text()
        .replace(" IN,", " HK,")
        .replace("{ channel: sms, wait: 15s }", "{ channel: voice, wait: 15s }", 1)
    )
    file = tmp_path / "new.yaml"
    file.write_text(text)
    return file


def simulate(*arguments: object) -> Result:
    env = {name: None for name in os.environ if name.startswith("OTP_GATEWAY")}
    command = ["policy", "simulate", "--config", str(CONFIG), *map(str, arguments)]
    return CliRunner().invoke(main, command, env=env)


def test_it_tells_what_a_change_would_change(tmp_path: Path, changed: Path) -> None:
    result = simulate("--traffic", written(tmp_path / "t.jsonl", TRAFFIC), "--with", changed)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "4 starts from 2026-01-01T00:00:00Z to 2026-01-01T00:00:11Z, 2 of them approved",
        "  4 (100.0%) are decided by the present policies as they were decided then",
        "  4 (100.0%) would be decided otherwise",
        "starts",
        "                      before  after",
        "  allowed                  3      2",
        "  refused by country       1      2",
        "messages by channel",
        "            before  after",
        "  sms            3      0",
        "  voice          0      2",
        "  whatsapp       1      0",
        "messages by country",
        "      before  after",
        "  IN       3      0",
        "  US       1      1",
        "  HK       0      1",
        "newly refused",
        "  rule     country  starts  approved",
        "  country  IN            2         1",
        "newly allowed",
        "  rule     country  starts",
        "  country  HK            1",
        "another channel first",
        "  before  after  country  starts",
        "  sms     voice  US            1",
    ]


def test_the_same_is_printed_for_programs_and_the_same_policies_change_nothing(tmp_path: Path) -> None:
    told = json.loads(simulate("--traffic", written(tmp_path / "t", TRAFFIC), "--with", CONFIG, "--json").stdout)
    assert (told["changed"], told["newly_refused"], told["newly_allowed"], told["first_channel"]) == (0, [], [], [])
    assert told["before"] == told["after"]
    assert told["before"]["messages"][0] == {"channel": "sms", "country": "IN", "messages": 2}


def test_several_files_are_read_in_the_order_of_their_time(tmp_path: Path, changed: Path) -> None:
    newer, older = written(tmp_path / "t", TRAFFIC[4:]), written(tmp_path / "t.1", TRAFFIC[:4])
    whole = simulate("--traffic", written(tmp_path / "all", TRAFFIC), "--with", changed).stdout
    assert simulate("--traffic", newer, "--traffic", older, "--with", changed).stdout == whole


def test_lines_that_say_nothing_usable_are_passed_over_and_told(tmp_path: Path) -> None:
    file = written(tmp_path / "t", TRAFFIC)
    with file.open("a") as opened:
        opened.write('{"v":2}\n[1]\n{"v":1,"at":17672256000')
    result = simulate("--traffic", file, "--with", CONFIG)
    assert result.exit_code == 0
    assert f"3 lines could not be read. The first: {file}:8: it is not of version 1." in result.stderr
    assert result.stdout.startswith("4 starts ")


def test_a_file_without_a_start_is_no_traffic(tmp_path: Path) -> None:
    result = simulate("--traffic", written(tmp_path / "t", []), "--with", CONFIG)
    assert result.exit_code == 1
    assert result.stderr == f"Error: no start was found in {tmp_path}/t.\n"
    nonsense = written(tmp_path / "n", [{"v": 1}])
    assert "The first: " in simulate("--traffic", nonsense, "--with", CONFIG).stderr


def test_ten_thousand_decisions_take_a_moment(tmp_path: Path, changed: Path) -> None:
    lines = [start(at, f"v{at}", "IN" if at % 3 else "US") for at in range(10_000)]
    result = simulate("--traffic", written(tmp_path / "t", lines), "--with", changed)
    assert result.stdout.startswith("10000 starts ")
    assert re.search(r"refused by country\s+0\s+6666", result.stdout)


def test_the_collector_that_a_replay_does_without_is_on_again_after_it(tmp_path: Path) -> None:
    traffic = written(tmp_path / "traffic.jsonl", [start(0, "a"), end(5, "a")])
    assert simulate("--traffic", traffic, "--with", CONFIG).exit_code == 0
    assert gc.isenabled()
    assert simulate("--traffic", written(tmp_path / "none.jsonl", []), "--with", CONFIG).exit_code != 0
    assert gc.isenabled()


def test_every_field_of_a_line_is_in_the_documentation() -> None:
    page = (ROOT / "docs" / "policies.md").read_text()
    fields = {name for line in TRAFFIC for name in (*line, *line.get("phone", ()))} | {
        "email",
        "masked",
        "device",
        "locale",
    }
    assert [name for name in sorted(fields) if f"`{name}`" not in page] == []


def test_it_tells_what_a_change_would_cost_by_the_price_lists(tmp_path: Path) -> None:
    priced = tmp_path / "priced.yaml"
    price = "price: {sms: {default: 0.05 USD, IN: 0.02 USD}, whatsapp: 0.01 USD}"
    caps = "    spend: { caps: { country-day: { amount: 0.02 USD } } }\n"
    text = CONFIG.read_text().replace("price: {}", price)
    priced.write_text(text.replace("    extends: default # the preset", caps + "    extends: default # the preset", 1))
    traffic = written(tmp_path / "t.jsonl", TRAFFIC)
    result = simulate("--traffic", traffic, "--with", priced)
    assert result.exit_code == 0, result.stderr
    assert (
        "cost by price lists\n       before    after\n  all  0.00 USD  0.02 USD\n  IN             0.02 USD\n"
        in result.stdout
    )
    told = json.loads(simulate("--traffic", traffic, "--with", priced, "--json").stdout)
    assert told["after"]["costs"] == [{"country": "IN", "cost": "0.02 USD"}]
    assert {(row["rule"], row["country"]): row["starts"] for row in told["newly_refused"]} == {
        ("spend:country-day", "US"): 1,  # dearer than all of the cap
        ("spend:country-day", "IN"): 1,  # the first has used it up, and its fallback was not sent
    }
