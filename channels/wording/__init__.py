"""One code put into words, for every channel and in many languages: `word(channel, code, brief)`."""

from channels.wording.brief import Brief
from channels.wording.phrases import languages
from channels.wording.prepared import Terms, word_again
from channels.wording.templates import check_brand, check_template, check_variable
from channels.wording.words import word

__all__ = [
    "Brief",
    "Terms",
    "check_brand",
    "check_template",
    "check_variable",
    "languages",
    "word",
    "word_again",
]
