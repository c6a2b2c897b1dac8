"""The scrape, the rules and the alerts: Prometheus accepts them, they name real metrics, and each alert is tried."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from gateway.telemetry.labels import Labels
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.table import METRICS

Promtool = Callable[..., subprocess.CompletedProcess[str]]
SERIES = {series: set(metric.labels) for metric in METRICS for series in metric.series}
NAME = re.compile(r"(?<![\w:])otp_[a-z_]+(?!\w)(?!:)")
SELECTOR = re.compile(r"(?<![\w:])(otp_[a-z_]+)\{([^}]*)\}")


def rules_of(path: Path) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


@pytest.fixture
def rules(root: Path) -> Path:
    return root / "deploy/prometheus/rules/otp-gateway.yml"


@pytest.fixture
def cases(root: Path) -> list[Path]:
    return sorted((root / "deploy/prometheus/tests").glob("*.yml"))


def scrape() -> str:
    registry = CollectorRegistry()
    metrics = Metrics(registry, Labels(apps={"shop": ["login"]}, carriers={"alpha": ["sms", "email"]}), "0.1.0")
    metrics.policies({"default": "aaaaaaaaaaaa"})
    metrics.cost("sms", "alpha", 7_900, "USD")
    return generate_latest(registry).decode()


def test_a_scrape_passes_the_linter(promtool: Promtool) -> None:
    checked = promtool("check", "metrics", given=scrape())
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_linter_notices_a_name_that_breaks_the_conventions(promtool: Promtool) -> None:
    planted = "# HELP otp_camelCase x\n# TYPE otp_camelCase counter\notp_camelCase 1\n"
    assert promtool("check", "metrics", given=scrape() + planted).returncode != 0


def test_prometheus_accepts_the_configuration_and_the_rules(promtool: Promtool, root: Path) -> None:
    checked = promtool("check", "config", "--lint-fatal", root / "deploy/prometheus/prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_fires_when_it_should_and_keeps_still_when_it_should(promtool: Promtool, cases: list[Path]) -> None:
    tested = promtool("test", "rules", *cases)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def wanted(case: Path) -> list[tuple[str, bool]]:
    """The alerts that a file of cases asks about, and whether it wants them to fire."""
    checks = [check for one in yaml.safe_load(case.read_text())["tests"] for check in one["alert_rule_test"]]
    return [(check["alertname"], bool(check["exp_alerts"])) for check in checks]


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(rules: Path, cases: list[Path]) -> None:
    alerts = {rule["alert"] for rule in rules_of(rules) if "alert" in rule}
    assert {one for case in cases for one in wanted(case)} == {
        (alert, fires) for alert in alerts for fires in (True, False)
    }


@pytest.mark.parametrize(("expression", "fires"), [("vector(0) > 1", False), ("vector(1)", True)])
def test_an_alert_that_never_or_always_fires_is_noticed_by_its_cases(
    promtool: Promtool, tmp_path: Path, rules: Path, root: Path, expression: str, fires: bool
) -> None:
    alerts = [{"alert": rule["alert"], "expr": expression} for rule in rules_of(rules) if "alert" in rule]
    (tmp_path / "rules").mkdir()
    (tmp_path / "tests").mkdir()
    broken = {"groups": [{"name": "planted", "rules": alerts}]}
    (tmp_path / "rules/otp-gateway.yml").write_text(yaml.safe_dump(broken))
    case = tmp_path / "tests/engine.yml"
    case.write_text((root / "deploy/prometheus/tests/engine.yml").read_text())
    tested = promtool("test", "rules", case)
    noticed = set(re.findall(r"alertname: (\w+)", tested.stdout + tested.stderr))
    assert noticed >= {alert for alert, wants in wanted(case) if wants != fires}


def test_the_rules_name_only_metrics_and_labels_that_exist(rules: Path) -> None:
    for rule in rules_of(rules):
        assert strangers(rule["expr"]) == [], rule


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ('sum(rate(otp_attempts_total{channel="sms"}[5m]))', []),
        ("country:otp_conversion:ratio1h < 0.1", []),
        ("rate(otp_attempts[5m])", ["otp_attempts"]),
        ("otp_verify_seconds", ["otp_verify_seconds"]),
        ('otp_attempts_total{contry="US"}', ["otp_attempts_total{contry}"]),
    ],
)
def test_a_metric_or_label_that_does_not_exist_is_found(expression: str, found: list[str]) -> None:
    assert strangers(expression) == found


def strangers(expression: str) -> list[str]:
    names = [name for name in NAME.findall(expression) if name not in SERIES]
    labels = [
        f"{name}{{{label}}}"
        for name, matchers in SELECTOR.findall(expression)
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)
        if name in SERIES and label not in SERIES[name] | {"le"}
    ]
    return names + labels


def test_the_rules_watch_the_job_that_the_configuration_scrapes(root: Path, rules: Path) -> None:
    scraped = {
        job["job_name"]
        for job in yaml.safe_load((root / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    }
    watched = set(re.findall(r'job="([^"]+)"', rules.read_text()))
    assert watched <= scraped


def test_every_alert_says_how_urgent_it_is_and_where_to_read_what_to_do(root: Path, rules: Path) -> None:
    page = (root / "docs/operations.md").read_text()
    headings = set(re.findall(r"^### (\w+)$", page, re.MULTILINE))
    alerts = [rule for rule in rules_of(rules) if "alert" in rule]
    for rule in alerts:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
    assert {rule["alert"] for rule in alerts} == headings
