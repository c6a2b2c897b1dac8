"""Files of entries: read with the configuration, their faults told with their own lines, and large ones fast."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.config import Invalid, Settings, listings, load
from policies.destination import phone
from policies.engine import decide
from policies.model import Question

FILE = """mode: development
apps: {{demo: {{name: Demo}}}}
providers: {{sim: {{type: simulator}}}}
channels: {{sms: {{providers: [sim]}}, email: {{providers: [sim]}}}}
policies:
  default:
    countries: {{default: allow}}
    fallback: [{{channel: sms, wait: 30s}}, {{channel: email, wait: 30s}}]
    {more}
  strict:
    extends: default
"""


def loaded(folder: Path, more: str) -> Settings:
    file = folder / "config.yaml"
    file.write_text(FILE.format(more=more))
    return load(file, {}, make_keys=False)


def listed(settings: Settings, number: str, policy: str = "default") -> str:
    decision = decide(settings.policies[policy], Question("demo", "login", phone(number)))
    return decision.refusal.rule if decision.refusal else "sent"


def test_a_file_of_numbers_is_read_with_the_configuration_and_read_again_with_it(tmp_path: Path) -> None:
    deny = tmp_path / "deny.txt"
    deny.write_text("+447911123456\n")
    more = f"lists: {{deny_files: [{deny}]}}"
    first = loaded(tmp_path, more)
    assert (listed(first, "+447911123456"), listed(first, "+447911123457")) == ("lists", "sent")
    assert listed(first, "+447911123456", "strict") == "lists"
    deny.write_text("+447911123457\n")
    second = loaded(tmp_path, more)
    assert (listed(second, "+447911123456"), listed(second, "+447911123457")) == ("sent", "lists")
    assert first.policies["default"].revision != second.policies["default"].revision


def test_every_fault_of_a_file_is_told_once_with_its_line_and_without_what_it_says(tmp_path: Path) -> None:
    deny = tmp_path / "deny.txt"
    deny.write_text("+447911123456\n+12\n\nnobody\n")
    with pytest.raises(Invalid) as invalid:
        loaded(tmp_path, f"lists: {{deny_files: [{deny}]}}")
    told = [fault.text("config.yaml") for fault in invalid.value.faults]
    said = [line.partition("deny_files[0]: ")[2] for line in told]
    assert said == [
        f"{deny}, line 2: The number is too short: E.164 needs the country calling code and the whole number.",
        (
            f"{deny}, line 4: not an entry. Write a number like +447911123456, a beginning like +4479*, an address or "
            "a domain."
        ),
    ]
    assert all(line.startswith("config.yaml:9:") for line in told)


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "LARGEST", 20)
    deny = tmp_path / "deny.txt"
    deny.write_text("+447911123456\n" * 2)
    with pytest.raises(Invalid, match="is longer than"):
        loaded(tmp_path, f"lists: {{deny_files: [{deny}]}}")


def test_the_disposable_domains_that_ship_are_loaded_when_a_policy_asks_for_them(tmp_path: Path) -> None:
    assert loaded(tmp_path, "email: {disposable: allow}").policies["default"].mailboxes.disposable == ()
    (known,) = loaded(tmp_path, "email: {disposable: deny}").policies["default"].mailboxes.disposable
    assert {"mailinator.com", "yopmail.com"} <= known
    assert not {"gmail.com", "example.org"} & known


def test_a_hundred_thousand_entries_are_read_in_a_moment_and_looked_up_in_less(tmp_path: Path) -> None:
    deny = tmp_path / "deny.txt"
    deny.write_text("".join(f"+4479{number:08d}\n" for number in range(100_000)))
    began = time.process_time()
    settings = loaded(tmp_path, f"lists: {{deny_files: [{deny}]}}")
    assert time.process_time() - began < 3
    number, lists = phone("+447900099999"), settings.policies["default"].lists
    began = time.process_time()
    assert all(lists.word(number) == "deny" for _ in range(10_000))
    assert (time.process_time() - began) / 10_000 < 0.001
