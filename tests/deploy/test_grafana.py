"""The dashboard: made from its table, every query is PromQL over metrics that exist."""

import json
import re
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.telemetry.table import METRICS

Promtool = Callable[..., subprocess.CompletedProcess[str]]
SERIES = {series: set(metric.labels) | {"le"} for metric in METRICS for series in metric.series}


@pytest.fixture
def dashboard(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((root / "deploy/grafana/dashboards/otp-gateway.json").read_text())
    return loaded


def queries(dashboard: dict[str, Any]) -> list[tuple[str, str]]:
    return [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", ())]


def substituted(expression: str) -> str:
    """With Grafana's variables replaced, as Grafana does before it asks."""
    expression = expression.replace("$__rate_interval", "5m").replace("$__range", "6h")
    return re.sub(r"\$(provider|channel|country)\b", ".*", expression)


def test_the_dashboard_is_what_its_table_makes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(root / "deploy/grafana")  # as when it is run
    made = runpy.run_path(str(root / "deploy/grafana/dashboard.py"))
    assert made["TARGET"].read_text() == made["text"](), "run python deploy/grafana/dashboard.py"


def checked(promtool: Promtool, tmp_path: Path, expressions: list[str]) -> subprocess.CompletedProcess[str]:
    rules = [{"record": f"panel:query:{number}", "expr": one} for number, one in enumerate(expressions)]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    return promtool("check", "rules", path)


def test_prometheus_can_read_every_query(promtool: Promtool, tmp_path: Path, dashboard: dict[str, Any]) -> None:
    expressions = [substituted(expression) for _, expression in queries(dashboard)]
    assert len(expressions) > 30
    answer = checked(promtool, tmp_path, expressions)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_query_that_prometheus_cannot_read_is_noticed(promtool: Promtool, tmp_path: Path) -> None:
    assert checked(promtool, tmp_path, ["sum(rate(otp_orphans_total[5m])"]).returncode != 0


def test_every_query_and_legend_names_what_exists(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            names = set(re.findall(r"otp_\w+", target["expr"]))
            known = set().union(*(SERIES.get(name, set()) for name in names))
            grouped = {
                label for by in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in re.findall(r"\w+", by)
            }
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert names <= SERIES.keys(), panel["title"]
            assert grouped <= known, panel["title"]
            assert shown <= grouped, panel["title"]


def test_every_metric_is_on_the_dashboard(dashboard: dict[str, Any]) -> None:
    text = json.dumps(queries(dashboard))
    assert [metric.name for metric in METRICS if not any(series in text for series in metric.series)] == []


def test_no_two_panels_overlap(dashboard: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_the_panels_ask_the_source_that_is_provisioned(root: Path, dashboard: dict[str, Any]) -> None:
    folder = root / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"] if "datasource" in panel} == {source["uid"]}
    (provider,) = yaml.safe_load((folder / "dashboards/otp-gateway.yml").read_text())["providers"]
    compose = yaml.safe_load((root / "compose.yaml").read_text())
    mounts = dict(volume.split(":")[:2] for volume in compose["services"]["grafana"]["volumes"])
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
