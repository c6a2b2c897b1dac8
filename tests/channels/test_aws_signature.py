"""Signature Version 4: AWS's own vectors, and what botocore makes of the gateway's requests."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.contract import Context, ErrorClass, SendError
from channels.providers._aws import Credentials, Endpoint, Keys, domain, sign

NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TEMPORARY = Credentials(KEYS.key_id, KEYS.secret, "AQoDYXdzEPT//////////wEXAMPLEtc764")
SMS = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "PinpointSMSVoiceV2.SendTextMessage"}
BODY = '{"DestinationPhoneNumber": "+14155550123", "MessageBody": "Ihr Code: 482913 é"}'.encode()
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
PUBLISH = b"Action=Publish&Version=2010-03-31&PhoneNumber=%2B14155550123&Message=x"


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
    ids=["get-vanilla", "post-vanilla"],
)
def test_the_published_vectors_of_aws_are_met(method: str, signature: str) -> None:
    headers = sign(method, "https://example.amazonaws.com/", {}, b"", KEYS, "us-east-1", "service", NOW)
    scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    assert headers["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={signature}"
    )
    assert headers["x-amz-date"] == "20150830T123600Z"


# Made with botocore 1.43.11: SigV4Auth(credentials, service, region).add_auth(AWSRequest("POST", url, headers, body)),
# its clock held at the time above.
@pytest.mark.parametrize(
    ("url", "headers", "body", "keys", "service", "signature"),
    [
        (
            "https://sms-voice.eu-west-1.amazonaws.com/",
            SMS,
            BODY,
            KEYS,
            "sms-voice",
            "b84879bfc4adfadf18ab2b852cd3c8bd48637cb87eee458ca4da049c36f62d32",
        ),
        (
            "https://sms-voice.eu-west-1.amazonaws.com/",
            SMS,
            BODY,
            TEMPORARY,
            "sms-voice",
            "c84d89b80c42b12c7eac1d02d80d9754c0c4b934432eb77a55487002904b8800",
        ),
        (
            "http://127.0.0.1:8437/",
            SMS,
            BODY,
            KEYS,
            "sms-voice",
            "e8d7112209615c826a34d03a02dfe02eac038143ba626988dacc84624cb8735a",
        ),
    ],
    ids=["an access key", "a temporary key", "a port of its own"],
)
def test_botocore_signs_the_gateways_requests_alike(
    url: str, headers: dict[str, str], body: bytes, keys: Credentials, service: str, signature: str
) -> None:
    signed = sign("POST", url, headers, body, keys, "eu-west-1", service, NOW)
    names = sorted(
        {*map(str.lower, headers), "host", "x-amz-date"} | ({"x-amz-security-token"} if keys.token else set())
    )
    assert signed["authorization"].endswith(f"SignedHeaders={';'.join(names)}, Signature={signature}")
    assert signed.get("x-amz-security-token", "") == keys.token


def test_botocore_signs_a_form_alike() -> None:
    signed = sign("POST", "https://sns.us-east-1.amazonaws.com/", FORM, PUBLISH, KEYS, "us-east-1", "sns", NOW)
    assert signed["authorization"].endswith("1067cb469b0360308e13b5e7df8a6f3333d1d576e13e494429d1aba188dc38ec")


def test_a_changed_byte_or_header_changes_the_signature() -> None:
    def authorization(headers: dict[str, str], body: bytes) -> str:
        return sign("POST", "http://x/", headers, body, KEYS, "eu-west-1", "sns", NOW)["authorization"]

    plain = authorization(FORM, PUBLISH)
    assert authorization(FORM, PUBLISH + b"x") != plain
    assert authorization({"Content-Type": "text/plain"}, PUBLISH) != plain


def test_chinas_regions_have_their_own_domain() -> None:
    assert domain("cn-north-1") == "amazonaws.com.cn"
    assert domain("eu-west-1") == "amazonaws.com"


def test_credentials_show_no_secret() -> None:
    assert KEYS.secret not in repr(TEMPORARY)
    assert TEMPORARY.token not in repr(TEMPORARY)


# --- the role's credentials ---

SESSION = """
class Session:
    asked = 0
    def get_credentials(self):
        Session.asked += 1
        {body}
"""
FOUND = "import types; return types.SimpleNamespace(get_frozen_credentials=lambda: types.SimpleNamespace({given}))"


@pytest.fixture
def botocore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs a small botocore that finds what it is told to."""

    def install(body: str) -> None:
        package = tmp_path / "botocore"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "session.py").write_text(SESSION.format(body=body))
        monkeypatch.syspath_prepend(str(tmp_path))
        for name in ("botocore", "botocore.session"):
            monkeypatch.delitem(sys.modules, name, raising=False)

    yield install
    for name in ("botocore", "botocore.session"):
        sys.modules.pop(name, None)


def endpoint() -> Endpoint:
    settings = Keys.model_validate({"type": "aws", "region": "eu-west-1", "base_url": "http://127.0.0.1:9"})
    return Endpoint("sms-voice", settings, Context("main", "ua", production=False), lambda: NOW)


async def test_without_a_key_the_roles_credentials_sign(botocore: Any) -> None:
    botocore(FOUND.format(given="access_key='ASIAROLE', secret_key='s', token='t'"))
    found = await endpoint()._credentials()
    assert found == Credentials("ASIAROLE", "s", "t")


@pytest.mark.parametrize("body", ["return None", "raise RuntimeError('the metadata service is away')"])
async def test_a_role_that_gives_nothing_is_the_accounts_fault(botocore: Any, body: str) -> None:
    botocore(body)
    with pytest.raises(SendError) as caught:
        await endpoint().post({}, b"")
    assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.PROVIDER_ACCOUNT, "no_credentials")
    assert not caught.value.ambiguous
