"""The keys of a vonage provider in the configuration, and which of them the chosen channels need."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from channels.contract import BaseUrl, Channel, ProviderSettings, SecretRef
from channels.providers._senders import Phone, Sender, form

SignatureMethod = Literal["md5hash", "md5", "sha1", "sha256", "sha512"]
"""What the dashboard calls MD5 hash signature, and MD5, SHA1, SHA-256 and SHA-512 HMAC signature."""

_UUID = form(
    r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "write the application's id: Dashboard, Applications"
)
_KEY = form(r"[0-9A-Za-z]{4,32}", "write the account's API key: Dashboard, API Settings")
_TEMPLATE = form(r"[^\s]{1,600}", "write the template's name as WhatsApp Manager shows it")
_LOCALE = form(
    r"[a-z]{2,3}(_[A-Za-z]{2,4})?", "write the template's language as WhatsApp spells it, such as en or pt_BR"
)
_NO_SENDER = (
    "no channel has a sender: write from_sms for SMS, from_voice for calls, "
    "from_whatsapp and whatsapp_template for WhatsApp"
)


class Settings(ProviderSettings):
    """A Vonage account. It has the channels that it has a sender for."""

    api_key: Annotated[str, _KEY] | None = Field(None, description="The account's API key.")
    api_secret: SecretRef | None = Field(None, description="The API secret that goes with the key.")
    application_id: Annotated[str, _UUID] | None = Field(
        None, description="The application that messages and calls are made by."
    )
    private_key: SecretRef | None = Field(None, description="The application's private key, in PEM.")
    signature_secret: SecretRef | None = Field(
        None, description="The account's signature secret: Vonage signs its reports with it."
    )
    secondary_signature_secret: SecretRef | None = Field(
        None, description="Another signature secret, accepted as well, while the secret is being changed."
    )
    sms_api: Literal["messages", "sms"] = Field(
        "messages", description="The API that carries SMS: the Messages API, or the older SMS API."
    )
    sign_sms: bool = Field(
        False, description="SMS API: sign the requests with the signature secret instead of sending the API secret."
    )
    sms_receipts_signed: bool = Field(
        False, description="SMS API: Vonage signs delivery receipts. Off until its support turns it on for the account."
    )
    signature_method: SignatureMethod = Field("sha256", description="SMS API: the method that the dashboard shows.")
    from_sms: Sender | None = Field(None, description="The sender of SMS.")
    from_voice: Phone | None = Field(None, description="The caller id of calls: a Vonage number.")
    from_whatsapp: Phone | None = Field(None, description="The WhatsApp sender.")
    whatsapp_template: Annotated[str, _TEMPLATE] | None = Field(
        None, description="The approved authentication template with a button that copies the code."
    )
    whatsapp_locale: Annotated[str, _LOCALE] = Field("en_US", description="The template's language, for all others.")
    whatsapp_locales: dict[str, Annotated[str, _LOCALE]] = Field(
        default_factory=dict, description="The template's languages by language tag: {pt-BR: pt_BR}."
    )
    machine_detection: bool = Field(
        True, description="Tell people from voicemail, so that a code is said to people only. Vonage charges for it."
    )
    ring_timeout: int = Field(30, ge=5, le=120, description="Seconds to let a phone ring.")
    dlt_entity_id: str | None = Field(None, min_length=1, description="India: the registered entity's id.")
    dlt_template_id: str | None = Field(None, min_length=1, description="India: the registered template's id.")
    sms_base_url: BaseUrl | None = Field(None, description="SMS API: another address than base_url.")

    @property
    def channels(self) -> frozenset[Channel]:
        """The channels that a sender is given for."""
        senders = {
            Channel.SMS: self.from_sms,
            Channel.VOICE: self.from_voice,
            Channel.WHATSAPP: self.from_whatsapp,
        }
        return frozenset(channel for channel, sender in senders.items() if sender)

    @property
    def older_sms(self) -> bool:
        """SMS go through the SMS API."""
        return self.from_sms is not None and self.sms_api == "sms"

    @property
    def messages(self) -> bool:
        """The Messages API carries something."""
        return self.from_whatsapp is not None or (self.from_sms is not None and self.sms_api == "messages")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        faults = [text for wrong, text in (*self._credentials(), *self._uses()) if wrong]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _credentials(self) -> list[tuple[bool, str]]:
        application = self.application_id is not None
        basic = self.api_key is not None and self.api_secret is not None
        signed = self.sign_sms or self.sms_receipts_signed
        secret = self.signature_secret is not None
        reports = self.messages or self.from_voice is not None
        return [
            (application != (self.private_key is not None), "write both application_id and private_key, or neither"),
            (
                self.messages and not application and not basic,
                "the Messages API needs application_id and private_key, or api_key and api_secret",
            ),
            (self.from_voice is not None and not application, "from_voice needs application_id and private_key"),
            (
                self.older_sms and not (self.api_key if self.sign_sms else basic),
                "sms_api: sms needs api_key, and api_secret or sign_sms: true",
            ),
            (self.older_sms and signed and not secret, "sign_sms and sms_receipts_signed need signature_secret"),
            (reports and not secret, "Vonage signs its reports: write signature_secret, from Dashboard, API Settings"),
        ]

    def _uses(self) -> list[tuple[bool, str]]:
        sender, template = self.from_whatsapp is not None, self.whatsapp_template is not None
        return [
            (not self.channels, _NO_SENDER),
            (sender and not template, "from_whatsapp needs whatsapp_template, the approved authentication template"),
            (template and not sender, "whatsapp_template needs from_whatsapp"),
        ]
