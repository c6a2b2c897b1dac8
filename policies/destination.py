"""What a phone number or an email address is: its one spelling, its country, its type, and the key it is counted by."""

from __future__ import annotations

import re
from functools import lru_cache

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from phonenumbers import PhoneNumberType, ValidationResult

from policies.model import Email, NumberType, Phone
from policies.plans import national, place, plan_of

_REMEMBERED = 16_384
"""Addresses kept understood: parsing one costs 20 microseconds and more, and a person soon comes again. About 5 MB."""


class Invalid(ValueError):
    """Not a destination. The message is for a client developer and never repeats what was given."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def phone(text: str) -> Phone:
    """Understand a number in E.164. Raises Invalid.

    The library alone would be too kind: it drops extensions, maps letters to keys and foreign digits to ASCII, so that
    one number could be spelled in many ways. The form is therefore held to E.164 (ITU-T E.164 §6) before it parses.
    """
    if _E164.fullmatch(text) is None:
        raise Invalid(next(reason for fault, reason in _PHONE_FAULTS if fault.search(text)))
    return _phone(text)


def email(text: str) -> Email:
    """Understand an email address, without asking the DNS. Raises Invalid."""
    for fault, reason in _EMAIL_FAULTS:
        if fault.search(text):
            raise Invalid(reason)
    return _email(text)


def load() -> None:
    """Understand an address of each kind now rather than at the first request. The plan of a country is read when its
    first number comes, which takes that start a millisecond or two: most gateways see few countries."""
    phone("+12015550123")
    email("warm@example.org")


_E164 = re.compile(r"\+[1-9][0-9]{6,14}")

_PHONE_FAULTS = tuple(
    (re.compile(pattern, re.ASCII | re.IGNORECASE | re.DOTALL), reason)
    for pattern, reason in (
        (r"^$", "The number is empty: write it in E.164, a plus sign, the country calling code and the number."),
        (r"^tel:", "Leave out tel: and write the number alone, beginning with its plus sign."),
        (r"[^\x00-\x7f]", "Use the ASCII digits 0 to 9 and the plus sign, and no other characters."),
        (
            r"[0-9)](\s*(x|ext\.?|extension)[\s=:]*|;ext=|#|,|;)[0-9]+$",
            "Leave out the extension: a code can't reach one.",
        ),
        (r"[a-z]", "Leave out letters: write the digits that they stand for."),
        (r"^00", "Write a plus sign instead of the international prefix 00."),
        (r"^[^+]", "Begin with a plus sign and the country calling code, as E.164 does."),
        (r"[^+0-9]|.\+", "Leave out spaces, brackets, dots, hyphens and all else but the plus sign and the digits."),
        (r"^\+0", "No country calling code begins with 0: write the code without it."),
        (r"^.{0,7}$", "The number is too short: E.164 needs the country calling code and the whole number."),
        (r"", "The number is too long: E.164 has 15 digits at the most."),
    )
)
"""What is wrong with a text that is not E.164, most telling fault first; the last one matches whatever is left."""

_EMAIL_FAULTS = tuple(
    (re.compile(pattern, re.DOTALL), reason)
    for pattern, reason in (
        (r"^$", "The address is empty."),
        (r".{255}", "The address is too long: 254 characters at the most."),
        (r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", "Leave out control characters and line breaks."),
        (r"\"", "Quoted local parts are not accepted."),
        (r"@\[", "Addresses at an IP address are not accepted: write a domain name."),
        (r"^[^@]*$|@.*@", "Write exactly one at sign, between the local part and the domain."),
        (r"@[^.]*$", "The domain needs a dot: write it whole."),
    )
)

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

_IMPOSSIBLE = {
    ValidationResult.INVALID_COUNTRY_CODE: "No country has this calling code.",
    ValidationResult.TOO_SHORT: "The number is too short for its country.",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "The number lacks its area code: it can only be dialled locally.",
    ValidationResult.TOO_LONG: "The number is too long for its country.",
    ValidationResult.INVALID_LENGTH: "No number of this length exists in its country.",
}

_TYPES = {
    PhoneNumberType.MOBILE: NumberType.MOBILE,
    PhoneNumberType.FIXED_LINE: NumberType.FIXED_LINE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: NumberType.FIXED_LINE_OR_MOBILE,
    PhoneNumberType.VOIP: NumberType.VOIP,
    PhoneNumberType.PERSONAL_NUMBER: NumberType.PERSONAL_NUMBER,
    PhoneNumberType.TOLL_FREE: NumberType.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE: NumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST: NumberType.SHARED_COST,
    PhoneNumberType.PAGER: NumberType.PAGER,
    PhoneNumberType.UAN: NumberType.UAN,
    PhoneNumberType.VOICEMAIL: NumberType.VOICEMAIL,
}

# ITU-T list of assigned codes: 870 Inmarsat, 881 global mobile satellite, 882 and 883 international networks, 979
# premium rate. The library calls 881 mobile and 882 VoIP; all four networks are paid for like satellite calls.
_BY_CALLING_CODE = {
    870: NumberType.SATELLITE,
    881: NumberType.SATELLITE,
    882: NumberType.SATELLITE,
    883: NumberType.SATELLITE,
    979: NumberType.PREMIUM_RATE,
}


def _phone(text: str) -> Phone:
    found = plan_of(text)
    if found is None:
        raise Invalid(_IMPOSSIBLE[ValidationResult.INVALID_COUNTRY_CODE])
    plan, dialled = found
    number = national(plan, text, dialled)
    if (result := plan.possible(len(number))) != ValidationResult.IS_POSSIBLE:
        raise Invalid(_IMPOSSIBLE[result])
    if number != dialled:
        # A trunk prefix was dropped (+44 07... is +44 7...). Understand what is left: a range is matched on the number
        # as it is dialled, and every spelling must end at one key.
        return phone(f"+{plan.code}{number}")
    region, kind = place(plan, number)
    return Phone(
        e164=text,
        country=region or "ZZ",
        type=_BY_CALLING_CODE.get(plan.code) or _TYPES.get(kind, NumberType.UNKNOWN),
        prefix=text[:-4],
        valid=kind != PhoneNumberType.UNKNOWN,
        range=text[:-6],
        place=int(text[-4:]),
    )


@lru_cache(maxsize=_REMEMBERED)
def _email(text: str) -> Email:
    try:
        parsed = validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        # The library's own words may quote characters of the address.
        raise Invalid(_refused(text)) from None
    local, domain = text.rpartition("@")[0], (parsed.ascii_domain or "").lower()
    return Email(address=f"{local}@{domain}", key=_counted(parsed.local_part, domain), domain=domain)


def _refused(text: str) -> str:
    """A domain of RFC 6761 can't be reached; all else is a matter of form."""
    domain = text.rpartition("@")[2].lower()
    if any(domain == name or domain.endswith(f".{name}") for name in SPECIAL_USE_DOMAIN_NAMES):
        return "The domain is reserved and can't receive mail."
    return "Not an email address: write one like ana@example.org."


def _counted(local: str, domain: str) -> str:
    """The mailbox as limits see it: no +tag, ASCII letters lower. Only ASCII: a Unicode case mapping would fold the
    dotless ı of mıke into another person's address (CVE-2019-19844)."""
    bare = (local.partition("+")[0] or local).translate(_LOWER)
    return f"{bare.replace('.', '')}@gmail.com" if domain in _DOTLESS else f"{bare}@{domain}"


# support.google.com/mail/answer/7436150, "Dots don't matter in Gmail addresses", read 2026-11: true of these two
# domains, which are one, and not of companies' own at Google. Elsewhere a dot may make another person's mailbox.
_DOTLESS = frozenset({"gmail.com", "googlemail.com"})
