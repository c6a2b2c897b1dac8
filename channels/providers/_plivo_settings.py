"""The keys of a plivo provider in the configuration, and the languages that Plivo speaks."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from channels.contract import Channel, ProviderSettings, SecretRef
from channels.providers._senders import Phone, Sender, form, nearest

_ACCOUNT = form(r"[MS]A[0-9A-Z]{18}", "write MA or SA and 18 letters and digits: Console, Overview, Auth ID")
_UUID = form(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "write the Powerpack's UUID")
_NO_SENDER = "no channel has a sender: write from_sms or powerpack_uuid for SMS, from_voice for calls"


class Settings(ProviderSettings):
    """A Plivo account or subaccount. It has the channels that it has a sender for."""

    auth_id: Annotated[str, _ACCOUNT] = Field(description="The Auth ID of the account or subaccount.")
    auth_token: SecretRef = Field(description="The Auth Token that goes with it. It checks Plivo's callbacks as well.")
    secondary_auth_token: SecretRef | None = Field(
        None,
        description="Another token accepted for callbacks: the former one, or that of a subaccount's main account.",
    )
    from_sms: Sender | None = Field(None, description="The sender of SMS.")
    powerpack_uuid: Annotated[str, _UUID] | None = Field(
        None, description="A Powerpack that picks the sender of SMS, instead of from_sms."
    )
    from_voice: Phone | None = Field(None, description="The caller id of calls.")
    machine_detection: bool = Field(
        True, description="Tell people from voicemail, so that a code is said to people only. Plivo charges for it."
    )
    ring_timeout: int = Field(30, ge=5, le=120, description="Seconds to let a phone ring.")
    voices: dict[str, str] = Field(
        default_factory=dict,
        description="Plivo's voices by language tag, where the default won't do: {hi: Polly.Aditi}.",
    )
    dlt_entity_id: str | None = Field(None, min_length=1, description="India: the registered entity's id.")
    dlt_template_id: str | None = Field(None, min_length=1, description="India: the registered template's id.")
    dlt_template_category: str | None = Field(None, min_length=1, description="India: the template's category.")

    @property
    def channels(self) -> frozenset[Channel]:
        """The channels that a sender is given for."""
        senders = {Channel.SMS: self.from_sms or self.powerpack_uuid, Channel.VOICE: self.from_voice}
        return frozenset(channel for channel, sender in senders.items() if sender)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.channels:
            raise ValueError(_NO_SENDER)
        if self.from_sms and self.powerpack_uuid:
            raise ValueError("write from_sms or powerpack_uuid, and not both")
        return self


# The languages that <Speak> has a voice of its own for (Plivo, XML: Audio output, Supported languages). Another one
# would not be ignored: Plivo refuses the whole document, and the person hears nothing.
# fmt: off
_SPEAK = (
    "da-DK", "nl-NL", "en-AU", "en-GB", "en-US", "fr-CA", "fr-FR", "de-DE", "it-IT", "pl-PL", "pt-BR", "pt-PT", "ru-RU",
    "es-ES", "es-US", "sv-SE",
)
# fmt: on
_SPEAK_LANGUAGES = {
    **{tag[:2]: tag for tag in _SPEAK},
    **{tag: tag for tag in _SPEAK},
    "en": "en-US",
    "es": "es-ES",
    "es-419": "es-US",
    "es-MX": "es-US",
    "fr": "fr-FR",
}

_MEN_ONLY = frozenset({"pt-PT"})

# The others are spoken by voices of Amazon Polly; Plivo has those of 27 languages (Plivo, Voice: SSML). The names are
# Amazon's; that Plivo has each of these is unverified, and the operator may name another.
_VOICES = {
    "ar": "Polly.Zeina",
    "cy": "Polly.Gwyneth",
    "en-IN": "Polly.Aditi",
    "hi": "Polly.Aditi",
    "is": "Polly.Dora",
    "ja": "Polly.Mizuki",
    "ko": "Polly.Seoyeon",
    "nb": "Polly.Liv",
    "nn": "Polly.Liv",
    "no": "Polly.Liv",
    "ro": "Polly.Carmen",
    "tr": "Polly.Filiz",
    "zh": "Polly.Zhiyu",
}


def speech(language: str, voices: dict[str, str]) -> dict[str, str]:
    """The attributes of <Speak> for a language tag: the operator's voice, Plivo's language, a voice of Polly's. For a
    language that none of them speaks, an English voice reads the words."""
    voice = nearest(voices, language)
    if voice:
        return {"voice": voice}
    tag = nearest(_SPEAK_LANGUAGES, language)
    polly = nearest(_VOICES, language)
    if polly and (tag is None or language.lower() == "en-in"):
        return {"voice": polly}
    man = {"voice": "MAN"} if tag in _MEN_ONLY else {}  # the default is a woman's voice, and there is none
    return {"language": tag or "en-US", **man}
