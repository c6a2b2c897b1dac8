"""Our signatures against those that the vendors' own libraries compute and check: neither side has read the other."""

from __future__ import annotations

import string
import time
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plivo.utils import validate_signature, validate_v3_signature
from plivo.utils.signature_v3 import construct_post_url, get_signature_v3
from standardwebhooks import Webhook, WebhookVerificationError
from twilio.request_validator import RequestValidator
from vonage_http_client.auth import Auth
from vonage_jwt import verify_signature

from channels import signing
from channels.contract import Callback, Forged
from channels.providers import _plivo_signature as plivo
from channels.providers import _vonage_signing as vonage
from tests.vendors import twilio as twilio_vendor
from tests.vendors import vonage as vonage_vendor
from tests.vendors import webhook as webhook_vendor

TOKEN, NONCE = "the-auth-token-of-the-tests", "05429567804466091622"
URL = "https://otp.example/callbacks/main/tok3n"
PRINTED = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=12)
FIELDS = st.dictionaries(NAMES, PRINTED, max_size=6)
ASCII_FIELDS = st.dictionaries(NAMES, st.text(string.printable, max_size=20), max_size=6)
"""Plivo's library encodes other letters twice, which its others do not; no field of a report has any."""
QUERIES = st.dictionaries(NAMES, st.text(string.ascii_letters + string.digits, min_size=1, max_size=8), max_size=3)


def with_query(query: dict[str, str]) -> str:
    return f"{URL}?{urlencode(query)}" if query else URL


@given(ASCII_FIELDS, QUERIES)
def test_plivos_library_signs_as_we_do(fields: dict[str, str], query: dict[str, str]) -> None:
    url = with_query(query)
    theirs = get_signature_v3(TOKEN, construct_post_url(url, fields), NONCE).decode()
    assert plivo.v3(TOKEN, url, list(fields.items()), NONCE) == theirs
    assert validate_v3_signature("POST", url, NONCE, TOKEN, plivo.v3(TOKEN, url, list(fields.items()), NONCE), fields)
    assert validate_signature(url, NONCE, plivo.v2(TOKEN, url, NONCE), TOKEN)


@given(ASCII_FIELDS, ASCII_FIELDS)
def test_plivos_library_and_we_refuse_the_same(signed: dict[str, str], sent: dict[str, str]) -> None:
    signature = plivo.v3(TOKEN, URL, list(signed.items()), NONCE)
    headers = {"x-plivo-signature-v3": signature, "x-plivo-signature-v3-nonce": NONCE}
    theirs = validate_v3_signature("POST", URL, NONCE, TOKEN, signature, sent)
    assert bool(plivo.genuine([TOKEN], URL, headers, list(sent.items()))) == theirs


@given(FIELDS)
def test_twilios_library_signs_as_its_stand_in_does(fields: dict[str, str]) -> None:
    theirs = RequestValidator(twilio_vendor.TOKEN).compute_signature(URL, fields)
    assert twilio_vendor.sign(URL, list(fields.items())) == theirs


@pytest.mark.parametrize("method", ["md5", "sha256", "sha512"])
@given(fields=FIELDS)
def test_vonages_library_signs_sms_as_we_do(fields: dict[str, str], method: Literal["md5", "sha256", "sha512"]) -> None:
    auth: Any = Auth(api_key="12ab34cd", signature_secret="secret", signature_method=method)
    plain = {**fields, "timestamp": "1767607200"}
    plain.pop("sig", None)
    assert auth.sign_params(dict(plain)) == vonage.sms_signature(plain, "secret", method)


def test_vonages_library_believes_the_token_that_we_believe_and_no_other() -> None:
    body = b'{"message_uuid":"m"}'
    token = vonage_vendor.token(body)
    callback = Callback("POST", URL, {"authorization": f"Bearer {token}"}, body)
    reports = vonage.SignedReports([vonage_vendor.SIGNATURE_SECRET], time.time)
    reports.check(callback)
    assert verify_signature(token, vonage_vendor.SIGNATURE_SECRET)
    other = vonage.SignedReports(["another-secret-of-the-same-length"], time.time)
    with pytest.raises(Forged):
        other.check(callback)
    assert not verify_signature(token, "another-secret-of-the-same-length")


@given(PRINTED, st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=40))
def test_the_library_of_standard_webhooks_believes_what_we_sign(text: str, name: str) -> None:
    headers = signing.headers([webhook_vendor.OTHER_KEY, webhook_vendor.KEY], name, int(time.time()), text.encode())
    theirs = Webhook(webhook_vendor.SECRET)
    theirs.verify(text, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        theirs.verify(text + " ", headers, json_parse=False)


def test_we_believe_what_the_library_of_standard_webhooks_signs() -> None:
    now, body = datetime.now(UTC), '{"type":"message.report"}'
    signature = Webhook(webhook_vendor.SECRET).sign("evt_1", now, body)
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    signing.check([webhook_vendor.KEY], headers, body.encode(), time.time())
    with pytest.raises(Forged):
        signing.check([webhook_vendor.OTHER_KEY], headers, body.encode(), time.time())
