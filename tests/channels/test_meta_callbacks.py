"""Meta's callbacks: the handshake, which reports are genuine, what they say and whom they mean."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from channels.contract import (
    Callback,
    Channel,
    Context,
    DeliveryReport,
    ErrorClass,
    InboundText,
    Outcome,
    ReportKind,
)
from channels.providers.meta import BATCH, Meta, Settings, build
from tests.channels.forging import assert_all_forged
from tests.vendors.meta import (
    ACCESS_TOKEN,
    APP_SECRET,
    PHONE_ID,
    VERIFY_TOKEN,
    body,
    callback,
    handshake,
    sign,
    status,
    wamid,
    written,
)

SETTINGS = {
    "type": "meta",
    "phone_number_id": PHONE_ID,
    "access_token": {"env": "A"},
    "app_secret": {"env": "B"},
    "verify_token": {"env": "C"},
    "template": "login_code",
    "languages": ["en_US"],
}
SECRETS = {
    "access_token": ACCESS_TOKEN,
    "app_secret": APP_SECRET,
    "secondary_app_secret": "the-new-app-secret",
    "verify_token": VERIFY_TOKEN,
}


def provider(**changes: object) -> Meta:
    context = Context("wa", "ua", production=False, secrets=SECRETS)
    return build(Settings.model_validate({**SETTINGS, **changes}), context)


META = provider()


# --- the handshake ---


def test_the_challenge_comes_back_to_whoever_knows_our_verify_token() -> None:
    outcome = META.read(handshake())
    assert outcome.reports == ()
    assert outcome.answer is not None
    assert (outcome.answer.status, outcome.answer.body) == (200, b"1158201444")
    assert outcome.answer.media_type == "text/plain"


def forged_handshakes() -> dict[str, Callback]:
    return {
        "another token": handshake(**{"hub.verify_token": "guess"}),
        "no token": handshake(**{"hub.verify_token": ""}),
        "not even ASCII": handshake(**{"hub.verify_token": "é"}),
        "another mode": handshake(**{"hub.mode": "unsubscribe"}),
        "no challenge": handshake(**{"hub.challenge": ""}),
        "markup": handshake(**{"hub.challenge": "<script>"}),
        "a line more": handshake(**{"hub.challenge": "1\n"}),
        "nothing at all": replace(handshake(), query=()),
    }


def test_no_other_handshake_is_answered() -> None:
    assert_all_forged(META.read, forged_handshakes())


def test_an_echo_that_does_not_look_at_the_token_is_noticed() -> None:
    def echoing(each: Callback) -> object:
        query = {**dict(each.query), "hub.verify_token": VERIFY_TOKEN}
        return META.read(replace(each, query=tuple(query.items())))

    with pytest.raises(AssertionError, match="another token"):
        assert_all_forged(echoing, forged_handshakes())


# --- genuine or forged ---

RAW = body(status("failed", code=131026))
GENUINE = callback(RAW)


def forgeries() -> dict[str, Callback]:
    flipped = {
        f"body byte {place}": replace(GENUINE, body=RAW[:place] + bytes([RAW[place] ^ 1]) + RAW[place + 1 :])
        for place in range(0, len(RAW), 7)
    }
    signature = sign(RAW)
    return {
        **flipped,
        "no signature": replace(GENUINE, headers={}),
        "empty signature": callback(RAW, signature=""),
        "the bare digest": callback(RAW, signature=signature.removeprefix("sha256=")),
        "upper case": callback(RAW, signature=signature.upper()),
        "the old algorithm": callback(RAW, signature=signature.replace("sha256", "sha1")),
        "not even ASCII": callback(RAW, signature="sha256=" + "é" * 64),
        "another secret": callback(RAW, secret="guess"),
        "an empty secret": callback(RAW, secret=""),
        "written anew": replace(GENUINE, body=json.dumps(json.loads(RAW), indent=1).encode()),
        "no body": replace(GENUINE, body=b""),
    }


def test_every_forgery_is_refused_and_the_genuine_one_is_read() -> None:
    assert META.read(GENUINE).reports[0].vendor_code == "131026"
    assert_all_forged(META.read, forgeries())


def test_a_reader_that_signs_what_it_parsed_is_noticed() -> None:
    def careless(each: Callback) -> object:
        again = json.dumps(json.loads(each.body or b"{}")).encode()
        return META.read(replace(each, body=again))

    with pytest.raises(AssertionError, match="written anew"):
        assert_all_forged(careless, {"written anew": forgeries()["written anew"]})


def test_a_reader_that_skips_reports_without_a_signature_is_noticed() -> None:
    def lenient(each: Callback) -> object:
        return META.read(each) if each.headers.get("x-hub-signature-256") else Outcome()

    with pytest.raises(AssertionError, match="no signature"):
        assert_all_forged(lenient, forgeries())


def test_the_new_app_secret_is_accepted_while_it_is_being_reset() -> None:
    assert META.read(callback(RAW, secret="the-new-app-secret")).reports


# --- what reports say ---


@pytest.mark.parametrize(("word", "kind"), [("sent", "progress"), ("delivered", "delivered"), ("read", "delivered")])
def test_a_status_reads_as(word: str, kind: str) -> None:
    outcome = META.read(callback(body(status(word))))
    assert outcome.reports == (DeliveryReport(ReportKind(kind), vendor_code=word, token="tok3n"),)


def test_a_report_is_answered_by_200_since_meta_repeats_after_anything_else() -> None:
    for raw in (RAW, body(), b"no json"):
        outcome = META.read(callback(raw))
        assert outcome.answer is not None
        assert outcome.answer.status == 200


def test_a_failure_has_the_class_of_its_code_and_nothing_of_its_text() -> None:
    (report,) = META.read(GENUINE).reports
    assert report == DeliveryReport(ReportKind.FAILED, ErrorClass.NO_CHANNEL, "131026", token="tok3n")


@pytest.mark.parametrize(("code", "said"), [(None, "failed"), (999999, "999999")])
def test_a_failure_without_a_known_code_is_temporary(code: int | None, said: str) -> None:
    (report,) = META.read(callback(body(status("failed", code=code)))).reports
    assert (report.error, report.vendor_code) == (ErrorClass.TEMPORARY, said)


def test_the_operators_class_holds_for_reports_too() -> None:
    (report,) = provider(errors={"131026": "temporary"}).read(GENUINE).reports
    assert report.error is ErrorClass.TEMPORARY


def test_each_report_of_a_batch_means_the_message_whose_token_it_brings() -> None:
    raw = body(status("delivered", "a"), status("failed", "b", 131026), status("sent", "c"))
    tokens = [(report.token, report.kind) for report in META.read(callback(raw)).reports]
    assert tokens == [("a", "delivered"), ("b", "failed"), ("c", "progress")]


@pytest.mark.parametrize("token", [None, "", "a token", "é", "x" * 513, "a\n"])
def test_a_status_without_a_token_of_ours_is_somebody_elses(token: str | None) -> None:
    assert META.read(callback(body(status("delivered", token)))).reports == ()


def test_a_batch_without_end_is_read_only_so_far() -> None:
    raw = body(*[status("sent") for _ in range(BATCH + 5)])
    assert len(META.read(callback(raw)).reports) == BATCH


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not json",
        b"\xff",
        b"[]",
        b"[" * 60_000,
        b'{"entry": 7}',
        b'{"entry": [7, {"changes": {"a": 1}}]}',
        b'{"entry": [{"changes": [{"value": []}, {"value": {"statuses": [1, {}, {"status": ["sent"]}]}}]}]}',
        b'{"entry": [{"changes": [{"value": {"messages": [{"from": "14155550123", "type": "text"}]}}]}]}',
        body(status("deleted")),
    ],
)
def test_what_is_not_understood_is_no_report(raw: bytes) -> None:
    assert META.read(callback(raw)).reports == ()


# --- what people write ---


def test_what_people_write_is_read_by_the_number_that_meta_names_them_by() -> None:
    tapped = written("", type="button", button={"text": "STOP", "payload": "x"})
    outcome = META.read(callback(body(messages=[written("Stop it"), tapped])))
    id_ = wamid("14155550123")
    said = [InboundText(Channel.WHATSAPP, "+14155550123", text, 1_767_607_200_000, id_) for text in ("Stop it", "STOP")]
    assert (outcome.texts, outcome.reports) == (tuple(said), ())


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "image", "image": {"caption": "STOP"}},
        {"type": "text", "text": "STOP"},
        {"type": "text", "text": {"body": 1}},
        {"type": ["text"]},
        {"from": 14155550123},
        {"from": "ana"},
        {"from": "1٤١٥٥٥٥٠١٢٣"},
    ],
)
def test_what_is_no_text_of_a_number_is_passed_over(changes: dict[str, object]) -> None:
    assert META.read(callback(body(messages=[{**written("STOP"), **changes}]))).texts == ()


def test_no_more_texts_are_read_than_meta_puts_into_a_request() -> None:
    assert len(META.read(callback(body(messages=[written("STOP")] * (BATCH + 1)))).texts) == BATCH
