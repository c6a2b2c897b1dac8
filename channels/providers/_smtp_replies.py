"""What a mail server's refusal means: reply codes and enhanced status codes, classed by remedy."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from enum import StrEnum

import aiosmtplib

from channels.contract import ErrorClass, SendError


class Phase(StrEnum):
    """How far a message had come. The same code means different things: 550 is about the recipient after RCPT and
    about the text after DATA."""

    QUEUE = "queue"  # waiting for a free connection of our own
    CONNECT = "connect"  # TCP, TLS, greeting, EHLO
    AUTH = "auth"
    MAIL = "mail"  # the sender was named
    RCPT = "rcpt"  # the recipient was named
    DATA = "data"  # the text was handed over: from here on a lost answer may mean a delivered message


Table = Mapping[str, ErrorClass]

# Enhanced status codes say more than reply codes and are asked first: RFC 3463 section 3 and IANA's registry "SMTP
# Enhanced Status Codes" for the digits, RFC 5321 section 4.2 for the reply codes. 5.4.1 is Exchange Online's word for
# "no such recipient" (Microsoft Learn, "NDR error code 550 5.4.1"), whatever the registry says of it.
_ADDRESS: dict[str, ErrorClass] = {
    "5.1": ErrorClass.BAD_DESTINATION,
    "5.1.7": ErrorClass.SENDER,  # bad sender's mailbox address syntax
    "5.1.8": ErrorClass.SENDER,  # bad sender's system address
    "5.2.1": ErrorClass.BAD_DESTINATION,  # mailbox disabled
    "5.2.2": ErrorClass.TEMPORARY,  # mailbox full: it may be emptied, and another channel reaches the person meanwhile
    "5.4.1": ErrorClass.BAD_DESTINATION,
    "5.4.4": ErrorClass.BAD_DESTINATION,  # unable to route
    "5.5": ErrorClass.REQUEST_BUG,
    "452": ErrorClass.TEMPORARY,
    "552": ErrorClass.TEMPORARY,
    "521": ErrorClass.BAD_DESTINATION,  # RFC 7504: the host takes no mail
    "556": ErrorClass.BAD_DESTINATION,  # RFC 7504 and 7505: the domain takes no mail
    "500": ErrorClass.REQUEST_BUG,
    "501": ErrorClass.REQUEST_BUG,
    "502": ErrorClass.REQUEST_BUG,
    "503": ErrorClass.REQUEST_BUG,
    "504": ErrorClass.REQUEST_BUG,
    "555": ErrorClass.REQUEST_BUG,
    # 530 asks for a login (RFC 4954 section 6) or for TLS (RFC 3207 section 4), with any of these behind it.
    "530": ErrorClass.PROVIDER_ACCOUNT,
    "530-5.5.1": ErrorClass.PROVIDER_ACCOUNT,
    "530-5.7.0": ErrorClass.PROVIDER_ACCOUNT,
    "530-5.7.1": ErrorClass.PROVIDER_ACCOUNT,
    "530-5.7.57": ErrorClass.PROVIDER_ACCOUNT,  # Exchange Online: client not authenticated
    # Amazon SES: "454 Throttling failure" (Developer Guide, "Amazon SES SMTP issues"). Before a login it is another
    # thing, and with an enhanced code behind it another again ("454 4.7.1 relay access denied").
    "454": ErrorClass.THROTTLED,
    "4": ErrorClass.TEMPORARY,
    "5": ErrorClass.UNKNOWN,
}

TABLES: Mapping[Phase, Table] = {
    Phase.CONNECT: {
        "4": ErrorClass.TEMPORARY,
        "5": ErrorClass.PROVIDER_ACCOUNT,  # 554 as a greeting: this server doesn't talk to us at all
    },
    Phase.AUTH: {
        "4": ErrorClass.PROVIDER_DOWN,  # 454: its user database is away (RFC 4954 section 6)
        "5": ErrorClass.PROVIDER_ACCOUNT,
    },
    Phase.MAIL: _ADDRESS
    | {
        "5.1": ErrorClass.SENDER,
        "5.7": ErrorClass.SENDER,
        "550": ErrorClass.SENDER,
        "553": ErrorClass.SENDER,
        "554": ErrorClass.SENDER,
    },
    Phase.RCPT: _ADDRESS
    | {
        # Relaying denied, or our address on a block list: about us, not about the person.
        "5.7": ErrorClass.SENDER,
        "550": ErrorClass.BAD_DESTINATION,
        "551": ErrorClass.BAD_DESTINATION,
        "553": ErrorClass.BAD_DESTINATION,
    },
    Phase.DATA: _ADDRESS
    | {
        "5.2.3": ErrorClass.CONTENT,  # too long
        "5.3.4": ErrorClass.CONTENT,  # too big
        "5.6": ErrorClass.CONTENT,
        "5.7": ErrorClass.CONTENT,
        # RFC 7372: SPF, DKIM or reverse DNS of the sender failed. The text is innocent.
        "5.7.20": ErrorClass.SENDER,
        "5.7.21": ErrorClass.SENDER,
        "5.7.22": ErrorClass.SENDER,
        "5.7.23": ErrorClass.SENDER,
        "5.7.24": ErrorClass.SENDER,
        "5.7.25": ErrorClass.SENDER,
        "5.7.26": ErrorClass.SENDER,
        "5.7.60": ErrorClass.SENDER,  # Exchange Online: client may not send as this sender
        "550": ErrorClass.CONTENT,
        "554": ErrorClass.CONTENT,
    },
}

_STATUS = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")


def classify(error: Exception, phase: Phase, overrides: Table) -> SendError:
    """One foreign error in the contract's terms. Its vendor code is "550-5.1.1", "550" or one word for a fault.

    A 4xx or 5xx reply is an answer, whenever it comes; a connection that is lost or silent after DATA is not.
    """
    if isinstance(error, aiosmtplib.SMTPResponseException) and 400 <= error.code < 600:
        code = _code(error.code, error.message)
        return SendError(_lookup(code, overrides, TABLES[phase]), code)
    word, meaning = _fault(error, phase)
    return SendError(overrides.get(word, meaning), word, ambiguous=phase is Phase.DATA)


def _code(reply: int, text: str) -> str:
    status = _STATUS.match(text)
    return f"{reply}-{status[1]}" if status else str(reply)


def _lookup(code: str, overrides: Table, table: Table) -> ErrorClass:
    for key in _keys(code):
        if key in overrides:
            return overrides[key]
    return next((table[key] for key in _keys(code) if key in table), ErrorClass.UNKNOWN)


def _keys(code: str) -> Iterator[str]:
    """From the most to the least specific: 550-5.1.1, 5.1.1, 5.1, 550, 5."""
    reply, _, status = code.partition("-")
    yield code
    if status:
        yield status
        yield status.rpartition(".")[0]
    yield reply
    yield reply[0]


def _fault(error: Exception, phase: Phase) -> tuple[str, ErrorClass]:
    """Faults without a reply code. The order matters: all but the plain SMTPException are also OSErrors."""
    if phase is Phase.QUEUE:
        return "busy", ErrorClass.THROTTLED
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return "malformed", ErrorClass.PROVIDER_DOWN
    if isinstance(error, TimeoutError):
        return "timeout", ErrorClass.PROVIDER_DOWN
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return "tls", ErrorClass.PROVIDER_DOWN
    if isinstance(error, OSError):
        return ("connect" if phase is Phase.CONNECT else "disconnected"), ErrorClass.PROVIDER_DOWN
    return _unsupported(phase)


def _unsupported(phase: Phase) -> tuple[str, ErrorClass]:
    """aiosmtplib's bare SMTPException: the server doesn't offer what the settings ask for."""
    if phase is Phase.AUTH:
        return "auth", ErrorClass.PROVIDER_ACCOUNT
    return ("starttls" if phase is Phase.CONNECT else "malformed"), ErrorClass.PROVIDER_DOWN
