"""Every metric that the gateway exports, in one table: the code, the documentation and the dashboards follow it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The Prometheus type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One family: its exposed name, its labels in order, and what it says. `buckets` are upper bounds in seconds."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which the samples are found by a query."""
        if self.kind is Kind.HISTOGRAM:
            return tuple(self.name + suffix for suffix in ("_bucket", "_count", "_sum"))
        return (self.name,)


# Buckets are few, because each one is multiplied by every label. They are set where a question is asked: a fallback
# step waits 15 to 60 seconds and a code lives 10 minutes; a provider's deadline is 10 seconds by default; the store
# answers in about a millisecond; a timer that is a second late is an alert.
_DELIVERY = (2, 5, 10, 20, 30, 60, 300)
_VERIFY = (5, 10, 20, 30, 60, 120, 300, 600)
_PROVIDER = (0.1, 0.25, 0.5, 1, 2.5, 10)
_STORE = (0.001, 0.0025, 0.005, 0.025, 0.1, 1)
_HTTP = (0.005, 0.01, 0.025, 0.1, 0.5, 2.5)
_LATENESS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)

C, G, H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

METRICS: tuple[Metric, ...] = (
    Metric(
        "otp_verifications_total",
        C,
        ("outcome", "app", "purpose"),
        "Verifications by what became of them: started, refused, approved, locked, expired, canceled.",
    ),
    Metric(
        "otp_country_verifications_total",
        C,
        ("outcome", "country"),
        "Verifications started and approved by country; their ratio is the conversion.",
    ),
    Metric(
        "otp_attempts_total",
        C,
        ("provider", "channel", "country", "outcome"),
        "Messages by the latest news of them; one message counts once per outcome that it reaches.",
    ),
    Metric(
        "otp_attempt_errors_total",
        C,
        ("provider", "channel", "error_class"),
        "Failed messages by error class, which names the remedy and not the vendor's code.",
    ),
    Metric(
        "otp_fallbacks_total",
        C,
        ("from_channel", "to_channel", "reason"),
        "Steps of the fallback order taken after another one, and on what evidence.",
    ),
    Metric("otp_checks_total", C, ("verdict",), "Codes tried, by verdict; a repeated request is no other try."),
    Metric(
        "otp_failing_checks_total",
        C,
        ("app",),
        "Times that too many codes of an app were wrong, once for each window.",
    ),
    Metric(
        "otp_limit_decisions_total",
        C,
        ("policy", "limit", "decision"),
        "Limits consulted, by decision; shadow_refused is a limit that only counts.",
    ),
    Metric(
        "otp_refusals_total",
        C,
        ("rule",),
        "Verifications refused to start, by the rule of the policy; limits and guesses are rules too.",
    ),
    Metric(
        "otp_fraud_total",
        C,
        ("fraud_rule", "mode"),
        "Starts that a rule against abuse was about, by what became of them: monitor is only noted.",
    ),
    Metric("otp_blocks_total", C, ("fraud_rule", "event"), "Blocks that began, were repeated, ended or were lifted."),
    Metric("otp_blocks_standing", G, ("app",), "Blocks that stand, as this process last heard."),
    Metric(
        "otp_suppressions_total",
        C,
        ("channel", "action"),
        "Opt-outs that were added or lifted, and channels that were left out because of one (applied).",
    ),
    Metric(
        "otp_delivery_seconds",
        H,
        ("provider", "channel"),
        "From the moment a message was queued to its delivery report.",
        _DELIVERY,
    ),
    Metric(
        "otp_verify_seconds",
        H,
        ("channel",),
        "From the start of a verification to its approval, by the channel last sent to.",
        _VERIFY,
    ),
    Metric(
        "otp_cost_micros_total",
        C,
        ("provider", "channel", "currency"),
        "Price of the messages sent, in millionths of one unit of the currency.",
    ),
    Metric(
        "otp_price_lookups_total",
        C,
        ("provider", "result"),
        "Messages whose price the vendor tells only when it is asked, by what came of asking in the end.",
    ),
    Metric(
        "otp_spend_micros_total",
        C,
        ("movement", "app"),
        "Money in the caps' currency, in millionths: spent is what was reserved for messages, and more where a vendor "
        "named a higher price; returned where it named a lower one, or nothing was sent.",
    ),
    Metric(
        "otp_country_spend_micros_total",
        C,
        ("movement", "country"),
        "The same by country; spent less returned, over the verifications approved there, is what one costs.",
    ),
    Metric(
        "otp_spend_cap_ratio",
        G,
        ("policy", "cap"),
        "Of the cap, the share that is spent in its present period, of its fullest purse, as this process last saw it.",
    ),
    Metric(
        "otp_spend_cap_events_total",
        C,
        ("policy", "cap", "level"),
        "Caps that came near (80%), and that refused a message; each is counted once in a period, by one process.",
    ),
    Metric("otp_timer_lateness_seconds", H, (), "From the moment a timer was due to its start.", _LATENESS),
    Metric("otp_timers_due", G, (), "Timers that are due and not yet claimed, at the last look of this process."),
    Metric("otp_sends_in_flight", G, ("provider",), "Requests to the provider that are under way."),
    Metric("otp_lease_lost_total", C, (), "Results thrown away because another process had taken the work over."),
    Metric(
        "otp_orphans_total",
        C,
        (),
        "Timers found without their verification, and pending verifications without their timer: the store has lost "
        "the other; must stay at zero.",
    ),
    Metric("otp_store_seconds", H, ("operation",), "Duration of one operation of the store.", _STORE),
    Metric("otp_store_errors_total", C, ("operation",), "Operations of the store that failed."),
    Metric("otp_provider_seconds", H, ("provider", "channel"), "Duration of one request to a provider.", _PROVIDER),
    Metric("otp_breaker_state", G, ("provider", "channel"), "Circuit breaker: 0 closed, 1 half open, 2 open."),
    Metric(
        "otp_provider_disabled", G, ("provider",), "1 while an operator has the provider switched off, as last heard."
    ),
    Metric(
        "otp_provider_bad",
        G,
        ("provider", "channel"),
        "1 while the provider stands behind the others, judged by what becomes of its messages to at least one zone.",
    ),
    Metric(
        "otp_provider_share",
        G,
        ("provider", "channel", "measure"),
        "Of the provider's messages in the window, the share delivered in time, or verified; of the worst zone that "
        "has enough of them, and absent while none has.",
    ),
    Metric("otp_callbacks_total", C, ("provider", "result"), "Requests of vendors to the callback address."),
    Metric("otp_http_requests_total", C, ("route", "status"), "Requests answered, by route and HTTP status."),
    Metric("otp_http_seconds", H, ("route",), "Duration of one request, from its first byte to the answer.", _HTTP),
    Metric(
        "otp_policy_info",
        G,
        ("policy", "revision", "weak_codes"),
        "Always 1; says which revision of each policy is in force, and whether it allows codes under six digits.",
    ),
    Metric(
        "otp_config_reload_total",
        C,
        ("result",),
        "Times that a changed configuration was to be taken over while serving; refused leaves the old one in force.",
    ),
    Metric(
        "otp_config_last_reload_success_timestamp_seconds",
        G,
        (),
        "When the configuration in force was taken over, at the start or by a reload, in seconds since 1970.",
    ),
    Metric(
        "otp_mail_lookups_total",
        C,
        ("result",),
        "Domains that the DNS was asked about, whether they take mail; unknown (no answer in time) refuses nobody.",
    ),
    Metric(
        "otp_worker_restarts_total",
        C,
        (),
        "Times that a worker process took the place of one that had ended by itself.",
    ),
    Metric(
        "otp_traffic_lost_total",
        C,
        (),
        "Lines of the record of decisions that were not written, because the disk is too slow, full or gone.",
    ),
    Metric("otp_build_info", G, ("version", "python"), "Always 1; says which version runs, on which Python."),
)

OUTCOMES = ("started", "refused", "approved", "locked", "expired", "canceled")
CONVERSION = ("started", "approved")
ATTEMPTS = ("sent", "delivered", "silent", "failed")
REASONS = ("failed", "silent", "resend")
VERDICTS = ("approved", "wrong", "locked", "expired", "spent", "canceled")
DECISIONS = ("allowed", "refused", "shadow_refused")
CALLBACKS = ("accepted", "late", "duplicate", "unknown", "malformed", "forged")
LOOKUPS = ("found", "unknown", "failed", "refused", "dropped")
MAIL = ("takes", "refuses", "unknown")
RELOADS = ("loaded", "refused")
MODES = ("monitor", "challenge", "shadow", "enforce")
BLOCKS = ("held", "added", "lengthened", "lifted", "expired")
SUPPRESSIONS = ("added", "lifted", "applied")
MOVEMENTS = ("spent", "returned")
LEVELS = ("near", "reached")
BREAKER = {"closed": 0, "half_open": 1, "open": 2}
STATUSES = ("200", "201", "202", "204", "400", "401", "403", "404", "409", "422", "429", "500", "503")
MEASURES = ("delivery", "conversion")
OTHER = "other"
NONE = "none"

LABELS: dict[str, str] = {
    "action": ", ".join(f"`{value}`" for value in SUPPRESSIONS),
    "app": "an app of the configuration, else `other`",
    "cap": "a cap of the policy, by name, else `other`",
    "channel": "`sms`, `voice`, `whatsapp`, `telegram`, `email`",
    "country": "ISO 3166-1 alpha-2 of the phone number: those that the policies name, then the first that come, up to "
    "the cap (20 by default), else `other`; `none` for email",
    "currency": "ISO 4217: the first three that come, else `other`",
    "decision": ", ".join(f"`{value}`" for value in DECISIONS),
    "error_class": "one of the classes of `channels/contract.py`, else `other`",
    "event": ", ".join(f"`{value}`" for value in BLOCKS),
    "fraud_rule": "a rule of the policies' `fraud.rules`, by name, else `other`",
    "from_channel": "as `channel`",
    "level": ", ".join(f"`{value}`" for value in LEVELS),
    "limit": "a limit of the policy, by name, else `other`",
    "measure": ", ".join(f"`{value}`" for value in MEASURES),
    "movement": ", ".join(f"`{value}`" for value in MOVEMENTS),
    "mode": ", ".join(f"`{value}`" for value in MODES),
    "operation": "an operation of the store, else `other`",
    "outcome": f"of a verification: {', '.join(f'`{value}`' for value in OUTCOMES)}; "
    f"of a message: {', '.join(f'`{value}`' for value in ATTEMPTS)}",
    "policy": "a policy of the configuration, else `other`",
    "provider": "a provider of the configuration, by its name there, else `other`",
    "purpose": "a purpose that the app's section names, else `other`",
    "python": "the version of Python",
    "reason": "`failed` (a provider refused, or a report says so), `silent` (no sign of delivery in time), "
    "`resend` (the person asked again), else `other`",
    "result": f"of a callback: {', '.join(f'`{value}`' for value in CALLBACKS)}; "
    f"of a look-up of mail: {', '.join(f'`{value}`' for value in MAIL)}; "
    f"of a reload: {', '.join(f'`{value}`' for value in RELOADS)}; "
    f"of a price: {', '.join(f'`{value}`' for value in LOOKUPS)} (`unknown`: the vendor named none; `dropped`: too "
    "many were waiting)",
    "revision": "the first 12 hexadecimal digits of the policy's hash",
    "route": "the template of the path, never the path itself, else `other`",
    "rule": "a rule of the policy engine, else `other`",
    "status": f"{', '.join(f'`{value}`' for value in STATUSES)}; others by class: `2xx`, `3xx`, `4xx`, `5xx`",
    "to_channel": "as `channel`",
    "verdict": ", ".join(f"`{value}`" for value in VERDICTS),
    "version": "the version of the gateway",
    "weak_codes": "`true` when the policy sets `allow_weak_codes`, else `false`",
}
"""What each label may hold. A value outside becomes `other`: no label ever holds a number, an address or an id."""
