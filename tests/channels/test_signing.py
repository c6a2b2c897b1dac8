"""Standard Webhooks: the specification's own vectors, keys, rotation and times."""

from __future__ import annotations

import base64

import pytest

from channels import signing
from channels.contract import Forged

# From the specification's libraries (libraries/go/webhook_test.go and its siblings in other languages).
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

OTHER = b"another key of at least 24 bytes"


def given(**changes: str) -> dict[str, str]:
    headers = {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}
    return {**headers, **{name.replace("_", "-"): value for name, value in changes.items()}}


def test_the_published_vector_is_made_and_met() -> None:
    assert signing.headers([signing.key(SECRET)], ID, AT, BODY) == given()
    signing.check([signing.key(SECRET)], given(), BODY, AT)


def test_every_key_signs_and_any_of_them_is_enough() -> None:
    headers = signing.headers([OTHER, signing.key(SECRET)], ID, AT, BODY)
    assert headers["webhook-signature"].split(" ")[1] == SIGNATURE
    for keys in ([OTHER], [signing.key(SECRET)], [signing.key(SECRET), OTHER]):
        signing.check(keys, headers, BODY, AT)


def test_signatures_of_other_versions_are_passed_over() -> None:
    signing.check([signing.key(SECRET)], given(webhook_signature=f"v1a,AAAA v2,x {SIGNATURE}"), BODY, AT)


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook_signature": ""},
        {"webhook_signature": SIGNATURE.removeprefix("v1,")},
        {"webhook_signature": SIGNATURE.replace("v1,", "v1a,")},
        {"webhook_signature": SIGNATURE[:-2]},
        {"webhook_signature": "v1,é"},
        {"webhook_signature": " ".join(["v1,x"] * 16 + [SIGNATURE])},
        {"webhook_id": ""},
        {"webhook_id": ID + "x"},
        {"webhook_timestamp": str(AT + 1)},
        {"webhook_timestamp": ""},
        {"webhook_timestamp": f"{AT}.0"},
        {"webhook_timestamp": "١٦١٤٢٦٥٣٣٠"},
    ],
)
def test_whatever_differs_is_forged(changes: dict[str, str]) -> None:
    with pytest.raises(Forged):
        signing.check([signing.key(SECRET)], given(**changes), BODY, AT)


def test_a_body_that_differs_in_a_space_is_forged() -> None:
    with pytest.raises(Forged):
        signing.check([signing.key(SECRET)], given(), BODY.replace(b" ", b""), AT)


def test_without_any_key_nothing_is_genuine() -> None:
    with pytest.raises(Forged):
        signing.check([], given(), BODY, AT)


@pytest.mark.parametrize(("away", "good"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_a_signature_is_good_for_five_minutes(away: int, good: bool) -> None:
    assert signing.fresh(str(AT), AT + away) is good
    if good:
        signing.check([signing.key(SECRET)], given(), BODY, AT + away)
    else:
        with pytest.raises(Forged):
            signing.check([signing.key(SECRET)], given(), BODY, AT + away)


@pytest.mark.parametrize("message_id", ["a.b", "é"])
def test_an_id_that_would_make_the_signed_text_ambiguous_is_refused(message_id: str) -> None:
    with pytest.raises(ValueError, match="an id is ASCII without full stops"):
        signing.headers([OTHER], message_id, AT, BODY)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        SECRET.removeprefix("whsec_"),
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsec_not base64, but long enough to be a secret",
        "whsec_é",
    ],
)
def test_what_is_no_secret_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="write whsec_ and the base64 of 24 to 64 random bytes") as caught:
        signing.key(secret)
    assert not secret.removeprefix("whsec_") or secret.removeprefix("whsec_") not in str(caught.value)
