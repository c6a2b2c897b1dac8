"""The keys of a twilio provider in the configuration, and which language each of them is meant for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from channels.contract import Channel, ProviderSettings, SecretRef
from channels.providers._senders import nearest


def _form(pattern: str, remedy: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if isinstance(value, int):
            raise ValueError("put it in quotes: YAML reads it as a number")
        if isinstance(value, str) and not re.fullmatch(pattern, value):
            raise ValueError(remedy)
        return value

    return BeforeValidator(check)


def _sid(prefix: str, where: str) -> BeforeValidator:
    return _form(rf"{prefix}[0-9a-fA-F]{{32}}", f"write {prefix} and 32 hexadecimal digits: {where}")


_E164 = r"\+[1-9][0-9]{6,14}"
_PHONE = _form(_E164, "write a number in E.164, such as '+14155550100'")
_SENDER = _form(
    rf"{_E164}|[0-9]{{3,8}}|(?=.*[A-Za-z])[A-Za-z0-9 +\-_&]{{1,11}}",
    "write a number in E.164, a short code, or a sender name of at most 11 letters and digits",
)
_NO_SENDER = (
    "no channel has a sender: write from_sms or messaging_service_sid for SMS, from_voice for calls, "
    "from_whatsapp and whatsapp_content_sid for WhatsApp"
)
_CONTENT = _sid("HX", "Console, Content Template Builder, the template's SID")


class Settings(ProviderSettings):
    """A Twilio account. It has the channels that it has a sender for."""

    account_sid: Annotated[str, _sid("AC", "Console, Account Info")] = Field(description="The Account SID.")
    auth_token: SecretRef = Field(
        description="The primary auth token. It checks Twilio's callbacks even when an API key sends."
    )
    secondary_auth_token: SecretRef | None = Field(
        None, description="The secondary auth token, accepted as well, while the tokens are being rotated."
    )
    api_key_sid: Annotated[str, _sid("SK", "Console, API keys & tokens")] | None = Field(
        None, description="An API key to send with, instead of the auth token."
    )
    api_key_secret: SecretRef | None = Field(None, description="The secret of that API key.")
    from_sms: Annotated[str, _SENDER] | None = Field(None, description="The sender of SMS.")
    messaging_service_sid: Annotated[str, _sid("MG", "Console, Messaging, Services")] | None = Field(
        None, description="A Messaging Service that picks the sender of SMS, instead of from_sms or along with it."
    )
    from_voice: Annotated[str, _PHONE] | None = Field(None, description="The caller id of calls.")
    from_whatsapp: Annotated[str, _PHONE] | None = Field(None, description="The WhatsApp sender, without 'whatsapp:'.")
    whatsapp_content_sid: Annotated[str, _CONTENT] | None = Field(
        None, description="The approved authentication template; its one variable is the code."
    )
    whatsapp_content_sids: dict[str, Annotated[str, _CONTENT]] = Field(
        default_factory=dict, description="Templates for single languages, by language tag: {pt-BR: HX...}."
    )
    machine_detection: bool = Field(
        True, description="Tell people from voicemail, so that a code is said to people only. Twilio charges for it."
    )
    fetch_prices: bool = Field(
        True, description="Ask for the price of each message some time after it was delivered; no report has it."
    )
    ring_timeout: int = Field(
        30, ge=5, le=600, description="Seconds to let a phone ring. Twilio adds about five to short ones."
    )
    voices: dict[str, str] = Field(
        default_factory=dict,
        description="Twilio's voices by language tag, where the default won't do: {hi: Polly.Aditi}.",
    )

    @property
    def channels(self) -> frozenset[Channel]:
        """The channels that a sender is given for."""
        senders = {
            Channel.SMS: self.from_sms or self.messaging_service_sid,
            Channel.VOICE: self.from_voice,
            Channel.WHATSAPP: self.from_whatsapp,
        }
        return frozenset(channel for channel, sender in senders.items() if sender)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        faults = [text for wrong, text in self._faults() if wrong]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _faults(self) -> list[tuple[bool, str]]:
        sender, template = self.from_whatsapp is not None, self.whatsapp_content_sid is not None
        templates = template or bool(self.whatsapp_content_sids)
        return [
            (not self.channels, _NO_SENDER),
            (sender and not template, "from_whatsapp needs whatsapp_content_sid, the approved authentication template"),
            (templates and not sender, "a WhatsApp template needs from_whatsapp"),
            ((self.api_key_sid is None) != (self.api_key_secret is None), "write both api_key_sid and api_key_secret"),
        ]


# The languages that <Say> speaks without a voice being named: the 26 of Twilio's former voice "alice", from which
# the present defaults came (TwiML Say, attribute language). Others need a voice, and that is the operator's choice.
# That a named voice speaks its own language when no language is given is from memory, and unverified.
# fmt: off
_SAY = (
    "ca-ES", "da-DK", "de-DE", "en-AU", "en-CA", "en-GB", "en-IN", "en-US", "es-ES", "es-MX", "fi-FI", "fr-CA", "fr-FR",
    "it-IT", "ja-JP", "ko-KR", "nb-NO", "nl-NL", "pl-PL", "pt-BR", "pt-PT", "ru-RU", "sv-SE", "zh-CN", "zh-HK", "zh-TW",
)
# fmt: on
_SAY_LANGUAGES: Mapping[str, str] = {
    **{tag[:2]: tag for tag in _SAY},
    **{tag: tag for tag in _SAY},
    "en": "en-US",
    "es": "es-ES",
    "fr": "fr-FR",
    "pt": "pt-BR",
    "zh": "zh-CN",
    "es-419": "es-MX",
    "no": "nb-NO",
    "nn": "nb-NO",
    "yue": "zh-HK",
    "zh-Hant": "zh-TW",
}


def say_language(language: str) -> str:
    """Twilio's tag for a language tag of ours, and English for a language that needs a voice to be named."""
    return nearest(_SAY_LANGUAGES, language) or "en-US"
