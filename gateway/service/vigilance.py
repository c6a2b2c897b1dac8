"""Few guesses at each of very many destinations: no limit of one destination sees them, the app's failed checks do.

Five guesses at each of 139,000 destinations find one code of six digits more likely than not. So all failed checks of
an app are counted, and when they are too many the operator hears of it and, if the configuration says so, new codes
become longer or no more codes are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gateway.service.requests import Limited
from gateway.store.steps import Blocked, Watch

if TYPE_CHECKING:
    from gateway.service.setup import Setup

Action = Literal["alarm", "longer_codes", "block"]

LIMIT = "failed-checks"
"""What the limit is called in answers, logs and metrics."""
LONGER = 8
"""Characters of a code while codes are longer: a hundred times as many codes as with six digits."""


@dataclass(frozen=True, slots=True)
class FailedChecks:
    """When an app's failed checks are too many, and what is done then for the length of a window."""

    window: int  # ms
    amount: int  # failed checks, whatever came of the others
    minimum: int  # checks that say something of the ratio
    ratio: float  # failed of all that were compared
    action: Action


class Vigilance:
    """Until when this process has last heard that an app's codes are longer, by app. Times are ms."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}

    def heard(self, app: str, until: int) -> None:
        """The store's word."""
        self._held[app] = until

    def longer(self, setup: Setup, app: str) -> bool:
        """Whether new codes of this app are to be longer now."""
        until = self._held.get(app)
        return until is not None and setup.store.now() < until and _action(setup, app) == "longer_codes"


def watch(setup: Setup, app: str) -> Watch | None:
    """What a check is counted in; None when the app's failed checks are not watched."""
    terms = setup.apps[app].failed_checks if app in setup.apps else None
    if terms is None:
        return None
    blocks = terms.action == "block"
    return Watch(_key(setup, app), terms.window, terms.amount, terms.minimum, terms.ratio, blocks)


def asked(setup: Setup, app: str) -> str:
    """The key that a start looks at; "" when failed checks have no say in starts."""
    return _key(setup, app) if _action(setup, app) in ("longer_codes", "block") else ""


def blocks(setup: Setup, app: str) -> bool:
    return _action(setup, app) == "block"


def alarm(setup: Setup, app: str, failed: int, checks: int, until: int) -> None:
    """Say that an app's failed checks are too many: once for each window."""
    action = _action(setup, app) or ""
    setup.vigilance.heard(app, until)
    setup.metrics.failing(app)
    setup.log.error("checks.failing", app=app, action=action, failed=failed, checks=checks)


def refusal(setup: Setup, app: str, blocked: Blocked) -> Limited:
    """What a caller is told while no codes are compared."""
    terms = setup.apps[app].failed_checks
    amount, window = (terms.amount, terms.window) if terms else (1, blocked.wait)
    return Limited(LIMIT, amount, window, blocked.wait)


def _action(setup: Setup, app: str) -> Action | None:
    terms = setup.apps[app].failed_checks if app in setup.apps else None
    return terms.action if terms else None


def _key(setup: Setup, app: str) -> str:
    name = setup.keys.name("limit", LIMIT, app)
    return setup.store.watch_key(setup.shard_of_app(app), name)
