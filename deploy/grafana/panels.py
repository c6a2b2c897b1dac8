"""The table of panels: what the dashboard shows, section by section."""

from __future__ import annotations

from dataclasses import dataclass

from promql import increase, net, per_approval, quantile, rate, share

PICK = 'channel=~"$channel",provider=~"$provider"'
VERIFIED = 'sum(increase(otp_verifications_total{outcome="approved"}[$__range]))'
STARTED = 'sum(increase(otp_verifications_total{outcome="started"}[$__range]))'

START = 'route="/v1/verifications"'
APPROVED = '(sum(increase(otp_verifications_total{outcome="approved"}[1d])) > 0)'
COUNTRIES = "otp_country_verifications_total"
COUNTRY = 'country=~"$country"'


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph, or a number when `kind` is stat. `queries`: legends to their PromQL expressions."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    says: str = ""
    stacked: bool = False


SECTIONS: dict[str, tuple[Panel, ...]] = {
    "Overview": (
        Panel("Started", {"started": STARTED}, kind="stat", width=4),
        Panel("Verified", {"verified": f"{VERIFIED} / ({STARTED} > 0)"}, "percentunit", "stat", 4),
        Panel(
            "Start errors",
            {"5xx": share("otp_http_requests_total", START + ',status=~"5.."', START, "", "$__range")},
            "percentunit",
            "stat",
            4,
            "Objective: under 0.1%.",
        ),
        Panel("Time to verify, median", {"p50": quantile(0.5, "otp_verify_seconds")}, "s", "stat", 4),
        Panel("Breakers open", {"open": "sum(otp_breaker_state == bool 2)"}, kind="stat", width=4),
        Panel("Orphans", {"orphans": "sum(otp_orphans_total)"}, kind="stat", width=4, says="Must stay at zero."),
        Panel("Verifications by outcome", {"{{outcome}}": rate("otp_verifications_total", "outcome")}, "reqps"),
        Panel(
            "Started by app",
            {"{{app}} {{purpose}}": rate("otp_verifications_total", "app, purpose", 'outcome="started"')},
            "reqps",
        ),
        Panel("Requests by status", {"{{status}}": rate("otp_http_requests_total", "status")}, "reqps", stacked=True),
        Panel("Request time, p99", {"{{route}}": quantile(0.99, "otp_http_seconds", "route")}, "s"),
        Panel("Versions", {"{{version}} on Python {{python}}": "count by (version, python) (otp_build_info)"}),
        Panel("Policies in force", {"{{policy}} {{revision}}": "count by (policy, revision) (otp_policy_info)"}),
    ),
    "Delivery": (
        Panel(
            "Conversion by country",
            {
                "{{country}}": share(
                    COUNTRIES, COUNTRY + ',outcome="approved"', COUNTRY + ',outcome="started"', "country", "1h"
                )
            },
            "percentunit",
            says="Of the verifications started in an hour, the share approved. The number that matters.",
        ),
        Panel(
            "Started by country",
            {"{{country}}": rate(COUNTRIES, "country", 'outcome="started",' + COUNTRY)},
            "reqps",
            stacked=True,
        ),
        Panel(
            "Time to verify by channel, p90",
            {"{{channel}}": quantile(0.9, "otp_verify_seconds", "channel", 'channel=~"$channel"')},
            "s",
        ),
        Panel(
            "Messages by outcome",
            {"{{outcome}}": rate("otp_attempts_total", "outcome", PICK + ',country=~"$country"')},
            "reqps",
        ),
        Panel(
            "Messages sent by provider",
            {"{{provider}} {{channel}}": rate("otp_attempts_total", "provider, channel", PICK + ',outcome="sent"')},
            "reqps",
        ),
        Panel(
            "Reported delivered, of sent",
            {
                "{{provider}} {{channel}}": share(
                    "otp_attempts_total",
                    PICK + ',outcome="delivered"',
                    PICK + ',outcome="sent"',
                    "provider, channel",
                    "15m",
                )
            },
            "percentunit",
        ),
        Panel(
            "Time to delivery, p90",
            {"{{provider}} {{channel}}": quantile(0.9, "otp_delivery_seconds", "provider, channel", PICK)},
            "s",
        ),
        Panel(
            "Errors by class",
            {"{{provider}} {{error_class}}": rate("otp_attempt_errors_total", "provider, error_class", PICK) + " > 0"},
            "reqps",
        ),
        Panel(
            "Provider request time, p99",
            {"{{provider}} {{channel}}": quantile(0.99, "otp_provider_seconds", "provider, channel", PICK)},
            "s",
        ),
        Panel("Requests in flight", {"{{provider}}": 'sum by (provider) (otp_sends_in_flight{provider=~"$provider"})'}),
        Panel(
            "Breakers",
            {"{{provider}} {{channel}}": f"max by (provider, channel) (otp_breaker_state{{{PICK}}})"},
            says="0 closed, 1 half open, 2 open; of the worst group of countries.",
        ),
        Panel(
            "Callbacks",
            {"{{provider}} {{result}}": rate("otp_callbacks_total", "provider, result", 'provider=~"$provider"')},
            "reqps",
        ),
        Panel(
            "Delivered in time, and verified",
            {
                "{{provider}} {{channel}} {{measure}}": "min by (provider, channel, measure) "
                f"(otp_provider_share{{{PICK}}})"
            },
            "percentunit",
            says="What providers are judged by: the worst group of countries, as the worst process sees it.",
        ),
        Panel(
            "Behind the others",
            {"{{provider}} {{channel}}": f"max by (provider, channel) (otp_provider_bad{{{PICK}}})"},
            says="1 while the provider is judged bad for at least one group of countries.",
        ),
        Panel(
            "Switched off",
            {"{{provider}}": 'max by (provider) (otp_provider_disabled{provider=~"$provider"})'},
            says="1 while an operator has the provider switched off.",
        ),
    ),
    "Fallback": (
        Panel(
            "Fallbacks",
            {"{{from_channel}} to {{to_channel}}": rate("otp_fallbacks_total", "from_channel, to_channel") + " > 0"},
            "reqps",
            width=12,
        ),
        Panel("Reasons", {"{{reason}}": rate("otp_fallbacks_total", "reason")}, "reqps", width=12, stacked=True),
    ),
    "Checks and limits": (
        Panel("Checks by verdict", {"{{verdict}}": rate("otp_checks_total", "verdict")}, "reqps", stacked=True),
        Panel(
            "Wrong codes, of codes tried",
            {"wrong": share("otp_checks_total", 'verdict="wrong"', 'verdict=~"wrong|approved"', "", "15m")},
            "percentunit",
        ),
        Panel(
            "Apps with too many wrong codes",
            {"{{app}}": rate("otp_failing_checks_total", "app")},
            "cps",
            says="Few guesses at each of many destinations: see apps.NAME.failed_checks.",
        ),
        Panel("Refusals by rule", {"{{rule}}": rate("otp_refusals_total", "rule")}, "reqps"),
        Panel(
            "Opt-outs added, lifted and applied",
            {"{{channel}} {{action}}": rate("otp_suppressions_total", "channel, action")},
            "cps",
            says="Many added at once: a text annoys, or an error is classed as opted_out that is none.",
        ),
        Panel(
            "Starts that look like abuse",
            {"{{fraud_rule}} {{mode}}": rate("otp_fraud_total", "fraud_rule, mode") + " > 0"},
            "reqps",
            says="What became of them: monitor is only noted, challenge, shadow and enforce send no SMS and no call.",
        ),
        Panel(
            "Blocks begun, repeated, ended",
            {"{{fraud_rule}} {{event}}": increase("otp_blocks_total", "fraud_rule, event", "5m") + " > 0"},
        ),
        Panel(
            "Blocks that stand",
            {"{{app}}": "max by (app) (otp_blocks_standing)"},
            says="otp-gateway block list says which.",
        ),
        Panel(
            "Limits that refused",
            {"{{policy}} {{limit}}": rate("otp_limit_decisions_total", "policy, limit", 'decision="refused"') + " > 0"},
            "reqps",
            width=12,
        ),
        Panel(
            "Shadow limits that would have",
            {
                "{{policy}} {{limit}}": rate("otp_limit_decisions_total", "policy, limit", 'decision="shadow_refused"')
                + " > 0"
            },
            "reqps",
            width=12,
        ),
    ),
    "Engine": (
        Panel(
            "Timer lateness",
            {"p50": quantile(0.5, "otp_timer_lateness_seconds"), "p99": quantile(0.99, "otp_timer_lateness_seconds")},
            "s",
        ),
        Panel("Timers due", {"due": "max(otp_timers_due)"}, says="One queue, seen by every process."),
        Panel(
            "Leases lost and orphans",
            {
                "leases lost": "sum(increase(otp_lease_lost_total[5m]))",
                "orphans": "sum(increase(otp_orphans_total[5m]))",
            },
        ),
        Panel("Workers replaced", {"workers": "sum(increase(otp_worker_restarts_total[5m]))"}),
        Panel("Store operations", {"{{operation}}": rate("otp_store_seconds_count", "operation")}, "ops"),
        Panel("Store time, p99", {"{{operation}}": quantile(0.99, "otp_store_seconds", "operation")}, "s"),
        Panel("Store errors", {"{{operation}}": rate("otp_store_errors_total", "operation")}, "ops"),
        Panel("Reloads in an hour", {"{{result}}": increase("otp_config_reload_total", "result", "1h")}),
        Panel(
            "Age of the configuration",
            {
                "oldest": "time() - min(otp_config_last_reload_success_timestamp_seconds)",
                "newest": "time() - max(otp_config_last_reload_success_timestamp_seconds)",
            },
            "s",
            says="Far apart after a reload: a process was not told, or refused.",
        ),
        Panel(
            "Domains asked for mail",
            {"{{result}}": increase("otp_mail_lookups_total", "result", "5m")},
            says="Many unknown: the name servers don't answer, and addresses without mail are let through.",
        ),
        Panel(
            "Decisions not recorded",
            {"lines lost": "sum(increase(otp_traffic_lost_total[5m]))"},
            says="The record that policies are tried on has gaps: the disk is too slow, full or gone.",
        ),
    ),
    "Cost": (
        Panel(
            "Cost per hour",
            {
                "{{currency}} {{provider}} {{channel}}": increase(
                    "otp_cost_micros_total", "currency, provider, channel", "1h"
                )
                + " / 1e6"
            },
            "none",
            width=8,
            stacked=True,
        ),
        Panel(
            "Cost per verification",
            {
                "{{currency}}": increase("otp_cost_micros_total", "currency", "1d")
                + f" / 1e6 / on() group_left() {APPROVED}"
            },
            "none",
            width=8,
            says="What vendors named in a day, by verifications that were approved in it.",
        ),
        Panel(
            "Spent per hour, in the caps' currency",
            {"{{app}}": net("otp_spend_micros_total", "app")},
            "none",
            width=12,
            stacked=True,
            says="Reserved and settled: of vendors that name no price, what the price lists say.",
        ),
        Panel(
            "Cost per verification, by app and by country",
            {
                "{{app}}": per_approval("otp_spend_micros_total", "otp_verifications_total", "app"),
                "{{country}}": per_approval("otp_country_spend_micros_total", COUNTRIES, "country", COUNTRY),
            },
            "none",
            width=12,
            says="Of a day, in the caps' currency: everything that was spent, by verifications that were approved. A "
            "country that becomes dear is one where codes are sent and not read.",
        ),
        Panel(
            "Spent per hour by country",
            {"{{country}}": net("otp_country_spend_micros_total", "country", COUNTRY)},
            "none",
            stacked=True,
        ),
        Panel(
            "Caps: how full",
            {"{{policy}} {{cap}}": "max by (policy, cap) (otp_spend_cap_ratio)"},
            "percentunit",
            says="Of each cap the fullest purse in its present period, as the process saw it that saw the most.",
        ),
        Panel(
            "Caps that came near or refused",
            {
                "{{policy}} {{cap}} {{level}}": increase("otp_spend_cap_events_total", "policy, cap, level", "1h")
                + " > 0"
            },
        ),
        Panel(
            "Prices asked for",
            {"{{provider}} {{result}}": increase("otp_price_lookups_total", "provider, result", "1h")},
            "none",
            width=8,
            stacked=True,
            says="Of vendors whose reports name no price. What is not found is missing in the cost.",
        ),
    ),
}
