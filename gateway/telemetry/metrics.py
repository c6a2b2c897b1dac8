"""The verbs by which the engine counts and measures; each costs about a microsecond, and none raises on a name."""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping

import prometheus_client
from prometheus_client import CollectorRegistry, ProcessCollector

from gateway.telemetry.families import Families, prime
from gateway.telemetry.labels import Labels, Names
from gateway.telemetry.table import BREAKER


class Metrics:
    """Every metric of one process, in the registry that is passed in. Unknown names are counted as `other`."""

    def __init__(self, registry: CollectorRegistry, labels: Labels, version: str) -> None:
        # The _created series would double the number of counters. The library offers only this process-wide switch.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call] # it has no annotations
        ProcessCollector(registry=registry)
        self._names = Names(labels)
        self._families = Families(registry, self._names)
        self._fullest: dict[
            tuple[str, str], tuple[int, str, float]
        ] = {}  # of each cap: end of its period, purse, share
        self._allowed: dict[tuple[str, tuple[str, ...]], int] = {}  # times, by a policy and the limits that were asked
        self._families.limits.before = self._count_allowed
        self._families.cap_ratio.before = self._show_fullest
        self._families.build_info.put(1, version, platform.python_version())
        prime(self._families, self._names)

    def admit(self, labels: Labels) -> None:
        """Take over the names of a configuration that was read again; series of old names stay until a restart."""
        self._names.admit(labels)
        prime(self._families, self._names)

    def policies(self, revisions: Mapping[str, str], weak: Collection[str] = ()) -> None:
        """The policies now in force and their revisions; `weak` names those that allow codes under six digits."""
        info = self._families.policy_info.parent
        info.clear()
        for policy, revision in revisions.items():
            info.labels(policy, revision, str(policy in weak).lower()).set(1)

    def loaded(self, now: float) -> None:
        """The configuration in force was taken over at `now`, in seconds since 1970."""
        self._families.reloaded.put(now)

    def reloaded(self, result: str) -> None:
        """`result` is loaded or refused."""
        self._families.reloads.add(result)

    def restarted(self, times: int) -> None:
        """This worker takes the place of one that ended, which had taken that of another, `times` in all."""
        self._families.restarts.add(amount=times)

    def traffic_lost(self, lines: int) -> None:
        """Lines of the record of decisions that were not written."""
        self._families.traffic_lost.of().inc(lines)

    # Verifications

    def started(self, app: str, purpose: str, country: str = "") -> None:
        """`country` is empty for email."""
        self._families.verifications.add("started", app, purpose)
        self._families.conversions.of("approved", country)  # at zero before the first: a ratio needs both
        self._families.conversions.add("started", country)

    def refused(self, rule: str, app: str = "", purpose: str = "") -> None:
        """A start that was refused: by a rule of the policy, or by `limits` or `guesses`, beside `limited`."""
        self._families.refusals.add(rule)
        self._families.verifications.add("refused", app, purpose)

    def ended(self, outcome: str, app: str, purpose: str, country: str = "") -> None:
        """`outcome` is approved, locked, expired or canceled."""
        self._families.verifications.add(outcome, app, purpose)
        if outcome == "approved":
            self._families.conversions.add("approved", country)

    def verified(self, channel: str, seconds: float) -> None:
        """The time from start to approval; call it beside `ended`."""
        self._families.verify_seconds.observe(seconds, channel)

    def checked(self, verdict: str) -> None:
        self._families.checks.add(verdict)

    def failing(self, app: str) -> None:
        """Too many codes of an app were wrong."""
        self._families.failing.add(app)

    def limited(self, policy: str, limit: str, allowed: bool, *, shadow: bool = False) -> None:
        """`shadow` is true for a limit that counts and never refuses."""
        decision = "allowed" if allowed else "shadow_refused" if shadow else "refused"
        self._families.limits.add(policy, limit, decision)

    def allowed(self, policy: str, limits: tuple[str, ...]) -> None:
        """As `limited`, for limits that all had nothing against it. Starts of one outline ask the same limits, so they
        are counted as one until somebody looks."""
        asked = policy, limits
        self._allowed[asked] = self._allowed.get(asked, 0) + 1

    def _count_allowed(self) -> None:
        allowed, self._allowed = self._allowed, {}
        for (policy, limits), times in allowed.items():
            for limit in limits:
                self._families.limits.add(policy, limit, "allowed", amount=times)

    def suspected(self, rule: str, mode: str) -> None:
        """A start that a rule against abuse was about; `mode` is what became of it."""
        self._families.suspicions.add(rule, mode)

    def block(self, rule: str, event: str) -> None:
        """`event` is held, added, lengthened, lifted or expired."""
        self._families.blocks.add(rule, event)

    def blocks(self, app: str, number: int) -> None:
        """How many blocks of an app stand."""
        self._families.standing.put(number, app)

    def suppression(self, channel: str, action: str) -> None:
        """`action` is added, lifted, or applied: a channel left out because of an opt-out."""
        self._families.suppressions.add(channel, action)

    def mail_asked(self, result: str) -> None:
        """The DNS was asked whether a domain takes mail: takes, refuses, or unknown."""
        self._families.mail_lookups.add(result)

    # Messages

    def attempt(self, channel: str, provider: str, country: str, outcome: str, error: str | None = None) -> None:
        """`outcome` is sent, delivered, silent or failed; `error` the class of a failure."""
        self._families.attempts.add(provider, channel, country, outcome)
        if error is not None:
            self._families.errors.add(provider, channel, error)

    def fell_back(self, from_channel: str, to_channel: str, reason: str) -> None:
        """`reason` is silent, resend or an error class, which counts as failed."""
        self._families.fallbacks.add(from_channel, to_channel, reason)

    def delivered(self, channel: str, provider: str, seconds: float) -> None:
        """The time from queueing to the delivery report; call it beside `attempt`."""
        self._families.delivery_seconds.observe(seconds, provider, channel)

    def cost(self, channel: str, provider: str, micros: int, currency: str) -> None:
        """`micros` are millionths of one unit; a refund is not subtracted, since a counter can't go down."""
        if micros > 0:
            self._families.cost.add(provider, channel, currency, amount=micros)

    def price_lookup(self, provider: str, result: str) -> None:
        """`result` is found, unknown, failed, refused or dropped."""
        self._families.prices.add(provider, result)

    def spent(self, app: str, country: str, movement: str, micros: int) -> None:
        """`movement` is spent or returned; `country` is empty for email."""
        if micros:
            self._families.spend.add(movement, app, amount=micros)
            self._families.country_spend.add(movement, country, amount=micros)

    def purse(self, policy: str, cap: str, purse: str, ends: int, share: float) -> None:
        """How full a purse is. A cap has one for each app or country, so the fullest of the newest period is shown."""
        shown = self._fullest.get((policy, cap))
        if shown is None or (ends, share) >= (shown[0], shown[2]) or (ends, purse) == shown[:2]:
            self._fullest[policy, cap] = ends, purse, share

    def _show_fullest(self) -> None:
        for (policy, cap), (_, _, share) in self._fullest.items():
            self._families.cap_ratio.put(share, policy, cap)

    def cap(self, policy: str, cap: str, level: str) -> None:
        """`level` is near or reached."""
        self._families.cap_events.add(policy, cap, level)

    def provider(self, provider: str, channel: str, seconds: float) -> None:
        self._families.provider_seconds.observe(seconds, provider, channel)

    def in_flight(self, provider: str, requests: int) -> None:
        self._families.in_flight.put(requests, provider)

    def breaker(self, provider: str, channel: str, state: str) -> None:
        """`state` is closed, half_open or open; another one changes nothing."""
        if state in BREAKER:
            self._families.breaker.put(BREAKER[state], provider, channel)

    def disabled(self, provider: str, off: bool) -> None:
        """Whether an operator has switched the provider off."""
        self._families.disabled.put(off, provider)

    def judged(self, provider: str, channel: str, bad: bool) -> None:
        """Whether it stands behind the others for what becomes of its messages."""
        self._families.bad.put(bad, provider, channel)

    def share(self, provider: str, channel: str, measure: str, share: float) -> None:
        """`measure` is delivery or conversion."""
        self._families.share.put(share, provider, channel, measure)

    def callback(self, provider: str, result: str) -> None:
        """`result` is accepted, late, duplicate, unknown, malformed or forged."""
        self._families.callbacks.add(provider, result)

    # The engine

    def timer_late(self, seconds: float) -> None:
        self._families.lateness.observe(seconds)

    def timers_due(self, number: int) -> None:
        self._families.due.put(number)

    def lease_lost(self) -> None:
        self._families.lease_lost.add()

    def orphan(self, number: int = 1) -> None:
        """Timers whose verification is gone, or pending verifications whose timer is."""
        self._families.orphans.add(amount=number)

    def store(self, operation: str, seconds: float, error: bool = False) -> None:
        self._families.store_seconds.observe(seconds, operation)
        if error:
            self._families.store_errors.add(operation)

    def http(self, route: str, status: int | str, seconds: float) -> None:
        """`route` is the template of the path, such as /v1/verifications/{id}."""
        self._families.http_requests.add(route, str(status))
        self._families.http_seconds.observe(seconds, route)
