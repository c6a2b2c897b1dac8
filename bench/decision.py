"""What one decision of a policy costs: every rule on, addresses new and parsed, numbers of all countries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import cycle

import phonenumbers
import yaml
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

from policies import destination
from policies.engine import Policy, compile_policy, decide
from policies.inheritance import resolve
from policies.model import Decision, Question
from policies.money import Tariff
from policies.schema import PolicySettings

POLICY = """
limits:
  device-ip-day: { per: [ip, device], amount: 100, window: 24h, scope: app, missing: 10000 }
  country-hour: { per: country, amount: 100000, window: 1h, counts: starts, shadow: true }
countries:
  default: allow
  deny: [KP]
  only: { voice: [US, GB, DE, FR], whatsapp: [US, BR, IN, DE] }
  rules:
    BR: { channels: [whatsapp, sms], wait: { sms: 20s }, sender: { sms: "29000" } }
    IN: { providers: { sms: [two] } }
number_types: { deny: [premium_rate, shared_cost], landline: voice }
lists: { deny: ["+4479990*", bad.example], allow: ["+12025550123"] }
email: { disposable: deny, no_mail: deny, mixed_script: deny }
quiet_hours: { channels: [voice], starts: "21:00", ends: "08:00", even_if_asked: true }
context: { require: [] }
code: { length: 6, cooldown: 30s, cooldown_growth: 2 }
guesses: { amount: 20, window: 24h }
spend:
  max_price: 1 USD
  caps:
    app-day: { per: app, amount: 100 USD, window: day }
    country-day: { per: [app, country], amount: 20 USD, window: day, then: free }
suppression: { opted_out: next_channel, expiry: 365d }
fraud: { rules: { personal: { measure: range, types: [personal_number], prefixes: ["+4470"], mode: monitor } } }
fallback:
  - { channel: sms, wait: 30s, order: weighted, weights: { one: 90, two: 10 } }
  - { channel: whatsapp, wait: 30s, order: adaptive }
  - { channel: voice, wait: 45s }
  - { channel: email, wait: 60s }
"""
"""Every section says something; what it leaves out, the default preset says, such as seven more limits."""

ORDERS = {"sms": ("one", "two"), "whatsapp": ("meta",), "voice": ("two",), "email": ("smtp",)}


def policy() -> Policy:
    """The policy, compiled as the gateway does it."""
    settings = PolicySettings.model_validate(resolve("default", {"default": yaml.safe_load(POLICY)}))
    tariff = Tariff(prices={(name, channel): {"": 50_000} for channel, names in ORDERS.items() for name in names})
    return compile_policy("default", settings, ORDERS, disposable=frozenset({"mailinator.com"}), tariff=tariff)


def numbers() -> list[str]:
    """A number of every region, in an order that mixes them: a mobile one where its plan gives an example."""
    found = []
    for code, regions in COUNTRY_CODE_TO_REGION_CODE.items():
        for region in regions:
            metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
            ranges = (metadata.mobile, metadata.fixed_line, metadata.toll_free) if metadata else ()
            example = next((one.example_number for one in ranges if one and one.example_number), None)
            if example is not None:
                found.append(f"+{code}{example}")
    return sorted(found, key=lambda text: text[::-1])


def questions(texts: list[str], *, both: bool = False) -> Iterator[Callable[[], Question]]:
    """Questions of people who were never seen before, without end; with an email address too where `both` says so."""

    def question(n: int, text: str) -> Question:
        return Question(
            app="shop",
            purpose="login",
            phone=destination.phone(text),
            email=destination.email(f"person{n}@example.org") if both else None,
            channels=("sms", "voice", "whatsapp", "email"),
            locale="en",
            ip=f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}",
            device=f"d{n}",
            suppressed=("whatsapp",),
            mail="takes",
            now=1_800_000_000_000 + n * 1000,
        )

    return (lambda n=n, text=text: question(n, text) for n, text in enumerate(cycle(texts)))  # type: ignore[misc]


def median(call: Callable[[], object]) -> float:
    """Microseconds at the 50th percentile: of five batches the best, so that another process disturbs little."""
    return min(_batch(call) for _ in range(5))


def _batch(call: Callable[[], object], calls: int = 500) -> float:
    times = []
    for _ in range(calls):
        began = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - began)
    return sorted(times)[calls // 2] / 1000


def deciding(*, both: bool = False) -> Callable[[], Decision]:
    """A call that answers the next person's question, the addresses parsed."""
    rules, texts = policy(), numbers()
    destination.load()
    for text in texts:  # each country's patterns are compiled when its first number comes
        destination.phone(text)
    asked = questions(texts, both=both)
    return lambda: decide(rules, next(asked)())


def by_the_library() -> Callable[[], bool]:
    """A call that only reads and validates the next number, with the library that all use, as all use it."""
    texts = cycle(numbers())
    return lambda: phonenumbers.is_valid_number(phonenumbers.parse(next(texts)))


def report() -> str:
    """The rows that are printed."""
    theirs = median(by_the_library())
    rows = (("to a number", median(deciding())), ("to a number and an address", median(deciding(both=True))))
    lines = [f"  {name:27}p50 {ours:4.0f} us{ours / theirs:8.2f}" for name, ours in rows]
    head = "policy decision, all rules, numbers of all countries; ratio to phonenumbers' own parse and is_valid_number"
    return "\n".join([head, *lines, f"  {'(phonenumbers alone)':27}p50 {theirs:4.0f} us"])


if __name__ == "__main__":
    print(report())
