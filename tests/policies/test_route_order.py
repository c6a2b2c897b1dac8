"""How a step says in which order its providers go: what a policy carries, and what the schema refuses."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from policies.destination import phone
from policies.engine import compile_policy, decide
from policies.model import Decision, Question
from policies.schema import PolicySettings, revision

ORDERS = {"sms": ("twilio", "vonage"), "voice": ("twilio",)}
WEIGHTED = "order: weighted, weights: {twilio: 90, vonage: 10}"
AMERICA = "countries: {allow: [US, IN], rules: {IN: {providers: {sms: [msg91]}}}}"


def settings(step: str, rest: str = AMERICA) -> PolicySettings:
    text = f"{{fallback: [{{channel: sms, wait: 30s, {step}}}], {rest}}}"
    return PolicySettings.model_validate(yaml.safe_load(text))


def decided(step: str, to: str = "+14155550123", available: Any = None) -> Decision:
    question = Question("shop", "login", phone=phone(to))
    return decide(compile_policy("p", settings(step), ORDERS, available), question)


def test_a_step_is_fixed_unless_it_says_otherwise() -> None:
    assert decided("").steps[0].order == "fixed"
    assert decided("").steps[0].weights == ()


def test_a_policy_says_the_way_and_leaves_the_order_to_the_gateway() -> None:
    step = decided(WEIGHTED).steps[0]
    assert (step.order, step.providers) == ("weighted", ("twilio", "vonage"))
    assert step.weights == (("twilio", 90), ("vonage", 10))
    adaptive = decided("order: adaptive").steps[0]
    assert (adaptive.order, adaptive.weights) == ("adaptive", ())


def test_the_note_of_the_route_names_the_way() -> None:
    says = {note.rule: note.says for note in decided("order: adaptive").notes}
    assert says["route"] == "for US: sms (adaptive)"


def test_a_provider_without_a_share_has_none() -> None:
    assert decided("order: weighted, weights: {vonage: 1}").steps[0].weights == (("twilio", 0), ("vonage", 1))


def test_a_country_that_names_its_own_providers_has_them_as_it_wrote_them() -> None:
    step = decided(WEIGHTED, "+919876543210").steps[0]
    assert (step.providers, step.order, step.weights) == (("msg91",), "fixed", ())
    assert decided("order: adaptive", "+919876543210").steps[0].order == "adaptive"


def test_a_provider_that_is_not_available_has_no_share_either() -> None:
    step = decided(WEIGHTED, available={"sms": ["vonage"]}).steps[0]
    assert (step.providers, step.weights) == (("vonage",), (("vonage", 10),))


def test_another_weight_is_another_revision() -> None:
    one, two = (settings(f"order: weighted, weights: {{twilio: {share}}}") for share in (1, 2))
    assert revision(one) != revision(two)


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ("order: random", "order: Input should be 'fixed', 'weighted' or 'adaptive'"),
        (
            "order: weighted",
            "Value error, weights: give nobody a share: write some, such as {twilio: 90, vonage: 10}",
        ),
        (
            "order: weighted, weights: {twilio: 0}",
            "Value error, weights: give nobody a share: write some, such as {twilio: 90, vonage: 10}",
        ),
        (
            "weights: {twilio: 1}",
            "Value error, weights: belong to another order: write order: weighted, or take them out",
        ),
        ("order: weighted, weights: {twilio: -1}", "Input should be greater than or equal to 0"),
        ("order: weighted, weights: {twilio: 10001}", "Input should be less than or equal to 10000"),
    ],
)
def test_what_makes_no_sense_is_refused(step: str, fault: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(step)
    (found,) = refused.value.errors()
    assert fault in f"{found['loc'][-1]}: {found['msg']}"
