"""`otp-gateway policy test` holds the policies to a file of expectations; the example in the documentation holds."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from policies.expectations import Case, Expectation

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "policies.md").read_text()
EXAMPLE = re.findall(r"```yaml\n(cases:.*?)```", PAGE, re.DOTALL)[0]
REFUSED = 'cases:\n  - name: Hong Kong\n    to: "+85251234567"\n    expect: {{ allowed: {} }}\n'


def held(folder: Path, text: str, *arguments: str, config: Path = ROOT / "config.yaml") -> Result:
    file = folder / "tests.yaml"
    file.write_text(text)
    env = {name: None for name in os.environ if name.startswith("OTP_GATEWAY")}
    return CliRunner().invoke(main, ["policy", "test", str(file), "--config", str(config), *arguments], env=env)


def test_the_example_in_the_documentation_holds_for_the_reference_configuration(tmp_path: Path) -> None:
    result = held(tmp_path, EXAMPLE)
    assert (result.exit_code, result.output) == (0, "7 cases: 7 passed, 0 failed\n")


def test_the_example_fails_where_the_documentation_says_that_it_would(tmp_path: Path) -> None:
    changed = tmp_path / "config.yaml"
    changed.write_text((ROOT / "config.yaml").read_text().replace("allow: [US,", "allow: [HK, US,"))
    result = held(tmp_path, EXAMPLE, config=changed)
    assert result.exit_code == 1
    first, *_, summary = result.output.splitlines()
    assert first.replace(str(tmp_path / "tests.yaml"), "policies.test.yaml") in PAGE
    assert summary in PAGE


def test_each_difference_is_a_line_with_its_place_and_the_end_is_1(tmp_path: Path) -> None:
    result = held(tmp_path, REFUSED.format("true") + '  - {name: US, to: "+14155550123", expect: {allowed: true}}\n')
    assert result.exit_code == 1
    assert result.output == (
        f"FAIL {tmp_path}/tests.yaml:2: Hong Kong: allowed: expected true, came country_denied by country "
        "(HK is not allowed)\n2 cases: 1 passed, 1 failed\n"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cases: []", "tests.yaml:1: cases: has too few entries. Write 1 or more."),
        ("", "tests.yaml:1: cases: is missing. Write it: the cases, each for itself."),
        (
            'cases:\n  - name: x\n    to: "+14155550123"\n    expect: { alowed: true }\n',
            "tests.yaml:4: cases[0].expect.alowed: there is no such key. Did you mean 'allowed'?",
        ),
        (
            "cases:\n  - name: x\n    expect: { allowed: true }\n",
            "tests.yaml:2: cases[0]: has nobody to send to. Write to, email or both.",
        ),
        (
            'cases:\n  - name: x\n    app: demon\n    to: "+14155550123"\n    expect: { allowed: true }\n',
            "tests.yaml:3: cases[0].app: there is no app 'demon'. Did you mean 'demo'?",
        ),
        (
            "cases:\n  - name: x\n    to: +14155550123\n    expect: { allowed: true }\n",
            "tests.yaml:3: cases[0].to: must be text. Write it in quotes.",
        ),
        (
            'cases:\n  - name: x\n    to: "+1"\n    name: y\n    expect: { allowed: true }\n',
            "tests.yaml:4: cases[0].name: it is written twice, first in line 2. Keep one of them.",
        ),
        ("cases: [", "tests.yaml:1: this is not YAML"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    result = held(tmp_path, text)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stdout == ""


def test_a_file_that_is_not_there_and_a_configuration_with_faults_are_told(tmp_path: Path) -> None:
    missing = CliRunner().invoke(main, ["policy", "test", "/no/tests.yaml", "-c", str(ROOT / "config.yaml")])
    assert (missing.exit_code, missing.stderr) == (
        1,
        "/no/tests.yaml: the file can't be read: no such file or directory. Name another.\n1 fault.\n",
    )
    (tmp_path / "broken.yaml").write_text("mode: production\n")
    assert held(tmp_path, EXAMPLE, config=tmp_path / "broken.yaml").exit_code == 1


def test_the_app_must_be_said_where_there_are_several(tmp_path: Path) -> None:
    several = tmp_path / "config.yaml"
    several.write_text((ROOT / "config.yaml").read_text().replace("apps:", "apps:\n  shop: { name: Shop }", 1))
    result = held(tmp_path, REFUSED.format("false"), config=several)
    assert "tests.yaml:2: cases[0]: says no app, and there are several. Write app: shop." in result.stderr
    named = REFUSED.format("false").replace("    to:", "    app: shop\n    to:")
    assert held(tmp_path, named, config=several).exit_code == 0


def test_the_results_are_written_for_ci_systems(tmp_path: Path) -> None:
    held(
        tmp_path,
        REFUSED.format("true") + "  - {name: a, email: a@example.org, expect: {allowed: true}}",
        "--junit",
        str(tmp_path / "out.xml"),
    )
    suite = ElementTree.parse(tmp_path / "out.xml").getroot()[0]  # noqa: S314 - we have just written it
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert suite[0].get("name") == "Hong Kong"
    assert suite[0].get("classname") == str(tmp_path / "tests.yaml")
    assert (suite[0][0].text or "").startswith("allowed: expected true, came country_denied")
    assert suite[0][0].get("message") == suite[0][0].text
    assert list(suite[1]) == []


def test_results_that_can_not_be_written_are_told_and_end_with_1(tmp_path: Path) -> None:
    result = held(tmp_path, REFUSED.format("false"), "--junit", str(tmp_path / "no" / "out.xml"))
    assert result.exit_code == 1
    assert result.output.endswith(f"--junit: {tmp_path}/no/out.xml can't be written: No such file or directory\n")


@pytest.mark.parametrize("name", [*Case.model_fields, *Expectation.model_fields])
def test_every_key_of_a_test_file_is_in_the_documentation(name: str) -> None:
    assert f"`{name}`" in PAGE
