"""Draws the Grafana dashboard from the table of panels: `python deploy/grafana/dashboard.py` writes its JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from panels import SECTIONS, Panel

TARGET = Path(__file__).parent / "dashboards" / "otp-gateway.json"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH = 24  # Grafana's grid


def dashboard() -> dict[str, Any]:
    """The whole dashboard as Grafana reads it."""
    return {
        "uid": "otp-gateway",
        "title": "OTP gateway",
        "description": "Written by deploy/grafana/dashboard.py.",
        "tags": ["otp-gateway"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_variable(name, metric) for name, metric in VARIABLES.items()]},
        "panels": _panels(),
    }


VARIABLES = {
    "provider": "otp_attempt_errors_total",
    "channel": "otp_attempt_errors_total",
    "country": "otp_country_verifications_total",
}


def _variable(name: str, metric: str) -> dict[str, Any]:
    query = f"label_values({metric}, {name})"
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panels() -> list[dict[str, Any]]:
    placed: list[dict[str, Any]] = []
    y = 0
    for title, panels in SECTIONS.items():
        placed.append(
            {
                "type": "row",
                "title": title,
                "collapsed": False,
                "panels": [],
                "id": len(placed) + 1,
                "gridPos": _at(0, y, WIDTH, 1),
            }
        )
        x, y, tallest = 0, y + 1, 0
        for panel in panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            height = 4 if panel.kind == "stat" else 8
            placed.append({"id": len(placed) + 1, "gridPos": _at(x, y, panel.width, height), **_drawn(panel)})
            x, tallest = x + panel.width, max(tallest, height)
        y += tallest
    return placed


def _at(x: int, y: int, w: int, h: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": w, "h": h}


def _drawn(panel: Panel) -> dict[str, Any]:
    custom = {"stacking": {"mode": "normal"}, "fillOpacity": 30} if panel.stacked else {"fillOpacity": 5}
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.kind == "timeseries":
        defaults["custom"] = custom
    if panel.unit == "percentunit":
        defaults["max"] = 1
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel.kind),
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
            for number, (legend, expression) in enumerate(panel.queries.items())
        ],
    }


def _options(kind: str) -> dict[str, Any]:
    if kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def text() -> str:
    """The file's content."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
