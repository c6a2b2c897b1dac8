"""The commands of `otp-gateway` that need no running gateway."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.core.keys import api_key_hash

ROOT = Path(__file__).parents[3]


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, arguments, input=stdin, env={"OTP_GATEWAY_CONFIG": None})


def test_a_good_configuration_is_summed_up_and_ends_with_0() -> None:
    result = run("check-config", "--config", str(ROOT / "config.yaml"))
    assert result.exit_code == 0
    assert result.stderr == ""
    assert f"{ROOT}/config.yaml can be used: development, revision " in result.stdout
    assert "  whatsapp  simulator\n" in result.stdout
    assert re.search(r"  policy    payment \([0-9a-f]{12}\): sms, then voice\n", result.stdout)


def test_a_bad_configuration_gives_every_fault_on_the_standard_error_and_ends_with_1(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text((ROOT / "config.yaml").read_text().replace("port: 8080", "port: 80800").replace("info #", "loud #"))
    result = run("check-config", "-c", str(file))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert [re.sub(r"^.*config.yaml:\d+: ", "", line) for line in result.stderr.splitlines()] == [
        "server.port: is too large. Write 65535 or less.",
        "log.level: 'loud' is not a level. Write one of debug, info, warning, error.",
        "2 faults.",
    ]
    assert "\x1b" not in result.stderr


def test_a_warning_goes_to_the_standard_error_and_ends_with_0(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text((ROOT / "config.yaml").read_text().replace("code: {", "code: { length: 5, allow_weak_codes: true,"))
    result = run("check-config", "-c", str(file))
    assert result.exit_code == 0
    warning = "policies.payment.code: 5 characters are easily guessed. NIST and OWASP ask for 6."
    assert result.stderr == f"warning: {warning}\n"


def test_the_file_can_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "absent.yaml"
    result = CliRunner().invoke(main, ["check-config"], env={"OTP_GATEWAY_CONFIG": str(file)})
    assert result.exit_code == 1
    assert str(file) in result.stderr


@pytest.mark.parametrize("arguments", [["no-such-command"], ["check-config", "--no-such-option"], ["keys", "sell"]])
def test_a_wrong_call_ends_with_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_new_key_is_printed_with_the_line_that_names_it() -> None:
    first, second = (run("keys", "new", "--id", "k2").stdout.splitlines() for _ in range(2))
    assert re.fullmatch(r"otp_[A-Za-z0-9_-]{32}", first[0])
    assert first[1] == f"- {{id: k2, sha256: {api_key_hash(first[0])}}}"
    assert first[0] != second[0]


def test_a_keys_hash_is_the_line_that_was_printed_with_it() -> None:
    key, line = run("keys", "new").stdout.splitlines()
    result = run("keys", "hash", stdin=f"{key}\n")
    assert (result.exit_code, result.stdout) == (0, f"{line}\n")


def test_what_is_no_key_is_refused_without_being_repeated() -> None:
    result = run("keys", "hash", stdin="hunter2\n")
    assert result.exit_code == 1
    assert (
        result.stderr
        == "Error: That is not a key: it begins with otp_ and has 22 or more random characters after it.\n"
    )


def test_the_schema_is_json_and_names_every_section() -> None:
    found = json.loads(run("schema").stdout)
    assert {"mode", "server", "apps", "providers", "policies"} <= set(found["properties"])


def test_the_package_runs_as_the_command_and_help_needs_no_library_but_click() -> None:
    program = (
        "import sys; sys.argv = ['x', '--help']; import runpy\ntry: runpy.run_module('gateway', run_name='__main__')\n"
    )
    program += "except SystemExit: print([m for m in ('pydantic', 'yaml', 'redis') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Usage: otp-gateway [OPTIONS] COMMAND" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_that_of_the_project() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"otp-gateway \d+\.\d+\.\d+\n", done.stdout)
