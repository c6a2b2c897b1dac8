"""The code: what it is made of, how long it lives, how often it may be tried and what a resend does."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from policies.duration import Duration, milliseconds, within, written
from policies.model import CodeSettings, GuessBudget
from policies.waits import growing

# Letters: RFC 8628 §6.1, consonants only, so that no word appears and no O or I is taken for a digit. Alphanumeric: the
# same idea with digits, less what people confuse in print (0 O, 1 I L, 2 Z, 5 S, 8 B).
ALPHABETS = {
    "digits": "0123456789",
    "letters": "BCDFGHJKLMNPQRSTVWXZ",
    "alphanumeric": "34679CDFGHJKMNPQRTVWX",
}

LONGEST = milliseconds("10m")
"""NIST SP 800-63B-4 §3.1.3.2: an out-of-band authentication not completed within 10 minutes is invalid."""

Expiry = Annotated[Duration, within("1s", "24h")]
Cooldown = Annotated[Duration, within("0s", "1h")]
Longest = Annotated[Duration, within("1s", "24h")]


class CodeRules(BaseModel):
    """How a code is made and how it ends."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    length: int = Field(6, ge=4, le=10, description="Characters: 6 to 10, or 4 and 5 with allow_weak_codes.")
    alphabet: Literal["digits", "letters", "alphanumeric"] = Field(
        "digits", description="digits, letters (upper case, none ambiguous) or alphanumeric (none ambiguous)."
    )
    expiry: Expiry = Field(
        LONGEST,
        description="How long a code lives: 10m at the most, or 24h for an address.",
        json_schema_extra={"default": "10m"},
    )
    checks: int = Field(5, ge=1, le=10, description="Tries before the verification locks.")
    resend: Literal["same", "new"] = Field(
        "same",
        description="What a person's resend sends: the same code, so that a late message still works, or a new one.",
    )
    cooldown: Cooldown = Field(
        30_000, description="How long a person waits before asking again.", json_schema_extra={"default": "30s"}
    )
    cooldown_growth: int = Field(
        1, ge=1, le=10, description="How many times longer each next wait is, by a resend or a new start; 1: all alike."
    )
    cooldown_max: Longest = Field(
        1_920_000, description="The longest that it grows to.", json_schema_extra={"default": "32m"}
    )
    cooldown_window: Longest = Field(
        3_600_000,
        description="How long each ask is remembered for the growth: what is older no longer makes the wait longer.",
        json_schema_extra={"default": "1h"},
    )
    allow_weak_codes: bool = Field(
        False, description="Permit 4 and 5 characters, against the advice of NIST and OWASP."
    )
    address_confirmation: bool = Field(
        False, description="The code confirms an email address and logs nobody in: it may live up to 24h."
    )

    @model_validator(mode="after")
    def _strong(self) -> Self:
        if self.length < 6 and not self.allow_weak_codes:
            # NIST SP 800-63B-4 §3.1.3.2 asks for six decimal digits, OWASP ASVS 5 §6.5.4 for 20 bits.
            raise ValueError(f"length {self.length} is easily guessed: write 6 to 10, or set allow_weak_codes: true")
        return self

    @model_validator(mode="after")
    def _resendable(self) -> Self:
        if self.cooldown >= self.expiry:
            raise ValueError(
                f"cooldown: {written(self.cooldown)} outlasts the code, so that nobody could ask again: write "
                f"less than {written(self.expiry)}"
            )
        return self

    @model_validator(mode="after")
    def _growable(self) -> Self:
        if self.cooldown_growth == 1:
            return self
        if not self.cooldown:
            raise ValueError("cooldown_growth: nothing grows from cooldown 0s: write one such as 30s, or leave it out")
        if self.cooldown_max < self.cooldown:
            raise ValueError(
                f"cooldown_max {written(self.cooldown_max)} is below the cooldown itself ({written(self.cooldown)})"
            )
        if self.cooldown_window < self.cooldown_max:
            raise ValueError(
                f"cooldown_window {written(self.cooldown_window)} is shorter than cooldown_max "
                f"({written(self.cooldown_max)}), which it could never grow to: write a longer one"
            )
        return self


class DelaySettings(BaseModel):
    """How long the next check waits once there were many wrong ones: first long, then twice as long each time."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    after: int = Field(5, ge=1, le=100, description="The failed check after which the first delay comes.")
    first: Longest = Field(30_000, description="The first delay.", json_schema_extra={"default": "30s"})
    most: Longest = Field(3_600_000, description="The longest delay.", json_schema_extra={"default": "1h"})

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.most < self.first:
            raise ValueError(f"most {written(self.most)} is below the first delay ({written(self.first)})")
        return self


class GuessSettings(BaseModel):
    """Failed checks that one destination may have over all its codes: a new code must not buy new guesses."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    amount: int = Field(20, ge=1, le=100, description="Failed checks; NIST SP 800-63B-4 §3.2.2 stops at 100.")
    window: Annotated[Duration, within("1m", "31d")] = Field(
        86_400_000, description="How long a failed check is remembered.", json_schema_extra={"default": "24h"}
    )
    delays: DelaySettings | None = Field(
        None, description="Delays that grow with each failed check before the amount is used up; null: none."
    )


def settle(rules: CodeRules) -> CodeSettings:
    """The settings as the gateway uses them, with the alphabet spelled out."""
    return CodeSettings(
        length=rules.length,
        alphabet=ALPHABETS[rules.alphabet],
        expiry=rules.expiry,
        checks=rules.checks,
        resend=rules.resend,
        cooldown=rules.cooldown,
        waits=growing(rules.cooldown, rules.cooldown_growth, rules.cooldown_max) if rules.cooldown else (),
        waits_window=rules.cooldown_window if rules.cooldown_growth > 1 else rules.cooldown,
    )


def alphabet(code: str) -> str:
    """The smallest alphabet that a code can be of; all letters and digits for one that an app made itself."""
    found = (characters for characters in ALPHABETS.values() if set(code) <= set(characters))
    return next(found, ALPHABETS["alphanumeric"])


def budget(settings: GuessSettings) -> GuessBudget:
    """The guess budget as the gateway uses it."""
    delays = settings.delays
    waits = growing(delays.first, 2, delays.most, free=delays.after - 1) if delays else ()
    return GuessBudget(settings.amount, settings.window, waits)


def describe(rules: CodeRules) -> str:
    """One line for the decision log: 6 digits, lives 10m, 5 checks."""
    return f"{rules.length} {rules.alphabet}, lives {written(rules.expiry)}, {rules.checks} checks"
