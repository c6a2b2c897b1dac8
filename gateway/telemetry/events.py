"""The closed inventory of log events: the gateway writes no other, and each says one thing that happened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of log line: its name, its usual level, what it means, and the fields that it may have."""

    name: str
    level: str
    meaning: str
    fields: tuple[str, ...] = ()


ALWAYS = ("timestamp", "level", "event")
CONTEXT = ("worker", "request", "app", "verification")
"""Bound for a worker process, for the length of a request or of a timer, and then part of every line."""

_VERIFICATION = ("attempts", "channel", "purpose", "seconds")
_CHECK = ("checks_left",)
_ATTEMPT = ("attempt", "channel", "provider", "country", "error_class", "vendor_code", "message_id", "seconds")

EVENTS: tuple[Event, ...] = (
    # The process
    Event("gateway.started", "info", "It serves.", ("mode", "address", "metrics", "revision", "providers")),
    Event("gateway.stopping", "info", "It was told to stop; new work is refused.", ("signal",)),
    Event("gateway.stopped", "info", "All work has ended, or the time to drain has.", ("seconds", "unfinished")),
    Event("worker.started", "info", "One of several processes serves.", ("pid", "restarts")),
    Event(
        "worker.ended",
        "error",
        "One of several processes ended by itself, and another takes its place. A status below 0 is a signal's number.",
        ("pid", "status"),
    ),
    Event("gateway.overloaded", "warning", "New work was refused to protect work under way.", ("route", "in_flight")),
    Event(
        "configuration.loaded", "info", "A configuration took effect.", ("path", "revision", "policies", "providers")
    ),
    Event("configuration.refused", "error", "A reload was refused; the old one stays.", ("path", "faults")),
    Event("configuration.warned", "warning", "It is legal and probably not meant.", ("path", "warning")),
    Event("policy.loaded", "info", "A policy is in force.", ("policy", "revision", "weak_codes")),
    # Verifications
    Event(
        "verification.started",
        "info",
        "A verification was created. Where it looks like abuse, `rules` say so and `mode` what became of it: `monitor` "
        "is only noted, `challenge` keeps to channels that cost nothing to pump, `shadow` sends nothing.",
        ("purpose", "policy", "revision", "phone", "email", "country", "mode", "rules", "notes"),
    ),
    Event(
        "verification.refused",
        "info",
        "A rule of the policy refused to start one.",
        (
            "purpose",
            "policy",
            "revision",
            "phone",
            "email",
            "rule",
            "rules",
            "problem",
            "limit",
            "unnamed",
            "notes",
        ),
    ),
    Event(
        "limit.refused",
        "info",
        "A limit refused a start, a resend or a step; or would have, when shadow is true.",
        ("purpose", "policy", "limit", "shadow", "retry_after"),
    ),
    Event("verification.approved", "info", "The right code came: the check that is told approved.", _VERIFICATION),
    Event("verification.locked", "info", "Every check was used up by wrong codes.", _VERIFICATION),
    Event("verification.expired", "info", "No right code came in time.", _VERIFICATION),
    Event("verification.canceled", "info", "The app ended it.", _VERIFICATION),
    Event("check.wrong", "info", "A code was wrong.", _CHECK),
    Event("check.locked", "info", "A code came after too many wrong ones.", _CHECK),
    Event("check.expired", "info", "A code came too late.", _CHECK),
    Event("check.spent", "info", "A code came after the right one had been used.", _CHECK),
    Event("check.canceled", "info", "A code came after the app had ended the verification.", _CHECK),
    Event(
        "checks.failing",
        "error",
        "Too many codes of an app were wrong, over all its destinations; said once for each window.",
        ("action", "failed", "checks"),
    ),
    Event(
        "destination.erased",
        "warning",
        "All that was kept of a destination for an app was erased, because it was asked for.",
        ("phone", "email", "verifications", "ended"),
    ),
    # Messages
    Event("attempt.queued", "debug", "A message waits for its turn.", _ATTEMPT),
    Event("attempt.sent", "info", "A provider accepted a message.", _ATTEMPT),
    Event("attempt.delivered", "info", "A report says delivered.", _ATTEMPT),
    Event("attempt.silent", "info", "No sign of delivery came in time.", _ATTEMPT),
    Event("attempt.failed", "warning", "A provider refused a message, or reported that it did not arrive.", _ATTEMPT),
    Event(
        "fallback.taken",
        "info",
        "The next step began.",
        ("from_channel", "to_channel", "from_provider", "to_provider", "reason"),
    ),
    Event(
        "fallback.exhausted",
        "warning",
        "No step is left; the code stays good until it expires.",
        ("reason", "attempts"),
    ),
    Event("spend.near", "warning", "80% of a cap are spent. Told once in its period.", ("policy", "cap", "country")),
    Event(
        "spend.reached", "warning", "A cap refused a message. Told once in its period.", ("policy", "cap", "country")
    ),
    Event(
        "spend.unrated",
        "warning",
        "A vendor names a price in a currency without a rate; it is left aside.",
        ("currency",),
    ),
    Event("send.abandoned", "warning", "A message was not sent: its verification could not be read.", ("fault",)),
    Event("send.unwritten", "error", "A message went out and its result could not be stored.", ("fault",)),
    Event(
        "provider.fault", "error", "A provider module raised what it should not.", ("provider", "fault", "exception")
    ),
    Event(
        "breaker.changed",
        "warning",
        "A circuit breaker moved. Zone is the first digit of the calling codes that it is for.",
        ("provider", "channel", "zone", "from_state", "state"),
    ),
    # Abuse
    Event(
        "fraud.barred",
        "info",
        "A fallback or a resend was kept back, or goes another way, since a block has begun meanwhile.",
        ("purpose", "policy", "rule", "mode", "channel", "country"),
    ),
    *(
        Event(f"block.{event}", level, meaning, ("rule", "per", "subject", "mode", "number", "until"))
        for event, level, meaning in (
            (
                "held",
                "warning",
                "Too few answer so far: a subject is held back until its messages are old enough to tell.",
            ),
            (
                "added",
                "warning",
                "A rule against abuse has begun a block. Number counts those in a row; until is in ms.",
            ),
            ("lengthened", "warning", "A block has begun again, longer than the last one."),
            ("lifted", "info", "An operator or the app ended a block."),
            ("expired", "info", "A block has come to its end."),
        )
    ),
    # Opt-outs
    Event(
        "suppression.added",
        "info",
        "A person opted out of channels. Reason is vendor (one refused a message for it), reply (STOP) or what the app "
        "said; apps are those that a reply goes for.",
        ("channels", "reason", "provider", "apps"),
    ),
    Event(
        "suppression.lifted",
        "info",
        "An opt-out ended, by START or by the app.",
        ("channels", "reason", "provider", "apps"),
    ),
    Event(
        "suppression.applied",
        "info",
        "Channels were left out, because the person has opted out of them.",
        ("channels", "purpose"),
    ),
    # Lists
    Event("list.added", "info", "An app denied or allowed an entry.", ("entry", "word", "reason")),
    Event("list.removed", "info", "An app took an entry out of its list.", ("entry",)),
    Event(
        "provider.judged",
        "warning",
        "A provider went behind the others, or back, for the share of its messages that is delivered or verified.",
        ("provider", "channel", "zone", "state", "reason"),
    ),
    Event(
        "order.changed",
        "warning",
        "The order of providers by what a verification costs became another one.",
        ("channel", "zone", "country", "providers", "reason"),
    ),
    Event("provider.disabled", "warning", "An operator switched a provider off.", ("provider", "reason")),
    Event("provider.enabled", "warning", "An operator switched a provider on again.", ("provider",)),
    # Callbacks
    Event("callback.received", "debug", "A vendor reported.", ("provider", "result", "attempt")),
    Event("callback.forged", "warning", "A signature was missing or wrong.", ("provider", "client")),
    Event("callback.unknown", "info", "No live attempt belongs to that address.", ("provider", "client")),
    Event("callback.malformed", "warning", "It was signed and could not be understood.", ("provider", "exception")),
    Event("callback.unread", "warning", "What its signature is checked by could not be fetched.", ("provider",)),
    Event("callback.contended", "error", "One verification is changed by too many at once.", ("provider",)),
    # The engine and the store
    Event("timer.failed", "error", "A timer's work raised; it is tried again when its lease ends.", ("fault",)),
    Event("timer.missing", "error", "A pending verification had no timer; it was armed again."),
    Event("lease.lost", "warning", "Another process took the work over; this result was thrown away."),
    Event("orphan.found", "error", "Timers had no live verification; they were removed.", ("number",)),
    Event("store.failed", "error", "An operation of the store failed.", ("operation", "fault", "exception")),
    Event("store.recovered", "info", "The store answers again.", ("seconds",)),
    Event("store.warned", "warning", "A setting of the store risks losing data.", ("setting", "value", "remedy")),
    # HTTP
    Event("request.refused", "info", "A request had no valid API key.", ("route", "client", "problem")),
    Event("request.answered", "debug", "One request and its answer.", ("route", "status", "seconds")),
    Event("request.failed", "error", "A request ended in a 500.", ("route", "exception")),
    # Others
    Event("library", "warning", "A line that a library wrote.", ("logger", "message", "exception")),
)
