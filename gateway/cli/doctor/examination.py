"""Examines the providers and the gateway's surroundings, all at the same time, so that none hides another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass

from channels.contract import Provider
from channels.examination import Examinable, Finding, Verdict, fault, unknown
from channels.remedies import WORDS
from gateway.cli.doctor import surroundings
from gateway.cli.doctor.trial import Trial
from gateway.config import ProviderSection, Settings

GRACE = 2.0
"""Seconds that an examination may take beyond the provider's deadline, which its own requests keep."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found about one provider, or about the gateway's surroundings. `page` is "" for a provider from
    elsewhere, whose documentation is not here."""

    name: str
    page: str
    findings: tuple[Finding, ...]


async def examined(settings: Settings, names: Sequence[str], *, whole: bool, trial: Trial | None) -> list[Examined]:
    """First the gateway's surroundings, then the named providers, in order. `whole` takes in the store."""
    sections = [settings.providers[name] for name in names]
    about = [_provider(section, settings.public_url, trial) for section in sections]
    return [one for one in await asyncio.gather(_gateway(settings, sections, whole), *about) if one.findings]


def faulty(found: Iterable[Examined]) -> bool:
    return any(finding.verdict is Verdict.FAULT for one in found for finding in one.findings)


async def _gateway(settings: Settings, sections: Sequence[ProviderSection], whole: bool) -> Examined:
    checks: list[Awaitable[list[Finding]]] = []
    if whole:
        checks.append(surroundings.store(settings))
    if any(section.calls_back for section in sections):
        checks.append(surroundings.callbacks(settings, sections))
    answers = await asyncio.gather(*checks)
    return Examined("gateway", "docs/operations.md", tuple(finding for answer in answers for finding in answer))


async def _provider(section: ProviderSection, public_url: str, trial: Trial | None) -> Examined:
    kind = section.settings.type
    page = "" if ":" in kind else f"docs/providers/{kind}.md"
    try:
        provider = section.build()
    except ValueError as error:  # it says what to change, and repeats no secret
        return Examined(section.name, page, (fault("settings", str(error), "Correct its section.", ""),))
    try:
        found = await _looked(provider, section, public_url)
        if trial:
            found.append(await trial.sent_by(provider, section))
    finally:
        with contextlib.suppress(Exception):  # whatever closing does, what was found is found
            await provider.close()
    return Examined(section.name, page, tuple(found))


async def _looked(provider: Provider, section: ProviderSection, public_url: str) -> list[Finding]:
    if not isinstance(provider, Examinable):
        return [unknown("account", "this provider has no way to look at it; --send-to sends a message")]
    deadline = section.settings.timeout + GRACE
    try:
        async with asyncio.timeout(deadline):
            return list(await provider.examine(public_url))
    except TimeoutError:
        return [fault("account", f"no answer in {deadline:g} seconds", WORDS["timeout"])]
    except Exception as error:  # noqa: BLE001 - a provider's bug must not hide what the others found
        seen = f"the provider's module raised {type(error).__name__}"
        return [fault("account", seen, "It is a bug of that module: report it to whoever wrote it.", "")]
