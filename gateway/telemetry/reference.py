"""Writes the reference pages from the tables: `python -m gateway.telemetry.reference docs` brings both up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from gateway.telemetry.events import ALWAYS, CONTEXT, EVENTS
from gateway.telemetry.table import LABELS, METRICS, Metric

START = "<!-- events: written by gateway.telemetry.reference, do not edit -->"
END = "<!-- end of events -->"

_INTRODUCTION = """# Metrics

Served for Prometheus at `GET /metrics`, on a listener of its own: `127.0.0.1:9464` by default, so that it is not
public. Every name begins with `otp_`; times are in seconds; every series that the configuration makes known is exported
at zero from the start. Beside these, the standard `process_*` metrics are exported on Linux.

A delivered message is not a success: a person who typed the code is. So the conversion by country is

    sum by (country) (rate(otp_country_verifications_total{outcome="approved"}[1h]))
      / sum by (country) (rate(otp_country_verifications_total{outcome="started"}[1h]))

Labels hold values of closed sets only. Whatever lies outside is counted as `other`, so the number of series is bounded:
under 2,500 for one process with three providers on four channels and 20 countries.

This page is written from the table in `gateway/telemetry/table.py`.
"""


def metrics_page() -> str:
    """docs/metrics.md, whole."""
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|", *map(_metric_row, METRICS)]
    labels = ["| label | values |", "|---|---|", *(f"| `{name}` | {says} |" for name, says in sorted(LABELS.items()))]
    return "\n".join([_INTRODUCTION, "## Families", "", *rows, "", "## Labels", "", *labels, ""])


def _metric_row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
    buckets = f" Buckets: {', '.join(f'{bound:g}' for bound in metric.buckets)} s." if metric.buckets else ""
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help}{buckets} |"


def events_table() -> str:
    """The inventory of log events, as it stands in docs/operations.md."""
    every = ", ".join(f"`{field}`" for field in ALWAYS)
    bound = ", ".join(f"`{field}`" for field in CONTEXT)
    rows = [
        f"| `{event.name}` | {event.level} | {event.meaning} | {', '.join(f'`{f}`' for f in event.fields) or '-'} |"
        for event in EVENTS
    ]
    intro = f"Every line has {every}; lines that belong to a request or a verification also have {bound}, where known."
    return "\n".join(
        [START, "", intro, "", "| event | level | meaning | fields |", "|---|---|---|---|", *rows, "", END]
    )


def with_events(page: str) -> str:
    """The page with its inventory replaced by the present one. Raises ValueError when the markers are missing."""
    before, after = page.index(START), page.index(END) + len(END)
    return page[:before] + events_table() + page[after:]


def main(folder: Path) -> None:
    (folder / "metrics.md").write_text(metrics_page(), encoding="utf-8")
    operations = folder / "operations.md"
    operations.write_text(with_events(operations.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
