"""What was found, as plain data for programs and as lines for eyes. No number, address or key goes through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import click

from channels.examination import Finding, Verdict
from gateway.cli.doctor.examination import Examined, faulty
from gateway.telemetry import redaction

_LOOKS: dict[Verdict, tuple[str, str]] = {
    Verdict.OK: ("ok", "green"),
    Verdict.UNKNOWN: ("?", "bright_black"),
    Verdict.WARNING: ("warning", "yellow"),
    Verdict.FAULT: ("FAULT", "red"),
}
_MARK = max(len(mark) for mark, _ in _LOOKS.values())
_WIDEST = 36  # columns for what was looked at; longer ones push their line to the right


def told(found: Sequence[Examined]) -> dict[str, Any]:
    """Everything that is said, as plain data."""
    return {
        "ok": not faulty(found),
        "examined": [
            {"name": one.name, "page": one.page or None, "findings": [_plain(finding) for finding in one.findings]}
            for one in found
        ],
    }


def _plain(finding: Finding) -> dict[str, str | None]:
    return {name: redaction.text(str(value)) if value else None for name, value in asdict(finding).items()}


def lines(found: Sequence[Examined]) -> Iterator[str]:
    """The same for eyes. click takes the colours out where no terminal would show them."""
    width = min(_WIDEST, max((len(finding.what) for one in found for finding in one.findings), default=0))
    for one in found:
        yield click.style(one.name, bold=True)
        for finding in one.findings:
            yield from _lines(finding, one.page, width)
    counts = Counter(finding.verdict for one in found for finding in one.findings)
    yield (
        f"{counts[Verdict.OK]} ok, {counts[Verdict.WARNING]} to look at, {counts[Verdict.FAULT]} at fault, "
        f"{counts[Verdict.UNKNOWN]} could not be checked"
    )


def _lines(finding: Finding, page: str, width: int) -> Iterator[str]:
    mark, colour = _LOOKS[finding.verdict]
    what, seen = redaction.text(finding.what), redaction.text(finding.seen)
    yield f"  {click.style(mark.ljust(_MARK), fg=colour)}  {what.ljust(width)}  {seen}"
    indent = " " * (_MARK + 4)
    if finding.remedy:
        yield f"{indent}{redaction.text(finding.remedy)}"
    if finding.remedy and finding.anchor and page:
        yield f"{indent}{page}#{finding.anchor}"
