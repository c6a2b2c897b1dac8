"""Destinations: one spelling each, whatever the number plans and the libraries would let through."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.destination import Invalid, email, load, phone
from policies.model import NumberType, Phone

PLAIN = "Leave out spaces, brackets, dots, hyphens and all else but the plus sign and the digits."
ASCII = "Use the ASCII digits 0 to 9 and the plus sign, and no other characters."
EXTENSION = "Leave out the extension: a code can't reach one."
LETTERS = "Leave out letters: write the digits that they stand for."
BEGIN = "Begin with a plus sign and the country calling code, as E.164 does."

REFUSED = {
    "": "The number is empty: write it in E.164, a plus sign, the country calling code and the number.",
    "+1 (800) FLOWERS": LETTERS,
    "+1800FLOWERS": LETTERS,
    "+١٤١٥٥٥٥٢٦٧١": ASCII,
    "+1٤١٥٥٥٥٢٦٧١": ASCII,
    "+１４１５５５５２６７１": ASCII,
    "＋14155552671": ASCII,
    "+1415555\u202d2671": ASCII,
    "+14155552671 x5": EXTENSION,
    "+14155552671x5": EXTENSION,
    "+14155552671;ext=5": EXTENSION,
    "+14155552671 ext. 5": EXTENSION,
    "+14155552671,5": EXTENSION,
    "+14155552671#5": EXTENSION,
    "tel:+14155552671": "Leave out tel: and write the number alone, beginning with its plus sign.",
    "+1 415 555 2671": PLAIN,
    "+1-415-555-2671": PLAIN,
    "+1.415.555.2671": PLAIN,
    "+1(415)5552671": PLAIN,
    "+14155552671\n": PLAIN,
    "++14155552671": PLAIN,
    " +14155552671": BEGIN,
    "14155552671": BEGIN,
    "(415) 555-2671": BEGIN,
    "0014155552671": "Write a plus sign instead of the international prefix 00.",
    "+04155552671": "No country calling code begins with 0: write the code without it.",
    "+": "The number is too short: E.164 needs the country calling code and the whole number.",
    "+141555": "The number is too short: E.164 needs the country calling code and the whole number.",
    "+1415555267112345": "The number is too long: E.164 has 15 digits at the most.",
    "+999123456789": "No country has this calling code.",
    "+1415555": "The number is too short for its country.",
    "+14155552": "The number lacks its area code: it can only be dialled locally.",
    "+12345678": "The number lacks its area code: it can only be dialled locally.",
    "+141555526711": "The number is too long for its country.",
    "+80012345": "The number is too short for its country.",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_text_that_is_not_plain_e164_is_refused_with_its_reason(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        phone(text)
    assert refused.value.reason == REFUSED[text]
    assert str(refused.value) == refused.value.reason


def test_the_library_alone_would_have_accepted_the_spellings_that_are_refused() -> None:
    """The planted bug: without the form check these all become one plain number."""
    for text in ("+١٤١٥٥٥٥٢٦٧١", "+14155552671 x5", "tel:+14155552671", "+1 (415) 555-2671", "+14155552671\n"):
        number = phonenumbers.parse(text)
        assert phonenumbers.is_valid_number(number)
        assert phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) == "+14155552671"


@given(st.text(max_size=40))
def test_no_text_makes_anything_but_a_phone_or_invalid(text: str) -> None:
    try:
        understood = phone(text)
    except Invalid:
        return
    assert understood.e164[1:].isascii()
    assert understood.e164[1:].isdigit()


CALLING_CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


@settings(max_examples=300)
@given(st.sampled_from(CALLING_CODES), st.from_regex(r"0{0,3}[0-9]{4,11}", fullmatch=True))
def test_understanding_a_number_again_changes_nothing(calling_code: int, rest: str) -> None:
    try:
        once = phone(f"+{calling_code}{rest}")
    except Invalid:
        return
    assert phone(once.e164) == once
    assert once.prefix + once.e164[-4:] == once.e164


def test_a_trunk_zero_is_dropped_so_that_both_spellings_are_one_number() -> None:
    assert phone("+4407911123456") == phone("+447911123456")


def test_a_trunk_zero_that_hid_another_one_is_dropped_as_well() -> None:
    """The library drops one at a time, so that two rounds would have made two keys of one number."""
    assert phone("+919812345678") == phone("+9109812345678") == phone("+91009812345678")
    first = phonenumbers.format_number(phonenumbers.parse("+91009812345678"), phonenumbers.PhoneNumberFormat.E164)
    assert first == "+9109812345678"


COUNTRIES = {
    "+18765551234": "JM",
    "+14155552671": "US",
    "+14165552671": "CA",
    "+79161234567": "RU",
    "+77012345678": "KZ",
    "+447400123456": "GB",
    "+447781123456": "GG",
    "+447797123456": "JE",
    "+447624123456": "IM",
    "+393312345678": "IT",
    "+247400000": "AC",  # not in a known range, but its calling code has one region
    "+88612345678": "TW",
    "+612345678": "ZZ",  # three regions share +61 and the range is unknown
    "+881612345678": "001",
    "+979123456789": "001",
    "+80012345678": "001",
}


@pytest.mark.parametrize("number", COUNTRIES)
def test_the_country_comes_from_the_whole_number_and_not_from_the_calling_code(number: str) -> None:
    assert phone(number).country == COUNTRIES[number]


TYPES = {
    "+979123456789": NumberType.PREMIUM_RATE,
    "+881612345678": NumberType.SATELLITE,
    "+882161234567": NumberType.SATELLITE,
    "+883510001234567": NumberType.SATELLITE,
    "+870773111632": NumberType.SATELLITE,
    "+449091234567": NumberType.PREMIUM_RATE,
    "+19005551234": NumberType.PREMIUM_RATE,
    "+18005551234": NumberType.TOLL_FREE,
    "+80012345678": NumberType.TOLL_FREE,
    "+80812345678": NumberType.SHARED_COST,
    "+15005550006": NumberType.PERSONAL_NUMBER,
    "+442071838750": NumberType.FIXED_LINE,
    "+447400123456": NumberType.MOBILE,
    "+14155552671": NumberType.FIXED_LINE_OR_MOBILE,
    "+39312345678": NumberType.UNKNOWN,
}


@pytest.mark.parametrize("number", TYPES)
def test_the_type_of_a_number_is_the_plans_but_for_the_global_networks(number: str) -> None:
    assert phone(number).type is TYPES[number]


def test_the_library_alone_would_have_called_satellite_networks_mobile_and_voip() -> None:
    """The planted bug: without the table of calling codes a satellite phone passes as a mobile."""
    kinds = [phonenumbers.number_type(phonenumbers.parse(number)) for number in ("+881612345678", "+882161234567")]
    assert kinds == [phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.VOIP]


def test_a_possible_number_outside_every_known_range_is_understood_but_not_valid() -> None:
    new = phone("+39312345678")
    assert (new.valid, new.type, new.country) == (False, NumberType.UNKNOWN, "ZZ")
    assert phone("+14155552671").valid


def test_a_masked_number_hides_at_least_four_digits_however_short_it_is() -> None:
    assert phone("+14155552671").masked == "+1415*****71"
    assert Phone("+3906123", "IT", NumberType.UNKNOWN, "+390", valid=False).masked == "+3****23"
    assert repr(phone("+14155552671")) == "Phone(+1415*****71)"


EMAILS_REFUSED = {
    "": "The address is empty.",
    "a" * 250 + "@x.org": "The address is too long: 254 characters at the most.",
    "a@" + "b" * 70 + ".org": "Not an email address: write one like ana@example.org.",
    # longer in octets than in characters, which is what mail servers count
    "e\u0301" * 30 + "@" + ".".join(["b" * 45] * 4) + ".org": "Not an email address: write one like ana@example.org.",
    "ana\n@example.org": "Leave out control characters and line breaks.",
    "ana@example.org\r\nBcc: x@example.org": "Leave out control characters and line breaks.",
    "ana@example.org\u2028": "Leave out control characters and line breaks.",
    '"ana b"@example.org': "Quoted local parts are not accepted.",
    "ana@[127.0.0.1]": "Addresses at an IP address are not accepted: write a domain name.",
    "ana": "Write exactly one at sign, between the local part and the domain.",
    "ana@b@example.org": "Write exactly one at sign, between the local part and the domain.",
    "ana＠example.org": "Write exactly one at sign, between the local part and the domain.",
    "ana@localhost": "The domain needs a dot: write it whole.",
    "ana@mail.localhost": "The domain is reserved and can't receive mail.",
    "ana@shop.invalid": "The domain is reserved and can't receive mail.",
    "ana@example.org ": "Not an email address: write one like ana@example.org.",
    "Ana <ana@example.org>": "Not an email address: write one like ana@example.org.",
    "@example.org": "Not an email address: write one like ana@example.org.",
}


@pytest.mark.parametrize("text", EMAILS_REFUSED)
def test_what_is_no_deliverable_address_is_refused_with_its_reason(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        email(text)
    assert refused.value.reason == EMAILS_REFUSED[text]


def test_the_local_part_is_delivered_to_as_given_and_the_domain_in_its_ascii_form() -> None:
    assert email("Ana.B+shop@EXAMPLE.org").address == "Ana.B+shop@example.org"
    assert email("ana@Bücher.example").address == "ana@xn--bcher-kva.example"
    assert email("ana@bücher.example") == email("ana@xn--bcher-kva.example")
    assert email("ana@bücher.example").domain == "xn--bcher-kva.example"
    assert email("e\u0301va@example.org").address == "e\u0301va@example.org"


def test_tags_and_case_share_one_key() -> None:
    keys = {
        email(text).key for text in ("ana@example.org", "ANA@example.org", "ana+1@example.org", "Ana+99@Example.ORG")
    }
    assert keys == {"ana@example.org"}
    assert email("+1@example.org").key == "+1@example.org"
    assert email("ÉVA@example.org").key == "Éva@example.org"


def test_dots_make_no_difference_at_gmail_and_may_make_another_person_elsewhere() -> None:
    gmail = ("ana.bell@gmail.com", "anabell@googlemail.com", "A.n.a.bell+x@GMail.com")
    assert {email(text).key for text in gmail} == {"anabell@gmail.com"}
    assert email("ana.bell@googlemail.com").address == "ana.bell@googlemail.com"
    assert email("ana.bell@googlemail.com").domain == "googlemail.com"
    assert email("ana.bell@example.org").key != email("anabell@example.org").key


def test_a_dotless_i_is_another_person_everywhere() -> None:
    other, mike = email("mıke@example.org"), email("mike@example.org")
    assert other.key != mike.key
    assert other.address != mike.address
    assert email("MİKE@example.org").key != mike.key


def test_upper_casing_alone_would_have_made_two_people_one() -> None:
    """The planted bug, CVE-2019-19844."""
    assert "mıke@example.org".upper() == "mike@example.org".upper()


def test_a_refusal_never_repeats_what_was_given() -> None:
    for text in (*REFUSED, "+14155552671 x5"):
        if len(text) > 6:
            with pytest.raises(Invalid) as refused:
                phone(text)
            assert text.strip() not in refused.value.reason
    with pytest.raises(Invalid) as refused:
        email("secret ж@example.org")
    assert "secret" not in refused.value.reason
    assert "ж" not in refused.value.reason


def test_loading_the_number_plans_ahead_can_be_repeated() -> None:
    load()
    load()
    assert phone("+14155552671").country == "US"
