"""What a person can do about an error: by code the remedies of each provider's page, and general ones by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from channels.contract import ErrorClass, SendError

_FOLDER = Path(__file__).parent / "providers" / "remedies"

WORDS: Mapping[str, str] = {
    "dns": "The name can't be resolved: check `base_url` and the machine's DNS.",
    "refused": "Nothing answers there: check `base_url`, and that the machine may connect outwards.",
    "connect_timeout": "Nothing answers there: check `base_url`, and that the machine may connect outwards.",
    "tls": "The certificate is not trusted: `base_url` names another host, or something on the way takes TLS apart.",
    "timeout": "It connects and hears nothing in time: look at the vendor's status page, or raise `timeout`.",
    "reset": "The connection broke: look at the vendor's status page, and at proxies on the way.",
    "cut_off": "The connection broke: look at the vendor's status page, and at proxies on the way.",
    "not_http": "What answers there is no HTTP: correct `base_url`.",
    "oversized": "What answers there is not the vendor's API: correct `base_url`.",
    "unreadable": "What answers there is not the vendor's API: correct `base_url`.",
    "bad_url": "Correct `base_url`.",
    "channel_not_configured": "Give the provider a sender for this channel, or name another channel.",
    "no_answer_url": "A call fetches its words from the running gateway: start a verification with `otp-gateway send`.",
}
"""By the gateway's own words for faults, as channels.transport and the providers have them."""

CLASSES: Mapping[ErrorClass, str] = {
    ErrorClass.BAD_DESTINATION: "The number or address does not exist: compare it.",
    ErrorClass.NO_CHANNEL: "This channel can't reach that number or address: try another channel.",
    ErrorClass.TEMPORARY: "Try again later, or by another provider.",
    ErrorClass.THROTTLED: "Too fast for the account: wait, lower `rate`, or ask the vendor for more.",
    ErrorClass.PROVIDER_DOWN: "The vendor is in trouble: look at its status page.",
    ErrorClass.PROVIDER_ACCOUNT: "Look at the account in the vendor's console: credentials, credit, suspension, trial.",
    ErrorClass.SENDER: "The sender may not send this: compare it with the vendor's console.",
    ErrorClass.GEOGRAPHY: "Let the account send to that country, in the vendor's console.",
    ErrorClass.CONTENT: "The vendor refuses the text or the template: compare it with what is approved.",
    ErrorClass.OPTED_OUT: "The person asked this sender to stop. Only they can undo it.",
    ErrorClass.FRAUD: "The vendor blocks the number as fraud. Don't send to it by another way.",
    ErrorClass.REQUEST_BUG: "The vendor can't make sense of the request: compare the provider's settings.",
    ErrorClass.UNKNOWN: "Look the code up in the vendor's documentation, and class it under `errors`.",
}
"""By class, for a code that no page has a remedy for."""


@dataclass(frozen=True, slots=True)
class Remedies:
    """The remedies of one provider's page. `by_code` has vendor codes and, for a whole class, the class's name;
    `by_finding` has what was seen by looking at the account, under names of our own."""

    by_code: Mapping[str, str]
    by_finding: Mapping[str, str]

    def of(self, error: SendError) -> str:
        """What to do about a refusal. There is always something."""
        return (
            self.by_code.get(error.vendor_code)
            or self.by_code.get(error.error)
            or WORDS.get(error.vendor_code)
            or CLASSES[error.error]
        )


def load(provider: str) -> Remedies:
    """The remedies that ship with a provider: none for one whose page has no table. Raises ValueError on a bad file."""
    file = _FOLDER / f"{provider}.yaml"
    return parse(file.read_text(encoding="utf-8")) if file.exists() else Remedies({}, {})


def parse(text: str) -> Remedies:
    """A list of entries: `codes` or `finding`, and `remedy`. Raises ValueError when a code stands in two of them."""
    by_code: dict[str, str] = {}
    by_finding: dict[str, str] = {}
    entries: list[dict[str, Any]] = yaml.safe_load(text)
    for entry in entries:
        names, into = ([entry["finding"]], by_finding) if "finding" in entry else (entry["codes"], by_code)
        for name in map(str, names):
            if name in into:
                raise ValueError(f"{name} has two remedies: keep one")
            into[name] = entry["remedy"]
    return Remedies(by_code, by_finding)
