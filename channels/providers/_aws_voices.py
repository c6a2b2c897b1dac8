"""Which of Amazon Polly's voices speaks which language, and the names of them all."""

from __future__ import annotations

from collections.abc import Mapping

from channels.providers._senders import nearest

# The voices that SendVoiceMessage takes: the enumeration VoiceId of botocore's model of pinpoint-sms-voice-v2.
# fmt: off
VOICES = frozenset((
    "AMY", "ASTRID", "BIANCA", "BRIAN", "CAMILA", "CARLA", "CARMEN", "CELINE", "CHANTAL", "CONCHITA", "CRISTIANO",
    "DORA", "EMMA", "ENRIQUE", "EWA", "FILIZ", "GERAINT", "GIORGIO", "GWYNETH", "HANS", "INES", "IVY", "JACEK", "JAN",
    "JOANNA", "JOEY", "JUSTIN", "KARL", "KENDRA", "KIMBERLY", "LEA", "LIV", "LOTTE", "LUCIA", "LUPE", "MADS", "MAJA",
    "MARLENE", "MATHIEU", "MATTHEW", "MAXIM", "MIA", "MIGUEL", "MIZUKI", "NAJA", "NICOLE", "PENELOPE", "RAVEENA",
    "RICARDO", "RUBEN", "RUSSELL", "SALLI", "SEOYEON", "TAKUMI", "TATYANA", "VICKI", "VITORIA", "ZEINA", "ZHIYU",
))
# fmt: on

# What each voice speaks is from Amazon Polly's list of voices (Developer Guide, "Available voices").
_SPEAKERS: Mapping[str, str] = {
    "ar": "ZEINA",
    "cy": "GWYNETH",
    "da": "NAJA",
    "de": "VICKI",
    "en": "JOANNA",
    "en-AU": "NICOLE",
    "en-GB": "AMY",
    "en-IN": "RAVEENA",
    "es": "LUCIA",
    "es-419": "MIA",
    "es-MX": "MIA",
    "es-US": "LUPE",
    "fr": "LEA",
    "fr-CA": "CHANTAL",
    "is": "DORA",
    "it": "BIANCA",
    "ja": "MIZUKI",
    "ko": "SEOYEON",
    "nb": "LIV",
    "nl": "LOTTE",
    "nn": "LIV",
    "no": "LIV",
    "pl": "EWA",
    "pt": "CAMILA",
    "pt-PT": "INES",
    "ro": "CARMEN",
    "ru": "TATYANA",
    "sv": "ASTRID",
    "tr": "FILIZ",
    "zh": "ZHIYU",
}


def voice(chosen: Mapping[str, str], language: str) -> str:
    """The operator's choice for a language, else the voice that speaks it, else English."""
    return nearest(chosen, language) or nearest(_SPEAKERS, language) or "JOANNA"
