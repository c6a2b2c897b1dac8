"""The engine's verbs count what they say, under labels of closed sets."""

import pytest
from prometheus_client import CollectorRegistry

from channels.contract import ErrorClass
from gateway.telemetry import families, table
from gateway.telemetry.labels import Labels, Names, Vocabulary
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.table import LABELS, METRICS


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_a_verification_is_counted_by_outcome_and_its_country_by_conversion(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    metrics.started("shop", "login", "US")
    metrics.started("shop", "login", "US")
    metrics.ended("approved", "shop", "login", "US")
    metrics.ended("expired", "shop", "login", "US")

    counts = {
        outcome: value(registry, "otp_verifications_total", outcome=outcome, app="shop", purpose="login")
        for outcome in table.OUTCOMES
    }
    assert counts == {"started": 2, "refused": 0, "approved": 1, "locked": 0, "expired": 1, "canceled": 0}
    assert value(registry, "otp_country_verifications_total", outcome="started", country="US") == 2
    assert value(registry, "otp_country_verifications_total", outcome="approved", country="US") == 1


def test_a_country_that_comes_for_the_first_time_has_both_halves_of_its_conversion(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    metrics.started("shop", "login", "PT")
    assert value(registry, "otp_country_verifications_total", outcome="approved", country="PT") == 0


def test_email_has_no_country_whatever_it_is_called_with(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.attempt("email", "alpha", "US", "sent")
    metrics.started("shop", "login")
    sent = value(registry, "otp_attempts_total", provider="alpha", channel="email", country="none", outcome="sent")
    assert sent == 1
    assert value(registry, "otp_country_verifications_total", outcome="started", country="none") == 1


def test_a_failed_attempt_counts_its_error_class(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.attempt("sms", "alpha", "US", "failed", "throttled")
    failed = value(registry, "otp_attempts_total", provider="alpha", channel="sms", country="US", outcome="failed")
    errors = value(registry, "otp_attempt_errors_total", provider="alpha", channel="sms", error_class="throttled")
    assert (failed, errors) == (1, 1)


def test_an_enum_is_as_good_as_its_word(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.attempt("sms", "alpha", "US", "failed", ErrorClass.FRAUD)
    assert value(registry, "otp_attempt_errors_total", provider="alpha", channel="sms", error_class="fraud") == 1


@pytest.mark.parametrize(
    ("reason", "counted"), [("silent", "silent"), ("resend", "resend"), ("provider_down", "failed")]
)
def test_a_fallback_counts_its_evidence(
    metrics: Metrics, registry: CollectorRegistry, reason: str, counted: str
) -> None:
    metrics.fell_back("whatsapp", "sms", reason)
    found = value(registry, "otp_fallbacks_total", from_channel="whatsapp", to_channel="sms", reason=counted)
    assert found == 1


def test_a_limit_that_only_counts_refuses_nobody(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.limited("default", "ip-hour", True)
    metrics.limited("default", "ip-hour", False)
    metrics.limited("default", "ip-hour", False, shadow=True)
    metrics.limited("default", "cooldown", False)
    counts = [
        value(registry, "otp_limit_decisions_total", policy="default", limit="ip-hour", decision=decision)
        for decision in ("allowed", "refused", "shadow_refused")
    ]
    assert counts == [1, 1, 1]
    assert value(registry, "otp_limit_decisions_total", policy="default", limit="cooldown", decision="refused") == 1


def test_a_refusal_counts_its_rule_and_the_app_that_asked(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.refused("country", "shop", "payment")
    assert value(registry, "otp_refusals_total", rule="country") == 1
    assert value(registry, "otp_verifications_total", outcome="refused", app="shop", purpose="payment") == 1


def test_durations_are_in_seconds(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.delivered("sms", "alpha", 4.0)
    metrics.verified("sms", 12.5)
    metrics.provider("alpha", "sms", 0.3)
    metrics.timer_late(0.02)
    metrics.store("check", 0.002)
    metrics.http("/v1/verifications", 201, 0.004)
    assert value(registry, "otp_delivery_seconds_sum", provider="alpha", channel="sms") == 4.0
    assert value(registry, "otp_verify_seconds_sum", channel="sms") == 12.5
    assert value(registry, "otp_provider_seconds_sum", provider="alpha", channel="sms") == 0.3
    assert value(registry, "otp_timer_lateness_seconds_sum") == 0.02
    assert value(registry, "otp_store_seconds_sum", operation="check") == 0.002
    assert value(registry, "otp_http_seconds_sum", route="/v1/verifications") == 0.004
    assert value(registry, "otp_http_requests_total", route="/v1/verifications", status="201") == 1


def test_the_engine_counts_what_must_not_happen(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.orphan()
    metrics.orphan(2)
    metrics.lease_lost()
    metrics.store("commit", 0.1, True)
    metrics.callback("alpha", "forged")
    metrics.checked("wrong")
    assert value(registry, "otp_orphans_total") == 3
    assert value(registry, "otp_lease_lost_total") == 1
    assert value(registry, "otp_store_errors_total", operation="commit") == 1
    assert value(registry, "otp_callbacks_total", provider="alpha", result="forged") == 1
    assert value(registry, "otp_checks_total", verdict="wrong") == 1


def test_gauges_hold_the_last_word(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.timers_due(7)
    metrics.timers_due(2)
    metrics.in_flight("beta", 3)
    metrics.breaker("beta", "sms", "open")
    metrics.breaker("beta", "sms", "ajar")
    assert value(registry, "otp_timers_due") == 2
    assert value(registry, "otp_sends_in_flight", provider="beta") == 3
    assert value(registry, "otp_breaker_state", provider="beta", channel="sms") == 2


def test_cost_is_counted_in_millionths_and_never_backwards(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.cost("sms", "alpha", 7_900, "USD")
    metrics.cost("sms", "alpha", -7_900, "USD")
    assert value(registry, "otp_cost_micros_total", provider="alpha", channel="sms", currency="USD") == 7_900


def test_only_the_policies_in_force_are_exported(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.policies({"default": "aaaaaaaaaaaa"})
    metrics.policies({"default": "bbbbbbbbbbbb", "toy": "cccccccccccc"}, weak={"toy"})
    samples = [sample.labels for family in registry.collect() for sample in family.samples]
    policies = [labels for labels in samples if "revision" in labels]
    assert policies == [
        {"policy": "default", "revision": "bbbbbbbbbbbb", "weak_codes": "false"},
        {"policy": "toy", "revision": "cccccccccccc", "weak_codes": "true"},
    ]


def test_what_the_configuration_names_is_at_zero_before_anything_happens(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    assert metrics is not None
    for error in ErrorClass:
        assert value(registry, "otp_attempt_errors_total", provider="gamma", channel="voice", error_class=error) == 0
    for outcome in table.ATTEMPTS:
        zero = value(registry, "otp_attempts_total", provider="alpha", channel="sms", country="BR", outcome=outcome)
        assert zero == 0
    assert value(registry, "otp_verifications_total", outcome="started", app="bank", purpose="login") == 0
    assert value(registry, "otp_limit_decisions_total", policy="strict", limit="guesses", decision="refused") == 0
    assert value(registry, "otp_refusals_total", rule="number_type") == 0
    assert value(registry, "otp_store_errors_total", operation="claim") == 0
    assert value(registry, "otp_callbacks_total", provider="beta", result="forged") == 0
    assert value(registry, "otp_http_requests_total", route="/v1/verifications", status="503") == 0
    assert value(registry, "otp_delivery_seconds_count", provider="alpha", channel="email") == 0
    assert value(registry, "otp_fallbacks_total", from_channel="sms", to_channel="voice", reason="silent") == 0
    assert value(registry, "otp_build_info", version="0.1.0", python=__import__("platform").python_version()) == 1


def test_a_name_that_nobody_configured_is_other_and_raises_nothing(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    metrics.attempt("pigeon", "alpha", "US", "sent", "tired")
    metrics.attempt("sms", "alpha", "US", "eaten")
    metrics.started("strangers", "login", "+14155550123")
    metrics.http("/v1/verifications/ver_Ab3x", 418, 0.1)
    metrics.limited("nowhere", "nothing", False)
    metrics.store("DROP TABLE", 0.1)
    metrics.callback("nobody", "noise")
    other = {"provider": "other", "channel": "other"}
    assert value(registry, "otp_attempts_total", **other, country="other", outcome="sent") == 1
    assert value(registry, "otp_attempt_errors_total", **other, error_class="other") == 1
    assert value(registry, "otp_attempts_total", **other, country="other", outcome="other") == 1
    assert value(registry, "otp_verifications_total", outcome="started", app="other", purpose="other") == 1
    assert value(registry, "otp_country_verifications_total", outcome="started", country="other") == 1
    assert value(registry, "otp_http_requests_total", route="other", status="4xx") == 1
    assert value(registry, "otp_limit_decisions_total", policy="other", limit="other", decision="refused") == 1
    assert value(registry, "otp_store_seconds_count", operation="other") == 1
    assert value(registry, "otp_callbacks_total", provider="other", result="other") == 1


def test_a_configuration_read_again_brings_its_new_names(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.started("kiosk", "login")
    metrics.admit(Labels(apps={"kiosk": ("login",)}, carriers={"delta": ("sms",)}))
    metrics.started("kiosk", "login")
    assert value(registry, "otp_verifications_total", outcome="started", app="kiosk", purpose="login") == 1
    assert value(registry, "otp_breaker_state", provider="delta", channel="sms") == 0


def test_more_countries_than_places_give_them_to_those_that_are_used() -> None:
    words = Vocabulary(["AA", "BB", "CC"], 2, Names(Labels()).countries._form)
    assert [words(country) for country in ("CC", "DD", "BB", "AA")] == ["CC", "other", "BB", "other"]


def test_a_metric_can_only_be_made_as_what_the_table_says(registry: CollectorRegistry) -> None:
    made = families.Families(registry, Names(Labels()))
    assert made._table == {}, "every metric of the table is made, each once"
    made._table["otp_orphans_total"] = next(metric for metric in METRICS if metric.name == "otp_orphans_total")
    with pytest.raises(TypeError, match="otp_orphans_total is a counter in the table, not a gauge"):
        made._gauge("otp_orphans_total", lambda: ())


def test_every_name_follows_the_conventions() -> None:
    for metric in METRICS:
        assert metric.name.startswith("otp_")
        assert metric.help.endswith(".")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        length = metric.name.endswith("_seconds") and not metric.name.endswith("_timestamp_seconds")
        assert length == (metric.kind == "histogram") == bool(metric.buckets)
        assert set(metric.labels) <= set(LABELS)
    assert {label for metric in METRICS for label in metric.labels} == set(LABELS)
