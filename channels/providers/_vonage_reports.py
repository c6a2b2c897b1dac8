"""What Vonage reports: on messages, on calls, and the delivery receipts of the SMS API.

Sources: developer.vonage.com, Messages API status callbacks; Voice API webhooks reference; SMS API delivery receipts
and inbound SMS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from channels import errors
from channels.contract import (
    Callback,
    Channel,
    Cost,
    DeliveryReport,
    ErrorClass,
    InboundText,
    ReportKind,
    vendor_code,
)
from channels.providers._reading import form_fields, json_object, moment, price, vendor_id

_ID = re.compile(r"[0-9A-Fa-f-]{16,40}")  # a UUID, or the SMS API's 16 digits; longer than any phone number

_MESSAGE_STATUS: Mapping[str, ReportKind] = {
    "submitted": ReportKind.PROGRESS,
    "delivered": ReportKind.DELIVERED,
    "read": ReportKind.DELIVERED,
    "rejected": ReportKind.FAILED,
    "undeliverable": ReportKind.FAILED,
}
_RECEIPT_STATUS: Mapping[str, ReportKind] = {
    "accepted": ReportKind.PROGRESS,
    "buffered": ReportKind.PROGRESS,
    "unknown": ReportKind.PROGRESS,  # the network said something that Vonage doesn't know
    "delivered": ReportKind.DELIVERED,
    "expired": ReportKind.FAILED,
    "failed": ReportKind.FAILED,
    "rejected": ReportKind.FAILED,
}

# "completed" says that the call is over, and nothing of who was there. "human" is the only word on a person, and comes
# before the code is said: the talking follows the detection.
_CALL_STATUS: Mapping[str, ReportKind] = {
    "started": ReportKind.PROGRESS,
    "ringing": ReportKind.PROGRESS,
    "answered": ReportKind.PROGRESS,
    "completed": ReportKind.PROGRESS,
    "human": ReportKind.DELIVERED,
    "machine": ReportKind.FAILED,
    "busy": ReportKind.FAILED,
    "cancelled": ReportKind.FAILED,
    "unanswered": ReportKind.FAILED,
    "rejected": ReportKind.FAILED,
    "failed": ReportKind.FAILED,
    "timeout": ReportKind.FAILED,
}

# When a channel is charged: one report of a message carries its price, so that none is counted twice.
_CHARGED: Mapping[str, str] = {"sms": "submitted", "whatsapp": "delivered"}


def problem_code(content: Mapping[str, Any]) -> str:
    """The code of an error in the shape of RFC 9457: the end of its `type`, such as #1050 or #low-balance.

    Reports of the Messages API have the number as `title` as well, and those of its first version as `code`.
    """
    kind = content.get("type")
    fragment = kind.rpartition("#")[2] if isinstance(kind, str) and "#" in kind else ""
    title = str(content.get("title", ""))
    return vendor_code(fragment or (title if title.isdigit() else "") or content.get("code"))


def known_id(value: object) -> str:
    """A message's or a call's id, or nothing."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


class Reader:
    """Reads a report whose signature was checked before."""

    def __init__(self, table: errors.Table, overrides: errors.Table) -> None:
        self._table = table
        self._overrides = overrides

    def read(self, content: Mapping[str, Any]) -> DeliveryReport | None:
        """A report of the Messages API or of the Voice API. None for what is neither."""
        return self._message(content) if "message_uuid" in content else self._call(content)

    def receipt(self, fields: Mapping[str, str]) -> DeliveryReport | None:
        """A delivery receipt of the SMS API. Its price was in the answer to the request already."""
        status, message = fields.get("status", ""), known_id(fields.get("messageId"))
        kind = _RECEIPT_STATUS.get(status)
        if kind is not ReportKind.FAILED:
            return DeliveryReport(kind, vendor_code=status, message_id=message) if kind else None
        code = fields.get("err-code", "")
        named = f"dlr.{code}" if re.fullmatch(r"[1-9][0-9]{0,3}", code) else status
        return self._failed(named, message)

    def _message(self, content: Mapping[str, Any]) -> DeliveryReport | None:
        status, message = str(content.get("status")), known_id(content.get("message_uuid"))
        kind, cost = _MESSAGE_STATUS.get(status), _message_cost(content, status)
        if kind is not ReportKind.FAILED:
            return DeliveryReport(kind, vendor_code=status, message_id=message, cost=cost) if kind else None
        error = content.get("error")
        return self._failed((problem_code(error) if isinstance(error, dict) else "") or status, message, cost)

    def _call(self, content: Mapping[str, Any]) -> DeliveryReport | None:
        # Detection's events name the call in a field of their own (Voice API webhooks reference, human/machine).
        status, call = str(content.get("status")), known_id(content.get("uuid") or content.get("call_uuid"))
        kind = _CALL_STATUS.get(status)
        if kind is not ReportKind.FAILED:
            cost = price(content.get("price"), "EUR") if status == "completed" else None
            return DeliveryReport(kind, vendor_code=status, message_id=call, cost=cost) if kind else None
        detail = vendor_code(content.get("detail"))
        return self._failed(detail if self._known(detail) else status, call)

    def _known(self, code: str) -> bool:
        return code in self._overrides or code in self._table

    def _failed(self, code: str, message: str, cost: Cost | None = None) -> DeliveryReport:
        error: ErrorClass = errors.classify(self._table, self._overrides, code, None)
        return DeliveryReport(ReportKind.FAILED, error, code, message, cost)


def _message_cost(content: Mapping[str, Any], status: str) -> Cost | None:
    usage = content.get("usage")
    if not isinstance(usage, dict) or _CHARGED.get(str(content.get("channel"))) != status:
        return None
    return price(usage.get("price"), usage.get("currency"))


def written(content: Mapping[str, Any]) -> InboundText | None:
    """What a person wrote: of the Messages API (Inbound message) or, with its `msisdn` as `from`, of the SMS API
    (Inbound SMS). Both may have only the `keyword`, the first word."""
    channel, sender, text = content.get("channel"), content.get("from"), content.get("text")
    more = content.get("sms")
    keyword = (more if isinstance(more, dict) else content).get("keyword")
    told = text if isinstance(text, str) and text else keyword
    if channel not in (Channel.SMS, Channel.WHATSAPP) or not isinstance(sender, str) or not isinstance(told, str):
        return None
    said = moment(content.get("message-timestamp") or content.get("timestamp"))
    name = vendor_id(content.get("message_uuid") or content.get("messageId"))
    return InboundText(Channel(channel), f"+{sender.lstrip('+')}", told, said, name)


def receipt_fields(callback: Callback) -> dict[str, str]:
    """A receipt comes as a form, as JSON or in the query, as the account's settings have it."""
    if callback.method == "GET":
        return dict(callback.query)
    content = json_object(callback.body)
    if content:
        return {name: value if isinstance(value, str) else str(value) for name, value in content.items()}
    try:
        return dict(form_fields(callback.body))
    except ValueError:
        return {}
