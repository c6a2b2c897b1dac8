"""A provider that looks at its account before a vendor on loopback, and what must hold of everything it says."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from channels.contract import Context, Provider
from channels.examination import Examinable, Finding, Verdict
from tests.support.canary import Canary, found
from tests.vendors.server import Received, Reply, Vendor

DOCS = Path(__file__).parents[2] / "docs"
PUBLIC = "https://otp.example"
NUMBERS = ("+14155550100", "+14155550101")


def build(kind: str, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> Provider:
    """As the configuration would."""
    module = importlib.import_module(f"channels.providers.{kind}")
    context = Context("main", "otp-gateway/test", production=False, secrets=secrets)
    built: Provider = module.build(module.Settings.model_validate({"type": kind, "timeout": 5, **settings}), context)
    return built


async def looked(
    kind: str,
    answer: Callable[[Received], Reply],
    settings: Mapping[str, Any],
    secrets: Mapping[str, str],
    address: Callable[[str], Mapping[str, Any]] = lambda url: {"base_url": url},
) -> dict[str, Finding]:
    """What the provider finds, by what it looked at."""
    async with Vendor(answer) as vendor:
        return await told(kind, build(kind, {**settings, **address(vendor.base_url)}, secrets), secrets)


async def told(kind: str, provider: Provider, secrets: Mapping[str, str]) -> dict[str, Finding]:
    """What a provider finds; whatever it is, it is fit to be shown, and its remedies are those of the documentation."""
    assert isinstance(provider, Examinable)
    try:
        findings = await provider.examine(PUBLIC)
    finally:
        await provider.close()
    _fit(kind, findings, secrets)
    assert len({finding.what for finding in findings}) == len(findings)
    return {finding.what: finding for finding in findings}


def verdicts(findings: Mapping[str, Finding]) -> dict[str, Verdict]:
    return {what: finding.verdict for what, finding in findings.items()}


def _fit(kind: str, findings: list[Finding], secrets: Mapping[str, str]) -> None:
    canaries = [Canary(name, secret) for name, secret in secrets.items() if len(secret) >= 8]
    canaries += [Canary(number, number) for number in NUMBERS]
    page = (DOCS / "providers" / f"{kind}.md").read_text()
    documented = page + (DOCS / "operations.md").read_text()
    for finding in findings:
        assert found(canaries, {"finding": repr(finding)}) == []
        assert finding.remedy in documented, finding
        assert bool(finding.remedy) or finding.verdict in (Verdict.OK, Verdict.UNKNOWN), finding
        assert not finding.anchor or finding.anchor in anchors(page), finding


def anchors(page: str) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
