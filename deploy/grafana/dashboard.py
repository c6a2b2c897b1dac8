"""The Grafana dashboard as a table of panels: `python deploy/grafana/dashboard.py` writes the JSON beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent / "dashboards" / "otp-gateway.json"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH = 24  # Grafana's grid
PICK = 'channel=~"$channel",provider=~"$provider"'


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph, or a number when `kind` is stat. Queries are pairs of a PromQL expression and a legend."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    says: str = ""
    stacked: bool = False


def _rate(metric: str, by: str, match: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{match}}}[$__rate_interval]))"


def _quantile(q: float, metric: str, by: str = "", match: str = "") -> str:
    groups = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({groups}) (rate({metric}_bucket{{{match}}}[$__rate_interval])))"


def _share(metric: str, part: str, whole: str, by: str, window: str = "$__rate_interval") -> str:
    over = f"sum by ({by}) (increase({metric}{{{whole}}}[{window}]))"
    return f"sum by ({by}) (increase({metric}{{{part}}}[{window}])) / ({over} > 0)"


def _net(metric: str, by: str, match: str = "", window: str = "1h") -> str:
    """Units of the currency in a window: what was spent less what came back."""
    matches = [",".join(filter(None, [match, f'movement="{move}"'])) for move in ("spent", "returned")]
    spent, returned = (f"sum by ({by}) (increase({metric}{{{matched}}}[{window}]))" for matched in matches)
    return f"({spent} - {returned}) / 1e6"


def _per_approval(money: str, verifications: str, by: str, match: str = "") -> str:
    matched = ",".join(filter(None, [match, 'outcome="approved"']))
    approved = f"sum by ({by}) (increase({verifications}{{{matched}}}[1d]))"
    return f"{_net(money, by, match, '1d')} / ({approved} > 0)"


VERIFIED = 'sum(increase(otp_verifications_total{outcome="approved"}[$__range]))'
STARTED = 'sum(increase(otp_verifications_total{outcome="started"}[$__range]))'

START = 'route="/v1/verifications"'
APPROVED = '(sum(increase(otp_verifications_total{outcome="approved"}[1d])) > 0)'
COUNTRIES = "otp_country_verifications_total"
COUNTRY = 'country=~"$country"'

SECTIONS: dict[str, tuple[Panel, ...]] = {
    "Overview": (
        Panel("Started", ((STARTED, "started"),), kind="stat", width=4),
        Panel("Verified", ((f"{VERIFIED} / ({STARTED} > 0)", "verified"),), "percentunit", "stat", 4),
        Panel(
            "Start errors",
            (
                (
                    _share("otp_http_requests_total", START + ',status=~"5.."', START, "", "$__range"),
                    "5xx",
                ),
            ),
            "percentunit",
            "stat",
            4,
            "Objective: under 0.1%.",
        ),
        Panel("Time to verify, median", ((_quantile(0.5, "otp_verify_seconds"), "p50"),), "s", "stat", 4),
        Panel("Breakers open", (("sum(otp_breaker_state == bool 2)", "open"),), kind="stat", width=4),
        Panel("Orphans", (("sum(otp_orphans_total)", "orphans"),), kind="stat", width=4, says="Must stay at zero."),
        Panel("Verifications by outcome", ((_rate("otp_verifications_total", "outcome"), "{{outcome}}"),), "reqps"),
        Panel(
            "Started by app",
            ((_rate("otp_verifications_total", "app, purpose", 'outcome="started"'), "{{app}} {{purpose}}"),),
            "reqps",
        ),
        Panel(
            "Requests by status", ((_rate("otp_http_requests_total", "status"), "{{status}}"),), "reqps", stacked=True
        ),
        Panel("Request time, p99", ((_quantile(0.99, "otp_http_seconds", "route"), "{{route}}"),), "s"),
        Panel("Versions", (("count by (version, python) (otp_build_info)", "{{version}} on Python {{python}}"),)),
        Panel("Policies in force", (("count by (policy, revision) (otp_policy_info)", "{{policy}} {{revision}}"),)),
    ),
    "Delivery": (
        Panel(
            "Conversion by country",
            (
                (
                    _share(COUNTRIES, COUNTRY + ',outcome="approved"', COUNTRY + ',outcome="started"', "country", "1h"),
                    "{{country}}",
                ),
            ),
            "percentunit",
            says="Of the verifications started in an hour, the share approved. The number that matters.",
        ),
        Panel(
            "Started by country",
            (
                (
                    _rate("otp_country_verifications_total", "country", 'outcome="started",country=~"$country"'),
                    "{{country}}",
                ),
            ),
            "reqps",
            stacked=True,
        ),
        Panel(
            "Time to verify by channel, p90",
            ((_quantile(0.9, "otp_verify_seconds", "channel", 'channel=~"$channel"'), "{{channel}}"),),
            "s",
        ),
        Panel(
            "Messages by outcome",
            ((_rate("otp_attempts_total", "outcome", PICK + ',country=~"$country"'), "{{outcome}}"),),
            "reqps",
        ),
        Panel(
            "Messages sent by provider",
            ((_rate("otp_attempts_total", "provider, channel", PICK + ',outcome="sent"'), "{{provider}} {{channel}}"),),
            "reqps",
        ),
        Panel(
            "Reported delivered, of sent",
            (
                (
                    _share(
                        "otp_attempts_total",
                        PICK + ',outcome="delivered"',
                        PICK + ',outcome="sent"',
                        "provider, channel",
                        "15m",
                    ),
                    "{{provider}} {{channel}}",
                ),
            ),
            "percentunit",
        ),
        Panel(
            "Time to delivery, p90",
            ((_quantile(0.9, "otp_delivery_seconds", "provider, channel", PICK), "{{provider}} {{channel}}"),),
            "s",
        ),
        Panel(
            "Errors by class",
            (
                (
                    _rate("otp_attempt_errors_total", "provider, error_class", PICK) + " > 0",
                    "{{provider}} {{error_class}}",
                ),
            ),
            "reqps",
        ),
        Panel(
            "Provider request time, p99",
            ((_quantile(0.99, "otp_provider_seconds", "provider, channel", PICK), "{{provider}} {{channel}}"),),
            "s",
        ),
        Panel(
            "Requests in flight", (('sum by (provider) (otp_sends_in_flight{provider=~"$provider"})', "{{provider}}"),)
        ),
        Panel(
            "Breakers",
            ((f"max by (provider, channel) (otp_breaker_state{{{PICK}}})", "{{provider}} {{channel}}"),),
            says="0 closed, 1 half open, 2 open; of the worst group of countries.",
        ),
        Panel(
            "Callbacks",
            ((_rate("otp_callbacks_total", "provider, result", 'provider=~"$provider"'), "{{provider}} {{result}}"),),
            "reqps",
        ),
        Panel(
            "Delivered in time, and verified",
            (
                (
                    f"min by (provider, channel, measure) (otp_provider_share{{{PICK}}})",
                    "{{provider}} {{channel}} {{measure}}",
                ),
            ),
            "percentunit",
            says="What providers are judged by: the worst group of countries, as the worst process sees it.",
        ),
        Panel(
            "Behind the others",
            ((f"max by (provider, channel) (otp_provider_bad{{{PICK}}})", "{{provider}} {{channel}}"),),
            says="1 while the provider is judged bad for at least one group of countries.",
        ),
        Panel(
            "Switched off",
            (('max by (provider) (otp_provider_disabled{provider=~"$provider"})', "{{provider}}"),),
            says="1 while an operator has the provider switched off.",
        ),
    ),
    "Fallback": (
        Panel(
            "Fallbacks",
            (
                (
                    _rate("otp_fallbacks_total", "from_channel, to_channel") + " > 0",
                    "{{from_channel}} to {{to_channel}}",
                ),
            ),
            "reqps",
            width=12,
        ),
        Panel("Reasons", ((_rate("otp_fallbacks_total", "reason"), "{{reason}}"),), "reqps", width=12, stacked=True),
    ),
    "Checks and limits": (
        Panel("Checks by verdict", ((_rate("otp_checks_total", "verdict"), "{{verdict}}"),), "reqps", stacked=True),
        Panel(
            "Wrong codes, of codes tried",
            (
                (
                    _share("otp_checks_total", 'verdict="wrong"', 'verdict=~"wrong|approved"', "", "15m"),
                    "wrong",
                ),
            ),
            "percentunit",
        ),
        Panel(
            "Apps with too many wrong codes",
            ((_rate("otp_failing_checks_total", "app"), "{{app}}"),),
            "cps",
            says="Few guesses at each of many destinations: see apps.NAME.failed_checks.",
        ),
        Panel("Refusals by rule", ((_rate("otp_refusals_total", "rule"), "{{rule}}"),), "reqps"),
        Panel(
            "Opt-outs added, lifted and applied",
            ((_rate("otp_suppressions_total", "channel, action"), "{{channel}} {{action}}"),),
            "cps",
            says="Many added at once: a text annoys, or an error is classed as opted_out that is none.",
        ),
        Panel(
            "Starts that look like abuse",
            ((_rate("otp_fraud_total", "fraud_rule, mode") + " > 0", "{{fraud_rule}} {{mode}}"),),
            "reqps",
            says="What became of them: monitor is only noted, challenge, shadow and enforce send no SMS and no call.",
        ),
        Panel(
            "Blocks begun, repeated, ended",
            (("sum by (fraud_rule, event) (increase(otp_blocks_total[5m])) > 0", "{{fraud_rule}} {{event}}"),),
        ),
        Panel(
            "Blocks that stand",
            (("max by (app) (otp_blocks_standing)", "{{app}}"),),
            says="otp-gateway block list says which.",
        ),
        Panel(
            "Limits that refused",
            (
                (
                    _rate("otp_limit_decisions_total", "policy, limit", 'decision="refused"') + " > 0",
                    "{{policy}} {{limit}}",
                ),
            ),
            "reqps",
            width=12,
        ),
        Panel(
            "Shadow limits that would have",
            (
                (
                    _rate("otp_limit_decisions_total", "policy, limit", 'decision="shadow_refused"') + " > 0",
                    "{{policy}} {{limit}}",
                ),
            ),
            "reqps",
            width=12,
        ),
    ),
    "Engine": (
        Panel(
            "Timer lateness",
            (
                (_quantile(0.5, "otp_timer_lateness_seconds"), "p50"),
                (_quantile(0.99, "otp_timer_lateness_seconds"), "p99"),
            ),
            "s",
        ),
        Panel("Timers due", (("max(otp_timers_due)", "due"),), says="One queue, seen by every process."),
        Panel(
            "Leases lost and orphans",
            (
                ("sum(increase(otp_lease_lost_total[5m]))", "leases lost"),
                ("sum(increase(otp_orphans_total[5m]))", "orphans"),
            ),
        ),
        Panel("Workers replaced", (("sum(increase(otp_worker_restarts_total[5m]))", "workers"),)),
        Panel("Store operations", ((_rate("otp_store_seconds_count", "operation"), "{{operation}}"),), "ops"),
        Panel("Store time, p99", ((_quantile(0.99, "otp_store_seconds", "operation"), "{{operation}}"),), "s"),
        Panel("Store errors", ((_rate("otp_store_errors_total", "operation"), "{{operation}}"),), "ops"),
        Panel("Reloads in an hour", (("sum by (result) (increase(otp_config_reload_total[1h]))", "{{result}}"),)),
        Panel(
            "Age of the configuration",
            (
                ("time() - min(otp_config_last_reload_success_timestamp_seconds)", "oldest"),
                ("time() - max(otp_config_last_reload_success_timestamp_seconds)", "newest"),
            ),
            "s",
            says="Far apart after a reload: a process was not told, or refused.",
        ),
        Panel(
            "Domains asked for mail",
            (("sum by (result) (increase(otp_mail_lookups_total[5m]))", "{{result}}"),),
            says="Many unknown: the name servers don't answer, and addresses without mail are let through.",
        ),
        Panel(
            "Decisions not recorded",
            (("sum(increase(otp_traffic_lost_total[5m]))", "lines lost"),),
            says="The record that policies are tried on has gaps: the disk is too slow, full or gone.",
        ),
    ),
    "Cost": (
        Panel(
            "Cost per hour",
            (
                (
                    "sum by (currency, provider, channel) (increase(otp_cost_micros_total[1h])) / 1e6",
                    "{{currency}} {{provider}} {{channel}}",
                ),
            ),
            "none",
            width=8,
            stacked=True,
        ),
        Panel(
            "Cost per verification",
            (
                (
                    f"sum by (currency) (increase(otp_cost_micros_total[1d])) / 1e6 / on() group_left() {APPROVED}",
                    "{{currency}}",
                ),
            ),
            "none",
            width=8,
            says="What vendors named in a day, by verifications that were approved in it.",
        ),
        Panel(
            "Spent per hour, in the caps' currency",
            ((_net("otp_spend_micros_total", "app"), "{{app}}"),),
            "none",
            width=12,
            stacked=True,
            says="Reserved and settled: of vendors that name no price, what the price lists say.",
        ),
        Panel(
            "Cost per verification, by app and by country",
            (
                (_per_approval("otp_spend_micros_total", "otp_verifications_total", "app"), "{{app}}"),
                (_per_approval("otp_country_spend_micros_total", COUNTRIES, "country", COUNTRY), "{{country}}"),
            ),
            "none",
            width=12,
            says="Of a day, in the caps' currency: everything that was spent, by verifications that were approved. A "
            "country that becomes dear is one where codes are sent and not read.",
        ),
        Panel(
            "Spent per hour by country",
            ((_net("otp_country_spend_micros_total", "country", COUNTRY), "{{country}}"),),
            "none",
            stacked=True,
        ),
        Panel(
            "Caps: how full",
            (("max by (policy, cap) (otp_spend_cap_ratio)", "{{policy}} {{cap}}"),),
            "percentunit",
            says="Of each cap the fullest purse in its present period, as the process saw it that saw the most.",
        ),
        Panel(
            "Caps that came near or refused",
            (
                (
                    "sum by (policy, cap, level) (increase(otp_spend_cap_events_total[1h])) > 0",
                    "{{policy}} {{cap}} {{level}}",
                ),
            ),
        ),
        Panel(
            "Prices asked for",
            (
                (
                    "sum by (provider, result) (increase(otp_price_lookups_total[1h]))",
                    "{{provider}} {{result}}",
                ),
            ),
            "none",
            width=8,
            stacked=True,
            says="Of vendors whose reports name no price. What is not found is missing in the cost.",
        ),
    ),
}


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
            for number, (expression, legend) in enumerate(panel.queries)
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
