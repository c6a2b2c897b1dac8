"""AWS as it looks from outside: its answers, its check of a request's signature, and the messages of an SNS topic.

The answers follow botocore's models of pinpoint-sms-voice-v2 and of SNS; the events are the samples of the User Guide
("Messaging Events"). The check of a signature is written here a second time, from AWS's description of it, so that the
tests don't check the provider against itself. The topic's certificate is made at run time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from channels.contract import Callback
from tests.vendors.server import Received, Reply, json_reply

KEY_ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
MESSAGE = "862a8790-60c0-4430-9b2b-658bdexample"
REGION = "eu-west-1"
TOPIC = f"arn:aws:sns:{REGION}:123456789012:otp-events"
HOST = f"https://sns.{REGION}.amazonaws.com/"
CERTIFICATE_URL = f"{HOST}SimpleNotificationService-{'0a1b2c3d' * 4}.pem"
NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
URL = "https://otp.example/callbacks/main/shared"


def accept(received: Received) -> Reply:
    """200 for a request that is rightly signed, in the words of the service that it is for."""
    if not rightly_signed(received):
        return refuse("InvalidSignatureException")
    if "x-amz-target" in received.headers:
        return json_reply(200, {"MessageId": MESSAGE})
    answer = f"<PublishResponse><PublishResult><MessageId>{MESSAGE}</MessageId></PublishResult></PublishResponse>"
    return Reply(200, answer.encode(), {"Content-Type": "text/xml"})


def rightly_signed(received: Received) -> bool:
    """Signature Version 4, step by step: the canonical request, the string to sign, the key, the signature."""
    authorization = received.headers.get("authorization", "")
    match = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([A-Z]+)/([^,]+), SignedHeaders=([^,]+), Signature=(.+)", authorization
    )
    if match is None or match[1] != KEY_ID:
        return False
    _, scope, names, signature = match.groups()
    required = {"host", "x-amz-date", "content-type"} | ({"x-amz-target"} & received.headers.keys())
    if not required <= set(names.split(";")):
        return False
    canonical = f"{received.method}\n{received.path}\n\n"
    canonical += "".join(f"{name}:{received.headers[name]}\n" for name in names.split(";"))
    canonical += f"\n{names}\n{hashlib.sha256(received.body).hexdigest()}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{received.headers['x-amz-date']}\n{scope}\n{digest}"
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest() == signature


def refuse(kind: str, reason: str = "", status: int = 400, message: str = "No.", **members: Any) -> Reply:
    """An exception of the JSON protocol."""
    content = {"__type": f"com.amazonaws.pinpointsmsvoicev2#{kind}", "Message": message, **members}
    return json_reply(status, content | ({"Reason": reason} if reason else {}))


def refuse_publish(code: str, message: str = "No.", status: int = 400) -> Reply:
    """An error of the query protocol."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f'<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">{error}</ErrorResponse>'
    return Reply(status, body.encode(), {"Content-Type": "text/xml"})


def event(name: str, token: str = "tok3n", *, final: bool = True, **changes: Any) -> dict[str, Any]:
    """An event of a message, as the configuration set's destination publishes it."""
    return {
        "eventType": name,
        "eventVersion": "1.0",
        "eventTimestamp": 1686975103470,
        "isFinal": final,
        "originationPhoneNumber": "+12065550152",
        "destinationPhoneNumber": "+14155550123",
        "isInternationalSend": False,
        "mcc": "310",
        "mnc": "800",
        "messageId": MESSAGE,
        "messageRequestTimestamp": 1686975103170,
        "messageEncoding": "GSM",
        "messageType": "TRANSACTIONAL",
        "messageStatus": name.partition("_")[2],
        "messageStatusDescription": "Message has been accepted by phone carrier",
        "context": {"token": token},
        "totalMessageParts": 1,
        "totalMessagePrice": 0.09582,
        "totalCarrierFee": 0.00283,
        **changes,
    }


def written(text: str, **changes: Any) -> dict[str, Any]:
    """A text to a number that has two-way SMS (User Guide, "Example of a two-way SMS message payload")."""
    return {
        "originationNumber": "+14155550123",
        "destinationNumber": "+12065550152",
        "messageKeyword": "KEYWORD_206555015212065550152",
        "messageBody": text,
        "inboundMessageId": "cae173d2-66b9-564c-8309-21f858e9fb84",
        "previousPublishedMessageId": MESSAGE,
        **changes,
    }


def notification(content: object, **changes: Any) -> dict[str, Any]:
    """A message of the topic, not yet signed."""
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": content if isinstance(content, str) else json.dumps(content),
        "Timestamp": NOW.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE_URL,
        "UnsubscribeURL": f"{HOST}?Action=Unsubscribe&SubscriptionArn={TOPIC}:c9135db0-26c4-47ec-8998-413945fb5a96",
        **changes,
    }


def confirmation(**changes: Any) -> dict[str, Any]:
    """What the topic posts first, before it posts anything else. Not yet signed."""
    text = f"You have chosen to subscribe to the topic {TOPIC}."
    subscribe = f"{HOST}?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37f"
    asked = {"Type": "SubscriptionConfirmation", "Token": "2336412f37f", "SubscribeURL": subscribe}
    return notification(text, **{**asked, **changes})


_ORDER = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}


def signed(message: dict[str, Any], key: rsa.RSAPrivateKey | None = None) -> dict[str, Any]:
    """The message with the topic's signature, of the version that it names."""
    names = [name for name in _ORDER[message["Type"]] if message.get(name) is not None]
    text = "".join(f"{name}\n{message[name]}\n" for name in names)
    algorithm = hashes.SHA1() if message["SignatureVersion"] == "1" else hashes.SHA256()  # noqa: S303
    signature = (key or topic_key()).sign(text.encode(), padding.PKCS1v15(), algorithm)
    return {**message, "Signature": base64.b64encode(signature).decode()}


def callback(message: dict[str, Any]) -> Callback:
    """The topic's POST, as the gateway hands it to a provider."""
    kind = {"x-amz-sns-message-type": str(message.get("Type")), "content-type": "text/plain; charset=UTF-8"}
    return Callback("POST", URL, kind, json.dumps(message).encode())


@cache
def topic_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def other_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def certificate(key: rsa.RSAPrivateKey | None = None, until: timedelta = timedelta(days=365)) -> bytes:
    """The certificate that the topic's host serves, in PEM."""
    key = key or topic_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(NOW - timedelta(days=2)).not_valid_after(NOW + until)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def look(received: Received, **changes: Any) -> Reply:
    """What AWS says of a good account, by the operation; `changes` replace some of it."""
    answers = {
        "DescribeAccountAttributes": {"AccountAttributes": [{"Name": "ACCOUNT_TIER", "Value": "PRODUCTION"}]},
        "DescribeSpendLimits": {
            "SpendLimits": [
                {"Name": "TEXT_MESSAGE_MONTHLY_SPEND_LIMIT", "EnforcedLimit": 500, "MaxLimit": 1000},
                {"Name": "MEDIA_MESSAGE_MONTHLY_SPEND_LIMIT", "EnforcedLimit": 1, "MaxLimit": 1},
            ]
        },
        "DescribePhoneNumbers": {
            "PhoneNumbers": [
                {"PhoneNumber": "+14155550199", "Status": "PENDING", "NumberCapabilities": []},
                {"PhoneNumber": "+14155550101", "Status": "ACTIVE", "NumberCapabilities": ["SMS", "VOICE"]},
            ]
        },
        "DescribePools": {"Pools": [{"PoolId": "pool-0123456789abcdef", "Status": "ACTIVE"}]},
        "DescribeSenderIds": {"SenderIds": [{"SenderId": "ACME", "IsoCountryCode": "GB"}]},
        "DescribeConfigurationSets": {
            "ConfigurationSets": [
                {
                    "ConfigurationSetName": "otp",
                    "EventDestinations": [
                        {
                            "EventDestinationName": "reports",
                            "Enabled": True,
                            "MatchingEventTypes": ["TEXT_ALL", "VOICE_ALL"],
                            "SnsDestination": {"TopicArn": TOPIC},
                        }
                    ],
                }
            ]
        },
        **changes,
    }
    if not rightly_signed(received):
        return refuse("InvalidSignatureException")
    answer = answers[received.headers["x-amz-target"].rpartition(".")[2]]
    return answer if isinstance(answer, Reply) else json_reply(200, answer)


def look_at_sns(received: Received, **changes: Any) -> Reply:
    """The same of SNS."""
    limit = "<entry><key>MonthlySpendLimit</key><value>100</value></entry>"
    answers = {
        "GetSMSSandboxAccountStatus": "<IsInSandbox>false</IsInSandbox>",
        "GetSMSAttributes": f"<attributes>{limit}</attributes>",
        **changes,
    }
    if not rightly_signed(received):
        return refuse_publish("SignatureDoesNotMatch", status=403)
    answer = answers[dict(received.form)["Action"]]
    return answer if isinstance(answer, Reply) else Reply(200, answer.encode(), {"Content-Type": "text/xml"})
